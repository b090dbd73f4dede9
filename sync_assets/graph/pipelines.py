"""People, organisations, products and places that statistical spaCy pipelines find in texts.

What belongs here: installed pipelines by language, and which language a text is in. What does not: which of what they
find counts (`extraction.py`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from sync_assets.errors import SettingsError
from sync_assets.graph.gazetteer import normalised
from sync_assets.graph.spans import Span
from sync_assets.relations import Entity, NodeKind

_KINDS = {
    "PER": (NodeKind.PERSON, 0.6),
    "PERSON": (NodeKind.PERSON, 0.6),
    "ORG": (NodeKind.ORGANISATION, 0.6),
    "PRODUCT": (NodeKind.PRODUCT, 0.5),
    "LOC": (NodeKind.LOCATION, 0.5),
    "GPE": (NodeKind.LOCATION, 0.5),
    "FAC": (NodeKind.LOCATION, 0.5),
}
# Pipelines need memory in proportion to the text.
_LONGEST = 100_000
_SURROGATES = re.compile("[\ud800-\udfff]")


class _Meta(BaseModel):
    """The part of a pipeline's `meta.json` that tells it from others."""

    lang: str
    name: str
    version: str


class _Pipeline(NamedTuple):
    """An installed pipeline; loading it takes seconds.

    Attributes:
        version: `package/version`.
    """

    where: str
    version: str


class Pipelines:
    """The pipelines of some languages, loaded when the first text of theirs comes.

    Attributes:
        versions: `package/version` of each, by language.
    """

    def __init__(self, pipelines: Mapping[str, _Pipeline]) -> None:
        self._pipelines = dict(sorted(pipelines.items()))
        self._loaded: dict[str, Any] = {}
        self.versions = tuple(f"{language}={one.version}" for language, one in self._pipelines.items())

    def find(self, text: str) -> Iterator[tuple[Entity, Span, str, float]]:
        """Entity, span, extractor and probability of what the pipeline of the text's language finds; else nothing."""
        if not self._pipelines or not text.strip():
            return
        text = _SURROGATES.sub("\ufffd", text)
        language = self._identifier.classify(text)[0]
        if language not in self._pipelines:
            return
        for first, piece in _pieces(text):
            for found in self._load(language)(piece).ents:
                entity = _entity(found.text, *_KINDS.get(found.label_, (None, 0.0)))
                if entity is not None:
                    span = (first + found.start_char, first + found.end_char)
                    yield entity, span, self._pipelines[language].version, _KINDS[found.label_][1]

    def _load(self, language: str) -> Any:
        import spacy

        if language not in self._loaded:
            self._loaded[language] = spacy.load(self._pipelines[language].where)
        return self._loaded[language]

    @cached_property
    def _identifier(self) -> Any:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        return LanguageIdentifier.from_model_file(MODEL_FILE)


def open_pipelines(models: Mapping[str, str]) -> Pipelines:
    """The installed pipelines, by language.

    Args:
        models: name of an installed package or path of a folder, by language.

    Raises:
        SettingsError: one is not installed.
    """
    return Pipelines({language: _installed(where) for language, where in models.items()})


def _installed(where: str) -> _Pipeline:
    """A pipeline by what its folder tells: to ask spaCy, or to import a package, takes seconds."""
    package = find_spec(where) if where.isidentifier() else None
    folder = Path(package.origin).parent if package and package.origin else Path(where)
    try:
        meta = _Meta.model_validate_json((folder / "meta.json").read_bytes())
    except (OSError, ValidationError):
        raise SettingsError(
            f"SYNC_ASSETS_SPACY_MODELS names the spaCy pipeline {where!r}, which is not installed.",
            f"Install it with `python -m spacy download {where}`, or remove it from the setting.",
        ) from None
    return _Pipeline(where, f"{meta.lang}_{meta.name}/{meta.version}")


def _entity(written: str, kind: NodeKind | None, _: float) -> Entity | None:
    """The node of a name that no record tells: it has no name of its own, so no other text is searched for it."""
    key = normalised(written)
    if kind is None or len(key) < 3 or (kind is NodeKind.PERSON and " " not in key):
        return None
    return Entity(kind=kind, key=key)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """A text in pieces that end at line breaks where they can, each with where it begins."""
    first = 0
    while first < len(text):
        last = min(first + _LONGEST, len(text))
        if last < len(text):
            last = max(text.rfind("\n", first, last) + 1, 0) or last
        yield first, text[first:last]
        first = last
