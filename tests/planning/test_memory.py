"""Memory a GPU: exact for what is held, close for what autograd keeps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.planning.memory import EvaluationMemory, Memory, memory_per_gpu
from workbench.planning.plan import Plan, plan_study
from workbench.planning.sharding import dry_runs, sharding_row
from workbench.recipe import ModelConfig, RunConfig, load_recipe, objective_facts
from workbench.recipe.sizes import SIZES


def plan(recipe: Path, *keys: str) -> Plan:
    return plan_study(load_recipe(recipe, ["training.objective=ar", *keys]), Path("/nonexistent"))


def large(recipe: Path, size: str, shard: int, tensor: int, *keys: str) -> Plan:
    return plan(
        recipe,
        *("data.tokenizer=missing.json", "model.vocab_size=50258", "data.seq_len=2048"),
        *("data.unique_tokens=1_000_000_000", "training.total_tokens=96_000_000_000"),
        *("training.batch_size=256", f"parallelism.shard={shard}", f"parallelism.tensor={tensor}"),
        *(f"model.width={SIZES[size].width}", f"model.layers={SIZES[size].layers}"),
        *(f"model.heads={SIZES[size].heads}", f"model.size={size}", *keys),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "shard", "tensor", "optimizer"),
    [("1B", 4, 2, "adamw"), ("8B", 8, 1, "muon"), ("8B-A1B", 4, 2, "adamw")],
)
def test_models_build_and_shard_without_a_gpu_and_hold_what_was_estimated(
    recipe: Path, size: str, shard: int, tensor: int, optimizer: str
) -> None:
    keys = [f"training.optimizer={optimizer}"]
    keys += ["training.ema=1_000_000"] if optimizer == "muon" else []
    ((run, held),) = dry_runs(large(recipe, size, shard, tensor, *keys))
    assert held.n_params == run.n_params
    estimate = run.memory
    # FSDP2 pads each matrix's rows to a multiple of its ranks: less than 0.1 %.
    assert held.parameter_bytes == pytest.approx(estimate.parameters, rel=1e-3)
    assert held.gradient_bytes == pytest.approx(estimate.gradients, rel=1e-3)
    assert held.optimizer_bytes == pytest.approx(estimate.optimizer, rel=1e-3)
    row = sharding_row(run, held)
    assert row["held_bytes"] == pytest.approx(row["estimated_held_bytes"], rel=1e-3)


@pytest.mark.slow
def test_a_layout_that_cannot_be_sharded_is_told(recipe: Path) -> None:
    planned = plan(recipe)
    run = planned.runs[0]
    model = run.config.model.model_copy(update={"heads": 3, "width": 32})
    broken = run.config.model_copy(
        update={
            "model": model,
            "parallelism": run.config.parallelism.model_copy(update={"tensor": 2}),
        }
    )
    with pytest.raises(WorkbenchError, match="over 2 ranks"):
        dry_runs(replace(planned, runs=[replace(run, config=broken)]))


@pytest.fixture
def saved_bytes() -> Callable[[RunConfig, ModelConfig], float]:
    """Measures what autograd keeps of a step's forward pass, in bytes, in float32."""
    import torch

    from tests.training.toy import batch
    from workbench.training import titan_imports, titan_patches  # noqa: F401
    from workbench.training.dropout import DropoutKeys
    from workbench.training.model import RouterWeights, model_config
    from workbench.training.moe import Routers
    from workbench.training.objectives.base import Vocab
    from workbench.training.objectives.registry import build_objective

    titan_patches.use_device("cpu")

    def measure(run: RunConfig, model_keys: ModelConfig) -> float:
        rows, length = run.training.batch_size, run.data.seq_len
        facts = objective_facts(run.training.objective)
        model = model_config(
            model_keys,
            seq_len=length,
            causal=facts.causal,
            doubled=facts.streams == 2,
            router=RouterWeights(0.01, 0.001),
        ).build()
        model.init_states()
        torch.nn.init.normal_(model.lm_head.weight)
        objective = build_objective(run.training, Vocab(256, 264, 256, 257))
        tokens = torch.randint(0, 256, (rows, length))
        seen = objective.training_inputs(batch(tokens))
        keys = DropoutKeys(model, seed=0, tensor_rank=0, tensor_ranks=1)
        keys.update(1, torch.arange(len(seen.inputs_BL)), seen.inputs_BL)
        Routers(model, None).before_pass(torch.tensor(seen.inputs_BL.numel()))
        arguments = seen.network_arguments()
        own = {
            t.untyped_storage()._cdata
            for t in [*model.parameters(), *model.buffers(), *arguments.values()]
        }
        kept = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                kept[storage._cdata] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(seen.inputs_BL, **arguments)
        return sum(t.untyped_storage().nbytes() for t in kept.values())

    return measure


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        (),
        ("model.qk_norm=false",),
        ("model.dropout=0.1",),
        ("model.moe_experts=8", "model.ffn=128"),
        ("training.objective=mdlm",),
        ("training.objective=mdlm", "training.noise_samples=4"),
        ("training.objective=block", "training.block_size=8"),
        ("training.objective=aoar", "training.noise_samples=2"),
        ("training.input_mask=0.3", "training.mask_aux_weight=1"),
    ],
    ids=[
        "dense",
        "no qk-norm",
        "dropout",
        "mixture",
        "diffusion",
        "noise samples",
        "blocks",
        "any order",
        "masked AR with clean copies",
    ],
)
def test_activations_are_those_that_autograd_keeps(
    recipe: Path,
    saved_bytes: Callable[[RunConfig, ModelConfig], float],
    keys: tuple[str, ...],
) -> None:
    """Per layer, by the difference of two depths. On a CPU a norm is several kernels, and keeps
    its output before the weight too: 2 width, and 2 width for qk-norm, that a GPU does not."""
    shape = ("model.width=128", "model.layers=3", "model.heads=2", "training.dtype=float32")
    config = plan(recipe, *shape, *keys).runs[0].config
    shallow = config.model.model_copy(update={"layers": 2})
    measured = saved_bytes(config, config.model) - saved_bytes(config, shallow)
    facts, training = objective_facts(config.training.objective), config.training
    inputs = training.batch_size * config.data.seq_len * facts.streams
    unfused = 4 * 128 * (4 if config.model.qk_norm else 2)
    estimated = memory_per_gpu(config).activations / 3
    estimated += inputs * facts.presentations(training) * unfused
    assert estimated == pytest.approx(measured, rel=0.04)


def test_checkpointing_micro_batches_and_sharding_save_memory(recipe: Path) -> None:
    base = large(recipe, "8B", 8, 1).runs[0].memory
    assert base.activations == base.activations_kept > base.activations_recomputed
    checkpointed = large(recipe, "8B", 8, 1, "training.activation_checkpointing=true")
    assert checkpointed.runs[0].memory.activations == base.activations_recomputed
    selective = large(recipe, "8B", 8, 1, "training.activation_checkpointing=selective")
    selected = selective.runs[0].memory
    assert base.activations_kept > selected.activations > base.activations_recomputed
    assert base.backward < selected.backward < base.backward_recomputed
    assert base.training > selected.training > checkpointed.runs[0].memory.training
    assert checkpointed.runs[0].memory.training == base.recomputed
    smaller = large(recipe, "8B", 8, 1, "training.micro_batch_size=1").runs[0].memory
    assert smaller.activations * 32 == pytest.approx(base.activations, rel=1e-6)
    wider = large(recipe, "8B", 4, 2).runs[0].memory
    assert wider.parameters == pytest.approx(base.parameters, rel=1e-3)


def test_logits_are_those_of_some_positions_where_kernels_are_fused(recipe: Path) -> None:
    def logits(tensor: int, *keys: str) -> int:
        return large(recipe, "8B", 8 // tensor, tensor, *keys).runs[0].memory.logits

    plain, one = "training.kernels=plain", "training.micro_batch_size=1"
    assert logits(1, plain, one) * 32 == logits(1, plain)
    # Twice the sequences, half of the vocabulary; shards take four copies in float32.
    assert logits(1, plain) * 16 == logits(2, plain) * 12
    assert logits(2) == logits(2, plain), "the softmax of vocabulary shards goes over ranks"
    half, whole = logits(1, "training.micro_batch_size=16"), logits(1)
    # What grows is as wide as the model: hidden states and their gradient, not logits.
    assert (whole - half) == 3 * 2 * 16 * 2048 * SIZES["8B"].width
    assert whole < logits(1, plain) / 5


def test_one_rank_keeps_converted_weights_and_gathers_none(recipe: Path) -> None:
    def gathered(shard: int, *keys: str) -> int:
        return large(recipe, "1B", shard, 1, *keys).runs[0].memory.gathered

    n_params = large(recipe, "1B", 1, 1).runs[0].n_params
    assert gathered(1) == 2 * n_params
    assert gathered(2) == gathered(1, "training.kernels=plain") < gathered(1)


def test_the_backward_pass_of_a_layer_may_need_more_than_the_logits(recipe: Path) -> None:
    """64 sequences at once, each layer computed again: traced at 14.7 GB of 3 layers of the 1B, a
    third of them in gradients and what is computed again."""
    keys = ("training.objective=mdlm", "training.noise_samples=8", "training.micro_batch_size=8")
    planned = large(recipe, "1B", 8, 1, *keys, "training.activation_checkpointing=true")
    config = planned.runs[0].config
    shallow = config.model.model_copy(update={"layers": 3})
    memory = memory_per_gpu(config.model_copy(update={"model": shallow}))
    assert memory.training == pytest.approx(14.75e9, rel=0.05)
    assert memory.backward > 2 * memory.logits


def test_no_fsdp_gathers_nothing(recipe: Path) -> None:
    memory = plan(recipe, "training.dtype=float32").runs[0].memory
    assert memory.gathered == 0
    assert memory.evaluation.gathered == 0
    document = memory.document()
    assert document["total"] == memory.total
    assert document["training"] == memory.training
    assert document["evaluation"]["total"] == memory.evaluation.total


def test_memory_follows_the_passes_of_the_objective(recipe: Path) -> None:
    """Two streams take twice the activations, n presentations n times, and logits go with what is
    predicted: `plan --gpu` says of each whether it fits."""

    def memory(*keys: str) -> Memory:
        return plan(recipe, "training.kernels=plain", *keys).runs[0].memory

    plain = memory("training.objective=mdlm")
    samples = memory("training.objective=mdlm", "training.noise_samples=8")
    assert (samples.activations, samples.logits) == (8 * plain.activations, 8 * plain.logits)
    both = memory("training.input_mask=0.3", "training.mask_aux_weight=1")
    assert (both.activations, both.logits) == (2 * plain.activations, 2 * plain.logits)
    for objective, key in (("block", "block_size=8"), ("aoar", "noise_samples=1")):
        doubled = memory(f"training.objective={objective}", f"training.{key}")
        assert (doubled.activations, doubled.logits) == (2 * plain.activations, plain.logits)
        assert doubled.masks > plain.masks == 0
        assert plain.backward < doubled.backward < plain.logits
        assert doubled.training == plain.training + plain.activations + doubled.masks
        assert doubled.evaluation.activations == 2 * plain.evaluation.activations


def test_the_larger_of_training_and_evaluation_is_what_a_run_needs(recipe: Path) -> None:
    """Logits of the whole global batch on every rank are more than training ever takes."""

    def memory(*keys: str) -> Memory:
        planned = large(recipe, "1B", 8, 1, "training.micro_batch_size=8", *keys)
        return planned.runs[0].memory

    usual = memory()
    assert usual.total == usual.training > usual.evaluation.total
    whole = memory("evaluation.validation_batch_size=2048")
    assert whole.training == usual.training
    assert whole.total == whole.evaluation.total > 2048 * 2048 * 50_304 * 2
    assert whole.evaluation.held == usual.parameters + usual.optimizer
    assert whole.recomputed == whole.total, "an evaluation keeps no activations"
    same = memory("evaluation.validation_batch_size=8")
    assert same.evaluation == usual.evaluation


@pytest.mark.parametrize(
    ("batch", "keys", "most"),
    [
        (8, "tasks=[]", 8),
        (8, 'tasks=["cloze"]', 8),  # 4 draws of 2
        (7, 'tasks=["cloze"]', 7),  # 4 draws of 1
        (14, 'tasks=["cloze"]', 15),  # of 3: five times
    ],
)
def test_the_passes_of_tasks_are_counted_with_the_draws_that_they_are_filled_with(
    recipe: Path, batch: int, keys: str, most: int
) -> None:
    def evaluation(*keys: str) -> EvaluationMemory:
        planned = plan(recipe, "training.objective=mdlm", *(f"evaluation.{key}" for key in keys))
        return planned.runs[0].memory.evaluation

    found = evaluation(f"validation_batch_size={batch}", keys)
    assert found.activations == evaluation(f"validation_batch_size={most}", "tasks=[]").activations
    assert found.logits == evaluation(f"validation_batch_size={batch}", "tasks=[]").logits
