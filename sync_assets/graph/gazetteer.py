"""What texts may call the nodes of a tenant: the phrases that an entity gives, and the texts in which they may stand.

What belongs here: which names, aliases and numbers are worth looking for, and the quick search for texts that may
hold them. What does not: whether a place in a text is a mention (`matching.py`), and how names are kept
(`store_names.py`).
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Any

from sync_assets.graph.evidence import Name, NamedNode
from sync_assets.relations import Entity, NodeKind


def word_set(words: str) -> frozenset[str]:
    """Words with spaces between, as a set."""
    return frozenset(words.split())


# Kinds that texts call by their name; of the others only numbers, keys and addresses are looked for.
_NAMED = frozenset(
    {
        NodeKind.CONFIGURATION_ITEM,
        NodeKind.PRODUCT,
        NodeKind.PERSON,
        NodeKind.ORGANISATION,
        NodeKind.DEPARTMENT,
        NodeKind.LOCATION,
        NodeKind.PROJECT,
        NodeKind.CHANNEL,
    }
)
_NUMBERED = frozenset({NodeKind.TICKET, NodeKind.ARTICLE, NodeKind.MERGE_REQUEST, NodeKind.COMMIT})

_SHORT_FORM = re.compile(r"[#!]\d+")
_ABBREVIATION = re.compile(r"[A-Z][A-Z0-9&]{1,2}")
# Abbreviations that texts in capitals hold as words.
_WORDS = word_set("a an as at be by do er et ga go he if in is it me my no of om on op or so te to up us we")
# Shorter ones would be taken for words and numbers that stand side by side.
_BEFORE_NUMBER = re.compile(r"(?<=[^\W\d_]{2})[-\s]?(?=\d\d)")
_AND = re.compile(r"\s(?:&|and|en)\s", re.IGNORECASE)
_FEWEST_LETTERS, _LONGEST, _SHORTEST_SERIAL, _SHORTEST_COMMIT = 4, 200, 6, 7


def normalised(text: str) -> str:
    """Lower case with single spaces, as phrases are; a Greek sigma looks the same wherever it stands."""
    return " ".join(text.lower().replace("ς", "σ").split())


def phrases_of(entity: Entity) -> Iterator[tuple[str, str]]:
    """What texts may call an entity: (phrase, scope) pairs, each once.

    A scope is given to short forms alone (`#12`), which mean something only in texts of the same scope.
    """
    seen: set[tuple[str, str]] = set()
    for written in _forms(entity):
        phrase = normalised(written)
        scope = entity.scope if _SHORT_FORM.fullmatch(phrase) else ""
        if len(phrase) <= _LONGEST and (phrase, scope) not in seen:
            seen.add((phrase, scope))
            yield phrase, scope


def names_of(entities: Iterable[Entity]) -> list[Name]:
    """The names that entities give, by scope and phrase; one that several have belongs to all of them."""
    nodes: defaultdict[tuple[str, str], set[NamedNode]] = defaultdict(set)
    for entity in entities:
        for phrase, scope in phrases_of(entity):
            nodes[scope, phrase].add(NamedNode(entity.node_id, entity.kind))
    return [Name(phrase, scope, tuple(sorted(named))) for (scope, phrase), named in sorted(nodes.items())]


class NameSearch:
    """Tells quickly in which texts one of some names may stand: never misses one, and may be wrong where it says so.

    Args:
        names: at least those that came or went.
    """

    def __init__(self, names: Collection[Name]) -> None:
        self._names = names

    def may_hold(self, text: str, scope: str) -> bool:
        """Whether one of the names may stand in a text of a document that has this scope."""
        searched = normalised(text)
        for last, (length, scopes) in self._automaton.iter(searched):
            if ("" in scopes or scope in scopes) and _stands_alone(searched, last - length + 1, last + 1):
                return True
        return False

    @cached_property
    def _automaton(self) -> Any:
        import ahocorasick

        scopes: defaultdict[str, set[str]] = defaultdict(set)
        for name in self._names:
            # A number is also understood without its sign: `ticket 12`.
            phrase = name.phrase.removeprefix("#") if _SHORT_FORM.fullmatch(name.phrase) else name.phrase
            scopes[phrase].add(name.scope)
        automaton: Any = ahocorasick.Automaton()
        for phrase, found in scopes.items():
            automaton.add_word(phrase, (len(phrase), frozenset(found)))
        # Without words it can't search; this one has no scope.
        automaton.add_word("\0 ", (0, frozenset[str]()))
        automaton.make_automaton()
        return automaton


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no word goes on before the start, and no number after the end."""
    before, after = text[start - 1 : start], text[end : end + 1]
    goes_on_before = before.isalnum() and text[start].isalnum()
    return not goes_on_before and not (after.isdigit() and text[end - 1].isdigit())


def _forms(entity: Entity) -> Iterator[str]:
    """All that an entity is called, as written."""
    if entity.kind in _NUMBERED:
        yield from (alias for alias in entity.aliases if _is_number(alias, entity))
        yield from (url for url in [entity.facts.get("url", "")] if "://" in url)
    if entity.kind not in _NAMED:
        return
    called = [form for form in (entity.name, *entity.aliases) if form]
    if entity.kind is NodeKind.PERSON:
        for form in called:
            if _is_address(form):
                yield form
            else:
                yield from _forms_of_person(form)
                yield from _forms_of_person(_without_accents(form))
        return
    if entity.kind is NodeKind.CHANNEL:
        yield from filter(_is_name, (f"#{form.removeprefix('#')}" for form in called))
        return
    for form in filter(_is_name, called):
        yield from _spellings(form)
    serial = entity.facts.get("serial_number", "")
    if entity.kind is NodeKind.CONFIGURATION_ITEM and len(serial) >= _SHORTEST_SERIAL and _has_digit(serial):
        yield serial


def _is_number(alias: str, entity: Entity) -> bool:
    """Whether an alias is a number or key that can't be taken for anything else, or an address."""
    if _SHORT_FORM.fullmatch(alias):
        return bool(entity.scope)
    if entity.kind is NodeKind.COMMIT and alias.isalnum():
        return len(alias) >= _SHORTEST_COMMIT and _has_digit(alias) and not alias.isdigit()
    return _has_digit(alias) and not alias.isdigit() and len(alias) >= _FEWEST_LETTERS


def _is_name(form: str) -> bool:
    """Whether a name is told from the ordinary words of a text, as far as its own form shows."""
    if " " in form.strip():
        return sum(map(str.isalnum, form)) >= _FEWEST_LETTERS
    if _ABBREVIATION.fullmatch(form):
        return form.lower() not in _WORDS
    return len(form) >= _FEWEST_LETTERS and not (form.isalpha() and form.islower()) and not form.isdigit()


def _spellings(name: str) -> Iterator[str]:
    """A name as it is and as people also write it: `TC 52`, `TC-52` and `TC52`, `&` and `and`, without accents."""
    yield name
    yield from (_BEFORE_NUMBER.sub(sign, name) for sign in ("", "-", " "))
    yield from (_AND.sub(f" {word} ", name) for word in ("&", "and", "en"))
    yield _without_accents(name)


def _without_accents(name: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFD", name) if not unicodedata.combining(sign))


def _is_address(form: str) -> bool:
    return "@" in form and " " not in form


def _forms_of_person(name: str) -> Iterator[str]:
    """`Sanne de Wit`, `de Wit, Sanne`, `Wit, Sanne de` and `S. de Wit`; nothing for a single word."""
    if "," in name:
        surname, _, first = (part.strip() for part in name.partition(","))
        name = f"{first} {surname}"
    words = [word for word in name.split() if any(map(str.isalpha, word))]
    if len(words) < 2 or not any(len(word.strip(".")) > 1 for word in words[1:]):
        return
    first, *surname = words
    yield " ".join(words)
    yield f"{' '.join(surname)}, {first}"
    particles = [word for word in surname[:-1] if word.islower()]
    if particles:
        yield f"{' '.join(word for word in surname if word not in particles)}, {first} {' '.join(particles)}"
    yield f"{first[0]}. {' '.join(surname)}"


def _has_digit(form: str) -> bool:
    return any(map(str.isdigit, form))
