"""What public calls are given: every parameter of every call refuses a wrong type by InputError."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import workbench as wb
from workbench.api.drawing import figure_options
from workbench.arguments import check_arguments, option_names
from workbench.cli import app
from workbench.figures import FIGURES

OF_FITS = ("predicted", "residuals", "profiles", "contours", "isoflop")
ASKED = ("BestValues", "Crossovers", "Figure", "Fits", "Onsets", "Results", "Study", "StudyAnswer")
"""The classes whose methods users call; the others are what these return."""


class Nothing:
    """What no call takes."""


API: Any = wb
"""The package, whose types nobody checks here."""
_PLAIN = inspect.Parameter("plain", inspect.Parameter.KEYWORD_ONLY)
WRONG = (Nothing(), [Nothing()], {5: Nothing()})
REFUSED = "^{}=.*: expected "


def calls() -> dict[str, Callable[..., Any]]:
    """Every public function, and every public method."""
    found: dict[str, Callable[..., Any]] = {"Recipe.load": wb.Recipe.load, "Results": wb.Results}
    found |= {
        name: getattr(wb, name) for name in wb.__all__ if inspect.isfunction(getattr(wb, name))
    }
    for name in ASKED:
        for method, part in vars(getattr(wb, name)).items():
            if inspect.isfunction(part) and not method.startswith("_"):
                found[f"{name}.{method}"] = part
    return found


def arguments(call: Callable[..., Any], study: wb.Study, without: str) -> dict[str, Any]:
    """What has to be given, but for one parameter."""
    values: dict[str, Any] = {"self": study, "studies": ["quickstart"], "tokens": 16}
    values |= {"n_params": 1e6, "total_tokens": 1e7, "unique_tokens": 1e6, "compute": 1e15}
    return {
        name: values.get(name, "quickstart")
        for name, parameter in inspect.signature(call).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and name != without
    }


@pytest.fixture(scope="module")
def study() -> wb.Study:
    return wb.Results("shipped").study("quickstart")


@pytest.mark.parametrize("name", calls())
def test_every_parameter_of_every_call_refuses_a_wrong_type(name: str, study: wb.Study) -> None:
    call = calls()[name]
    for option in option_names(call):
        for wrong in WRONG:
            others = arguments(call, study, option)
            if inspect.signature(call).parameters.get(option, _PLAIN).kind == _PLAIN.VAR_POSITIONAL:
                ask = partial(call, *others.values(), wrong)
            else:
                ask = partial(call, **others, **{option: wrong})
            with pytest.raises(wb.InputError, match=REFUSED.format(option)):
                ask()


def test_the_walk_meets_every_class_that_has_methods_to_call() -> None:
    classes = [name for name in wb.__all__ if inspect.isclass(getattr(wb, name))]
    asked = {
        name
        for name in classes
        if any(
            inspect.isfunction(part) and not method.startswith("_") and len(option_names(part))
            for method, part in vars(getattr(wb, name)).items()
        )
    }
    assert asked - {"RunReport"} == set(ASKED)  # which what runs the runs fills in


@pytest.mark.parametrize("kind", FIGURES)
def test_every_option_of_every_figure_refuses_a_wrong_type(kind: str, study: wb.Study) -> None:
    if kind == "generation_flops":
        pytest.skip("is of a size, and no study's")
    what = wb.Fits((), []) if kind in OF_FITS else study
    for option in figure_options(kind):
        for wrong in WRONG:
            with pytest.raises(wb.InputError, match=REFUSED.format(option)):
                what.figure(kind, **{option: wrong})


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.fit("chinchilla", resamples="20"), "resamples='20': expected a whole number"),
        (lambda s: s.fit("chinchilla", starts=2.5), "starts=2.5: expected a whole number"),
        (lambda s: s.fit(fixed={"E": "1.2"}), "from a text to a number"),
        (lambda s: API.plan("quickstart", jobs="two"), "jobs='two': expected a whole number"),
        (lambda s: API.plan("quickstart", jobs=True), "jobs=True: expected a whole number"),
        (lambda s: API.plan("quickstart", jobs=0), "jobs 0: expected 1 or more"),
        (lambda s: API.plan("quickstart", set="..."), "set='...': expected a dictionary"),
        (lambda s: API.Results(5), "place=5: expected a text or a Path"),
        (lambda s: API.Recipe.load(None), "source=None: expected"),
        (lambda s: s.curves(None), "metrics=None: expected a text"),
        (lambda s: s.figure(log_x="yes"), "log_x='yes': expected True or False"),
        (lambda s: API.Fits((), []).predict([], 1e6), "one number at least"),
        (lambda s: API.Fits((), []).predict("2e5", 1e6), "n_params='2e5': expected a number"),
        (lambda s: API.Fits((), []).predict([[1.0, 2.0]], 1e6), "n_params=.*: expected a number"),
        (lambda s: API.Fits((), []).predict(np.ones((2, 2)), 1e6), "sequences of one length"),
        (lambda s: s.difference(at="lst"), "did you mean 'last'"),
        (lambda s: s.crossovers(axis="epoch"), "did you mean 'epochs'"),
        (lambda s: s.crossovers(metrc="val_loss"), "no option metrc, did you mean 'metric'"),
        (lambda s: s.fit("chin"), "^law chin: no such law, did you mean 'chinchilla'"),
        (lambda s: s.backtest(along="siz"), "^along siz, did you mean 'size'"),
        (lambda s: s.fit(where="n_params <"), "^where n_params <"),
        (lambda s: s.fit("loss_to_accuracy"), "such as metric cloze_acc"),
        (lambda s: s.figure("curves", axis="epoch"), "did you mean 'epochs'"),
        (lambda s: s.figure("contours"), "is a figure of a fit"),
        (lambda s: s.figure().save("x.gif"), "^path x.gif: expected .svg"),
        (lambda s: API.plan("quikstart"), "did you mean 'quickstart'.*`workbench recipes` lists"),
        (lambda s: API.plan("quickstart", set={"traning.lr": 1}), "^set 'traning.lr': 1: unknown"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_as_python_code_names_it(
    study: wb.Study, ask: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(wb.InputError, match=message) as raised:
        ask(study)
    outside = str(raised.value).replace("`workbench recipes`", "")
    assert "--" not in outside
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("jobs", [1, 1e0, np.int64(1), np.float32(1)])
def test_whole_numbers_may_be_floats_and_numbers_of_numpy(jobs: Any) -> None:
    assert wb.plan("quickstart", jobs=jobs).study == "quickstart"
    assert type(check_arguments(wb.plan, ("quickstart",), {"jobs": jobs}).arguments["jobs"]) is int


def test_a_command_names_its_own_options_in_what_it_asks_of_the_same_calls() -> None:
    asked = ("crossover", "quickstart", "--from", "shipped", "--over", "sedes")
    done = CliRunner().invoke(app, list(asked))
    assert str(done.exception).startswith("--over sedes, did you mean 'seeds'?")
