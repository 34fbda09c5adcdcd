"""Exported models: the same logits in transformers and in our class, and what the card says of them
works as written."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.conftest import TrainedRuns, Workbench
from tests.disks import refused_at
from tests.running.test_worker import make_run
from tests.training.toy import held_out
from workbench.data.tokenizers import load_tokenizer, train_bpe
from workbench.errors import InputError
from workbench.recipe import ModelConfig, run_config
from workbench.recipe.models import resolved_model
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.training import hf_format
from workbench.training.export_model import export_model, load_exported
from workbench.training.hf_format import MODELLING_FILE, NAMED, hf_config, hf_weights, our_weights
from workbench.training.model import initialise
from workbench.training.objectives.registry import build_objective
from workbench.training.trained_model import build_model, load_run_model, load_weights

transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")

TEXTS = ["def  f(x):\n\treturn x", "Ā <|bos|><|mask|><|endoftext|> é \U0001f600 a\0b", "", "\r\n  "]


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where transformers copies modelling files to."""
    dynamic = transformers.dynamic_module_utils
    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")


def card_names(folder: Path) -> dict[str, Any]:
    """What the code of a model card defines, run as it stands there."""
    code = "".join(re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S))
    names: dict[str, Any] = {}
    exec(code.replace('folder = "."', f"folder = {str(folder)!r}"), names)
    return names


def exported(run: RunFolder, tmp_path: Path) -> Path:
    assert export_model(run, str(tmp_path / "out"), dtype="float32") == 12
    return tmp_path / "out"


@pytest.mark.parametrize("objective", ["ar", "mdlm", "block", "aoar"])
def test_transformers_gives_the_logits_of_the_trained_model(
    objective: str, trained: TrainedRuns, tmp_path: Path
) -> None:
    loaded = load_run_model(trained[objective], device="cpu")
    names = card_names(exported(trained[objective], tmp_path))
    model = names["model"]
    clean = torch.randint(0, 256, (3, 32), generator=torch.Generator().manual_seed(0))
    corrupted = held_out(build_objective(loaded.config.training, loaded.vocab), clean)
    inputs, given = corrupted.inputs_BL, corrupted.network_arguments()
    arguments = {"input_ids": inputs}
    module = sys.modules[type(model).__module__]
    if objective == "block":
        arguments = module.blocks(inputs[:, :32], clean, 8)
    if objective == "aoar":
        # A place sees as many contents as its rank.
        rank = corrupted.view.visible_BTT[:, :32, 32:].sum(dim=2)
        arguments = module.in_order(clean, rank, names["mask_id"])
    with torch.no_grad():
        ours = loaded.model(inputs, **given)
        assert torch.equal(load_exported(str(tmp_path / "out"))(inputs, **given), ours)
        torch.testing.assert_close(model(**arguments).logits, ours, atol=1e-5, rtol=0)
    assert type(model).__name__ == ("Qwen3ForCausalLM" if objective == "ar" else "WorkbenchModel")
    assert (tmp_path / "out" / MODELLING_FILE).exists() == (objective != "ar")


@pytest.mark.parametrize("objective", ["ar", "mdlm", "block", "aoar"])
def test_the_card_scores_as_the_run_was_validated_and_samples(
    objective: str, trained: TrainedRuns, tmp_path: Path
) -> None:
    run = trained[objective]
    names = card_names(exported(run, tmp_path))
    loaded = load_run_model(run, device="cpu")
    objective_of = build_objective(loaded.config.training, loaded.vocab)
    ids = torch.tensor(list(b"def class return import lambda y"))
    torch.manual_seed(0)
    score = float(names["score"](ids))
    with torch.no_grad():
        expected = nats(loaded.model, objective_of, ids)
    assert score == pytest.approx(expected, rel=1e-5 if objective == "ar" else 0.03)
    text = names["sample"](ids[:11], 6)
    assert text[:11].tolist() == ids[:11].tolist()
    assert len(text) == 17
    assert 0 <= int(text.min()) <= int(text.max()) < 256
    card = (tmp_path / "out" / "README.md").read_text()
    kind = {"ar": "nll", "aoar": "nelbo/orders"}.get(objective, "nelbo")
    assert re.search(rf"\| val_loss \| [\d.]+ \| [\d.]+ \| {kind} \|", card)
    for part in (run.run_id, run.config_json()["data"]["fingerprint"], "step 12 of 12", "tiny"):
        assert part in card


def nats(model: nn.Module, objective: Any, ids: Tensor, draws: int = 512) -> float:
    """Our own estimate of a sequence's NLL, or its bound."""
    number = torch.zeros(1, dtype=torch.int64)
    total = 0.0
    draws = objective.answer_draws(draws)
    for draw in range(draws):
        made = objective.answer_inputs(ids[None], 0, number, draw, draws)
        log_p = model(made.inputs_BL, **made.network_arguments())[..., :256].log_softmax(-1)
        nll = -log_p[0].gather(1, ids[:, None])[:, 0]
        weights = 1.0 if made.weights_BL is None else made.weights_BL[0]
        total += float((nll * weights).sum()) / draws
    return total


SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "untied": ({"tied": False, "rope_theta": 5e5, "norm_eps": 1e-5}, "Qwen3ForCausalLM"),
    "no qk-norm": ({"qk_norm": False}, "LlamaForCausalLM"),
    "mixture": ({"moe_experts": 4, "moe_top_k": 2}, "Qwen3MoeForCausalLM"),
    "mixture, one expert a token": ({"moe_experts": 4, "moe_top_k": 1}, "Qwen3MoeForCausalLM"),
    "mixture, no qk-norm": ({"moe_experts": 4, "qk_norm": False}, "WorkbenchModel"),
}


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize(("keys", "kind"), SHAPES.values(), ids=SHAPES)
def test_every_shape_is_a_renaming(
    keys: dict[str, Any], kind: str, causal: bool, tmp_path: Path
) -> None:
    config = resolved_model(ModelConfig(width=32, layers=2, heads=2, vocab_size=264, **keys))
    ours = build_model(config, seq_len=32, causal=causal)
    initialise(ours, seed=0, std=0.3)
    state = ours.state_dict()
    weights = hf_weights(state, config.shape)
    back = our_weights(weights, config.shape)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    document = hf_config(config, seq_len=32, causal=causal, streams=1, dtype="float32")
    (tmp_path / "config.json").write_text(json.dumps(document))
    source = Path(sys.modules[hf_config.__module__].__file__).with_name(MODELLING_FILE)
    (tmp_path / MODELLING_FILE).write_bytes(source.read_bytes())
    auto = "AutoModelForCausalLM" if causal else "AutoModelForMaskedLM"
    model, report = getattr(transformers, auto).from_pretrained(
        tmp_path, trust_remote_code=True, output_loading_info=True
    )
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys"))
    assert type(model).__name__ == (kind if causal else "WorkbenchModel")
    ids = torch.randint(0, 264, (3, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ours(ids)
        torch.testing.assert_close(model.eval()(ids).logits, expected, atol=1e-5, rtol=1e-5)
        padded = torch.cat([ids, ids[:, :4]], dim=1)
        mask = torch.cat([torch.ones_like(ids), torch.zeros_like(ids[:, :4])], dim=1)
        if type(model).__name__ == "WorkbenchModel":
            logits = model(padded, attention_mask=mask).logits[:, :32]
            torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_every_key_of_a_model_has_a_place_or_is_refused() -> None:
    without = {"loops"}  # transformers has no such network
    fields = set(ModelConfig.model_fields)
    assert fields <= NAMED | without, "a new key: say it in hf_config, or leave it out"
    config = resolved_model(ModelConfig(width=32, layers=2, heads=2, vocab_size=264))
    looped = config.model_copy(update={"loops": 2})
    with pytest.raises(InputError, match=r"model\.loops: has no place"):
        hf_config(looped, seq_len=32, causal=True, streams=1, dtype="float32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hf_format, "NAMED", NAMED - {"rope_theta"})
        other = config.model_copy(update={"rope_theta": 5e5})
        hf_config(config, seq_len=32, causal=True, streams=1, dtype="float32")
        with pytest.raises(InputError, match=r"model\.rope_theta: has no place"):
            hf_config(other, seq_len=32, causal=True, streams=1, dtype="float32")
    with pytest.raises(InputError, match=r"layers\.0\.attention\.sink\.weight has no name"):
        hf_weights({"layers.0.attention.sink.weight": torch.zeros(1)}, config.shape)


@pytest.mark.parametrize("bos_first", [True, False])
@pytest.mark.parametrize("spec", ["bytes", "bpe"])
def test_the_tokenizer_gives_the_same_ids_of_any_text(
    spec: str, bos_first: bool, tmp_path: Path, corpus: Path
) -> None:
    from workbench.training.hf_tokenizer import save_tokenizer

    if spec == "bpe":
        train_bpe(iter([corpus.read_text()]), 300, tmp_path / "bpe.json")
    tokenizer = load_tokenizer(spec if spec == "bytes" else str(tmp_path / "bpe.json"))
    out = tmp_path / "out"
    out.mkdir()
    assert save_tokenizer(tokenizer, out, context=32, bos_first=bos_first)
    theirs, ids = transformers.AutoTokenizer.from_pretrained(out), tokenizer.vocabulary
    special = (theirs.eos_token_id, theirs.mask_token_id, theirs.bos_token_id)
    assert special == (ids.eod_id, ids.mask_id, ids.bos_id)
    for text in [*TEXTS, corpus.read_text()[:2000], "".join(map(chr, range(1, 0x250)))]:
        expected = tokenizer.encode([text])[0].tolist()
        assert theirs.encode(text, add_special_tokens=False) == expected
        assert theirs(text)["input_ids"] == [ids.bos_id] * bos_first + expected
        assert theirs.decode(expected) == tokenizer.decode(expected)
    if spec == "bpe" and not bos_first:
        assert (out / "tokenizer.json").read_bytes() == (tmp_path / "bpe.json").read_bytes()


def test_generation_begins_with_bos_and_writes_tokens_alone(
    trained: TrainedRuns, tmp_path: Path
) -> None:
    out = exported(trained["ar"], tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    with torch.no_grad():  # what is no token would be the likeliest
        model.get_input_embeddings().weight[256:] *= 50
    given = tokenizer("def", return_tensors="pt")
    text = model.generate(given["input_ids"], max_new_tokens=20, do_sample=True)[0]
    assert text[0] == 257
    assert int(text[1:].max()) < 256


def test_where_the_weights_come_from_is_in_the_folder(trained: TrainedRuns, tmp_path: Path) -> None:
    run = trained["mdlm"]
    out = exported(run, tmp_path)
    ours = json.loads((out / "config.json").read_text())["workbench"]
    assert (ours["run_id"], ours["step"], ours["tokens"]) == (run.run_id, 12, 6144)
    assert ours["config"] == run.config_json()["config"]
    assert ours["vocabulary"] == asdict(load_tokenizer("bytes").vocabulary)
    with safe_open(out / "model.safetensors", "pt") as file:
        fingerprint = run.config_json()["data"]["fingerprint"]
        expected = {"run_id": run.run_id, "step": "12", "data_fingerprint": fingerprint}
        assert file.metadata() == {"format": "pt"} | expected


def trained_model(run: RunFolder, step: int) -> nn.Module:
    """The network as the run left it, without the export's detour."""
    config = run_config(run.config_json())
    causal = config.training.objective == "ar"
    model = build_model(config.model, seq_len=config.data.seq_len, causal=causal)
    load_weights(model, run.checkpoint_dir / f"step-{step}")
    return model


@pytest.mark.training
def test_an_earlier_step_and_half_the_bytes_can_be_asked_for(tmp_path: Path, corpus: Path) -> None:
    bpe = tmp_path / "bpe.json"
    train_bpe(iter([corpus.read_text()]), 300, bpe)
    keys = ["training.objective=ar", "model.tied=false", f"data.tokenizer={bpe}"]
    run = make_run(tmp_path, corpus, *keys)
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
    half = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    assert half.dtype == torch.bfloat16
    with pytest.raises(InputError, match="is there already"):
        export_model(run, tmp_path / "last", dtype="float32")


def test_a_folder_of_the_first_format_is_read(trained: TrainedRuns, tmp_path: Path) -> None:
    loaded = load_run_model(trained["mdlm"], device="cpu")
    state, model = loaded.model.state_dict(), loaded.config.model
    del state["tok_embeddings.weight"]
    save_file(
        {name: value.clone() for name, value in state.items()}, tmp_path / "model.safetensors"
    )
    document = {
        "format": "workbench-model-1",
        "architecture": asdict(model.shape) | {"causal": False},
        "seq_len": 32,
        "config": loaded.config.model_dump(mode="json"),
    }
    (tmp_path / "config.json").write_text(json.dumps(document))
    ids = torch.randint(0, 256, (2, 32))
    with torch.no_grad():
        assert torch.equal(load_exported(tmp_path)(ids), loaded.model(ids))


def test_a_folder_that_is_no_export_is_refused_by_its_name(
    trained: TrainedRuns, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="nowhere: not an exported model"):
        load_exported("nowhere")
    out = exported(trained["ar"], tmp_path)
    document = json.loads((out / "config.json").read_text())
    for changes, words in (
        ({"workbench": {}}, "of format None, expected workbench-model-1 or workbench-model-2"),
        ({"workbench": {"format": "workbench-model-2"}}, "'config' missing or unknown"),
    ):
        (out / "config.json").write_text(json.dumps(document | changes))
        with pytest.raises(InputError, match=words):
            load_exported(out)


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


def test_a_place_that_no_folder_can_be_made_at_is_refused_with_what_is_there(
    trained: TrainedRuns, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, target in (("link", "empty"), ("dangling", "nowhere"), ("loop", "loop")):
        (tmp_path / name).symlink_to(tmp_path / target)
    for place, words in (
        ("link", r"is a link to .*empty, and a link is not followed"),
        ("dangling", r"is a link to .*nowhere, where nothing is,"),
        ("loop", "loop"),
        ("file", "is there already"),
        ("file/model", "file is no folder"),
        ("dangling/model", "dangling is no folder"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(InputError, match=words) as refused:
            export_model(trained["ar"], tmp_path / place, dtype="float32")
        assert str(refused.value).startswith("--out ")
    assert not any((tmp_path / "empty").iterdir())


@pytest.mark.parametrize(
    "wrong",
    [[], {"workbench": 3}, {"workbench": {"format": []}}, {"format": {}}, "config", "shape"],
)
def test_a_folder_whose_configuration_is_of_other_types_is_no_exported_model(
    trained: TrainedRuns, tmp_path: Path, wrong: Any
) -> None:
    export_model(trained["ar"], tmp_path / "out", dtype="float32")
    path = tmp_path / "out" / "config.json"
    document = json.loads(path.read_text())
    if wrong == "config":
        document["workbench"]["config"] = ["model"]
    elif wrong == "shape":
        document["workbench"]["config"]["model"]["width"] *= 2
    else:
        document = wrong
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="not an exported model"):
        load_exported(tmp_path / "out")
