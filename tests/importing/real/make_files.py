"""Makes the files of curves in this folder with the libraries that users have, and reads them.

    python make_files.py TOOL...        (all of them without a name; --list names them)

A folder per tool holds what the tool wrote, `readings/TOOL.json` the count, sum and last value of
every tag by the tool's own reader, or by what the training script itself recorded, with the
versions. The tests compare an import with that, and need none of the libraries.

Run a copy of this file in an empty folder, since some tools write down where they ran, and copy the
folders back. One environment cannot hold all of them: `keras` and `tensorflow` take tensorflow-cpu,
`lm_eval` takes lm-eval, the others torch, torchtitan, transformers, accelerate, lightning, wandb,
tensorboard and tensorboardX. W&B's chart export is made by its website alone, LitGPT, Levanter and
nanotron were not installed: their calls are repeated here with the libraries that they write with.
"""

import argparse
import csv
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# The folders of tools are called as their packages, and are none.
sys.path = [path for path in sys.path if Path(path or ".").resolve() != HERE]
Logged = dict[str, dict[int, float]]

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "CUDA_VISIBLE_DEVICES": ""}
os.environ |= {"WANDB_DISABLE_GIT": "true", "WANDB_CONSOLE": "off"}
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def loss(step: int) -> float:
    """A loss that falls, with noise."""
    return 2.0 + 4.0 / math.sqrt(step + 1) + random.Random(step).gauss(0, 0.02)


# ---------------------------------------------------------------- reading


def of_tensorboard(folder: Path) -> Logged:
    """What TensorBoard itself shows of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    logged = {t: {e.step: e.value for e in accumulator.Scalars(t)} for t in tags["scalars"]}
    for tag in tags["tensors"]:
        if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            events = accumulator.Tensors(tag)
            logged[tag] = {e.step: float(make_ndarray(e.tensor_proto)) for e in events}
    return logged


def write_reading(folder: Path, read_by: str, runs: dict[str, Logged], *packages: str) -> None:
    """Store what an independent reader found, for the tests."""
    found = {
        run: {
            tag: {
                "count": len(values),
                "sum": math.fsum(values.values()),
                "last_step": max(values),
                "last": values[max(values)],
            }
            for tag, values in sorted(logged.items())
            if values
        }
        for run, logged in runs.items()
    }
    document = {
        "read_by": read_by,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "runs": found,
    }
    readings = HERE / "readings"
    readings.mkdir(exist_ok=True)
    (readings / f"{folder.name}.json").write_text(json.dumps(document, indent=1) + "\n")


def resumed(before: Logged, after: Logged) -> Logged:
    """Two sessions as one run: what the first had from where the second begins was given up."""
    first = min(min(values) for values in after.values())
    tags = dict.fromkeys([*before, *after])
    kept = {tag: {s: v for s, v in before.get(tag, {}).items() if s < first} for tag in tags}
    return {tag: kept[tag] | after.get(tag, {}) for tag in tags}


def by_hand(rows: list[tuple[int, dict[str, float]]]) -> Logged:
    """What a training script logged, in the form of a reading."""
    logged: Logged = {}
    for step, row in rows:
        for tag, value in row.items():
            logged.setdefault(tag, {})[step] = float(value)
    return logged


# ---------------------------------------------------------------- tools


def torch_writer(out: Path) -> None:
    """torch's SummaryWriter: add_scalars, add_hparams, and a run that was resumed twice, once with
    purge_step and once without."""
    from torch.utils.tensorboard import SummaryWriter

    folder = out / "1m_10e_ar_1m"
    with SummaryWriter(str(folder)) as writer:
        for step in range(10, 160, 10):
            writer.add_scalars("loss", {"train": loss(step), "val": loss(step) + 0.1}, step)
            writer.add_scalar("lr", 1e-3, step)
        writer.add_hparams({"lr": 1e-3, "layers": 2}, {"hparam/val_loss": 2.4})
    resumed = out / "1m_10e_difflm_1m"
    for first, last, purge in ((10, 150, None), (100, 170, 100), (140, 200, None)):
        time.sleep(1.1)  # the names of files have whole seconds
        with SummaryWriter(str(resumed), purge_step=purge) as writer:
            for step in range(first, last + 1, 10):
                writer.add_scalar("val_loss", loss(step) + (purge or 0) / 1000, step)
    parts = {
        f"{folder.name}/{name}": of_tensorboard(folder / name)
        for name in ("loss_train", "loss_val")
    }
    runs = {folder.name: of_tensorboard(folder), **parts, resumed.name: of_tensorboard(resumed)}
    write_reading(out, "tensorboard", runs, "torch", "tensorboard")


def torchtitan(out: Path) -> None:
    """TorchTitan's metrics processor, and a second start after a checkpoint at step 60."""
    from torchtitan.components.metrics import TensorBoardLogger

    sessions = []
    for start, first, last in (("20260131-1200", 10, 80), ("20260131-1530", 61, 120)):
        folder = out / "1m_10e_ar_1m" / "tb" / start
        logger = TensorBoardLogger(str(folder))
        for step in range(first, last + 1):
            if step == first or step % 10 == 0:
                metrics = {
                    "loss_metrics/global_avg_loss": loss(step),
                    "loss_metrics/global_max_loss": loss(step) + 0.3,
                    "grad_norm": 1.0,
                    "throughput(tps)": 1e4,
                    "memory/max_active(GiB)": 1.5,
                    "n_tokens_seen": step * 4096,
                    "lr": 3e-4,
                }
                logger.log(metrics, step)
            if step % 40 == 0:
                logger.log({"validation_metrics/loss": loss(step) + 0.1}, step)
        logger.close()
        sessions.append(of_tensorboard(folder))
        time.sleep(1.1)
    runs = {"1m_10e_ar_1m": resumed(*sessions)}
    write_reading(out, "tensorboard", runs, "torchtitan", "torch", "tensorboard")


def transformers(out: Path) -> None:
    """The Trainer of Hugging Face: TensorBoard, an offline run of W&B and trainer_state.json of
    one training that was stopped at step 20 and resumed."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    work = out / "work"
    texts = torch.randint(0, 64, (256, 16), generator=torch.Generator().manual_seed(1))
    data = [{"input_ids": text, "labels": text} for text in texts]
    config = GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=64, n_positions=16)
    os.environ["WANDB_DIR"] = str(work)
    for steps in (20, 40):
        arguments = TrainingArguments(
            output_dir=str(work), max_steps=steps, per_device_train_batch_size=4, logging_steps=5,
            eval_strategy="steps", eval_steps=10, save_steps=20, run_name="1m_10e_ar_1m",
            report_to=["tensorboard", "wandb"] if steps == 40 else ["tensorboard"], use_cpu=True,
            include_num_input_tokens_seen="all", lr_scheduler_type="constant", disable_tqdm=True,
        )  # fmt: skip
        model = GPT2LMHeadModel(config)
        trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data[:16])
        trainer.train(resume_from_checkpoint=None if steps == 20 else str(work / "checkpoint-20"))
        trainer.save_state()
        time.sleep(1.1)
    import wandb

    wandb.finish()
    history = trainer.state.log_history
    logged = by_hand(
        [(int(e["step"]), {k: v for k, v in e.items() if k != "step"}) for e in history]
    )
    packages = ("transformers", "torch", "accelerate")
    for tool, pattern in (
        ("trainer_state", "**/trainer_state.json"),
        ("transformers_tensorboard", "runs/*/events*"),
        ("transformers_wandb", "**/run-*.wandb"),
    ):
        place = renew(tool)
        for path in work.glob(pattern):
            target = place / "1m_10e_ar_1m" / path.relative_to(work)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        if tool == "transformers_tensorboard":
            folders = sorted({path.parent for path in place.rglob("events*")})
            runs = {"1m_10e_ar_1m": resumed(*map(of_tensorboard, folders))}
            write_reading(place, "tensorboard", runs, *packages, "tensorboard")
        else:
            after = {
                tag: {step: v for step, v in values.items() if tool == "trainer_state" or step > 20}
                for tag, values in logged.items()
            }
            extra = () if tool == "trainer_state" else ("wandb",)
            write_reading(place, "Trainer.state.log_history", {"": after}, *packages, *extra)
    shutil.rmtree(out)


def lightning(out: Path) -> None:
    """Lightning's Trainer with the loggers for TensorBoard and CSV."""
    import torch
    from lightning import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    class Model(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            value = self.layer(batch[0]).square().mean()
            self.log("train_loss", value)
            self.log("tokens", float((self.global_step + 1) * 128))
            return value

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", self.layer(batch[0]).square().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    data = torch.utils.data.TensorDataset(torch.randn(64, 4))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    loggers = [
        TensorBoardLogger(str(out / "tensorboard"), name="1m_10e_ar_1m"),
        CSVLogger(str(out / "csv"), name="1m_10e_ar_1m"),
    ]
    trainer = Trainer(
        max_epochs=4, logger=loggers, log_every_n_steps=5, val_check_interval=8,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu",
    )  # fmt: skip
    trainer.fit(Model(), loader, loader)
    folder = Path(loggers[0].log_dir)
    packages = ("lightning", "torch", "tensorboard")
    for tool in ("tensorboard", "csv"):
        place = renew(f"lightning_{tool}")
        shutil.copytree(out / tool, place, dirs_exist_ok=True)
    inside = folder.relative_to(out / "tensorboard").as_posix()
    place = HERE / "lightning_tensorboard"
    write_reading(place, "tensorboard", {inside: of_tensorboard(place / inside)}, *packages)
    place = HERE / "lightning_csv"
    with next(place.rglob("metrics.csv")).open() as file:
        rows = [
            (int(row.pop("step")), {k: float(v) for k, v in row.items() if v})
            for row in csv.DictReader(file)
        ]
    write_reading(place, "csv.DictReader", {"": by_hand(rows)}, *packages)
    shutil.rmtree(out)


def litgpt(out: Path) -> None:
    """Fabric's logger for TensorBoard, with what LitGPT's `pretrain` gives it on two devices."""
    from lightning.fabric.loggers import TensorBoardLogger

    logger = TensorBoardLogger(str(out), name="1m_10e_ar_1m", version="")
    for iteration in range(1, 81):
        if iteration % 5 == 0:
            logger.log_metrics(
                {
                    "loss": loss(iteration), "iter": iteration, "epoch": 0, "iter_time": 0.1,
                    "remaining_time": 5.0, "tokens": iteration * 1024,
                    "total_tokens": iteration * 2048, "learning_rate": 4e-4,
                },
                step=iteration - 1,
            )  # fmt: skip
        if iteration % 20 == 0:
            value = loss(iteration) + 0.1
            logger.log_metrics({"val_loss": value, "val_ppl": math.exp(value)}, step=iteration - 1)
    logger.finalize("success")
    folder = Path(logger.log_dir)
    runs = {folder.relative_to(out).as_posix(): of_tensorboard(folder)}
    write_reading(out, "tensorboard", runs, "lightning", "torch", "tensorboard")


def accelerate(out: Path) -> None:
    """Accelerate's tracker for TensorBoard, with hyperparameters."""
    from accelerate import Accelerator

    accelerator = Accelerator(log_with="tensorboard", project_dir=str(out), cpu=True)
    accelerator.init_trackers("1m_10e_ar_1m", config={"lr": 1e-3, "layers": 2})
    for step in range(10, 110, 10):
        accelerator.log({"train/loss": loss(step), "eval/loss": loss(step) + 0.1}, step=step)
    accelerator.end_training()
    folder = out / "1m_10e_ar_1m"
    runs = {folder.name: of_tensorboard(folder)}
    write_reading(out, "tensorboard", runs, "accelerate", "torch", "tensorboard")


def tensorboardx(out: Path) -> None:
    """tensorboardX, which Levanter writes with, under Levanter's tags."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(out / "1m_10e_difflm_1m")) as writer:
        for step in range(0, 100, 5):
            for tag, value in (
                ("train/loss", loss(step)), ("throughput/total_tokens", (step + 1) * 2048),
                ("throughput/tokens_per_second", 1e4), ("optim/learning_rate", 1e-3),
                ("global_step", step), ("run_progress", step / 100),
            ):  # fmt: skip
                writer.add_scalar(tag, value, step)
            if step % 20 == 0:
                writer.add_scalar("eval/loss", loss(step) + 0.1, step)
        writer.add_hparams({"lr": 1e-3}, {"final": 2.0}, global_step=95)
    folder = out / "1m_10e_difflm_1m"
    runs = {folder.name: of_tensorboard(folder)}
    write_reading(out, "tensorboard", runs, "tensorboardX", "tensorboard")


def nanotron(out: Path) -> None:
    """torch's SummaryWriter, under the tags of nanotron."""
    from torch.utils.tensorboard import SummaryWriter

    folder = out / "1m_10e_ar_1m"
    with SummaryWriter(str(folder)) as writer:
        for step in range(1, 41):
            for tag, value in (
                ("consumed_tokens", step * 8192), ("elapsed_time_per_iteration_ms", 100.0),
                ("tokens_per_sec", 8e4), ("global_batch_size", 8192), ("lm_loss", loss(step)),
                ("lr", 3e-4), ("model_tflops_per_gpu", 10.0),
            ):  # fmt: skip
                writer.add_scalar(tag, value, step)
    write_reading(out, "tensorboard", {folder.name: of_tensorboard(folder)}, "torch", "tensorboard")


def keras(out: Path) -> None:
    """The TensorBoard callback of Keras."""
    import keras as k
    import numpy as np

    model = k.Sequential([k.layers.Dense(8, activation="relu"), k.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    folder = out / "1m_10e_ar_1m"
    x, y = np.random.default_rng(1).normal(size=(2, 64, 4))
    callback = k.callbacks.TensorBoard(str(folder), write_graph=False)
    model.fit(x, y[:, :1], epochs=6, validation_split=0.25, callbacks=[callback], verbose=0)
    runs = {
        f"{folder.name}/{part}": of_tensorboard(folder / part) for part in ("train", "validation")
    }
    write_reading(out, "tensorboard", runs, "keras", "tensorflow-cpu", "tensorboard")


def tensorflow(out: Path) -> None:
    """TensorFlow 2's own writer, which writes tensors: scalars, a text and a histogram."""
    import tensorflow as tf

    folder = out / "1m_10e_difflm_1m"
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for step in range(1, 31):
            tf.summary.scalar("train/loss", loss(step), step)
            tf.summary.scalar("tokens", tf.constant(step * 512, tf.float64), step)
            if step % 10 == 0:
                tf.summary.scalar("validation/loss", loss(step) + 0.1, step)
                tf.summary.text("sample", "a text", step)
                tf.summary.histogram("weights", tf.zeros([4]), step)
    writer.close()
    runs = {folder.name: of_tensorboard(folder)}
    write_reading(out, "tensorboard", runs, "tensorflow-cpu", "tensorboard")


def wandb(out: Path) -> None:
    """Two offline runs of W&B, one without a name, with what is no number among the values."""
    import wandb as w

    runs = {}
    for name, shift in (("1m_10e_ar_1m", 0.0), ("1m_10e_difflm_1m", 0.2)):
        run = w.init(project="p", name=name, dir=str(out), config={"seed": 3, "layers": {"n": 2}})
        rows = []
        for step in range(1, 61):
            row = {"train/loss": loss(step) + shift, "tokens": step * 1000}
            if step % 10 == 0:
                row["eval/loss"] = loss(step) + 0.1 + shift
            text = {"note": "a text", "table": {"nested": step / 2}, "done": True}
            run.log({**row, **text}, step=step)
            rows.append((step, {**row, "table.nested": step / 2}))
        run.finish()
        runs[name] = by_hand(rows)
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".wandb":
            path.unlink()
    for link in [path for path in out.rglob("*") if path.is_symlink()]:
        link.unlink()
    write_reading(out, "the script that logged", runs, "wandb")


def lm_eval(out: Path) -> None:
    """lm-evaluation-harness with its dummy model, on two tasks of its own."""
    import lm_eval as harness
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    work = out / "work"
    work.mkdir()
    rows = [
        {"q": f"{n} + 1 =", "a": str(n + 1), "c": [str(n), str(n + 1)], "l": 1} for n in range(8)
    ]
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = (
        f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {work}/rows.jsonl}}}}\n"
        "test_split: test\ndoc_to_text: '{{q}}'\n"
    )
    (work / "sums.yaml").write_text(
        f"task: sums\n{common}output_type: multiple_choice\ndoc_to_target: '{{{{l}}}}'\n"
        "doc_to_choice: '{{c}}'\nmetric_list: [{metric: acc}, {metric: acc_norm}]\n"
    )
    (work / "answers.yaml").write_text(
        f"task: answers\n{common}output_type: generate_until\ndoc_to_target: '{{{{a}}}}'\n"
        "metric_list: [{metric: exact_match}]\ngeneration_kwargs: {until: ['.']}\n"
        "filter_list: [{name: strict, filter: [{function: take_first}]}, {name: flexible, filter: "
        "[{function: regex, regex_pattern: '(o+)'}, {function: take_first}]}]\n"
    )
    found = harness.simple_evaluate(
        model="dummy", tasks=["sums", "answers"], bootstrap_iters=10,
        task_manager=TaskManager(include_path=str(work), include_defaults=False),
    )  # fmt: skip
    found.pop("pretty_env_info", None)
    tracker = EvaluationTracker(output_path=str(out / "1m_10e_ar_1m"))
    tracker.save_results_aggregated(results=found, samples=None)
    shutil.rmtree(work)
    shutil.rmtree(work.parent / "datasets", ignore_errors=True)
    numbers = {
        f"{task}_{key}": {0: value}
        for task, values in found["results"].items()
        for key, value in values.items()
        if isinstance(value, float) and "," in key
    }
    write_reading(out, "lm_eval.simple_evaluate", {"": numbers}, "lm_eval")


TOOLS: dict[str, Callable[[Path], None]] = {
    tool.__name__: tool
    for tool in (
        torch_writer, torchtitan, transformers, lightning, litgpt, accelerate, tensorboardx,
        nanotron, keras, tensorflow, wandb, lm_eval,
    )
}  # fmt: skip


def renew(name: str) -> Path:
    """An empty folder for what a tool writes."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tools", nargs="*", choices=[[], *TOOLS], default=[])
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(TOOLS))
        return
    names = arguments.tools or [*TOOLS]
    if len(names) == 1:
        TOOLS[names[0]](renew(names[0]))
        return
    for name in names:  # each in a process of its own: W&B keeps the settings of the first
        print(name, file=sys.stderr)
        subprocess.run([sys.executable, __file__, name], check=True)


if __name__ == "__main__":
    main()
