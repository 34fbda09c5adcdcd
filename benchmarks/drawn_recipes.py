"""A thousand recipes as Hypothesis draws them: planned and made whole, or refused and nothing made.

python benchmarks/drawn_recipes.py [--count 1000] [--seed 0]

Each is taken as `workbench run` does up to the training: read, checked, its data prepared, its run
folders made. Anything but that or one message of what is wrong is a failure, shown as the smallest
recipe that Hypothesis finds for it. Exit status 1 then.
"""

import argparse
import collections
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hypothesis import HealthCheck, given, seed, settings

from tests.conftest import WORDS
from tests.recipe.test_drawn_recipes import meet
from tests.recipes import recipes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "text.txt"
        texts = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 90)) for i in range(120)]
        corpus.write_text("\n\n".join(texts))

        @seed(arguments.seed)
        @settings(
            max_examples=arguments.count,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=True,
        )
        @given(document=recipes())
        def each(document: dict) -> None:  # type: ignore[type-arg]
            outcomes["drawn"] += 1
            outcomes[meet(document, corpus)] += 1

        each()
    print(dict(outcomes))


if __name__ == "__main__":
    main()
