"""What a recipe and a site file may ask of a cluster, before there is one."""

import shlex
import subprocess
from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.planning.plan import run_id_of
from workbench.recipe import load_recipe
from workbench.recipe.json_schema import recipe_schema
from workbench.recipe.slurm import LauncherConfig, SlurmConfig
from workbench.running.slurm.script import batch_script
from workbench.running.slurm.settings import slurm_settings
from workbench.running.slurm.shapes import make_arrays, shape_of

pytestmark = pytest.mark.usefixtures("no_site")


def with_launcher(recipe: Path, lines: str) -> Path:
    recipe.write_text(recipe.read_text() + f"\n[launcher.slurm]\n{lines}\n")
    return recipe


def test_the_recipe_wins_over_the_site_key_by_key(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        '[launcher.slurm]\npartition = "gpu"\naccount = "lab"\nprologue = ["module load cuda"]\n'
    )
    monkeypatch.setenv("WORKBENCH_SITE", str(site))
    with_launcher(recipe, 'partition = "debug"\ntime = 30')
    settings = slurm_settings(load_recipe(recipe).launcher)
    assert (settings.partition, settings.account, settings.time) == ("debug", "lab", "30")
    assert settings.prologue == ("module load cuda",)


def test_the_users_own_site_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "workbench").mkdir()
    (tmp_path / "workbench" / "site.toml").write_text('[launcher.slurm]\nqos = "low"\n')
    assert slurm_settings(LauncherConfig()).qos == "low"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[launcher.slurm]\npartitoin = 'x'", "did you mean 'partition'"),
        ("[slurm]\npartition = 'x'", "A site file has [launcher.slurm] alone"),
        ("[launcher.slurm", "not valid TOML"),
        ("[launcher.slurm]\ntime = 'soon'", "minutes, hours:minutes:seconds"),
    ],
)
def test_a_wrong_site_file_is_named(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text)
    monkeypatch.setenv("WORKBENCH_SITE", str(site))
    with pytest.raises(InputError) as refused:
        slurm_settings(LauncherConfig())
    assert message in str(refused.value)
    assert str(site) in str(refused.value)


def test_a_site_file_that_is_not_there_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_SITE", "/nowhere/site.toml")
    with pytest.raises(InputError, match=r"WORKBENCH_SITE = /nowhere/site\.toml"):
        slurm_settings(LauncherConfig())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("partitions = 'x'", "unknown key launcher.slurm.partitions, did you mean 'partition'"),
        ("nodes = 0", "launcher.slurm.nodes = 0"),
        ("memory = '16 GB'", "a number with K, M, G or T"),
        ("options = ['--array=0-3']", "no --array"),
        ("options = ['--arr=0-3']", "no --array"),
        ("options = ['--job-n=x']", "no --job-name"),
        ("options = ['--reservation=mine --array=0-3']", "an option as sbatch has it"),
        ("options = ['--reservation=mine\\t-a0-3']", "an option as sbatch has it"),
        ('options = ["--exclusive\\ntouch x"]', "an option as sbatch has it"),
        ("options = ['-p debug']", "an option as sbatch has it"),
        *(
            (f'{key} = "debug{end}"', f"launcher.slurm.{key}")
            for key in ("partition", "account", "qos", "constraint", "gpu_type")
            for end in ("\\ntouch x", "\\u000b", '\\"', "'", " x", "\\\\")
        ),
        ("prologue = ['#SBATCH --mem=1G']", "belong into the key options"),
        ("environment = {'A B' = 'c'}", "the name of an environment variable"),
    ],
)
def test_a_wrong_key_is_refused_with_what_is_allowed(line: str, message: str, recipe: Path) -> None:
    with pytest.raises(InputError) as refused:
        load_recipe(with_launcher(recipe, line))
    assert message in str(refused.value)


def test_the_launcher_is_no_part_of_a_run_and_no_axis_of_a_sweep(recipe: Path) -> None:
    before = [run_id_of(config, "data") for config in load_recipe(recipe).runs]
    with_launcher(recipe, "nodes = 1\ntime = 5")
    assert [run_id_of(config, "data") for config in load_recipe(recipe).runs] == before
    changed = load_recipe(recipe, ["launcher.slurm.time=90"])
    assert changed.launcher.slurm.time == "90"
    with pytest.raises(InputError, match=r"unknown key launcher\.slurm\.nodes"):
        load_recipe(recipe, ["sweep.launcher.slurm.nodes=[1, 2]"])


def test_the_schema_for_editors_knows_the_section() -> None:
    schema = recipe_schema()
    assert "launcher" in schema["properties"]
    assert set(SlurmConfig.model_fields) == set(schema["$defs"]["SlurmConfig"]["properties"])


@pytest.mark.parametrize(
    ("overrides", "settings", "message"),
    [
        (["parallelism.shard=4"], {"nodes": 3}, "cannot be divided equally among 3 nodes"),
        (["parallelism.shard=4"], {"nodes": 1, "gpus_per_node": 2}, "launcher.slurm.nodes = 2"),
        (["parallelism.tensor=2"], {"nodes": 2}, "tensor parallel stays within a node"),
    ],
)
def test_ranks_that_do_not_fit_the_nodes_are_refused(
    overrides: list[str], settings: dict[str, int], message: str, recipe: Path
) -> None:
    config = load_recipe(recipe, overrides).runs[0]
    with pytest.raises(InputError) as refused:
        shape_of(config, SlurmConfig.model_validate(settings))
    assert message in str(refused.value)


def test_a_run_moves_to_the_ranks_that_the_settings_give_it(recipe: Path) -> None:
    (config, _) = load_recipe(recipe, ["parallelism.shard=16"]).runs
    shape = shape_of(config, SlurmConfig(ranks=8, gpus_per_node=4))
    assert (shape.ranks, shape.nodes) == (8, 2)
    with pytest.raises(InputError, match="3 ranks: a run planned for 16 ranks"):
        shape_of(config, SlurmConfig(ranks=3))


def test_nodes_follow_from_the_gpus_of_each(recipe: Path) -> None:
    config = load_recipe(recipe, ["parallelism.shard=8"]).runs[0]
    shape = shape_of(config, SlurmConfig(gpus_per_node=4))
    assert (shape.nodes, shape.gpus_per_node, shape.cpus_per_node) == (2, 4, 4)
    on_cpu = load_recipe(recipe, ["parallelism.shard=8", 'training.device="cpu"']).runs[0]
    assert shape_of(on_cpu, SlurmConfig(gpus_per_node=4)).gpus_per_node is None


def test_runs_of_one_shape_are_one_array_in_which_small_runs_share_tasks(recipe: Path) -> None:
    runs = [(f"r{i}", load_recipe(recipe).runs[0]) for i in range(7)]
    runs.insert(3, ("wide", load_recipe(recipe, ["training.threads=2"]).runs[0]))
    settings = SlurmConfig(runs_per_task=3, gpus_per_node=1, runs_per_gpu=2)
    small, wide = make_arrays(runs, settings, largest=1000)
    assert small.tasks == [["r0", "r1", "r2"], ["r3", "r4", "r5"], ["r6"]]
    assert (small.shape.at_once, small.shape.cpus_per_node) == (2, 2)
    assert wide.tasks == [["wide"]]


def test_no_array_is_larger_than_the_cluster_takes(recipe: Path) -> None:
    runs = [(f"r{i}", load_recipe(recipe).runs[0]) for i in range(7)]
    arrays = make_arrays(runs, SlurmConfig(), largest=3)
    assert [len(array.tasks) for array in arrays] == [3, 3, 1]


def test_the_script_says_what_was_set_and_survives_the_shell(recipe: Path, tmp_path: Path) -> None:
    odd = 'it\'s "$HOME" & more'
    settings = SlurmConfig(
        partition="debug", account="lab", qos="low", time="1:00:00", memory="4G",
        constraint="a100&nvlink", gpus_per_node=2, gpu_type="a100", array_throttle=5, warning=60,
        prologue=("echo ready",), environment={"GREETING": odd}, options=("--exclusive",),
    )  # fmt: skip
    (array,) = make_arrays([("r0", load_recipe(recipe).runs[0])], settings, largest=10)
    script = batch_script(array, settings, name="tiny-1", folder=tmp_path, number=0)
    for line in (
        "--partition=debug", "--account=lab", "--qos=low", "--time=1:00:00", "--mem=4G",
        '--constraint="a100&nvlink"', "--gres=gpu:a100:2", "--array=0-0%5", "--signal=B:USR1@60",
        "--requeue", "--open-mode=append", "--exclusive", "--job-name=tiny-1",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    shown = script.replace(script[script.index("exec ") :], 'printf %s "$GREETING"\n')
    done = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout == f"ready\n{odd}"
    command = shlex.split(script[script.index("exec ") :])
    assert command[-2:] == [str(tmp_path), "0"]
