"""Recipes as Hypothesis draws them: half of them near a sound one, half with keys beyond sense."""

from typing import Any

from hypothesis import strategies as st

from workbench.recipe.json_schema import recipe_schema

SOUND: dict[str, dict[str, Any]] = {
    "study": {"name": "drawn"},
    "data": {"corpus": "CORPUS", "document": "blank-line", "unique_tokens": 2_048, "seq_len": 32,
             "validation_tokens": 2_048},
    "model": {"width": 32, "layers": 2, "heads": 2},
    "training": {"objective": "ar", "total_tokens": 6_144, "batch_size": 16, "lr": 3e-3},
    "evaluation": {"points": 3},
}  # fmt: skip
_TABLES = ("data", "model", "training", "evaluation", "parallelism", "compare")
_PLAUSIBLE: dict[str, list[Any]] = {
    "objective": ["ar", "mdlm", "block", "aoar", "AR", "gpt"],
    "size": ["0.2M", "1B", "8B-A1B", "2C"],
    "document": ["file", "line", "blank-line", "page"],
    "tokenizer": ["bytes", "missing.json"],
    "tasks": [[], ["cloze"], ["cloze", "cloze"], ["nothing"]],
    "corpus": ["CORPUS", "missing.txt", "python-stdlib*", "hf:", ""],
    "unique_tokens": [32, 1_024, 2_048, 4_096, 10**9],
    "seq_len": [1, 2, 8, 16, 31, 32, 64],
    "batch_size": [1, 4, 15, 16],
    "total_tokens": [511, 512, 6_144, 10**15],
    "block_size": [1, 4, 8, 33],
    "dropout": [0.0, 0.1, 1.0],
    "points": [1, 3, 10**6],
    "baseline": ["ar", "mdlm", {}, {"training.objective": "ar"}],
}
_SOUND: dict[str, list[Any]] = {
    "training.objective": ["ar", "mdlm", "aoar"],
    "training.seed": [0, 1, 2],
    "training.lr": [1e-3, 3e-3],
    "training.batch_size": [8, 16],
    "training.total_tokens": [6_144, 12_288],
    "data.unique_tokens": [1_024, 2_048, 4_096],
    "data.seq_len": [16, 32],
    "data.seed": [0, 7],
    "model.layers": [1, 2],
    "model.dropout": [0.0, 0.1],
    "evaluation.points": [1, 3],
    "evaluation.tasks": [[], ["cloze"]],
}
_NONSENSE = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-2, 70), st.booleans(), st.text(max_size=8),
    st.floats(allow_nan=True, allow_infinity=True), st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text("ab.", min_size=1, max_size=3), st.integers(), max_size=2),
)  # fmt: skip


def _keys() -> list[tuple[str, str]]:
    schema = recipe_schema()
    found = []
    for table in _TABLES:
        node = schema["properties"][table]
        while "$ref" in node or "anyOf" in node or "allOf" in node:
            node = (node.get("anyOf") or node.get("allOf") or [node])[0]
            if "$ref" in node:
                node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        found += [(table, key) for key in node.get("properties", {})]
    return found


def _value(key: str) -> st.SearchStrategy[Any]:
    known = _PLAUSIBLE.get(key, [0, 1, 2, 4, 8, 0.5])
    return st.one_of(st.sampled_from(known), st.sampled_from(known), _NONSENSE)


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    """A recipe as a document: a sound one, with keys set, dropped, swept or misspelt."""
    document: dict[str, Any] = {table: dict(keys) for table, keys in SOUND.items()}
    for name in draw(st.lists(st.sampled_from(list(_SOUND)), max_size=4)):
        table, key = name.split(".")
        document[table][key] = draw(st.sampled_from(_SOUND[name]))
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(list(_SOUND)), max_size=3, unique=True))
        swept = {
            name: draw(st.lists(st.sampled_from(_SOUND[name]), min_size=1, max_size=3))
            for name in names
        }
        return document | ({"sweep": swept} if swept else {})
    keys = _keys()
    for table, key in draw(st.lists(st.sampled_from(keys), max_size=3)):
        document.setdefault(table, {})[key] = draw(_value(key))
    for table, key in draw(st.lists(st.sampled_from(keys), max_size=1)):
        if draw(st.integers(0, 3)) == 0:
            document.get(table, {}).pop(key, None)
    if draw(st.integers(0, 9)) == 0:
        document[draw(st.text(min_size=1, max_size=6))] = draw(_NONSENSE)
    sweep: dict[str, Any] = {}
    for table, key in draw(st.lists(st.sampled_from(keys), max_size=2)):
        sweep[f"{table}.{key}"] = draw(st.lists(_value(key), max_size=3))
    if draw(st.integers(0, 9)) == 0:
        sweep[draw(st.sampled_from(["zip", "exclude", "training", "x.y.z"]))] = draw(_NONSENSE)
    if sweep:
        document["sweep"] = sweep
    if draw(st.integers(0, 19)) == 0:
        document[draw(st.sampled_from(list(SOUND)))] = draw(_NONSENSE)
    return document


def as_toml(document: dict[str, Any]) -> str:
    """The document as a recipe's text."""
    return "".join(f"{_word(key)} = {_toml(value)}\n" for key, value in document.items())


def _word(key: str) -> str:
    return _toml(key)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        signs = (
            c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}"
            for c in value.encode("utf-8", "replace").decode()
        )
        return f'"{"".join(signs)}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_word(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)
