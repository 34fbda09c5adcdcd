"""Hostile SQL against a store and a dataset, by the command line's way and the app's.

python benchmarks/hostile_sql.py [--apart 3]

Every statement of tests/store/hostile.py must be refused; the bytes of store, dataset and folder
stay as they are, with no file more. The app's way is a process for each question; `--apart 3` sends
it every third. Exit status 1 where anything gave.
"""

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.store.hostile import CATEGORIES, RUNAWAYS, checksum
from workbench.errors import InputError
from workbench.importing.importer import import_runs
from workbench.store import query
from workbench.store.parquet.export import export_parquet
from workbench.store.query_process import query_in_subprocess


def outcome(ask, where: Path, sql: str) -> str:  # type: ignore[no-untyped-def]
    try:
        answer = ask(where, sql)
    except InputError as error:
        return "refused" if str(error).startswith("SQL: ") else f"ODD {error}"
    except Exception as error:
        return f"ODD {type(error).__name__}: {error}"
    text = str(answer.rows())
    return "LEAKED" if "root:" in text or "PATH=" in text else "answered, harmless"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--apart", type=int, default=1, help="every which statement to the app")
    arguments = parser.parse_args()
    bad = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, dataset = folder / "results", folder / "dataset"
        import_runs("reference", None, store)
        export_parquet(store, str(dataset))
        before = checksum(folder)
        for category, statements in CATEGORIES.items():
            counts: collections.Counter[str] = collections.Counter()
            for number, statement in enumerate(statements):
                sql = statement.replace("T/", f"{folder}/")
                ways = [query] if number % arguments.apart else [query, query_in_subprocess]
                for ask in ways:
                    for where in (store, dataset):
                        found = outcome(ask, where, sql)
                        if checksum(folder) != before:
                            found = "CHANGED"
                        counts[found.split()[0]] += 1
                        if found[:3].isupper():
                            bad.append((ask.__name__, where.name, statement, found))
            print(f"| {category} | {len(statements)} | {dict(counts)} |", flush=True)
        for statement in RUNAWAYS:
            began = time.perf_counter()
            found = outcome(
                lambda at, sql: query_in_subprocess(at, sql, time_limit=2.0), store, statement
            )
            seconds = time.perf_counter() - began
            print(f"| {statement[:50]} | {found} after {seconds:.1f} s |", flush=True)
            if found != "refused" or seconds > 30 or checksum(folder) != before:
                bad.append(("query_in_subprocess", "store", statement, found))
    for one in bad:
        print(*one)
    print(f"{sum(map(len, CATEGORIES.values())) + len(RUNAWAYS)} statements, {len(bad)} gave")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
