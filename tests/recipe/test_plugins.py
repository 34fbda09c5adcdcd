"""Plug-ins: names from metadata, numbers in a run's identity, and nobody harmed by a broken one."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import InstallPlugin, Workbench
from tests.plugins import objective_module
from workbench.data.corpora import open_corpus
from workbench.errors import InputError
from workbench.planning.plan import plan_study, run_id_of
from workbench.recipe import RunConfig, canonical_json, load_recipe, shipped_recipes
from workbench.recipe.declarations import LawPlugin, Plugin, TaskPlugin
from workbench.recipe.json_schema import plugin_problems, recipe_schema
from workbench.recipe.objectives import OBJECTIVES, display_name, foreign_keys
from workbench.recipe.plugins import Plugins
from workbench.recipe.plugins_used import check_plugins, plugin_origins

TASK = """
from workbench.recipe.declarations import TaskPlugin
DECLARED = TaskPlugin(numbers=3, code="not_there:make", files=("quiz",), shots={shots})
"""
CORPUS = """
from workbench.recipe.declarations import CorpusPlugin
DECLARED = CorpusPlugin(numbers={numbers}, code="not_there:open_it")
"""
BROKEN = "import a_package_that_nobody_has\n"

BUILT_IN = tuple(OBJECTIVES)


def extra(install: InstallPlugin, numbers: int = 1, version: str = "1.0") -> None:
    install(
        "maker",
        {"objectives": {"extra": "maker_declared:DECLARED"}},
        {"maker_declared": objective_module(numbers=numbers)},
        version=version,
    )


def first(recipe: Path, *overrides: str) -> RunConfig:
    return load_recipe(recipe, list(overrides)).runs[0]


def refusal(recipe: Path, *overrides: str) -> str:
    with pytest.raises(InputError) as error:
        load_recipe(recipe, list(overrides))
    return str(error.value)


USING = 'training.objective="extra"'


def test_a_run_without_plug_ins_is_written_as_if_there_were_none(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    names = [name for name in shipped_recipes() if not name.startswith("paper/")]
    before = {name: [canonical_json(run) for run in load_recipe(name).runs] for name in names}
    extra(install_plugin)
    install_plugin(
        "second",
        {"tasks": {"quiz": "second_tasks:DECLARED"}, "corpora": {"tales": "second_corpora:OPEN"}},
        {"second_tasks": TASK.format(shots=True), "second_corpora": BROKEN},
    )
    after = {name: [canonical_json(run) for run in load_recipe(name).runs] for name in names}
    assert after == before
    config = first(recipe)
    assert "plugins" not in config.model_dump(mode="json")
    assert plugin_origins(config) == {}


def test_numbers_are_part_of_a_runs_id_and_the_version_is_not(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    ids = []
    for numbers, version in ((1, "1.0"), (1, "1.1"), (2, "1.1")):
        sys.modules.pop("maker_declared", None)
        extra(install_plugin, numbers, version)  # hides the one before it
        config = first(recipe, USING)
        assert config.plugins == {"objectives": {"extra": numbers}}
        assert plugin_origins(config)["plugins"] == [
            {
                "kind": "objectives",
                "name": "extra",
                "numbers": numbers,
                "package": "maker",
                "version": version,
                "entry_point": "maker_declared:DECLARED",
            }
        ]
        ids.append(run_id_of(config, "fingerprint"))
    assert ids[0] == ids[1] != ids[2]


def test_every_kind_that_training_uses_has_its_numbers_in_the_run(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    install_plugin(
        "second",
        {
            "tasks": {"quiz": "second_tasks:DECLARED"},
            "corpora": {"tales": "second_corpora:DECLARED"},
        },
        {"second_tasks": TASK.format(shots=True), "second_corpora": CORPUS.format(numbers=7)},
    )
    tasks = 'evaluation.tasks=["quiz"]'
    config = first(recipe, 'data.corpus="tales:grimm"', tasks, 'evaluation.task_files={quiz="q"}')
    assert config.plugins == {"corpora": {"tales": 7}, "tasks": {"quiz": 3}}
    assert [one["package"] for one in plugin_origins(config)["plugins"]] == ["second"] * 2
    assert config.evaluation.shots == (0,)
    assert set(config.evaluation.task_files or {}) == {"quiz"}
    assert "needs its questions" in refusal(recipe, tasks)
    mixed = "data.mixture=[{corpus='tales',weight=1},{corpus='tales:b',weight=1}]"
    extra_set = "data.validation_extra=[{name='t',path='tales'}]"
    assert first(recipe, extra_set).plugins == {"corpora": {"tales": 7}}
    # A mixture takes the place of the corpus.
    text = recipe.read_text()
    recipe.write_text("\n".join(line for line in text.splitlines() if "corpus =" not in line))
    assert first(recipe, mixed).plugins == {"corpora": {"tales": 7}}


def test_a_longer_run_keeps_where_the_corpus_of_its_parent_came_from(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    extra(install_plugin)
    install_plugin(
        "second",
        {"corpora": {"tales": "second_corpora:DECLARED"}},
        {"second_corpora": CORPUS.format(numbers=7)},
    )
    config = first(recipe, USING, 'data.corpus="tales"')
    origins = plugin_origins(config)["plugins"]
    parent = {"plugins": [{**row, "version": "0.9"} for row in origins]}
    longer = plugin_origins(config, parent)["plugins"]
    versions = {row["name"]: row["version"] for row in longer}
    assert versions == {"tales": "0.9", "extra": "1.0"}, "its data is the parent's, its code is not"


def test_names_are_known_without_an_import_and_plans_without_the_code(
    tmp_path: Path, recipe: Path, install_plugin: InstallPlugin
) -> None:
    extra(install_plugin)
    assert "extra" in OBJECTIVES
    assert "did you mean 'extra'?" in refusal(recipe, 'training.objective="extar"')
    assert "maker_declared" not in sys.modules
    plan = plan_study(load_recipe(recipe, [USING]), tmp_path)  # not_there is not there
    assert [run.objective for run in plan.runs] == ["extra"]
    assert plan.runs[0].train_flops > 0


def test_help_imports_no_plug_in(workbench: Workbench, install_plugin: InstallPlugin) -> None:
    install_plugin(
        "loud", {kind: {"loud": "loud:DECLARED"} for kind in ("objectives", "laws", "tasks")},
        {"loud": "raise SystemExit('imported')"},
    )  # fmt: skip
    shown = workbench("--help")
    assert shown.returncode == 0
    assert "imported" not in shown.stderr


def test_two_plug_ins_of_one_name_are_refused_and_both_named(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    extra(install_plugin)
    install_plugin("rival", {"objectives": {"extra": "rival_declared:DECLARED"}})
    message = refusal(recipe, USING)
    for owner in ("maker 1.0", "rival 1.0"):
        assert f"package {owner}, entry point workbench.objectives: extra = " in message
    assert first(recipe, 'training.objective="mdlm"').plugins is None


def test_a_plug_in_that_shadows_what_is_built_in_is_refused_where_the_name_is_used(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    install_plugin("shadow", {"objectives": {"mdlm": "shadow:DECLARED"}})
    install_plugin(
        "shadow-2", {"tasks": {"val_loss": "s:D", "cloze": "s:D"}, "corpora": {"hf": "s:D"}}
    )
    message = refusal(recipe, 'training.objective="mdlm"', "evaluation.tasks=[]")
    assert "the workbench itself; package shadow 1.0, entry point workbench.objectives" in message
    assert message.startswith(str(recipe))
    ar = 'training.objective="ar"'
    assert "shadow-2" in refusal(recipe, ar)  # whose task is cloze
    assert "shadow-2" in refusal(recipe, ar, "evaluation.tasks=[]", 'data.corpus="hf:x/y"')
    assert first(recipe, ar, "evaluation.tasks=[]").plugins is None
    # Runs that were trained before are looked at as ever.
    assert display_name("mdlm") == "masked diffusion"
    assert foreign_keys("mdlm")
    assert list(OBJECTIVES).count("mdlm") == 1


def test_a_plug_in_that_cannot_be_imported_hurts_only_recipes_that_use_it(
    recipe: Path, install_plugin: InstallPlugin, workbench: Workbench
) -> None:
    extra(install_plugin)
    install_plugin(
        "broken",
        {"objectives": {"extro": "broken:DECLARED"}, "tasks": {"quiz": "broken:DECLARED"}},
        {"broken": BROKEN},
    )  # fmt: skip
    for override in ('training.objective="extro"', 'evaluation.tasks=["quiz"]'):
        message = refusal(recipe, override)
        assert "package broken 1.0, entry point workbench." in message
        assert "ModuleNotFoundError: No module named 'a_package_that_nobody_has'" in message
        assert message.count("\n") == 0
    assert first(recipe).plugins is None
    assert first(recipe, USING).plugins == {"objectives": {"extra": 1}}
    assert [problem.partition(" (")[0] for problem in plugin_problems()] == [
        "the objective extro",
        "the task quiz",
    ]
    asked = workbench("plan", recipe, "--set", 'training.objective="extro"')
    assert asked.returncode == 2
    assert asked.stderr.startswith("Error: ")
    assert "Traceback" not in asked.stderr
    schema = workbench("schema")
    objective = json.loads(schema.stdout)["$defs"]["TrainingConfig"]["properties"]["objective"]
    assert objective["enum"] == [*BUILT_IN, "extra"]
    assert "Note: not in the schema: the objective extro (package broken" in schema.stderr


def test_unknown_names_are_answered_with_those_of_plug_ins(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    install_plugin(
        "names", {"tasks": {"riddles": "n:D"}, "corpora": {"fairytales": "n:D"},
                  "objectives": {"wonder": "n:D"}},
    )  # fmt: skip
    expected = ", ".join(f"'{name}'" for name in BUILT_IN)
    assert f"did you mean 'wonder'? expected {expected} or 'wonder'." in refusal(
        recipe, 'training.objective="wunder"'
    )
    assert "did you mean 'riddles'?" in refusal(recipe, 'evaluation.tasks=["ridles"]')
    assert "did you mean 'wonder'?" in refusal(recipe, 'compare.challenger="wondr"')
    with pytest.raises(InputError, match="did you mean 'fairytales'"):
        open_corpus("fairytale:x", document="file", text_key="text")


def test_the_schema_names_the_plug_ins(install_plugin: InstallPlugin) -> None:
    extra(install_plugin)
    install_plugin(
        "second",
        {
            "tasks": {"quiz": "second_tasks:DECLARED"},
            "corpora": {"tales": "second_corpora:DECLARED"},
        },
        {"second_tasks": TASK.format(shots=False), "second_corpora": CORPUS.format(numbers=1)},
    )
    tables = recipe_schema()["$defs"]
    assert "extra" in tables["TrainingConfig"]["properties"]["objective"]["enum"]
    for table, key, name in (
        ("EvaluationConfig", "tasks", "quiz"),
        ("DataConfig", "corpus", "tales"),
    ):
        assert f"Of plug-ins: {name}." in tables[table]["properties"][key]["description"]
    assert "plugins" not in recipe_schema()["properties"]


def test_no_recipe_sets_numbers_itself(recipe: Path) -> None:
    assert "unknown table [plugins]" in _with_line(recipe, "[plugins.objectives]\nar = 1")
    assert "unknown table plugins" in refusal(recipe, "plugins.objectives.ar=1")
    assert "unknown key plugins" in _with_line(recipe, '[sweep]\n"plugins" = [1, 2]')


def _with_line(recipe: Path, text: str) -> str:
    path = recipe.with_name("with_line.toml")
    path.write_text(recipe.read_text().split("[sweep]")[0] + text + "\n")
    return refusal(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (objective_module("other"), "its facts must have its name"),
        ("DECLARED = 3", "expected a ObjectivePlugin, not a int"),
        (TASK.format(shots=True), "expected a ObjectivePlugin, not a TaskPlugin"),
        (objective_module(numbers=0), "numbers = 0: expected a whole number from 1 up"),
        ("", "has no attribute 'DECLARED'"),
        ("raise SystemExit(1)", "SystemExit: 1"),
    ],
)
def test_a_declaration_that_is_none_is_named_with_its_reason(
    recipe: Path, install_plugin: InstallPlugin, text: str, reason: str
) -> None:
    install_plugin(
        "odd", {"objectives": {"extra": "odd_declared:DECLARED"}}, {"odd_declared": text}
    )
    message = refusal(recipe, USING)
    assert reason in message
    assert "package odd 1.0" in message


def test_a_plug_in_cannot_bring_keys_that_would_leave_other_runs(
    recipe: Path, install_plugin: InstallPlugin
) -> None:
    """A key that a plug-in alone reads would be foreign to AR, whose runs would have other ids."""
    text = objective_module().replace('name="extra"', 'name="extra", keys=("training.lr",)')
    before = canonical_json(first(recipe))
    install_plugin("greedy", {"objectives": {"extra": "greedy:DECLARED"}}, {"greedy": text})
    assert "keys among" in refusal(recipe, USING)
    assert canonical_json(first(recipe)) == before


@pytest.mark.parametrize("numbers", [True, 1.0, "1", -1])
def test_numbers_are_whole(numbers: object) -> None:
    with pytest.raises(ValueError, match="expected a whole number"):
        LawPlugin(numbers=numbers, code="a:B")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["a", "a:", ":b", "a.b", "a b:c", 3])
def test_code_is_a_place(code: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        TaskPlugin(numbers=1, code=code)  # type: ignore[arg-type]


def test_a_name_that_would_not_fit_a_recipe_is_refused(install_plugin: InstallPlugin) -> None:
    install_plugin("odd", {"laws": {"two words": "odd:D", "fine-name_2": "odd:D"}})
    plugins = Plugins("laws", Plugin, built_in=())
    assert plugins.find("fine-name_2")
    with pytest.raises(InputError, match="a name is letters, digits"):
        plugins.find("two words")


def test_damaged_metadata_of_a_package_harms_no_other(
    tmp_path: Path, recipe: Path, install_plugin: InstallPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, text in enumerate(
        ["[workbench.objectives]\nno equals sign\n", "[workbench.laws\n"]
    ):
        info = tmp_path / "damaged" / f"d{number}-1.dist-info"
        info.mkdir(parents=True)
        (info / "entry_points.txt").write_text(text)  # and no METADATA
    monkeypatch.syspath_prepend(tmp_path / "damaged")
    extra(install_plugin)
    assert first(recipe, USING).plugins == {"objectives": {"extra": 1}}


def test_a_run_is_read_without_its_plug_in_but_not_gone_on_with(
    tmp_path: Path,
    recipe: Path,
    install_plugin: InstallPlugin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extra(install_plugin)
    document = first(recipe, USING).model_dump(mode="json")
    check_plugins(RunConfig.model_validate(document), ("objectives",), "run 1")
    document["plugins"]["objectives"]["extra"] = 2
    with pytest.raises(InputError, match=r"planned with numbers = 2 .* has numbers = 1"):
        check_plugins(RunConfig.model_validate(document), ("objectives",), "run 1")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if str(tmp_path) not in place])
    config = RunConfig.model_validate(document)
    assert config.training.objective == "extra"
    with pytest.raises(InputError, match=r"extra .*is not installed"):
        check_plugins(config, ("objectives",), "run 1")
