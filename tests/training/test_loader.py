"""Batches: on their way to the device."""

import numpy as np
import torch

from tests.fake_cuda import CUDA, moves
from workbench.data.windows import WindowStream
from workbench.training.loader import WindowSlices, on_device, packed, unpacked


def batch() -> dict[str, torch.Tensor]:
    stream = WindowStream(
        np.arange(320, dtype=np.uint16), seq_len=8, unique_tokens=320, data_seed=0, order_seed=0
    )
    slices = WindowSlices(stream, local_batch=2, global_batch=8, rank=1, ranks=4)
    return next(iter(slices))[0]


def test_a_batch_on_the_host_stays_as_it_is() -> None:
    inputs = batch()
    assert on_device(inputs, torch.device("cpu")) is inputs


def test_a_batch_comes_out_of_its_packing_as_it_went_in() -> None:
    inputs = batch()
    out = unpacked(packed(inputs), inputs)
    assert out.keys() == inputs.keys()
    for name, values in inputs.items():
        assert values.dtype == torch.int64, "what is packed together has one type"
        assert torch.equal(out[name], values)
        assert out[name].shape == values.shape


def test_a_batch_goes_to_a_gpu_in_one_copy_that_the_host_does_not_wait_for() -> None:
    inputs = batch()
    with moves() as seen:
        out = on_device(inputs, CUDA)
        assert seen == [("_to_copy", "cpu", "cuda", True)]
    assert all(values.device == CUDA for values in out.values())
    assert len({values.untyped_storage()._cdata for values in out.values()}) == 1, "views of one"
