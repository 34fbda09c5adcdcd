"""From a TOML file to a study of validated, resolved runs."""

import difflib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.arguments import public
from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.check import check_compare, check_run
from workbench.recipe.check_objective import without_keys, without_plain
from workbench.recipe.check_optimizer import nothing_to_average, unread_keys
from workbench.recipe.data import resolved_data
from workbench.recipe.explain import explain
from workbench.recipe.identity import canonical_json
from workbench.recipe.models import (
    LAST_DRAWS,
    MOE_AUX_WEIGHT,
    MOE_Z_WEIGHT,
    CompareConfig,
    EvaluationConfig,
    RunConfig,
    StudyConfig,
    resolved_model,
)
from workbench.recipe.objectives import foreign_keys
from workbench.recipe.plugins_used import with_plugins
from workbench.recipe.slurm import LauncherConfig
from workbench.recipe.sweep import (
    SEED,
    SEEDS,
    drop_exclusions,
    expand,
    set_dotted,
    set_key,
    unsweep,
)
from workbench.recipe.task_names import foreign_task_keys, resolved_files, task_defaults
from workbench.recipe.tracking import TrackingConfig, check_trackers
from workbench.recipe.types import IN_A_RECIPE
from workbench.toml_text import (
    check_bounds,
    parse_toml,
    read_toml,
    toml_document,
    toml_literal,
    toml_value,
)

_TABLES = (
    "study", "data", "model", "training", "evaluation", "parallelism", "compare", "sweep",
    "launcher", "tracking",
)  # fmt: skip

_SET = "# --set "
_ALTERNATIVES = (
    ("training.total_tokens", "training.epochs"),
    ("training.warmup_steps", "training.warmup_tokens"),
    ("evaluation.points", "evaluation.every_tokens"),
)
"""Keys that say the same in two ways: setting one takes the recipe's other one back."""


@dataclass(frozen=True)
class Recipe:
    """A study: what is asked, which runs are compared, and the runs."""

    study: StudyConfig
    compare: CompareConfig
    runs: list[RunConfig]
    text: str
    """The file as it was read, overrides appended as comments: written with the results."""
    origin: str
    """Where the recipe came from, for messages."""
    launcher: LauncherConfig = field(default_factory=LauncherConfig)
    tracking: tuple[TrackingConfig, ...] = ()

    @classmethod
    @public
    def load(
        cls, source: "str | Path | Mapping[str, Any] | Recipe", set: Mapping[str, Any] | None = None
    ) -> "Recipe":
        """The recipe of a file, of a shipped recipe's name, or of a dictionary of tables.

        Args:
            source: of a recipe, the same one with these keys set.
            set: dotted key -> value, such as `{"training.lr": 1e-3}`, as of `--set`.

        Raises:
            InputError: names file, key, value and what is allowed.
        """
        overrides = [f"{key}={toml_literal(value, key)}" for key, value in (set or {}).items()]
        if isinstance(source, Recipe):
            return load_recipe_text(_with(source.text, overrides), source.origin)
        if not isinstance(source, Mapping):
            return load_recipe(source, overrides)
        text = toml_document(source)
        return load_recipe_text(_with(text, overrides), "the recipe given")


def recipe_folder() -> Path:
    """The shipped recipes: beside the package in a checkout, inside it in an installed wheel."""
    installed = Path(__file__).parent.parent / "recipes"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "recipes"


def run_config(document: dict[str, Any]) -> RunConfig:
    """What the recipe says of one run, from the run's parsed `config.json`.

    Raises:
        InputError: it is not what a recipe can say.
    """
    try:
        return RunConfig.model_validate(document["config"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("config", *first["loc"])))
        raise InputError(
            f"config.json of run {document.get('run_id')}: {place}: {first['msg']}."
        ) from None


def shipped_recipes() -> list[str]:
    """Names that `load_recipe` takes in place of a path."""
    folder = recipe_folder()
    return sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.toml"))


def load_recipe(source: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read, override, expand, validate and resolve a recipe.

    Args:
        source: a path, or the name of a shipped recipe such as "quickstart".
        overrides: "dotted.key=value" with a TOML value; a bare word is a string.

    Raises:
        InputError: names file, key, value and what is allowed.
    """
    path = _find(source)
    return _parsed(*read_toml(path), overrides or [], str(path))


def load_recipe_text(text: str, origin: str) -> Recipe:
    """The recipe of a text as studies keep it: overrides are comments at its end.

    Args:
        origin: where it comes from, for messages.

    Raises:
        InputError: as `load_recipe`.
    """
    lines = text.splitlines()
    overrides: list[str] = []
    while lines and lines[-1].startswith(_SET):
        overrides.insert(0, lines.pop().removeprefix(_SET))
    plain = "\n".join(lines)
    return _parsed(parse_toml(plain, origin), plain, overrides, origin)


def _parsed(document: dict[str, Any], text: str, overrides: list[str], origin: str) -> Recipe:
    for override in overrides:
        _override(document, override)
    check_bounds(document, "--set")
    for table in document:
        if table not in _TABLES:
            raise InputError(
                f"{origin}: unknown table [{table}]{suggestion(table, _TABLES) or '.'} "
                f"Tables are {', '.join(_TABLES)}."
            )
    study = _model(StudyConfig, document.get("study"), "study", origin)
    compare = _model(CompareConfig, document.get("compare", {}), "compare", origin)
    check_compare(compare, origin)
    launcher = _model(LauncherConfig, document.get("launcher", {}), "launcher", origin)
    tables = document.get("tracking", [])
    tracking = tuple(
        _model(TrackingConfig, one, "tracking", origin)
        for one in (tables if isinstance(tables, list) else [tables])
    )
    check_trackers(tracking, origin)
    no_run = ("study", "compare", "sweep", "launcher", "tracking")
    base = {k: v for k, v in document.items() if k not in no_run}
    runs: dict[str, RunConfig] = {}
    for combination in expand(document.get("sweep", {}), base, origin):
        config = resolve(combination.document, origin, combination.choices)
        runs.setdefault(canonical_json(config), config)
    text = _with(text, overrides)
    return Recipe(study, compare, list(runs.values()), text, origin, launcher, tracking)


def _with(text: str, overrides: list[str]) -> str:
    """A recipe's text as studies keep it: overrides are comments at its end."""
    return text + "".join(f"\n{_SET}{override}" for override in overrides)


def resolve(
    document: dict[str, Any], origin: str, choices: dict[str, Any] | None = None
) -> RunConfig:
    """One run, with every default that depends on another key filled in."""
    where = _where(origin, choices)
    try:
        config = RunConfig.model_validate(document, context=IN_A_RECIPE)
    except ValidationError as error:
        raise InputError(explain(error, RunConfig, where)) from None
    check_run(config, document, where)
    training = config.training
    total = training.total_tokens
    if total is None:
        total = round((training.epochs or 0) * config.data.unique_tokens)
    training = training.model_copy(update={"total_tokens": total, "epochs": None})
    config = config.model_copy(update={"training": training, "model": resolved_model(config.model)})
    data = resolved_data(config.data, training.decay_fraction)
    config = config.model_copy(update={"data": data})
    steps = config.steps
    filled: dict[str, Any] = {
        "warmup_steps": _warmup_steps(config),
        "warmup_tokens": None,
        "checkpoint_every": training.checkpoint_every or max(1, steps // 10),
    }
    if config.model.moe_experts is not None:
        for key, default in (("moe_aux_weight", MOE_AUX_WEIGHT), ("moe_z_weight", MOE_Z_WEIGHT)):
            given = getattr(training, key)
            filled[key] = default if given is None else given
    config = config.model_copy(
        update={
            "training": training.model_copy(update=filled),
            "evaluation": _resolved_evaluation(config.evaluation),
        }
    )
    if problem := nothing_to_average(config):
        raise InputError(f"{where}: {problem}")
    config = without_plain(_without_foreign(config))
    try:
        return with_plugins(config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _warmup_steps(config: RunConfig) -> int:
    training = config.training
    if training.warmup_tokens is not None:
        return round(training.warmup_tokens / config.tokens_per_step)
    if training.warmup_steps is not None:
        return training.warmup_steps
    return min(1000, round(0.02 * config.steps))


def _resolved_evaluation(evaluation: EvaluationConfig) -> EvaluationConfig:
    filled: dict[str, Any] = {
        key: value
        for key, value in task_defaults(evaluation.tasks).items()
        if getattr(evaluation, key) is None
    }
    if evaluation.every_tokens is not None:
        filled["points"] = None
    if evaluation.validation_draws_last is None:
        filled["validation_draws_last"] = max(LAST_DRAWS, evaluation.validation_draws or 1)
    filled["task_files"] = resolved_files(evaluation.task_files, evaluation.tasks)
    return evaluation.model_copy(update=filled)


def _without_foreign(config: RunConfig) -> RunConfig:
    keys = sorted(foreign_keys(config.training.objective))
    keys += [f"evaluation.{key}" for key in foreign_task_keys(config.evaluation.tasks)]
    keys += unread_keys(config)
    return without_keys(config, keys)


def _find(source: str | Path) -> Path:
    path = Path(source)
    shipped = recipe_folder() / f"{source}.toml"
    with suppress(OSError):  # such as a name that is too long for any file
        if path.is_dir():
            raise InputError(f"{path} is a folder; a recipe is a .toml file.")
        if path.exists():
            return path
        if path.suffix != ".toml" and shipped.is_file():
            return shipped
    names = shipped_recipes()
    near = difflib.get_close_matches(str(source)[:100], names, n=3, cutoff=0.4)
    raise InputError(
        f"there is no recipe {source}{suggestion(str(source), names) or '.'} Give the path of a "
        f".toml file or the name of a recipe that ships{', such as ' if near else ''}"
        f"{', '.join(near)}: `workbench recipes` lists all {len(names)}."
    )


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    key = key.strip()
    if not equals or not key or ("." not in key and key != SEED):
        raise InputError(f"--set {override}: expected dotted.key=value, such as training.lr=1e-3.")
    parsed = toml_value(value, f"--set {key}")
    if key == SEED:
        for one in (SEED, *SEEDS):
            unsweep(document, one)
        set_key(document, SEED, parsed)
        return
    table, _, rest = key.partition(".")
    if table not in _TABLES:
        raise InputError(
            f"--set {override}: unknown table {table}{suggestion(table, _TABLES) or '.'}"
        )
    if table == "sweep":
        sweep = document.setdefault("sweep", {})
        sweep[rest.strip('"')] = parsed
        if isinstance(parsed, list):
            drop_exclusions(document, rest.strip('"'), parsed)
    else:
        for other in (one for pair in _ALTERNATIVES if key in pair for one in pair if one != key):
            unsweep(document, other)
            if isinstance(document.get(table), dict):
                document[table].pop(other.partition(".")[2], None)
        set_dotted(document, key, parsed)
        unsweep(document, key)


def _model(cls: type[Any], value: Any, table: str, origin: str) -> Any:
    if value is None:
        raise InputError(f"{origin}: the table [{table}] is missing.")
    try:
        return cls.model_validate(value)
    except ValidationError as error:
        raise InputError(explain(error, cls, _where(origin, None), prefix=table)) from None


def _where(origin: str, choices: dict[str, Any] | None) -> str:
    if not choices:
        return origin
    return f"{origin} (sweep: {', '.join(f'{k} = {json.dumps(v)}' for k, v in choices.items())})"
