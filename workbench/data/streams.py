"""The stream of windows of a run: of one corpus, of a mixture, with an annealing set at its end.

Like the plain stream, each is a pure function of seeds and counters: sample number n is the same
window on any number of ranks and after any resume.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.data.prepared import PreparedData, unique_windows
from workbench.data.sources import ANNEAL
from workbench.data.windows import HeldOutWindows, Ints, WindowStream
from workbench.recipe import DataConfig, RunConfig


class MixtureStream(WindowStream):
    """Unique windows of several corpora, shuffled together in every epoch.

    Unique windows are numbered corpus after corpus. Each corpus's own are nested, as those of a
    single corpus are.
    """

    def __init__(self, parts: Sequence[WindowStream], *, order_seed: int) -> None:
        self.parts = list(parts)
        self.ends = np.cumsum([part.n_windows for part in parts])
        self.n_windows = int(self.ends[-1])
        self.order_seed = order_seed

    def read(self, sample: Ints) -> Ints:
        return _read_parts(self.parts, self.ends, sample)

    def probe(self, count: int) -> Ints:
        count = min(count, self.n_windows)
        shares = [part.n_windows * count // self.n_windows for part in self.parts]
        starts = self.ends - [part.n_windows for part in self.parts]
        return np.concatenate(
            [start + np.arange(share) for start, share in zip(starts, shares, strict=True)]
        )


class AnnealedStream(WindowStream):
    """One stream up to a sample, and from there another, with epochs of its own.

    The second stream's windows are numbered after the first one's, so that no noise is shared.
    """

    def __init__(self, main: WindowStream, anneal: WindowStream, *, first_sample: int) -> None:
        self.main, self.anneal, self.first_sample = main, anneal, first_sample
        self.n_windows = main.n_windows
        self.order_seed = main.order_seed

    def identify(self, start: int, count: int) -> tuple[Ints, Ints]:
        before = min(max(self.first_sample - start, 0), count)
        epoch, sample = self.main.identify(start, before)
        begin = max(start - self.first_sample, 0)
        late_epoch, late_sample = self.anneal.identify(begin, count - before)
        return (
            np.concatenate([epoch, late_epoch]),
            np.concatenate([sample, late_sample + self.main.n_windows]),
        )

    def read(self, sample: Ints) -> Ints:
        ends = np.array([self.main.n_windows, self.main.n_windows + self.anneal.n_windows])
        return _read_parts([self.main, self.anneal], ends, sample)

    def probe(self, count: int) -> Ints:
        return self.main.probe(count)


def _read_parts(parts: Sequence[WindowStream], ends: Any, sample: Ints) -> Ints:
    """Windows of streams that are numbered one after another."""
    part_of = np.searchsorted(ends, sample, side="right")
    starts = ends - np.array([part.n_windows for part in parts])
    tokens: Ints | None = None
    for number, part in enumerate(parts):
        chosen = part_of == number
        windows = part.read(sample[chosen] - starts[number])
        if tokens is None:
            tokens = np.empty((len(sample), windows.shape[1]), np.int64)
        tokens[chosen] = windows
    assert tokens is not None
    return tokens


def anneal_start(config: RunConfig) -> int | None:
    """Steps done before the annealing set is read; None where there is none."""
    anneal = config.data.anneal
    if anneal is None:
        return None
    assert anneal.fraction is not None
    return config.steps - round(config.steps * anneal.fraction)


def training_stream(
    prepared: PreparedData, data: DataConfig, *, order_seed: int, anneal_from: int | None = None
) -> WindowStream:
    """The windows that a run trains on.

    Args:
        order_seed: keys the order of each epoch.
        anneal_from: the first sample of the annealing set, where the data has one.
    """
    streams = {
        part: WindowStream(
            prepared.train(part),
            seq_len=data.seq_len,
            unique_tokens=n_windows * data.seq_len,
            data_seed=data.seed,
            order_seed=order_seed,
        )
        for part, n_windows in unique_windows(data).items()
    }
    anneal = streams.pop(ANNEAL, None)
    parts = list(streams.values())
    main = parts[0] if len(parts) == 1 else MixtureStream(parts, order_seed=order_seed)
    if anneal is None or anneal_from is None:
        return main
    return AnnealedStream(main, anneal, first_sample=anneal_from)


def validation_windows(
    prepared: PreparedData, data: DataConfig, n_tokens: int | None = None
) -> HeldOutWindows:
    """Fixed held-out windows, as many of each corpus of a mixture: the same for every seed,
    objective, budget, quality tier and weight.

    Args:
        n_tokens: default: `data.validation_tokens`.
    """
    sections = prepared.held_out_sections()
    share = (n_tokens or data.validation_tokens) // len(sections)
    spans, start, parts = prepared.held_out_documents(), 0, []
    for section in sections:
        drawn = HeldOutWindows.draw(
            section, spans, seq_len=data.seq_len, n_tokens=share, first_token=start
        )
        parts.append(drawn)
        start += len(section)
    return HeldOutWindows.joined(parts)
