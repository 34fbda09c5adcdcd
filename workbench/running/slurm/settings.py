"""What a study asks of the cluster: the recipe's `[launcher.slurm]` over the site's."""

import os
from pathlib import Path

from pydantic import ValidationError

from workbench.errors import InputError
from workbench.messages import suggestion
from workbench.recipe.explain import explain
from workbench.recipe.slurm import LauncherConfig, SlurmConfig
from workbench.toml_text import read_toml

SITE_VARIABLE = "WORKBENCH_SITE"


def site_path() -> Path | None:
    """The site file: what WORKBENCH_SITE names, else the user's own, else None.

    Raises:
        InputError: WORKBENCH_SITE names no file.
    """
    named = os.environ.get(SITE_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise InputError(f"{SITE_VARIABLE} = {named}: no such file. Mend or unset it.")
        return path
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    path = Path(home).expanduser() / "workbench" / "site.toml"
    return path if path.is_file() else None


def slurm_settings(recipe: LauncherConfig) -> SlurmConfig:
    """The recipe's settings, and the site's where the recipe sets none.

    Raises:
        InputError: the site file cannot be read, or says what it cannot say.
    """
    path = site_path()
    site = _read_site(path).slurm if path is not None else SlurmConfig()
    given = {
        key: getattr(table, key)
        for table in (site, recipe.slurm)
        for key in sorted(table.model_fields_set)
    }
    return SlurmConfig.model_validate(given)


def _read_site(path: Path) -> LauncherConfig:
    document, _ = read_toml(path)
    for table in document:
        if table != "launcher":
            raise InputError(
                f"{path}: unknown table [{table}]{suggestion(table, ['launcher']) or '.'} "
                "A site file has [launcher.slurm] alone."
            )
    try:
        return LauncherConfig.model_validate(document.get("launcher", {}))
    except ValidationError as error:
        raise InputError(explain(error, LauncherConfig, str(path), prefix="launcher")) from None
