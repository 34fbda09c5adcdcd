"""The command that audits a corpus, and what a run has memorised of it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.options import RESULTS, Format, FormatOption, ResultsOption, SetOption
from workbench.cli.root import app


@app.command()
def audit(
    target: Annotated[
        str,
        typer.Argument(metavar="RECIPE|RUN", help="A recipe, or the id of a run with checkpoints."),
    ],
    results: ResultsOption = RESULTS,
    overrides: SetOption = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope",
            help="Compare with all training text (pool), or the unique windows (unique). "
            "Default: pool for a recipe, unique for a run.",
        ),
    ] = None,
    ngram: Annotated[
        int | None,
        typer.Option(
            "--ngram",
            min=1,
            help="Tokens in a row. Default: 50 bytes or 13 tokens, at most half a window.",
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", min=0.01, max=1.0, help="Share of n-grams from which a text is flagged."
        ),
    ] = 0.5,
    windows: Annotated[
        int, typer.Option("--windows", min=1, help="Of a run: windows to ask the ends of.")
    ] = 256,
    suffix: Annotated[
        int | None,
        typer.Option(
            "--suffix", min=1, help="Of a run: tokens asked for. Default: 50, or a quarter window."
        ),
    ] = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Look for held-out text in training text, and for training text in a model."""
    from workbench.cli.output import emit
    from workbench.messages import choose

    if scope is not None:
        choose("--scope", scope, ("pool", "unique"))
    options: dict[str, Any] = {
        "scope": scope, "ngram": ngram, "threshold": threshold, "windows": windows, "suffix": suffix
    }  # fmt: skip
    corpora, memorisation = _audit(target, results, overrides, options)
    document = {"target": target, "corpora": corpora, "memorisation": memorisation}
    if fmt == Format.json:
        emit([], fmt, document=document)
        return
    for corpus in corpora:
        drop = ("worst", "too_short")
        rows = [{k: v for k, v in audited.items() if k not in drop} for audited in corpus["sets"]]
        emit(rows, fmt)
        _print_details(corpus)
    if memorisation:
        emit(memorisation, fmt)


def _audit(
    target: str, results: Path, overrides: list[str] | None, options: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from workbench.errors import InputError
    from workbench.recipe import load_recipe, shipped_recipes
    from workbench.runs.folder import list_runs

    runs = [run.run_id for run in list_runs(results)]
    is_recipe = Path(target).exists() or target in shipped_recipes()
    if not is_recipe and not any(run_id.startswith(target) for run_id in runs):
        raise InputError(
            f"{target}: neither a recipe nor a run of {results}. Give a .toml file, a shipped "
            f"recipe ({', '.join(shipped_recipes())}) or an id that `workbench status` shows."
        )
    if not is_recipe and overrides:
        raise InputError("--set: a run is as it was trained. Give a recipe to change keys.")
    recipe = load_recipe(target, overrides or []) if is_recipe else None
    from workbench.evaluation.audit import AuditOptions, audit_recipe, audit_run

    if recipe is not None:
        return audit_recipe(recipe, results, AuditOptions(**options)), []
    from workbench.runs.studies import find_run

    return audit_run(find_run(results, target), results, AuditOptions(**options))


def _print_details(corpus: dict[str, Any]) -> None:
    """Print to stderr what the corpus is, and the worst texts of each set."""
    against = (
        "all training text"
        if corpus["scope"] == "pool"
        else f"{corpus['unique_tokens']:,} unique tokens"
    )
    print(
        f"{corpus['corpus']}: {corpus['documents']:,} documents, "
        f"{corpus['exact_duplicates_removed']:,} exact duplicates removed before the split, "
        f"{corpus['held_out_documents']:,} held out; compared with {against}.",
        file=sys.stderr,
    )
    for audited in corpus["sets"]:
        if audited["too_short"]:
            print(
                f"{audited['set']}: {audited['too_short']:,} of {audited['n']:,} are shorter than "
                "an n-gram and are not judged.",
                file=sys.stderr,
            )
        for text in audited["worst"][:3]:
            print(
                f"{audited['set']} {text['text']}: {text['overlap']:.0%} of {text['tokens']:,} "
                f"tokens' n-grams, from {text['excerpt'][:60]!r} on, in {text['found_in']} at "
                f"{text['position']:,}.",
                file=sys.stderr,
            )
