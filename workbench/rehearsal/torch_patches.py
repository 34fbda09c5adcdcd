"""Every change that a rehearsal makes to torch 2.15 and TorchTitan 0.3.0, each with its reason.

All of them hold for the rehearsal's own process, which ends with it (`program.py`).
"""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.nn import functional as F

from workbench.rehearsal.fake_cuda import Device, answers
from workbench.rehearsal.tracing import TracedMemory

if TYPE_CHECKING:
    from workbench.rehearsal.counting import Counting

aten = torch.ops.aten


def imagine_gpu(device: Device) -> FakeTensorMode:
    """Make torch believe in one GPU, and return the mode in which tensors on it are fake.

    The mode is made first: in a process that says it has CUDA it would try to use it.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=None)
    cuda: Any = torch.cuda
    for name, answer in answers(device).items():
        setattr(cuda, name, answer)
    package: Any = torch
    package.Event = cuda.Event
    # Asked on every use of a device, it would start CUDA.
    mode_type: Any = FakeTensorMode
    mode_type.avoid_device_init = property(lambda self: True)
    _choose_attention()
    return mode


def _choose_attention() -> None:
    """Let SDPA take the kernel that a Hopper GPU takes in half precision.

    torch chooses in C++, and asks the driver. FlashAttention takes no mask; with one, the memory-
    efficient kernel stands for cuDNN's, which has the same shapes.
    """

    def attention(
        query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> Any:  # fmt: skip
        if enable_gqa and key.shape[1] != query.shape[1]:
            times = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
        if attn_mask is None:
            return aten._scaled_dot_product_flash_attention(
                query, key, value, dropout_p, is_causal, False, scale=scale
            )[0]
        if attn_mask.dtype == torch.bool:  # as torch's own conversion
            zero = torch.zeros((), dtype=query.dtype, device=query.device)
            attn_mask = torch.where(attn_mask, zero, float("-inf"))
        mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
        return aten._scaled_dot_product_efficient_attention(
            query, key, value, mask, torch.is_grad_enabled(), dropout_p, is_causal, scale=scale
        )[0]

    F.scaled_dot_product_attention = attention


def leave_tiles_out() -> None:
    """Let FlexAttention cost what the tiles of its mask cost.

    Triton's kernel cannot be made without a GPU. The mask is made on the host; then FlashAttention
    stands in, with as many keys as each query's tiles have on average.
    """
    from torchtitan.models.common.attention import FlexAttention

    from workbench.training import masks

    plain = masks.create_block_mask

    def on_host(*args: Any, **kwargs: Any) -> Any:
        with unset_fake_temporarily():
            mask: Any = plain(*args, **kwargs | {"device": "cpu"})
            mask.seen = 1 - mask.sparsity() / 100
        return mask

    def attention(query: Any, key: Any, value: Any, **kwargs: Any) -> Any:
        keys = math.ceil(kwargs["block_mask"].seen * key.shape[2])
        out = aten._scaled_dot_product_flash_attention(
            query, key[:, :, :keys], value[:, :, :keys], 0.0, False, False, scale=kwargs["scale"]
        )
        return out[0], None

    masks.create_block_mask = on_host
    # What the model would compile instead: see `titan_patches`.
    FlexAttention.inductor_configs["max_autotune"] = False
    FlexAttention._compiled_flex_attn = attention


def keep_meshes_real() -> None:
    """Compute meshes of ranks on the host: they are small tensors whose numbers are needed."""
    from torch.distributed.device_mesh import DeviceMesh
    from torchtitan.distributed import ParallelDims

    names = (
        "__init__", "__getitem__", "_flatten", "_unflatten", "_concatenate", "get_local_rank",
        "get_coordinate", "size", "get_group", "get_all_groups",
    )  # fmt: skip
    for owner, methods in (
        (DeviceMesh, names),
        (ParallelDims, ("build_mesh", "get_optional_mesh", "get_mesh")),
    ):
        for name in methods:
            if hasattr(owner, name):
                setattr(owner, name, _outside_of_fakes(getattr(owner, name)))


def _outside_of_fakes(function: Any) -> Any:
    def called(*args: Any, **kwargs: Any) -> Any:
        with unset_fake_temporarily():
            return function(*args, **kwargs)

    return called


def leave_out_stream_records() -> None:
    """FSDP2 and DistMuon tell the allocator which stream uses what: fake tensors have no memory."""
    import torch.distributed.fsdp._fully_shard._fsdp_collectives as collectives
    from torchtitan.distributed.flex_shard import _optimizer_reshard_runtime as resharding

    collectives.record_grad_output_stream = lambda *args: None
    resharding._BufferSlot.record_compute_stream = lambda *args: None


def compare_no_plans() -> None:
    """DistMuon's ranks compare what they are about to send each other: here is one rank."""
    from torchtitan.distributed.flex_shard.dist_muon import DistMuon

    DistMuon._validate_plan_across_ranks = lambda optimizer: None


def leave_out_sharding(counting: "Counting") -> None:
    """DTensor tries each new operation on fake tensors of the whole shape: no rank does that."""
    from torch.distributed.tensor._sharding_prop import ShardingPropagator

    owner: Any = ShardingPropagator
    plain = owner._propagate_tensor_meta_non_cached

    def propagate(*args: Any, **kwargs: Any) -> Any:
        with counting.unseen():
            return plain(*args, **kwargs)

    owner._propagate_tensor_meta_non_cached = propagate


def follow_resizing(memory: TracedMemory) -> None:
    """Tell the traced memory of storages that are resized: no operation says so."""
    owner: Any = torch.UntypedStorage
    plain = owner.resize_

    def resize(storage: Any, size: int) -> Any:
        plain(storage, size)
        memory.resized(storage)
        return storage

    owner.resize_ = resize
