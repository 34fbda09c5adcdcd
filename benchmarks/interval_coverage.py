"""How often intervals that are called 95 % hold the truth, in simulated studies.

AR and diffusion are evaluated at 17 points (after step 1, then evenly) on 284 held-out documents
of 1 to 8 windows. A value has effects of its document (sd 0.4 nats, 0.2 in the difference between
the sides), of its seed (a level of sd 0.02, a course that is 10 % faster or slower, and scatter
from point to point of 0.01 or 0.03, independent or AR(1)), of both together (0.05), and for
diffusion of its masks (sd 0.0096 in the mean, 0.0047 at the end, four fifths of that variance
shared by all seeds). Sharp: AR overfits, and its loss crosses that of diffusion steeply. Slow: the
difference grows by 0.04 nats with each factor e, and the scatter from point to point is 0.03.
Effective data are those of four budgets with a loss that falls by 0.25 or by 0.06 nats with each
doubling.

A line gives the share of intervals that hold the truth, the share with both ends inside what was
measured, and of all trials the median width and the median error of the estimate; for crossovers
and effective data both are in logs, and an answer beyond what was measured counts as there. The
truth is that of all seeds there are. With one seed, intervals run over documents alone: they are
held against the truth of that seed, which their name promises, and against that of all seeds.

A best value's truth is the least of each run's points, as if masks and documents were known; the
point that half of the documents choose is a little worse: by 0.002 to 0.008 in the difference of
bests, in the median.

    python benchmarks/interval_coverage.py [--trials 300] [--only crossover best] [--seeds 1 3 5]
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from workbench.analysis.band import (
    BandCrossing,
    crossing_along_training,
    crossing_between_budgets,
)
from workbench.analysis.crossed import CrossedMean, Over, crossed_mean
from workbench.analysis.crossed_interval import interval
from workbench.analysis.crossing import crossing_places
from workbench.analysis.curves import Floats
from workbench.analysis.early_stopping import document_halves, early_stopped

STEPS, DOCUMENTS, WINDOW = 400, 284, 64
BUDGETS = np.array([1e4, 2e4, 4e4, 8e4])
SEED_LEVEL, SEED_COURSE = 0.02, 0.1
DOCUMENT, OF_SIDE, OF_COURSE, OF_RUN = 0.4, 0.15, 0.03, 0.05
MASKS, MASKS_LAST, SHARED_MASKS = 0.0096, 0.0047, 0.8
TRUTH_SEEDS = 4_000


@dataclass(frozen=True)
class Case:
    """One simulated study; `own` takes the truth of its seeds for that of all."""

    slow: bool
    correlation: float
    seeds: int
    own: bool = False
    points: int = 17

    @property
    def name(self) -> str:
        noise = f"AR(1) {self.correlation:g}" if self.correlation else "iid"
        truth = "" if self.seeds > 1 else ", its own truth" if self.own else ", all seeds' truth"
        seeds = f"{self.seeds} seed{'s' if self.seeds > 1 else ''}{truth}"
        return f"{'slow' if self.slow else 'sharp':5} {noise:9} {seeds:24}"

    @property
    def x(self) -> Floats:
        even = np.linspace(STEPS / (self.points - 1), STEPS, self.points - 1)
        return np.append(1.0, even)


@dataclass(frozen=True)
class Seeds:
    """What seeds do to a run: its level (sides, seeds, 1), and its speed (seeds, 1)."""

    level: Floats
    speed: Floats

    def courses(self, case: Case, x: Floats) -> Floats:
        """The loss of AR and of diffusion: (2, seeds, points)."""
        x = x * self.speed
        if case.slow:
            ar = 2.2 + 2.8 * np.exp(-x / 30) + 0.0004 * x
            diffusion = ar - 0.04 * np.log(x / 110)
        else:
            ar = 2.2 + 2.8 * np.exp(-x / 30) + 0.0022 * x
            diffusion = 2.35 + 2.6 * np.exp(-x / 55)
        return np.asarray(np.stack([ar, diffusion]) + self.level)


@dataclass(frozen=True)
class Study:
    """Both sides, measured on documents."""

    seeds: Seeds
    courses: Floats
    """(2, seeds, points): on all documents there are."""
    sums: Floats
    """(2, seeds, documents, points)"""
    counts: Floats


@dataclass(frozen=True)
class Answer:
    """One interval and its truth: infinite where it lies beyond what was measured."""

    estimate: float
    low: float
    high: float
    truth: float


def drawn_seeds(rng: np.random.Generator, sides: int, seeds: int) -> Seeds:
    return Seeds(
        SEED_LEVEL * rng.normal(size=(sides, seeds, 1)),
        np.exp(SEED_COURSE * rng.normal(size=(seeds, 1))),
    )


def with_scatter(rng: np.random.Generator, case: Case, courses: Floats) -> Floats:
    noise = rng.normal(size=courses.shape)
    for at in range(1, courses.shape[-1]):
        fresh = np.sqrt(1 - case.correlation**2) * noise[..., at]
        noise[..., at] = case.correlation * noise[..., at - 1] + fresh
    return np.asarray(courses + (0.03 if case.slow else 0.01) * noise)


def measured(rng: np.random.Generator, courses: Floats, masks: Floats) -> tuple[Floats, Floats]:
    """Sums (sides, seeds, documents, points) and tokens of documents.

    Args:
        masks: the sd of each mean, (sides, points); 0 for AR.
    """
    sides, seeds, points = courses.shape
    counts = WINDOW * np.minimum(np.ceil(rng.lognormal(0.7, 1.0, DOCUMENTS)), 8.0)
    effects = DOCUMENT * rng.standard_t(5, (DOCUMENTS, 1)) * np.sqrt(3 / 5)
    effects = effects + OF_SIDE * rng.normal(size=(sides, 1, DOCUMENTS, 1))
    along = np.linspace(-1, 1, points) if points > 1 else np.zeros(1)
    effects = effects + OF_COURSE * rng.normal(size=(sides, 1, DOCUMENTS, 1)) * along
    effects = effects + OF_RUN * rng.normal(size=(sides, seeds, DOCUMENTS, 1))
    shared = np.sqrt(SHARED_MASKS) * rng.normal(size=(sides, 1, DOCUMENTS, points))
    own = np.sqrt(1 - SHARED_MASKS) * rng.normal(size=(sides, seeds, DOCUMENTS, points))
    # A document's mean over fewer tokens is noisier: the mean over all has the sd asked for.
    of_document = masks[:, None, None] * np.sqrt(counts.sum() / counts)[:, None]
    values = courses[:, :, None] + effects + of_document * (shared + own)
    return values * counts[:, None], counts


def study(rng: np.random.Generator, case: Case) -> Study:
    seeds = drawn_seeds(rng, 2, case.seeds)
    courses = with_scatter(rng, case, seeds.courses(case, case.x))
    masks = np.stack([np.zeros(case.points), np.full(case.points, MASKS)])
    masks[1, -1] = MASKS_LAST
    sums, counts = measured(rng, courses, masks)
    return Study(seeds, courses, sums, counts)


def true_courses(case: Case, made: Study) -> Floats:
    return made.courses if case.own else _all_courses(replace(case, seeds=1))


@lru_cache
def _all_courses(case: Case) -> Floats:
    rng = np.random.default_rng(0)
    return with_scatter(rng, case, drawn_seeds(rng, 2, TRUTH_SEEDS).courses(case, case.x))


def true_crossover(case: Case, made: Study) -> float:
    """Where the mean lead, without scatter, leaves zero for good: in logs."""
    return _leaves_zero(case, made.seeds) if case.own else _of_all(replace(case, seeds=1))


@lru_cache
def _of_all(case: Case) -> float:
    rng = np.random.default_rng(0)
    seeds = drawn_seeds(rng, 2, TRUTH_SEEDS)
    return _leaves_zero(case, replace(seeds, level=np.zeros((2, 1, 1))))


def _leaves_zero(case: Case, seeds: Seeds) -> float:
    fine = np.linspace(2.0, STEPS, 3_001)
    ar, diffusion = seeds.courses(case, fine).mean(axis=1)
    behind = np.flatnonzero(ar <= diffusion)
    return float(np.log(fine[behind[-1]])) if len(behind) else -np.inf


def crossover(rng: np.random.Generator, case: Case) -> Answer:
    made = study(rng, case)
    lead = crossed_mean(made.sums[0] - made.sums[1], made.counts)
    found = crossing_along_training(case.x, lead)
    if case.seeds == 1:
        found = _over_documents(found)
    return _place(found, true_crossover(case, made))


def _over_documents(found: BandCrossing) -> BandCrossing:
    """What the interval of one seed would be, if there were one: that of the documents' band."""
    band = found.band
    below, not_above = np.flatnonzero(band.high < 0), np.flatnonzero(band.low <= 0)
    last = len(band.x) - 1
    low = float(band.x[below[-1]]) if len(below) else None
    high = float(band.x[not_above[-1] + 1]) if len(not_above) and not_above[-1] < last else None
    return replace(found, ci95=[low, high])


def point_crossover(rng: np.random.Generator, case: Case) -> Answer:
    """By the points of the mean curves, as where nothing is known of their uncertainty."""
    made = study(rng, case)
    ar, diffusion = (crossed_mean(side, made.counts).value[None] for side in made.sums)
    place = crossing_places(case.x, ar, case.x, diffusion, higher_is_better=False)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = np.log(place) if place > 0 else -np.inf
    return Answer(float(estimate), -np.inf, np.inf, true_crossover(case, made))


def _place(found: BandCrossing, truth: float) -> Answer:
    low, high = found.ci95 or (found.lower_bound, found.upper_bound)
    beyond = np.inf if found.band.lead[-1] <= 0 else -np.inf
    return Answer(
        beyond if found.zero is None else float(np.log(found.zero)),
        -np.inf if low is None else float(np.log(low)),
        np.inf if high is None else float(np.log(high)),
        truth,
    )


def _scalar(mean: CrossedMean, truth: float) -> Answer:
    found = interval(mean)
    low, high = found.ci95 or (-np.inf, np.inf)
    return Answer(found.estimate, low, high, truth)


def difference(rng: np.random.Generator, case: Case) -> Answer:
    """Of the last points."""
    made = study(rng, case)
    ar, diffusion = true_courses(case, made)[:, :, -1].mean(axis=1)
    last = made.sums[:, :, :, -1:]
    return _scalar(crossed_mean(last[1] - last[0], made.counts), float(diffusion - ar))


def level(rng: np.random.Generator, case: Case) -> Answer:
    """Diffusion's last point."""
    made = study(rng, case)
    truth = float(true_courses(case, made)[1, :, -1].mean())
    return _scalar(crossed_mean(made.sums[1, :, :, -1:], made.counts), truth)


def _true_bests(case: Case, made: Study) -> Floats:
    return np.asarray(true_courses(case, made).min(axis=2).mean(axis=1))


def best(rng: np.random.Generator, case: Case) -> Answer:
    """Diffusion's best point, chosen on half of the documents and measured on the other."""
    made = study(rng, case)
    stopped = early_stopped(made.sums[1], made.counts, document_halves(range(DOCUMENTS)))
    return _scalar(crossed_mean(stopped.sums, made.counts), float(_true_bests(case, made)[1]))


def best_difference(rng: np.random.Generator, case: Case) -> Answer:
    made = study(rng, case)
    halves = document_halves(range(DOCUMENTS))
    ar, diffusion = (early_stopped(side, made.counts, halves).sums for side in made.sums)
    truths = _true_bests(case, made)
    return _scalar(crossed_mean(diffusion - ar, made.counts), float(truths[1] - truths[0]))


def naive_difference(rng: np.random.Generator, case: Case) -> Answer:
    """Of the least values, chosen on the documents that they are measured on."""
    made = study(rng, case)
    least = (made.sums.sum(axis=2) / made.counts.sum()).min(axis=2).mean(axis=1)
    truths = _true_bests(case, made)
    return Answer(float(least[1] - least[0]), -np.inf, np.inf, float(truths[1] - truths[0]))


def effective_data(rng: np.random.Generator, case: Case) -> Answer:
    """Of a challenger that is as good as the baseline at 28,000 unique tokens."""
    fall = (0.06 if case.slow else 0.25) / np.log(2)
    losses = np.append(-fall * np.log(BUDGETS / 28_000), 0.0)
    courses = losses[:, None, None] + drawn_seeds(rng, len(losses), case.seeds).level
    masks = np.zeros((len(losses), 1))
    masks[-1] = MASKS_LAST
    sums, counts = measured(rng, courses, masks)
    lead = crossed_mean(
        np.concatenate([sums[-1] - baseline for baseline in sums[:-1]], axis=2), counts
    )
    over: Over = "documents" if case.seeds == 1 else "seeds+documents"
    found = crossing_between_budgets(BUDGETS, lead, over)
    truth = np.log(28_000)
    if case.own:
        own = (courses[-1] - courses[:-1, 0])[:, 0]
        truth = float(np.interp(0.0, own, np.log(BUDGETS))) if np.all(np.diff(own) > 0) else truth
    return _place(found, float(truth))


QUANTITIES: dict[str, Callable[[np.random.Generator, Case], Answer]] = {
    "crossover": crossover,
    "point_crossover": point_crossover,
    "difference": difference,
    "level": level,
    "best": best,
    "best_difference": best_difference,
    "naive_difference": naive_difference,
    "effective_data": effective_data,
}
WITHOUT_INTERVAL = ("point_crossover", "naive_difference")


def answers(quantity: str, case: Case, trials: int) -> list[Answer]:
    rng = np.random.default_rng([case.seeds, case.points, round(10 * case.correlation), case.slow])
    return [QUANTITIES[quantity](rng, case) for _ in range(trials)]


def coverage(found: list[Answer]) -> float:
    return float(np.mean([one.low <= one.truth <= one.high for one in found]))


def line(quantity: str, found: list[Answer]) -> str:
    estimates, lows, highs, truths = np.array(
        [(one.estimate, one.low, one.high, one.truth) for one in found]
    ).T
    error = float(np.median(estimates - truths))
    if quantity in WITHOUT_INTERVAL:
        return f"{'-':>7} {'-':>7} {'-':>7} {error:+8.4f}"
    closed = float(np.mean(np.isfinite(lows) & np.isfinite(highs)))
    width = float(np.median(highs - lows))
    return f"{coverage(found):7.3f} {closed:7.2f} {width:7.3f} {error:+8.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--only", nargs="+", choices=list(QUANTITIES), default=list(QUANTITIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 3, 5])
    parser.add_argument("--points", type=int, default=17)
    arguments = parser.parse_args()
    print(f"{'':59} {'holds':>7} {'closed':>7} {'width':>7} {'error':>8}")
    began = time.perf_counter()
    for quantity in arguments.only:
        correlations = (0.0,) if quantity == "effective_data" else (0.0, 0.6)
        for slow, correlation, seeds in product((False, True), correlations, arguments.seeds):
            for own in (True, False) if seeds == 1 else (False,):
                case = Case(slow, correlation, seeds, own, arguments.points)
                found = answers(quantity, case, arguments.trials)
                print(f"{quantity:17} {case.name} {line(quantity, found)}", flush=True)
    print(f"{arguments.trials} trials a line, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
