"""Where a text names one of a tenant's nodes: names matched by spaCy's EntityRuler, at word boundaries, longest first.

What belongs here: finding names, and the care that ordinary words are not taken for them. What does not: which names
there are (`gazetteer.py`), and what a mention means (`mentions.py`).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from sync_assets.graph.evidence import Name
from sync_assets.graph.gazetteer import normalised, word_set
from sync_assets.graph.spans import Span, Spans
from sync_assets.relations import NodeKind


class Match(NamedTuple):
    """A place in a text where a name stands."""

    start: int
    end: int
    name: Name

    @property
    def span(self) -> Span:
        return self.start, self.end


# spaCy stores strings as UTF-8, which has no lone surrogates; as long as what stands for them is one character.
_SURROGATES = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")
_NO_WORD = " "
_WORD = re.compile(r"[^\W_]+")

# What stands inside of these is a part of them.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+]{1,9}://[^\s<>\"'`|{}]+")
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_FILE_ENDING = re.compile(
    r"(?<=\w)\.(?i:exe|dll|sys|msi|bat|cmd|ps1|sh|py|js|ts|java|jar|log|txt|csv|json|ya?ml|xml|ini|conf|cfg|pdf|docx?|xlsx?"
    r"|pptx?|odt|ods|zip|gz|tar|7z|rar|png|jpe?g|gif|svg|html?|php|md|eml|msg|pst|ost|iso|img|vbs|reg|apk|deb|rpm|whl|dmg"
    r"|mp4|mp3|bak|tmp|sql|dat)\b"
)
_FILE_STEM = re.compile(r"[\w.-]+$")
_LONGEST_STEM = 60
_TRAILING = ".,;:!?)]*_"

_PARTICLES = word_set(
    "aan al bin da de dei del den der di do dos du el en i ibn in la las le los of op 't t te ten ter tot und v "
    "van vom von y zu zum zur"
)
# A department at the beginning of a sentence is a word where one of these follows: `Inkoop van stoelen`.
_OF = re.compile(r"\s+(?:van|voor|of|for|at|op|in|with|met)\b")
_SENTENCE_START = re.compile(r"(?:^|[.!?:\n])[\s\"'(*>\-]*$")

# Second halves of Dutch compounds that begin with a name: `Outlookprobleem`.
_COMPOUND = re.compile(
    r"\b([A-ZÀ-Þ][^\W_]{2,}?)(?:account|agenda|app|applicatie|client|fout|gebruiker|koppeling|licentie|link|login|melding"
    r"|omgeving|probleem|server|sessie|storing|update|versie|vergadering)(?:s|en|n|es)?\b"
)
# A ticket's number without its sign, and numbers of other things with one.
_NUMBERED = re.compile(
    r"\b(?:ticket|case|issue|incident|request|melding|zaak|verzoek|storing)(?:s|nummer|number)?:?\s+(?:nr\.?\s*|no\.?\s*|nummer\s+|number\s+)?"
    r"(\d+)(?![\w.,:/-]*\d)(?!\w)",
    re.IGNORECASE,
)
_OTHER_NUMBER = re.compile(
    r"\b(?:orders?|order\w*|bestelling(?:en)?|bestelnummer|factuur|facturen|invoices?|page|pagina|pakket|pakje|package|parcel"
    r"|zending|shipment|quote|offerte|kamer|room|item|step|stap|punt|figure|figuur|po|rma|claim|batch|lot)\s*"
    r"(?:nr\.?|no\.?|nummer|number)?\s*:?\s*$",
    re.IGNORECASE,
)
_BEHIND_NOTHING = frozenset(" \t\n\r\xa0([{\"'`,;:>*_|")


def wholes(text: str) -> Spans:
    """URLs, e-mail addresses and file names, without the punctuation that ends a sentence."""
    found = Spans()
    for pattern, sign in ((_URL, "://"), (_ADDRESS, "@")):
        for match in pattern.finditer(text) if sign in text else ():
            found.take((match.start(), match.start() + len(match[0].rstrip(_TRAILING))))
    for ending in _FILE_ENDING.finditer(text):
        stem = _FILE_STEM.search(text, max(0, ending.start() - _LONGEST_STEM), ending.start())
        found.take((stem.start() if stem else ending.start(), ending.end()))
    return found


class NameMatcher:
    """Finds names in texts; made once for a list of names, which takes a moment."""

    def __init__(self, names: Sequence[Name]) -> None:
        self._names = {(name.scope, name.phrase): name for name in names}
        self._scopes = {name.scope for name in names if name.scope}
        self._phrases = {_SURROGATES.sub("\ufffd", name.phrase) for name in names}

    def find(self, text: str, scope: str, whole: Spans) -> list[Match]:
        """The names in a text, in order and without overlaps: the longest counts.

        Args:
            scope: of the document's entity.
            whole: from `wholes`.
        """
        if not self._names:
            return []
        text = _SURROGATES.sub("\ufffd", text)
        found = [*self._ruled(text, scope), *self._compounds(text), *self._numbers(text, scope)]
        apart = [match for match in found if not any(_is_part(match, one) for one in whole.overlapping(match.span))]
        taken = Spans()
        longest_first = sorted(apart, key=lambda match: (match.start - match.end, match.start))
        return sorted((match for match in longest_first if taken.take(match.span)), key=lambda match: match.start)

    @cached_property
    def _ruler(self) -> Any:
        """The EntityRuler, which cuts names into tokens as texts are, with the names that may stand in texts so far.

        It takes seconds to learn the names of a large tenant, of which few stand in the texts of one sync.
        """
        import spacy
        from spacy.attrs import LOWER
        from spacy.tokens import Doc

        pipeline: Any = spacy.blank("xx")
        # Names are matched by nothing else, and the others take most of the time.
        pipeline.vocab.lex_attr_getters = {LOWER: str.lower}
        pipeline.tokenizer = lambda text: Doc(pipeline.vocab, words=_TOKEN.findall(text))
        return pipeline.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})

    @cached_property
    def _words(self) -> Counter[str]:
        """How often each word stands in phrases."""
        return Counter(word for phrase in self._phrases for word in _TOKEN.findall(phrase))

    @cached_property
    def _unlearned(self) -> dict[str, list[str]]:
        """Phrases that the ruler does not know yet, by their rarest word."""
        phrases: defaultdict[str, list[str]] = defaultdict(list)
        for phrase in sorted(self._phrases):
            if words := _TOKEN.findall(phrase):
                phrases[min(words, key=self._words.__getitem__)].append(phrase)
        return dict(phrases)

    def _learn(self, words: Collection[str]) -> None:
        """Teach the ruler the phrases that may stand in a text of these words."""
        phrases = [phrase for word in words for phrase in self._unlearned.pop(word, ())]
        if phrases:
            self._ruler.add_patterns([{"label": "NAME", "pattern": phrase} for phrase in phrases])

    def _ruled(self, text: str, scope: str) -> Iterator[Match]:
        from spacy.tokens import Doc

        # Words of no name are all the same, so that spaCy need not remember every word that it ever sees.
        words = [word if word in self._words else _NO_WORD for word in map(str.lower, _TOKEN.findall(text))]
        self._learn(words)
        # It warns of having no names yet.
        places = self._ruler.match(Doc(self._ruler.nlp.vocab, words=words)) if len(self._ruler) else []
        spans = [token.span() for token in _TOKEN.finditer(text)] if places else []
        for _, first, last in places:
            start, end = spans[first][0], spans[last - 1][1]
            name = self._named(text[start:end], scope)
            if name is not None and _stands_alone(text, start, end) and _is_written_as_name(text, start, end, name):
                yield Match(start, end, name)

    def _named(self, written: str, scope: str) -> Name | None:
        phrase = normalised(written)
        return self._names.get((scope, phrase)) or self._names.get(("", phrase))

    def _compounds(self, text: str) -> Iterator[Match]:
        for compound in _COMPOUND.finditer(text):
            name = self._named(compound[1], "")
            if name is not None:
                yield Match(*compound.span(1), name)

    def _numbers(self, text: str, scope: str) -> Iterator[Match]:
        if scope not in self._scopes:
            return
        for number in _NUMBERED.finditer(text):
            name = self._names.get((scope, f"#{number[1]}"))
            if name is not None:
                yield Match(*number.span(1), name)


def _is_part(match: Match, whole: Span) -> bool:
    """Whether a match is only a part of a URL, address or file name that it overlaps. URLs may go on after names."""
    start, end = whole
    return not (match.start <= start and (match.end >= end or "://" in match.name.phrase))


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no word, domain, path of a namespace or number goes on before or after."""
    before, further = text[start - 1 : start], text[start - 2 : start - 1] if start > 1 else ""
    if text[start] in "#!":
        if before and before not in _BEHIND_NOTHING:
            return False
        if _OTHER_NUMBER.search(text, max(0, start - 30), start):
            return False
    elif before in ("_", "@", "#") or (before in ("-", ".") and further.isalnum()):
        return False
    after, beyond = text[end : end + 1], text[end + 1 : end + 2]
    if after in ("_", "@") or (after == "." and beyond.isalnum()):
        return False
    return not (after == "-" and (beyond.isdigit() or beyond.isupper()))


def _is_written_as_name(text: str, start: int, end: int, name: Name) -> bool:
    """Whether capitals or digits tell a name from the ordinary words that it is made of."""
    written = text[start:end]
    if not written[0].isalnum() or any(sign in written for sign in "@/"):
        return True
    kinds = {node.kind for node in name.nodes}
    if NodeKind.PERSON in kinds:
        return all(word[0].isupper() or word.lower() in _PARTICLES for word in _WORD.findall(written))
    if any(map(str.isdigit, written)):
        return True
    if len(written) < 4:  # an abbreviation
        return written.isupper()
    starts = _SENTENCE_START.search(text, max(0, start - 10), start) is not None
    if " " in name.phrase:
        return any(map(str.isupper, written[1:])) or (written[0].isupper() and not starts)
    if starts and kinds <= {NodeKind.DEPARTMENT, NodeKind.ORGANISATION} and _OF.match(text, end):
        return written.isupper()
    return any(map(str.isupper, written))
