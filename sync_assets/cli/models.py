"""`sync-assets models`: which models there are, and whether a faster precision is good enough.

What belongs here: options and printing. The models are in `embedding/`.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_assets.cli.session import Json, OneTenant, open_services, print_json
from sync_assets.errors import EmbeddingError, SettingsError
from sync_assets.services import Services
from sync_assets.terminal import StageProgress, console, print_rows

if TYPE_CHECKING:
    from sync_assets.embedding.quality import Comparison

models_app = typer.Typer(no_args_is_help=True, help="Embedding models, and their precisions.")


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the models that can be used by name. Folders and names on the Hugging Face hub can be used too.

    `usable` says whether a model can be used here as it is; else `needs` says what is missing.

    Examples:

        sync-assets models list
    """
    from sync_assets.ledger.model_checks import model_check

    with open_services() as services:
        rows = _local(services) + _hosted(services)
        for row in rows:
            check = model_check(services.ledger, row.pop("fingerprint")) if "fingerprint" in row else None
            row["checked"] = _verdict(check)
    if as_json:
        print_json(rows)
    else:
        print_rows(console(), ("model", "precision", "dimension", "max_tokens", "usable", "checked", "needs"), rows)


@models_app.command("check")
def models_check(
    model: Annotated[
        str | None, typer.Argument(help="A sentence-transformers model; default SYNC_ASSETS_MODEL.", show_default=False)
    ] = None,
    tenant: OneTenant = None,
    texts: Annotated[int, typer.Option("--texts", min=20, max=20_000, help="At most so many texts.")] = 1_000,
    as_json: Json = False,
) -> None:
    """Compare a model in bfloat16 with itself in float32 on real texts, and remember the outcome.

    A new collection is made in bfloat16 only after it passed: at least 97 % of the ten texts found for a
    question are those that float32 finds, and vectors have a mean cosine to those of float32 of at least 0.99. Exit
    code 3 means that it did not.

    Examples:

        sync-assets models check                                  # on the demo company's texts

        sync-assets models check all-MiniLM-L6-v2 --tenant acme   # on a tenant's own
    """
    with open_services() as services:
        row = _check(services, model or services.settings.model, tenant, texts, as_json)
    if as_json:
        print_json(row)
    else:
        _print_check(row)
    raise typer.Exit(0 if row["passed"] else 3)


def _is_local(services: Services, model: str) -> bool:
    from sync_assets.embedding.sentence_transformers import SentenceTransformersEmbedder

    return isinstance(services.embedder(model), SentenceTransformersEmbedder)


def _check(services: Services, model: str, tenant: str | None, texts: int, quiet: bool) -> dict[str, Any]:
    """Compare bfloat16 with float32, and remember it.

    Raises:
        SettingsError: the model has one precision only, or there are no texts to try it on.
    """
    from sync_assets.embedding.precisions import split
    from sync_assets.embedding.quality import compare
    from sync_assets.embedding.sampling import sample
    from sync_assets.ledger.model_checks import record_model_check

    name = split(model)[0]
    if not _is_local(services, name):
        raise SettingsError(f"{name} has one precision only.", "Name a sentence-transformers model.")
    exact, other = services.embedder(f"{name}@float32"), services.embedder(f"{name}@bfloat16")
    chosen = sample(services, exact.tokenizer, exact.fingerprint.max_tokens, tenant, texts)
    with StageProgress(quiet) as progress:
        total, label = 2 * len(chosen.texts), f"{name} in float32 and bfloat16"
        result = compare(exact, other, chosen.texts, chosen.questions, lambda done: progress.watch(label, done, total))
    record_model_check(services.ledger, other.fingerprint.key, str(other.fingerprint), result)
    told = {"model": name, "precision": "bfloat16", "texts_of": chosen.origin, "passed": result.passed}
    return told | result.model_dump()


def _print_check(row: dict[str, Any]) -> None:
    shown = {
        **row,
        **{name: f"{row[name]:.4f}" for name in ("overlap", "mean_cosine", "min_cosine")},
        "texts/s": f"{row['speed']:.0f}",
        "in float32": f"{row['exact_speed']:.0f}",
    }
    names = ("model", "precision", "texts_of", "texts", "questions", "overlap", "mean_cosine", "min_cosine")
    print_rows(console(), (*names, "texts/s", "in float32", "passed"), [shown])


def _local(services: Services) -> list[dict[str, Any]]:
    """The models that come as packages, in each of their precisions, and the installation's own."""
    from sync_assets.embedding.precisions import PRECISIONS, split
    from sync_assets.embedding.sentence_transformers import WHEEL_MODEL
    from sync_assets.embedding.wordllama import MODEL

    own = split(services.settings.model)[0]
    names = [WHEEL_MODEL, *([own] if own != WHEEL_MODEL and _is_local(services, own) else [])]
    rows = [_row(services, f"{name}@{precision}") for name in names for precision in PRECISIONS]
    return [*rows, {**_row(services, MODEL), "needs": "" if find_spec("wordllama") else "pip install wordllama"}]


def _row(services: Services, model: str) -> dict[str, Any]:
    """What a model's files say of it."""
    from sync_assets.embedding.precisions import split

    try:
        found = services.embedder(model).fingerprint
    except EmbeddingError as error:
        return {"model": split(model)[0], "precision": split(model)[1] or "", "usable": False, "needs": error.remedy}
    return {
        "model": found.name,
        "precision": found.precision,
        "dimension": found.dimension,
        "max_tokens": found.max_tokens,
        "usable": True,
        "needs": "",
        "fingerprint": found.key,
    }


def _hosted(services: Services) -> list[dict[str, Any]]:
    """The vendors' models. Nobody is asked: whether a key is good is found out by the first sync."""
    from sync_assets.embedding import bedrock, voyage
    from sync_assets.embedding.hosted import MAX_TOKENS

    key = services.settings.voyage_api_key is not None
    offered = [(name, model, key, "SYNC_ASSETS_VOYAGE_API_KEY") for name, model in voyage.MODELS.items()]
    aws = bedrock.has_credentials()
    offered += [(name, model, aws, "AWS credentials") for name, model in bedrock.MODELS.items()]
    return [
        {
            "model": name,
            "precision": "float32",
            "dimension": ", ".join(map(str, model.dimensions)),
            "max_tokens": MAX_TOKENS,
            "usable": usable,
            "needs": "" if usable else needs,
        }
        for name, model, usable, needs in offered
    ]


def _verdict(check: "Comparison | None") -> str:
    return "" if check is None else "passed" if check.passed else "failed"
