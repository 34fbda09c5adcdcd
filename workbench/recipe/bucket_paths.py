"""`data.quality_bucket` where it is part of a file's path, such as `quality={}` or `{}.jsonl`."""

import re
from pathlib import Path

_NAME = "{}"


def is_path(spec: str) -> bool:
    """Whether a bucket is named by the paths of files, and not by a field."""
    return "{" in spec or "}" in spec


def bucket_problem(spec: str) -> str | None:
    """What is wrong with a part of a path, or None."""
    rest = spec.replace(_NAME, "", 1)
    if not is_path(spec) or (is_path(spec) and not is_path(rest) and rest.strip("*/")):
        return None
    return (
        f'data.quality_bucket = "{spec}": one {_NAME} stands for the name, with text beside it, '
        f"such as quality={_NAME} for folders or {_NAME}.jsonl for files; a field has no braces."
    )


def bucket_of_path(spec: str, file: Path) -> str | None:
    """The bucket that a file's path names, or None: `high` for a/quality=high/x.jsonl by
    `quality={}`. `*` stands for anything within a folder's or file's name."""
    parts = (re.escape(part).replace(r"\*", "[^/]*") for part in spec.strip("/").split(_NAME))
    found = re.search("(?:^|/)" + "([^/]+?)".join(parts) + "(?:/|$)", file.as_posix())
    return found[1] if found else None
