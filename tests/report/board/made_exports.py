"""Exports of several people, made without training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from tests.made_runs import run_maker
from workbench.store import ingest
from workbench.store.parquet.export import export_parquet

AR = {100: 4.0, 200: 3.0, 300: 3.2, 400: 3.4}
DIFFUSION = {100: 4.5, 200: 3.4, 300: 3.1, 400: 3.0}
RECIPE = '[study]\nname = "made"\n'
HOSTILE = (
    '"><img src=x onerror=alert(1)><script>alert(1)</script><a href="javascript:alert(1)">\u202e'
)
VERSIONS = {"versions": {"workbench": "0.1.0", "torch": "2.15.0"}, "git": {"revision": "ab" * 20}}


def made_export(
    folder: Path, name: str, pairs: dict[str, dict[str, Any]], *, protocol: int | None = 2
) -> Path:
    """A results folder of pairs of AR and diffusion, exported as `folder`/exports/`name`.

    Args:
        pairs: by a part of their run ids: "seed", "unique", "overrides", "more" (added to AR's
            values).
    """
    results = folder / name
    make_run = run_maker(results)
    for run, of in pairs.items():
        seed = of.get("seed", 0)
        overrides = [
            f"data.seed={seed}", f"training.seed={seed}",
            f"data.unique_tokens={of.get('unique', 12_800)}", *of.get("overrides", ()),
        ]  # fmt: skip
        more = 0.01 * seed + of.get("more", 0.0)
        for side, values, objective in (("a", AR, "ar"), ("d", DIFFUSION, "mdlm")):
            made = make_run(
                f"{side}{run}",
                {
                    step: value + (more if side == "a" else 0.01 * seed)
                    for step, value in values.items()
                },
                overrides=[*overrides, f"training.objective='{objective}'"],
                protocol=protocol,
            )
            made.provenance_path.write_text(json.dumps(VERSIONS))
    path = results / "studies" / "made.json"
    document = json.loads(path.read_text()) | {"question": "Where do they cross?"}
    path.write_text(json.dumps(document | {"recipe": RECIPE}))
    ingest(results)
    export = folder / "exports" / name
    export_parquet(results, str(export))
    return export


def rewritten(export: Path, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a table of an export, as its author could."""
    for path in export.glob(f"{table}/**/part-0.parquet"):
        change(pl.read_parquet(path, hive_partitioning=False)).write_parquet(path)


def make_hostile(export: Path) -> None:
    """Put HTML into every text of an export that an author could put it into."""
    mark = pl.lit(HOSTILE)
    rewritten(
        export, "studies",
        lambda rows: rows.with_columns(
            pl.col("study") + mark, pl.col("question") + mark, mark.alias("source"),
            pl.col("recipe") + pl.lit("</pre>") + mark,
        ),
    )  # fmt: skip
    rewritten(
        export, "study_runs",
        lambda rows: rows.with_columns(pl.col("study") + mark, pl.col("run_id") + mark),
    )  # fmt: skip
    rewritten(
        export, "metrics",
        lambda rows: rows.with_columns(
            pl.col("run_id") + mark, pl.col("metric") + pl.lit("@") + mark,
            pl.col("estimator") + pl.lit("/") + mark,
        ),
    )  # fmt: skip

    def texts(config: str) -> str:
        document = json.loads(config)
        document["labels"] = {HOSTILE: HOSTILE}
        document["data"]["tokenizer"] = HOSTILE
        return json.dumps(document)

    provenance = json.dumps({
        "versions": {"workbench": HOSTILE, "torch": HOSTILE}, "recipe_sha256": HOSTILE,
        "git": {"revision": HOSTILE}, "host": "secret-host", "platform": HOSTILE,
    })  # fmt: skip
    rewritten(
        export, "runs",
        lambda rows: rows.with_columns(
            pl.col("run_id") + mark, pl.col("config").map_elements(texts, return_dtype=pl.String),
            pl.lit(provenance).alias("provenance"), mark.alias("data_fingerprint"),
            mark.alias("size"), mark.alias("error"), mark.alias("corpus"),
        ),
    )  # fmt: skip
