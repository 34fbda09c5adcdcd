"""The recipe that a new study begins with."""

from pathlib import Path

from workbench.errors import InputError
from workbench.recipe.models import StudyConfig

_TEMPLATE = Path(__file__).with_name("template.toml")


def write_template(path: Path) -> str:
    """Write a commented recipe that runs as it is; its study is named like the file.

    Returns:
        the study's name.

    Raises:
        InputError: the file is there already or cannot be written, does not end in .toml, or its
            name is none that a study can have.
    """
    if path.suffix != ".toml":
        raise InputError(f"{path}: a recipe's file ends in .toml. Give {path}.toml.")
    name = path.stem
    try:
        StudyConfig(name=name, question="?")
    except ValueError:
        raise InputError(
            f"{path}: a study is named like its file, of letters, digits, '.', '_' and '-', and "
            f"{name!r} is not so."
        ) from None
    text = (
        _TEMPLATE.read_text(encoding="utf-8").replace("{name}", name).replace("{file}", str(path))
    )
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path} is there already, and is not overwritten.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}.") from None
    return name
