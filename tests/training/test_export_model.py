"""Exported models: the same logits, in our class and in the plain torch of docs/export.md."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.conftest import TrainedRuns, Workbench
from tests.disks import refused_at
from tests.running.test_worker import make_run
from tests.training.toy import held_out
from workbench.data.tokenizers import train_bpe
from workbench.errors import InputError
from workbench.recipe import run_config
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.training.export_model import export_model, load_exported
from workbench.training.objectives.registry import build_objective
from workbench.training.trained_model import build_model, load_run_model, load_weights

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"
MODELS = {
    "ar, untied, BPE": ["training.objective=ar", "model.tied=false", "data.tokenizer={bpe}"],
    "mdlm, dropout": ["training.objective=mdlm", "model.dropout=0.1"],
    "mixture, no qk-norm": ["model.moe_experts=4", "model.ffn=32", "model.qk_norm=false"],
}


@pytest.fixture(scope="module")
def snippet() -> dict[str, Any]:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def trained_model(run: RunFolder, step: int) -> nn.Module:
    """The network as the run left it, without the export's detour."""
    config = run_config(run.config_json())
    causal = config.training.objective == "ar"
    model = build_model(config.model, seq_len=config.data.seq_len, causal=causal)
    load_weights(model, run.checkpoint_dir / f"step-{step}")
    return model


@pytest.mark.training
@pytest.mark.parametrize("keys", MODELS.values(), ids=MODELS)
def test_an_exported_model_gives_the_logits_of_the_trained_one(
    keys: list[str], tmp_path: Path, corpus: Path, snippet: dict[str, Any]
) -> None:
    bpe = tmp_path / "bpe.json"
    train_bpe(iter([corpus.read_text()]), 300, bpe)
    run = make_run(tmp_path, corpus, *(key.format(bpe=bpe) for key in keys))
    assert worker.main(run.path) == worker.FINISHED
    assert export_model(run, tmp_path / "out", dtype="float32") == 12

    config, weights = snippet["load"](tmp_path / "out")
    ids = torch.randint(0, config["vocabulary"]["size"], (3, 32))
    with torch.no_grad():
        trained = trained_model(run, 12)(ids)
        assert torch.equal(load_exported(tmp_path / "out")(ids), trained)
        torch.testing.assert_close(
            snippet["logits"](config, weights, ids), trained, atol=1e-5, rtol=1e-5
        )
    assert (config["run_id"], config["step"], config["tokens"]) == (run.run_id, 12, 6144)
    tokenizer = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    if "bpe" in keys[-1]:
        assert (tmp_path / "out" / "tokenizer.json").read_bytes() == bpe.read_bytes()
    else:
        assert tokenizer["type"] == "bytes"


@pytest.mark.training
@pytest.mark.parametrize("objective", ["block", "aoar"])
def test_an_exported_model_of_two_streams_predicts_as_the_trained_one(
    objective: str, tmp_path: Path, corpus: Path, snippet: dict[str, Any]
) -> None:
    block = ["training.block_size=8"] if objective == "block" else []
    run = make_run(tmp_path, corpus, f"training.objective={objective}", *block)
    assert worker.main(run.path) == worker.FINISHED
    export_model(run, tmp_path / "out", dtype="float32")
    config, weights = snippet["load"](tmp_path / "out")
    loaded = load_run_model(run, device="cpu")
    clean = torch.randint(0, 256, (3, 32), generator=torch.Generator().manual_seed(0))
    made = build_objective(loaded.config.training, loaded.vocab)
    corrupted = held_out(made, clean)
    if objective == "block":
        noisy, size = corrupted.inputs_BL[:, :32], config["config"]["training"]["block_size"]
        taken = snippet["blocks"](noisy, clean, size)
    else:
        # A place sees as many contents as its rank.
        rank = corrupted.view.visible_BTT[:, :32, 32:].sum(dim=2)
        taken = snippet["in_order"](clean, rank, config["vocabulary"]["mask_id"])
    with torch.no_grad():
        trained = loaded.model(corrupted.inputs_BL, **corrupted.network_arguments())
        ours = load_exported(tmp_path / "out")
        assert torch.equal(ours(corrupted.inputs_BL, **corrupted.network_arguments()), trained)
        logits = snippet["logits"](config, weights, *taken)
    assert logits.shape == (3, 32, config["vocabulary"]["size"])
    torch.testing.assert_close(logits, trained, atol=1e-5, rtol=1e-5)


@pytest.mark.training
def test_an_earlier_step_and_half_the_bytes_can_be_asked_for(tmp_path: Path, corpus: Path) -> None:
    run = make_run(tmp_path, corpus)
    with pytest.raises(InputError, match=r"has no checkpoint \(planned\)"):
        export_model(run, tmp_path / "out", dtype="float32")
    assert worker.main(run.path) == worker.FINISHED
    with pytest.raises(InputError, match="no checkpoint of step 5: it keeps 10, 11, 12"):
        export_model(run, tmp_path / "out", step=5, dtype="float32")
    assert export_model(run, tmp_path / "small", step=11, dtype="bfloat16") == 11
    export_model(run, tmp_path / "last", dtype="float32")
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("small", "last")]
    assert sizes[0] < 0.6 * sizes[1]
    ids = torch.randint(0, 256, (2, 32))
    with torch.no_grad():
        early = load_exported(tmp_path / "small")(ids).float()
        torch.testing.assert_close(early, trained_model(run, 11)(ids), atol=0.05, rtol=0.05)
        assert not torch.equal(trained_model(run, 11)(ids), trained_model(run, 12)(ids))
    with pytest.raises(InputError, match="is there already"):
        export_model(run, tmp_path / "last", dtype="float32")


def test_a_run_that_is_not_there_is_refused(workbench: Workbench) -> None:
    done = workbench("export", "model", "abc", "--out", "x")
    assert done.returncode == 2
    assert "no run abc" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_that_has_no_room_says_so_and_leaves_nothing(
    trained: TrainedRuns, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with refused_at(4096, "out: cannot be written"):
        export_model(trained["ar"], out, dtype="float32")
    assert list(tmp_path.iterdir()) == []
    assert export_model(trained["ar"], out, dtype="float32") == 12
