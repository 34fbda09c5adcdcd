"""`[data]`: which text a run reads, of which quality, in which mixture, and what it is tested on.

Every key that came after the first release is absent by default, and an absent key is no part of
a run's identity.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from workbench.recipe.types import Count, Positive, Seed, Table, Text

DOCUMENTS = ("file", "line", "blank-line")
TIERS = ("low", "medium", "high")
"""Quality tiers in their order: equal numbers of tokens, each document in one of them."""
QUALITY_SOURCES = ("quality_key", "quality_scores", "quality_score", "quality_bucket")
"""Keys of `[data]` that say of which quality a document is. One of them goes with `quality`."""
Document = Literal["file", "line", "blank-line"]
Share = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]


Suffix = Annotated[str, Field(pattern=r"^\.[A-Za-z0-9_+-]+$", max_length=20)]


class Source(Table):
    """A corpus beside the main one. What it leaves out is as `[data]` has it."""

    corpus: Text = Field(description="As data.corpus.")
    document: Document | None = Field(None, description="Default: data.document.")
    text_key: Text | None = Field(None, description="Default: data.text_key.")
    suffixes: tuple[Suffix, ...] | None = Field(None, description="Default: data.suffixes.")


class MixtureSource(Source):
    """`[[data.mixture]]`: one of several corpora, and its share of the unique tokens."""

    weight: Positive = Field(description="Share of the unique windows, over the sum of weights.")


class AnnealConfig(Source):
    """`[data.anneal]`: other text for the end of training, such as the 1B tokens that the coder of
    arXiv 2511.03276 reads while its learning rate decays."""

    unique_tokens: Count = Field(description="Distinct tokens of the annealing set.")
    fraction: Share | None = Field(
        None, description="Share of the steps, the last ones. Default: training.decay_fraction."
    )


class ValidationSet(Table):
    """`data.validation_extra`: text that is never trained on, evaluated beside the held-out."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=40)] = Field(
        description="Metrics are called val_loss@NAME and val_bpb@NAME."
    )
    path: Text = Field(description="A corpus, as data.corpus names it.")
    tokens: Count | None = Field(
        None, description="Tokens that each evaluation reads. Default: data.validation_tokens."
    )
    document: Document | None = Field(None, description="Default: data.document.")
    text_key: Text | None = Field(None, description="Default: data.text_key.")
    suffixes: tuple[Suffix, ...] | None = Field(None, description="Default: data.suffixes.")


def _corpus_or_mixture(schema: dict[str, Any]) -> None:
    schema["required"].remove("corpus")
    schema["anyOf"] = [{"required": ["corpus"]}, {"required": ["mixture"]}]


class DataConfig(Table):
    """`[data]`: which text, cut how, and how much of it is unique."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_corpus_or_mixture)

    corpus: Text = Field(
        description="'python-stdlib', a file, folder or glob, or 'hf:org/name'. See data.md."
    )
    document: Document = Field(
        "file", description="What one document of a text file is. The split is by document."
    )
    tokenizer: Text = Field(
        "bytes",
        description="'bytes', the path of a tokenizer.json, a model's folder or a SentencePiece "
        "model, 'hf:org/name', or 'tiktoken:NAME' (docs/formats.md).",
    )
    text_key: Text = Field(
        "text",
        description="The text's field in JSON lines, tables and hub data, or several joined: "
        "'{instruction}\\n{output}'.",
    )
    suffixes: tuple[Suffix, ...] | None = Field(
        None,
        description="Endings of the files of a folder to read, such as ['.py', '.md']. Those of no "
        "known format are read as text. Default: .txt, .jsonl and .parquet.",
    )
    encoding_errors: Literal["strict", "replace"] | None = Field(
        None,
        description="Bytes and characters that are no text are refused, or read as U+FFFD. "
        "Default: 'strict'.",
    )
    unique_tokens: Count = Field(description="Distinct training tokens. Smaller budgets nest.")
    seq_len: Count = Field(description="Tokens a window.")
    validation_tokens: Count = Field(description="Held-out tokens that each evaluation reads.")
    validation_documents: Count | None = Field(
        None,
        description="Documents to hold out at least. A loss is as uncertain as they are few. "
        "Default: as many as validation_tokens take.",
    )
    seed: Seed = Field(0, description="Draws the unique windows from the corpus.")
    quality: Text | None = Field(
        None,
        description="Train on low, medium or high, a third of the tokens each by the documents' "
        "scores; or on a bucket of the corpus's own, by its name. 'all': on all of it.",
    )
    quality_key: Text | None = Field(
        None, description="The score's field in JSON lines, tables and hub data. More is better."
    )
    quality_scores: Text | None = Field(
        None, description="A file of scores, one a document: .txt, .csv, .jsonl, .parquet or .npy."
    )
    quality_score: Literal["builtin"] | None = Field(
        None, description="Score source code and text by comments, lines, letters, repetition."
    )
    quality_bucket: Text | None = Field(
        None,
        description="Where a document's bucket is named: a field, or part of its file's path with "
        "{} for the name, such as 'quality={}' or '{}.jsonl'.",
    )
    mixture: tuple[MixtureSource, ...] | None = Field(
        None, description="Several corpora in place of data.corpus, each with a weight."
    )
    anneal: AnnealConfig | None = Field(None, description="Other text for the end of training.")
    validation_extra: tuple[ValidationSet, ...] | None = Field(
        None, description="More validation sets: [{name = ..., path = ...}]."
    )

    @model_validator(mode="before")
    @classmethod
    def _name_of_mixture(cls, values: Any) -> Any:
        """A mixture's corpus is the names of its parts: what tables and messages show."""
        if not isinstance(values, dict) or "corpus" in values:
            return values
        mixture = values.get("mixture")
        if not isinstance(mixture, (list, tuple)):
            return values
        return {**values, "corpus": mixture_name(mixture)}


def mixture_name(mixture: Any) -> str:
    """The corpora of a mixture in one line."""
    names = [one.get("corpus") if isinstance(one, dict) else one.corpus for one in mixture]
    return " + ".join(map(str, names))


def resolved_data(data: DataConfig, decay_fraction: float) -> DataConfig:
    """The data with what its sources left out filled in, so that equal runs merge.

    `quality = "all"` means no tiers: it lets a sweep hold the whole corpus beside its tiers.
    """
    changes: dict[str, Any] = {}
    if data.quality == "all":
        changes.update(dict.fromkeys(QUALITY_SOURCES))
    inherited = {
        "document": data.document,
        "text_key": data.text_key,
        "suffixes": data.suffixes,
    }

    def filled(source: Any, **more: Any) -> Any:
        known = {**inherited, **more}
        missing = {key: value for key, value in known.items() if getattr(source, key) is None}
        return source.model_copy(update=missing)

    if data.mixture:
        changes["mixture"] = tuple(filled(source) for source in data.mixture)
    if data.anneal:
        changes["anneal"] = filled(data.anneal, fraction=decay_fraction)
    if data.validation_extra:
        changes["validation_extra"] = tuple(
            filled(one, tokens=data.validation_tokens) for one in data.validation_extra
        )
    return data.model_copy(update=changes)
