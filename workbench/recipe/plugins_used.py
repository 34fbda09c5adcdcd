"""Which plug-ins a run uses: their numbers for its identity, their packages for its provenance."""

from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.recipe.models import RunConfig
from workbench.recipe.objectives import OBJECTIVE_PLUGINS
from workbench.recipe.plugins import CorpusPlugin, Installed, Plugin, Plugins
from workbench.recipe.task_names import TASK_PLUGINS

CORPUS_PLUGINS = Plugins("corpora", CorpusPlugin, built_in=("python-stdlib", "hf"))
_PLUGINS: dict[str, Plugins[Any]] = {
    "objectives": OBJECTIVE_PLUGINS,
    "corpora": CORPUS_PLUGINS,
    "tasks": TASK_PLUGINS,
}


def corpus_plugin(corpus: str) -> tuple[Installed, str] | None:
    """The plug-in that a corpus names, and the argument after its name.

    Raises:
        InputError: two plug-ins have the name, or a built-in corpus or a file has it too.
    """
    name, _, argument = corpus.partition(":")
    found = CORPUS_PLUGINS.find(name)
    if found is None:
        return None
    if Path(corpus).exists():
        raise InputError(
            f'the corpus "{corpus}" is a file or folder here, and a plug-in ({found}). Write '
            f'"./{corpus}" for the file'
            + (f', or "{corpus}:" for the plug-in.' if corpus == name else ".")
        )
    return found, argument


def with_plugins(config: RunConfig) -> RunConfig:
    """The run with the numbers of the plug-ins that it uses.

    Raises:
        InputError: one of them cannot be used.
    """
    numbers: dict[str, dict[str, int]] = {}
    for one in (*_corpus_plugins(config), *_code_plugins(config)):
        numbers.setdefault(one.kind, {})[one.name] = one.declaration(Plugin).numbers
    return config.model_copy(update={"plugins": numbers or None})


def check_plugins(config: RunConfig, kinds: tuple[str, ...], where: str) -> None:
    """Refuse to go on with a run whose plug-ins would give other numbers now.

    Raises:
        InputError: a plug-in is not installed any more, cannot be used, or has other numbers.
    """
    for kind in kinds:
        for name, numbers in (config.plugins or {}).get(kind, {}).items():
            found = _PLUGINS[kind].find(name)
            if found is None:
                raise InputError(
                    f"{where} uses the plug-in {name} (entry point workbench.{kind}), which is "
                    "not installed. Install its package: the run's provenance.json names it."
                )
            now = found.declaration(Plugin).numbers
            if now != numbers:
                raise InputError(
                    f"{where} was planned with numbers = {numbers} of the plug-in {name}, and "
                    f"{found} has numbers = {now}. Install the version that provenance.json "
                    "names, or run the recipe again, which makes a run of its own."
                )


def plugin_origins(config: RunConfig, parent: dict[str, Any] | None = None) -> dict[str, Any]:
    """What provenance says of a run's plug-ins; nothing for a run without.

    Args:
        parent: the provenance of the run that this one goes on from, whose data it reads.
    """
    found = _code_plugins(config)
    if parent is None:
        found = [*_corpus_plugins(config), *found]
    rows = [one.origin() for one in found]
    if parent is not None:
        rows = [row for row in parent.get("plugins", []) if row["kind"] == "corpora"] + rows
    return {"plugins": rows} if rows else {}


def _corpus_plugins(config: RunConfig) -> list[Installed]:
    data = config.data
    corpora = [one.corpus for one in data.mixture] if data.mixture else [data.corpus]
    corpora += [data.anneal.corpus] if data.anneal else []
    corpora += [one.path for one in data.validation_extra or ()]
    found = {plugin[0] for corpus in corpora if (plugin := corpus_plugin(corpus))}
    return sorted(found, key=lambda one: one.name)


def _code_plugins(config: RunConfig) -> list[Installed]:
    """Plug-ins whose code runs in training."""
    objective = OBJECTIVE_PLUGINS.find(config.training.objective)
    tasks = [TASK_PLUGINS.find(task) for task in sorted(set(config.evaluation.tasks))]
    return [plugin for plugin in (objective, *tasks) if plugin]
