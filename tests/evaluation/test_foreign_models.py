"""Checkpoints of Hugging Face: they score as lm-evaluation-harness's own model does, and exported
runs as the runs themselves."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from tests.conftest import TrainedRuns
from tests.evaluation.test_harness import _offline as _offline
from tests.evaluation.test_harness import files as files
from workbench.cli import app
from workbench.data.tokenizers import train_bpe
from workbench.errors import InputError
from workbench.evaluation.complete import RunCompleter, Writing
from workbench.evaluation.foreign import ForeignRequest, evaluate_foreign, recipe_of
from workbench.evaluation.harness import WorkbenchLM
from workbench.evaluation.opened import EvalOptions, HarnessOptions, opened_model
from workbench.evaluation.question_files import encode_pairs
from workbench.generation.completion import encode
from workbench.store import query
from workbench.store.read_records import read_records
from workbench.training.export_model import export_model
from workbench.training.foreign_files import find_model
from workbench.training.foreign_model import load_foreign

transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
pytest.importorskip("lm_eval", reason="the extra `eval` is not installed")

TASKS = ("local_hellaswag", "local_text", "local_last_word", "local_generate")
CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

class ToyConfig(PretrainedConfig):
    model_type = "toy_diffusion"
    def __init__(self, vocab_size=304, width=16, **kwargs):
        self.vocab_size, self.width = vocab_size, width
        super().__init__(**kwargs)

class ToyModel(PreTrainedModel):
    config_class = ToyConfig
    def __init__(self, config):
        super().__init__(config)
        self.embed = torch.nn.Embedding(config.vocab_size, config.width)
        self.head = torch.nn.Linear(config.width, config.vocab_size, bias=False)
        self.post_init()
    def get_input_embeddings(self):
        return self.embed
    def forward(self, input_ids, attention_mask=None):
        x = self.embed(input_ids)
        return MaskedLMOutput(logits=self.head(torch.tanh(x + x.mean(dim=1, keepdim=True))))
"""


@pytest.fixture(scope="module", autouse=True)
def _modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where transformers copies modelling files to."""
    folder = str(tmp_path_factory.mktemp("modules"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", folder)
        patch.syspath_prepend(folder)
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """Random small models: qwen3 without BOS, gpt2 whose BOS ends documents, llama whose tokenizer
    puts BOS before a text, and a model of diffusion with code of its own."""
    folder = tmp_path_factory.mktemp("models")
    train_bpe(iter([corpus.read_text()]), 300, folder / "bpe.json")
    torch.manual_seed(0)
    small = {"num_hidden_layers": 2, "initializer_range": 0.3, "vocab_size": 304}
    wide = small | {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
                    "num_key_value_heads": 2, "max_position_embeddings": 128}  # fmt: skip
    made = {
        "qwen3": transformers.Qwen3ForCausalLM(transformers.Qwen3Config(head_dim=16, **wide)),
        "llama": transformers.LlamaForCausalLM(transformers.LlamaConfig(**wide)),
        "gpt2": transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_positions=128, n_embd=32, n_layer=2, n_head=2, **small)
        ),
    }
    end = "<|endoftext|>"
    for name, bos in (("qwen3", None), ("gpt2", end), ("llama", "<s>")):
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "bpe.json"), eos_token=end, bos_token=bos,
            add_bos_token=name == "llama",
        )  # fmt: skip
        made[name].save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    toy_diffusion(folder, tokenizer)
    return folder


def toy_diffusion(folder: Path, tokenizer: Any) -> None:
    names: dict[str, Any] = {}
    exec(CODE, names)
    model = names["ToyModel"](names["ToyConfig"](mask_token_id=303))
    model.save_pretrained(folder / "toy")
    tokenizer.save_pretrained(folder / "toy")
    (folder / "toy" / "modeling_toy.py").write_text(CODE)
    path = folder / "toy" / "config.json"
    code = {"AutoConfig": "modeling_toy.ToyConfig", "AutoModel": "modeling_toy.ToyModel"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": code}))


@pytest.fixture(autouse=True)
def _no_process_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval's own models would join one that a run trained in this process has left named."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def measure(name: Path, objective: str, options: EvalOptions, results: Path, **more: Any) -> Any:
    request = ForeignRequest(f"hf:{name}", objective, **more)
    return evaluate_foreign(request, options, results, device="cpu")


@pytest.mark.parametrize("name", ["qwen3", "gpt2"])
def test_a_model_scores_as_lm_eval_s_own_does(
    models: Path, files: Path, name: str, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    options = EvalOptions(questions=12, harness=HarnessOptions(TASKS, files))
    ours = {one.metric: one for one in measure(models / name, "ar", options, tmp_path).answers}
    report = lm_eval.simple_evaluate(
        model=HFLM(pretrained=str(models / name), device="cpu", dtype="float32"),
        tasks=list(TASKS),
        limit=12,
        task_manager=TaskManager(include_path=str(files), include_defaults=False),
        bootstrap_iters=10,
    )
    theirs = {
        f"{task}_{metric.partition(',')[0]}": value
        for task, numbers in report["results"].items()
        for metric, value in numbers.items()
        if isinstance(value, float) and "stderr" not in metric
    }
    assert len(theirs) == 6
    for metric, value in theirs.items():
        assert ours[metric].value == pytest.approx(value, rel=1e-5), metric
    assert 0 < theirs["local_hellaswag_acc"] < 1


def test_logits_of_a_few_places_are_made_where_no_more_is_done_to_them(
    models: Path, tmp_path: Path
) -> None:
    for name in ("qwen3", "gpt2", "llama"):
        assert harness_model(models / name, "ar").opened.model.model.in_parts
    assert not harness_model(models / "toy", "mdlm").opened.model.model.in_parts
    bounded = broken(models, tmp_path / "cohere", "qwen3")
    config = transformers.CohereConfig(
        vocab_size=304, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, logit_scale=0.5, max_position_embeddings=128,
    )  # fmt: skip
    transformers.CohereForCausalLM(config).save_pretrained(bounded)
    assert not harness_model(bounded, "ar").opened.model.model.in_parts


def test_a_model_whose_tokenizer_puts_bos_before_a_text_has_it_there(models: Path) -> None:
    pytest.importorskip("accelerate")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    # (lm-eval's rolling likelihoods count BOS as a token of the text: ours do not.)
    pairs = [("def class return", " import"), ("", "lambda yield x"), ("yield ", "value model")]
    requests = [Instance("loglikelihood", {}, pair, i, ("t", i, 1)) for i, pair in enumerate(pairs)]
    theirs = HFLM(pretrained=str(models / "llama"), device="cpu").loglikelihood(requests)
    ours = harness_model(models / "llama", "ar").loglikelihood(requests)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]
    assert [nll for nll, _ in ours] == pytest.approx([nll for nll, _ in theirs], rel=1e-5)


def harness_model(folder: Path, objective: str, **more: Any) -> WorkbenchLM:
    files = find_model(str(folder), with_code=True)
    config = recipe_of(ForeignRequest(f"hf:{folder}", objective), files)
    model = load_foreign(files, config, trust_remote_code=True, device="cpu", **more)
    opened = opened_model(model, ("m",), lambda: pytest.fail("no text is needed"), threads=1)
    return WorkbenchLM(opened, draws=4)


@pytest.mark.parametrize("name", ["qwen3", "llama"])
def test_greedy_text_is_that_of_transformers(models: Path, name: str) -> None:
    model = harness_model(models / name, "ar")
    tokenizer = transformers.AutoTokenizer.from_pretrained(models / name)
    given = tokenizer("def class return x", return_tensors="pt")["input_ids"]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(models / name)
    expected = theirs.generate(given, max_new_tokens=12, do_sample=False, eos_token_id=None)
    prompt = encode(model.opened.model, "def class return x")
    writing = Writing(12, temperature=0.0)
    (ours,) = RunCompleter(model.opened.model).tokens(prompt, writing, count=1, first=0)
    assert ours.tolist() == expected[0, given.shape[1] :].tolist()


def test_code_beside_the_weights_runs_only_where_it_is_trusted(
    models: Path, corpus: Path, tmp_path: Path
) -> None:
    from lm_eval.api.instance import Instance

    options = EvalOptions(("val_loss",), draws=4)
    with pytest.raises(InputError, match=r"modeling_toy\.py beside its weights, which is not run"):
        measure(models / "toy", "mdlm", options, tmp_path, corpus=str(corpus))
    measured = measure(
        models / "toy", "mdlm", options, tmp_path, corpus=str(corpus), data=DATA,
        trust_remote_code=True,
    )  # fmt: skip
    loss = measured.answers[0]
    assert (loss.metric, loss.estimator, loss.draws) == ("val_loss", "nelbo", 4)
    # One masked token, and nothing is random: what the network itself says.
    model = harness_model(models / "toy", "mdlm")
    context, answer = encode_pairs(model.opened.model.tokenizer, [("def class", "\n")])[0]
    seen = torch.tensor([[*context, 303]])
    with torch.no_grad():
        log_p = model.opened.model.model(seen)[0, -1].log_softmax(-1)[list(answer)]
    request = Instance("loglikelihood", {}, ("def class", "\n"), 0, ("t", 0, 1))
    ((nll, _),) = model.loglikelihood([request])
    assert nll == pytest.approx(float(log_p), rel=1e-5)
    prompt, writing = encode(model.opened.model, "def class"), Writing(12, temperature=1.0)
    (text,) = RunCompleter(model.opened.model).tokens(prompt, writing, count=1, first=0)
    assert len(text) == 12


DATA = ("data.document=blank-line", "data.validation_tokens=2048", "data.seq_len=32")


def run_eval(results: Path, *arguments: str | Path) -> Result:
    given = ["eval", *map(str, arguments), "--results", str(results), "--format", "json"]
    return CliRunner().invoke(app, [*given, "--device", "cpu"], catch_exceptions=False)


def on_text(corpus: Path) -> list[str]:
    return ["--corpus", str(corpus), *(part for key in DATA for part in ("--set", key))]


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_an_exported_run_has_the_numbers_of_the_run_and_is_an_imported_one(
    trained: TrainedRuns, corpus: Path, objective: str, tmp_path: Path
) -> None:
    run, out, results = trained[objective], tmp_path / "out", tmp_path / "results"
    export_model(run, out, dtype="float32")
    asked = [f"hf:{out}", "--objective", objective, "--tasks", "val_loss,cloze", *on_text(corpus)]
    asked += ["--questions", "16"]
    if objective == "mdlm":
        asked += ["--draws", "8", "--early", "0", "--trust-remote-code"]
    known = ["--trained-tokens", "6144", "--unique-tokens", "2048"]
    for more in ([], known, []):  # what was said of a model stays, of its numbers the later
        result = run_eval(results, *asked, *more)
        assert result.exit_code == 0, result.output
    rows = {row["metric"]: row for row in json.loads(result.stdout)}
    recorded = read_records(run.records_path).frame.filter(step=12)
    for metric in ("val_loss", "val_bpb"):
        (row,) = recorded.filter(metric=metric).to_dicts()
        for key in ("value", "stderr", *(["noise_stderr"] if objective == "mdlm" else [])):
            assert rows[metric][key] == pytest.approx(row[key], rel=1e-4), (metric, key)
        assert rows[metric]["estimator"] == row["estimator"]
    saved = query(
        results,
        """SELECT m.value, m.tokens, epoch, step, imported, objective, n_params, provenance
           FROM metrics m JOIN runs USING (run_id) JOIN study_runs USING (run_id)
           WHERE metric = 'val_loss' AND study = 'models'""",
    ).to_dicts()
    assert len(saved) == 1
    (row,) = saved
    assert row["value"] == rows["val_loss"]["value"]
    assert (row["tokens"], row["epoch"], row["step"]) == (6144, 3.0, None)
    assert (row["imported"], row["objective"]) == (True, objective)
    assert row["n_params"] == run.config_json()["derived"]["n_params"]
    source = json.loads(row["provenance"])["source"]
    code = ["modeling_workbench.py"] * (objective == "mdlm")
    assert source.pop("files_sha256") == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in ("config.json", "model.safetensors", *code)
    }
    assert source.pop("reading")["bos_first"]
    assert source == {"file": f"hf:{out}", "revision": None}
    with pytest.raises(InputError, match="there are numbers and no model: it was imported"):
        run_eval(results, rows["val_loss"]["run_id"], "--tasks", "cloze")


def broken(models: Path, folder: Path, name: str, **config: Any) -> Path:
    shutil.copytree(models / name, folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def test_what_cannot_be_measured_is_refused_by_name(
    models: Path, corpus: Path, tmp_path: Path
) -> None:
    pickled = broken(models, tmp_path / "pickled", "qwen3")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    headless = broken(models, tmp_path / "headless", "qwen3")
    weights = load_file(headless / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, headless / "model.safetensors", metadata={"format": "pt"})
    strange = broken(models, tmp_path / "strange", "qwen3", model_type="strange")
    elsewhere = {"AutoModel": "somebody/else--modeling.Model"}
    borrowed = broken(models, tmp_path / "borrowed", "toy", auto_map=elsewhere)
    ids = {"n_tokens": 300, "size": 304, "mask_id": 300, "bos_id": 9**9, "eod_id": 0}
    forged = broken(models, tmp_path / "forged", "qwen3", workbench={"vocabulary": ids})
    kernel = {"attn_implementation": "somebody/kernel"}
    computed = broken(models, tmp_path / "computed", "qwen3", text_config=kernel)
    adapter = broken(models, tmp_path / "adapter", "qwen3")
    (adapter / "adapter_config.json").write_text("{}")
    qwen3 = models / "qwen3"
    for arguments, words in (
        ([pickled, "--objective", "ar"], ["pytorch_model.bin, a pickle", "safetensors"]),
        ([headless, "--objective", "ar"], ["lm_head.weight", "would measure random ones"]),
        ([strange, "--objective", "ar"], ['model_type "strange"', "no modelling code"]),
        ([computed, "--objective", "ar"], ['attn_implementation = "somebody/kernel"']),
        ([forged, "--objective", "ar"], ["workbench.vocabulary.bos_id is 387420489", "304 ids"]),
        ([adapter, "--objective", "ar"], ["adapter_config.json"]),
        ([borrowed, "--objective", "mdlm"], ["in another repository, somebody/else"]),
        ([qwen3, "--objective", "mdlm", "--mask-id", "9"], ["tokens to the right", "ar?"]),
        ([models / "toy", "--objective", "ar"], ["no AutoModelForCausalLM", "toy_diffusion"]),
        ([qwen3], ["--objective", "expected ar or mdlm"]),
        ([qwen3, "--objective", "block"], ["--objective block", "expected ar or mdlm"]),
        ([qwen3, "--objective", "ar"], ["val_loss", "Give it with --corpus"]),
        ([qwen3, "--objective", "ar", "--set", "model.width=8"], ["--set model.width", "[data]"]),
        ([qwen3, "--objective", "ar", "--set", "data.seq_len=999"], ["takes 128 tokens"]),
        ([qwen3, "--objective", "ar", "--draws", "4"], ["nothing is drawn"]),
        ([qwen3, "--objective", "ar", "--all-checkpoints"], ["--all-checkpoints", "not for hf:"]),
        (["no/such/folder", "--objective", "ar"], ["no such folder"]),
    ):
        name, *rest = arguments
        with pytest.raises(InputError) as refused:
            run_eval(tmp_path / "results", f"hf:{name}", "--tasks", "val_loss", *rest)
        assert all(word in str(refused.value) for word in words), (words, str(refused.value))
    with pytest.raises(InputError, match="--objective is not for runs"):
        run_eval(tmp_path / "results", "abc", "--tasks", "val_loss", "--objective", "ar")
    assert not (tmp_path / "results" / "runs").exists()


def test_a_name_of_the_hub_is_read_from_the_cache_with_its_revision(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit, cached = "0" * 39 + "1", tmp_path / "models--org--name"
    shutil.copytree(models / "gpt2", cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    found = find_model("hf:org/name", with_code=False)
    assert (found.name, found.revision) == ("org/name", commit)
    assert found.config["model_type"] == "gpt2"
    with pytest.raises(
        InputError, match=r"hf:org/other: no such folder here, not in the local cache"
    ):
        find_model("hf:org/other", with_code=False)


def test_without_transformers_the_extra_is_named(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    asked = [f"hf:{models / 'qwen3'}", "--objective", "ar", "--tasks", "val_loss"]
    with pytest.raises(InputError, match=r"pip install 'workbench\[hf\]'"):
        run_eval(tmp_path, *asked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("pickle in the index", r"names 'weights\.bin'"),
        ("weights outside", r"names '\.\./w\.safetensors'"),
        ("other weights", "transformers_weights"),
        ("code of a tokenizer", "tokenizer_config.json: its auto_map"),
        ("code of a configuration", "config.json: its auto_map"),
    ],
)
def test_weights_and_code_elsewhere_are_refused(
    models: Path, tmp_path: Path, change: str, message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models / "gpt2", folder)

    def put(name: str, values: dict[str, Any]) -> None:
        path = folder / name
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(old | values))

    elsewhere = {"auto_map": {"AutoConfig": "org/other--modeling.Config"}}
    if change in ("pickle in the index", "weights outside"):
        (folder / "model.safetensors").unlink()
        name = "weights.bin" if change.startswith("pickle") else "../w.safetensors"
        put("model.safetensors.index.json", {"weight_map": {"wte.weight": name}})
    elif change == "other weights":
        put("config.json", {"transformers_weights": "o.safetensors"})
    else:
        put("tokenizer_config.json" if "tokenizer" in change else "config.json", elsewhere)
    with pytest.raises(InputError, match=message):
        find_model(f"hf:{folder}", with_code=True)


def test_weights_without_a_place_in_the_model_are_refused(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models / "qwen3", folder)
    document = json.loads((folder / "config.json").read_text())
    layers = document["num_hidden_layers"] - 1
    shorter = {"num_hidden_layers": layers, "layer_types": document["layer_types"][:layers]}
    (folder / "config.json").write_text(json.dumps(document | shorter))
    with pytest.raises(InputError, match="of its weights have no place"):
        measure(folder, "ar", EvalOptions(tasks=("val_loss",)), tmp_path / "results")


def test_another_mask_other_code_and_another_tokenizer_are_other_runs(
    models: Path, files: Path, tmp_path: Path
) -> None:
    toy = tmp_path / "toy"
    shutil.copytree(models / "toy", toy)
    results = tmp_path / "results"
    asked = ["--objective", "mdlm", "--tasks", "hellaswag", "--questions", "2", "--draws", "2",
             "--trust-remote-code",
             "--task-file", f"hellaswag={files / 'hellaswag.jsonl'}"]  # fmt: skip

    def run_id(*more: str) -> str:
        result = run_eval(results, f"hf:{toy}", *asked, *more)
        assert result.exit_code == 0, result.output
        (name,) = {row["run_id"] for row in json.loads(result.stdout)}
        return str(name)

    first = run_id()
    assert run_id("--mask-id", "303") == first, "303 is what its config.json says"
    others = [run_id("--mask-id", "302")]
    (toy / "modeling_toy.py").write_text(CODE.replace("torch.tanh", "torch.sin"))
    others.append(run_id())
    train_bpe(iter(["some other text " * 99]), 290, toy / "tokenizer.json")
    others.append(run_id())
    assert len({first, *others}) == 4


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_mask_id_is_refused_where_it_would_be_ignored(
    trained: TrainedRuns, objective: str, tmp_path: Path
) -> None:
    export_model(trained[objective], tmp_path / "out", dtype="float32")
    asked = [f"hf:{tmp_path / 'out'}", "--objective", objective, "--tasks", "cloze"]
    with pytest.raises(InputError, match=r"--mask-id 3: .*Leave --mask-id out"):
        run_eval(tmp_path / "results", *asked, "--mask-id", "3", "--trust-remote-code")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", ["qwen3"]),
        ("max_position_embeddings", "128"),
        ("max_position_embeddings", True),
        ("n_ctx", 0),
        ("text_config", [1]),
        ("text_config", {"n_positions": []}),
        ("bos_token_id", {"id": 1}),
        ("eos_token_id", ["1"]),
        ("mask_token_id", 1.5),
        ("dtype", ["float32"]),
        ("torch_dtype", 32),
        ("auto_map", "modeling.py"),
        ("workbench", "yes"),
        ("workbench", {"step": -1}),
        ("workbench", {"seq_len": "long"}),
    ],
)
def test_a_key_of_a_wrong_type_in_config_json_is_named(
    models: Path, tmp_path: Path, key: str, value: Any
) -> None:
    folder = broken(models, tmp_path / "wrong", "qwen3", **{key: value})
    inner = next(iter(value), "") if isinstance(value, dict) and key[:2] in ("te", "wo") else ""
    with pytest.raises(InputError, match=rf"config\.json: {key}\.?{inner} is .*: expected a"):
        measure(folder, "ar", EvalOptions(tasks=("cloze",)), tmp_path / "results")


@pytest.mark.parametrize(
    "key", ["hidden_size", "num_attention_heads", "layer_types", "vocab_size", "rope_theta"]
)
def test_what_transformers_cannot_make_of_a_configuration_is_no_internal_error(
    models: Path, tmp_path: Path, key: str
) -> None:
    folder = broken(models, tmp_path / "wrong", "qwen3", **{key: {"a": [1]}})
    with pytest.raises(InputError, match="cannot"):
        measure(folder, "ar", EvalOptions(tasks=("cloze",)), tmp_path / "results")


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_weights_that_are_no_numbers_are_named_whatever_the_objective(
    models: Path, tmp_path: Path, number: float, objective: str
) -> None:
    folder = broken(models, tmp_path / "wrong", "qwen3", mask_token_id=300)
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    weights[name][3, :2] = number
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=rf"NaN or infinite values: {name} \(2 of 2,048 values\)"):
        measure(folder, objective, EvalOptions(tasks=("cloze",)), tmp_path / "results")


def test_a_name_that_is_no_folder_says_what_it_is(models: Path, tmp_path: Path) -> None:
    weights = models / "qwen3" / "model.safetensors"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for name, words in (
        (weights, rf"is a file\. Give the folder .* hf:{weights.parent}"),
        ("x" * 300, "File name too long"),
        ("a/" * 150, "no such folder"),
        (loop, "no such folder"),
    ):
        with pytest.raises(InputError, match=words):
            find_model(f"hf:{name}", with_code=False)
