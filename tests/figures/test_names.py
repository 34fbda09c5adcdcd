"""Names on figures: two values never share one, whatever they are."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workbench.figures.names import group_names
from workbench.figures.theme import group_text, key_text

_TEXTS = st.sampled_from(
    ["adamw/v1", "muon/v1", "hf:a/c4", "hf:b/c4", "v1", "c4", "none", "yes", "", "1", "v1 (1)"]
)
_NUMBERS = st.one_of(
    st.none(), st.integers(12_790, 12_810), st.integers(0), st.floats(0, 1e30), st.just(12_800.4)
)
_VALUES = st.one_of(
    _TEXTS, _NUMBERS, st.booleans(), st.sampled_from([0.1, 0.1 + 1e-9]), st.floats(-1e9, 0)
)
_GROUPS = st.fixed_dictionaries(
    {},
    optional={
        "training.optimizer": _VALUES, "data.source": _VALUES, "data.seed": _VALUES,
        "training.seed": _VALUES, "data.unique_tokens": _NUMBERS, "n_params": _NUMBERS,
    },
)  # fmt: skip


def of_type(group: dict[str, Any]) -> str:
    """1, 1.0 and True are different values here, though equal in Python."""
    return repr(list(group.items()))


@given(st.lists(_GROUPS, min_size=1, max_size=12))
def test_different_groups_have_different_names_and_equal_ones_the_same(
    groups: list[dict[str, Any]],
) -> None:
    names = group_names(groups)
    by_group = {of_type(group): name for group, name in zip(groups, names, strict=True)}
    assert [by_group[of_type(group)] for group in groups] == names
    assert len(set(by_group.values())) == len(by_group)


def test_a_name_is_short_unless_another_would_share_it() -> None:
    key = "training.optimizer"
    alone = [{key: "adamw/v1"}, {key: "muon/v2"}]
    assert group_names(alone) == [group_text(group) for group in alone]
    both = [{key: "adamw/v1"}, {key: "muon/v1"}]
    assert group_names(both) == ["optimizer adamw/v1", "optimizer muon/v1"]
    near = [{"n_params": 181_440}, {"n_params": 181_441}, {"n_params": 20_000_000}]
    assert group_names(near) == ["n_params 181440", "n_params 181441", "20M parameters"]


def test_an_absent_key_whose_plain_value_is_a_word_is_called_by_it() -> None:
    assert key_text("training.optimizer", None) == "optimizer adamw"
    assert key_text("baseline.training.optimizer", None) == "optimizer adamw"
    assert key_text("training.input_mask", None) == "input_mask none", "not every objective has it"
