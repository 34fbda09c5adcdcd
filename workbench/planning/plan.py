"""Plans: the runs of a study, what they are called and what they cost, before anything starts."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.data import PreparedData, find_prepared
from workbench.data.describe import describe_sources
from workbench.data.prepared import find_validation_set
from workbench.data.tokenizers import MissingTokenizer, load_tokenizer
from workbench.errors import InputError
from workbench.planning.compared import check_compared
from workbench.planning.compiling import device_of, is_to_be_compiled
from workbench.planning.flops import train_flops
from workbench.planning.memory import Memory, memory_per_gpu
from workbench.planning.trunks import Trunks, trunks
from workbench.recipe import DataConfig, Recipe, RunConfig, numbers_json
from workbench.recipe.sizes import padded_vocab
from workbench.recipe.task_names import missing_files


@dataclass(frozen=True)
class RunSpec:
    """One planned run. `run_id` is None until the data is prepared."""

    run_id: str | None
    config: RunConfig
    prepared: PreparedData | None
    objective: str
    n_params: int
    n_params_non_embedding: int
    n_params_active: int
    unique_tokens: int
    total_tokens: int
    epochs: float
    steps: int
    train_flops: float
    memory: Memory
    validation_extra: dict[str, PreparedData] = field(default_factory=dict)
    """The prepared second validation sets, by name."""

    @property
    def has_data(self) -> bool:
        """Whether everything that the run reads is prepared."""
        wanted = len(self.config.data.validation_extra or ())
        return self.prepared is not None and len(self.validation_extra) == wanted

    @property
    def text_identity(self) -> str:
        """Equal for runs that read the same text, as far as that is known."""
        if self.prepared is None:
            return self.config.data.model_dump_json()
        extra = {name: data.fingerprint for name, data in self.validation_extra.items()}
        return json.dumps([self.prepared.fingerprint, extra])

    @property
    def kept_bytes(self) -> int:
        """Disk that the weights kept before the end take: float32, tied matrices written twice.

        A checkpoint's own overhead, one or two KB a tensor, is not counted.
        """
        shape = self.config.model.shape
        embedding = 2 * shape.vocab_size * shape.width
        return 4 * (shape.n_params_non_embedding + embedding) * len(self.config.kept_steps)

    def row(self) -> dict[str, Any]:
        """The run as the JSON contract has it."""
        keys = (
            "run_id", "objective", "n_params", "n_params_non_embedding", "unique_tokens",
            "total_tokens", "epochs", "steps", "train_flops",
        )  # fmt: skip
        row: dict[str, Any] = {key: getattr(self, key) for key in keys}
        if self.n_params_active != self.n_params:
            row["n_params_active"] = self.n_params_active
        if self.kept_bytes:
            row["kept_checkpoints_bytes"] = self.kept_bytes
        sources = describe_sources(self.config)
        if "anneal" in sources:
            # Of the text before: the annealing set has epochs of its own.
            row["epochs"] = sources["anneal"]["epochs_before"]
        return row | sources | {"memory_per_gpu_bytes": self.memory.total}

    def derived(self) -> dict[str, Any]:
        """What follows from the configuration: written to the run's `config.json`."""
        return {
            "n_params": self.n_params,
            "n_params_non_embedding": self.n_params_non_embedding,
            "n_params_active": self.n_params_active,
            "vocab_size": self.config.model.vocab_size,
            "steps": self.steps,
            "tokens_per_step": self.config.tokens_per_step,
            "epochs": self.epochs,
            "train_flops": self.train_flops,
        } | describe_sources(self.config)


@dataclass(frozen=True)
class Plan:
    """A study's runs, and the checks that wait for the data."""

    study: str
    runs: list[RunSpec]
    deferred: list[str]

    def rows(self) -> list[dict[str, Any]]:
        """The runs as the JSON contract has them, each with the tokens that a shorter run trains
        for it, where one does."""
        rows = []
        for place, run in enumerate(self.runs):
            shared = self.shared_steps(place) * run.config.tokens_per_step
            rows.append(run.row() | ({"shared_tokens": shared} if shared else {}))
        return rows

    @cached_property
    def trunks(self) -> Trunks:
        """How the runs share their beginnings, by their places in `runs`, as on a CPU: there a
        short one may be eager where a long one is compiled."""

        def alike(run: RunSpec) -> str:
            training = run.config.training
            compiled = is_to_be_compiled(training, device_of(training, "cpu"), run.train_flops)
            return f"{run.text_identity} {compiled}"

        return trunks((str(place), run.config, alike(run)) for place, run in enumerate(self.runs))

    def shared_steps(self, place: int) -> int:
        """Steps of a run that a shorter one trains for it."""
        return self.trunks.shared_steps(str(place))

    @property
    def shared_tokens(self) -> int:
        """Tokens of all runs that are trained in shorter ones."""
        return sum(
            self.shared_steps(place) * run.config.tokens_per_step
            for place, run in enumerate(self.runs)
        )

    @property
    def total_tokens(self) -> int:
        return sum(run.total_tokens for run in self.runs)

    @property
    def total_train_flops(self) -> float:
        return sum(run.train_flops for run in self.runs)


def run_id_of(
    config: RunConfig, fingerprint: str, validation_extra: dict[str, PreparedData] | None = None
) -> str:
    """12 hex digits that distinguish everything that decides a run's numbers, and nothing else:
    a corpus that has moved, or is spelt in another way, gives the same run."""
    lines = [numbers_json(config), fingerprint]
    lines += [
        f"{name}={data.fingerprint}" for name, data in sorted((validation_extra or {}).items())
    ]
    text = "\n".join(lines)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan_study(recipe: Recipe, results: Path) -> Plan:
    """Plan a recipe. Never reads the corpus: what needs it is deferred, and noted.

    Raises:
        InputError: the prepared data is too small, the vocabulary cannot be known, or `[compare]`
            names a key or a value that no run has.
    """
    prepared: dict[DataConfig, PreparedData | None] = {}
    runs: list[RunSpec] = []
    deferred: list[str] = []
    for config in recipe.runs:
        # Budgets, windows and seeds are drawn from the same shards.
        key = config.data.model_copy(update={"unique_tokens": 1, "seq_len": 1, "seed": 0})
        if key not in prepared:
            prepared[key] = find_prepared(config.data, results)
        data = prepared[key]
        if data is not None:
            try:
                data.check(config.data)
            except InputError as error:
                raise InputError(f"{recipe.origin}: {error}") from None
            deferred += missing_files(config.evaluation.task_files)
        else:
            deferred.append(
                f'data.corpus "{config.data.corpus}" has not been read: run ids, what is left out '
                "of it, what its tokenizer loses, and whether it has enough text, are known after "
                "`workbench run`. `workbench data check RECIPE` tells without training."
            )
        extra = validation_sets(config, results, deferred, recipe.origin)
        runs.append(run_spec(_with_vocabulary(recipe, config, data), data, extra))
    check_compared(recipe, [run.config for run in runs], results)
    return Plan(recipe.study.name, _distinct(runs), list(dict.fromkeys(deferred)))


def _distinct(runs: list[RunSpec]) -> list[RunSpec]:
    """The runs, each id once: two spellings of one corpus are one run."""
    distinct: dict[str | int, RunSpec] = {}
    for place, run in enumerate(runs):
        distinct.setdefault(run.run_id or place, run)
    return list(distinct.values())


def validation_sets(
    config: RunConfig, results: Path, deferred: list[str], origin: str
) -> dict[str, PreparedData] | None:
    """The second validation sets by name, or None where one is not prepared yet."""
    found: dict[str, PreparedData] = {}
    for one in config.data.validation_extra or ():
        prepared = find_validation_set(one, config.data, results)
        if prepared is None:
            deferred.append(
                f'data.validation_extra "{one.name}" is not prepared yet: run ids are known after '
                "`workbench run`."
            )
            return None
        tokens = one.tokens or config.data.validation_tokens
        if prepared.held_out_tokens < tokens:
            raise InputError(
                f'{origin}: data.validation_extra "{one.name}": {one.path} has '
                f"{prepared.held_out_tokens} tokens, and {tokens} shall be read. Set its tokens "
                "lower."
            )
        found[one.name] = prepared
    return found


def _with_vocabulary(recipe: Recipe, config: RunConfig, prepared: PreparedData | None) -> RunConfig:
    model = config.model
    try:
        size = (
            prepared.vocab if prepared else load_tokenizer(config.data.tokenizer).vocabulary
        ).size
    except MissingTokenizer as error:
        if model.vocab_size is None:
            raise InputError(
                f"{recipe.origin}: {error} To plan without it, set model.vocab_size."
            ) from None
        size = padded_vocab(model.vocab_size)
    if model.vocab_size is not None and padded_vocab(model.vocab_size) != size:
        raise InputError(
            f"{recipe.origin}: model.vocab_size = {model.vocab_size}: the tokenizer's is {size}, "
            "padding included. Leave the key out."
        )
    if size % config.parallelism.tensor:
        raise InputError(
            f"{recipe.origin}: parallelism.tensor = {config.parallelism.tensor} does not divide "
            f"the vocabulary of {size}."
        )
    return config.model_copy(update={"model": model.model_copy(update={"vocab_size": size})})


def run_spec(
    config: RunConfig,
    prepared: PreparedData | None,
    extra: dict[str, PreparedData] | None = None,
) -> RunSpec:
    """A resolved run, its vocabulary known, with what follows from its configuration."""
    shape = config.model.shape
    known = prepared is not None and not missing_files(config.evaluation.task_files)
    return RunSpec(
        run_id=None
        if prepared is None or extra is None or not known
        else run_id_of(config, prepared.fingerprint, extra),
        config=config,
        prepared=prepared,
        objective=config.training.objective,
        n_params=shape.n_params,
        n_params_non_embedding=shape.n_params_non_embedding,
        n_params_active=shape.n_params_active,
        unique_tokens=config.data.unique_tokens,
        total_tokens=config.training.total_tokens or 0,
        epochs=config.epochs,
        steps=config.steps,
        train_flops=train_flops(config),
        validation_extra=extra or {},
        memory=memory_per_gpu(config),
    )


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds for a plan on this machine, and what they were worked out from."""

    seconds: float
    source: str
    of_runs: list[float]
    """Seconds of each run alone."""


def estimate_time(plan: Plan, results: Path, jobs: int) -> TimeEstimate | None:
    """How long a plan will take, from speeds measured before, or None where none were.

    Training steps alone: evaluation comes on top. Speeds are those of finished runs in the store
    of the same objective, size and context, else FLOPs a second of `workbench plan --calibrate`.
    """
    speeds = _stored_speeds(results)
    flops_rate = _calibrated_rate(results)
    seconds: list[float] = []
    sources = set()
    for place, run in enumerate(plan.runs):
        trained = 1 - plan.shared_steps(place) / run.steps
        speed = _speed(run, speeds)
        if speed is not None:
            seconds.append(trained * run.steps * run.config.tokens_per_step / speed)
            sources.add("runs in the store")
        elif flops_rate is not None:
            seconds.append(trained * run.train_flops / flops_rate)
            sources.add("the calibration")
        else:
            return None
    whole = sum(seconds) / max(1, min(jobs, len(plan.runs)))
    return TimeEstimate(whole, " and ".join(sorted(sources)), seconds)


def _speed(run: RunSpec, speeds: dict[tuple[Any, ...], float]) -> float | None:
    """Tokens a second of runs like this one, compiled as it will be here or else on a GPU."""
    training = run.config.training
    for device in ("cpu", "cuda"):
        compiled = is_to_be_compiled(training, device, run.train_flops)
        key = (
            *(run.objective, run.n_params, run.config.data.seq_len, compiled),
            *(training.noise_samples or 1, training.mask_aux_weight is not None),
            run.config.model.loops or 1,
        )
        if key in speeds:
            return speeds[key]
    return None


def _stored_speeds(results: Path) -> dict[tuple[Any, ...], float]:
    from workbench.store import database_path, query

    if not database_path(results).exists():
        return {}
    frame = query(
        results,
        """SELECT objective, n_params, seq_len,
                  coalesce(try_cast(config->>'$.training.compile' AS BOOLEAN),
                           (provenance->>'$.started_as.compile')::BOOLEAN, false) AS compile,
                  coalesce((config->>'$.training.noise_samples')::INT, 1) AS noise_samples,
                  (config->>'$.training.mask_aux_weight') IS NOT NULL AS twice,
                  coalesce((config->>'$.model.loops')::INT, 1) AS loops,
                  median(value) AS speed
           FROM metrics JOIN runs USING (run_id)
           WHERE metric = 'tokens_per_second' AND metrics.step > 1 GROUP BY ALL""",
    )
    return {row[:-1]: row[-1] for row in frame.iter_rows()}


def calibration_path(results: Path) -> Path:
    return results / "calibration.json"


def _calibrated_rate(results: Path) -> float | None:
    try:
        return float(json.loads(calibration_path(results).read_text())["flops_per_second"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
