"""Names in a form in which they can be compared, and how well two of them fit.

What belongs here: what people write differently and mean alike: accents, initials, the order of a person's names, legal
forms of companies. What does not: addresses and numbers, and whether two entities are the same (`likeness.py`).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Literal, NamedTuple

from rapidfuzz.distance import JaroWinkler

from sync_assets.relations import NodeKind


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# How two names fit, from best to worst; None for not at all.
Fit = Literal["same", "initials", "alike", "part"]

# Letters that are no letter with an accent, and what is written where they are not at hand.
_PLAIN = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_ACCENT = re.compile("[\u0300-\u036f]")
_APOSTROPHE = re.compile("['’`´]")
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NOT_A_WORD = re.compile(r"[\W_]+")
_NUMBER_IN_WORD = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")

# `v.d. Berg`, `v Dijk`: in lower case they are no initials.
_SHORT_PARTICLE = re.compile(r"(?<!\S)v(?:\.? ?d\.?|/d|\.)? (?=\S)")
_PARTICLES = word_set(
    "al af av bin da das de dei del della den der di do dos du el het ibn in la le op t te ten ter van vd von zu"
)
_TITLES = word_set("bsc dhr dr drs herr frau ing ir mevr mr mrs ms msc mw phd prof")

_JOINING = word_set("and en et und")
_ARTICLES = word_set("de das der die het la le the")
_LEGAL = word_set(
    "ab ag aps as asa bv bvba co company cooperatie corp corporation cv gmbh inc incorporated kg kgaa lda limited llc "
    "llp lp ltd nv oy oyj plc pty sa sarl sas sl sp spa srl stichting ug vereniging vof vzw zoo"
)
# Words at either end that tell the sort of thing, not which one.
_SORTS = {
    NodeKind.ORGANISATION: _LEGAL | _ARTICLES,
    NodeKind.DEPARTMENT: word_set("abteilung afdeling department dept") | _ARTICLES,
    NodeKind.PRODUCT: word_set("app applicatie application software"),
    NodeKind.LOCATION: word_set("locatie location site standort vestiging") | _ARTICLES,
}

# Jaro-Winkler above which two words may be one word, mistyped; shorter words differ in too little.
_ALIKE, _SHORTEST_ALIKE = 0.92, 5


class PersonName(NamedTuple):
    """A person's name.

    Attributes:
        words: first names or initials, then family names, without particles.
        particles: first letters of `van den`, so that it equals `v.d.`.
    """

    words: tuple[str, ...]
    particles: str


class Fitting(NamedTuple):
    """How well two names fit.

    Attributes:
        likeness: 0..1.
    """

    fit: Fit
    likeness: float


def folded(text: str) -> str:
    """Text without what is often left out: upper case, accents, apostrophes and other marks; single spaces."""
    decomposed = unicodedata.normalize("NFKD", _APOSTROPHE.sub("", text).casefold().translate(_PLAIN))
    letters = unicodedata.normalize("NFC", _ACCENT.sub("", decomposed))
    return _NOT_A_WORD.sub(" ", letters).strip()


def person_names(written: str) -> tuple[PersonName, ...]:
    """The forms of a person's name: a second one where umlauts may be spelled out; none of what has no letters."""
    text = _BRACKETED.sub(" ", unicodedata.normalize("NFKC", written))
    if text.count(",") == 1:
        text = " ".join(reversed(text.split(",")))
    text = _SHORT_PARTICLE.sub("vd ", text)
    forms = (_person_name(form) for form in _spellings(text))
    return tuple(form for form in forms if form.words)


def thing_names(kind: NodeKind, written: str) -> tuple[tuple[str, ...], ...]:
    """The forms of the name of an organisation, department, product or location, as words and numbers."""
    forms = (_thing_name(kind, form) for form in _spellings(unicodedata.normalize("NFKC", written)))
    return tuple(form for form in forms if form)


def fit_persons(ones: Sequence[PersonName], others: Sequence[PersonName]) -> Fitting | None:
    """How well the best of two persons' names fit; None where none do."""
    return _best(_fit_person(one, other) for one, other in product(ones, others))


def fit_things(ones: Sequence[tuple[str, ...]], others: Sequence[tuple[str, ...]]) -> Fitting | None:
    """How well the best of two things' names fit; None where none do."""
    return _best(_fit_thing(one, other) for one, other in product(ones, others))


def may_be_one(one: PersonName, other: PersonName) -> bool:
    """Whether one name holds no more than the other, so that nothing in them tells two persons apart.

    >>> may_be_one(*person_names("Andrea"), *person_names("Andrea Bell"))
    True
    >>> may_be_one(*person_names("John Smith"), *person_names("Jane Smith"))
    False
    """
    left, right, _ = _unmatched(one, other)
    return not (left and right) and (one.particles == other.particles or min(len(one.words), len(other.words)) == 1)


def _spellings(text: str) -> list[str]:
    lower = text.casefold()
    return list(dict.fromkeys((lower, lower.translate(_SPELLED))))


def _person_name(text: str) -> PersonName:
    words = [word for word in folded(text).split() if word not in _TITLES]
    particles = [word for word in words[1:] if word in _PARTICLES]
    core = words[:1] + [word for word in words[1:] if word not in _PARTICLES]
    if core and core[0] in _PARTICLES and len(core) > 1:
        particles.insert(0, core.pop(0))
    return PersonName(tuple(core), "".join("vd" if word == "vd" else word[0] for word in particles))


def _thing_name(kind: NodeKind, text: str) -> tuple[str, ...]:
    words = _NUMBER_IN_WORD.sub(" ", folded(text)).split()
    if kind is NodeKind.ORGANISATION:
        words = [word for word in words if word not in _JOINING] or words
    words = _joined_letters(words)
    core = words
    while len(core) > 1 and core[-1] in _SORTS[kind]:
        core = core[:-1]
    while len(core) > 1 and core[0] in _SORTS[kind]:
        core = core[1:]
    return tuple(core)


def _joined_letters(words: Sequence[str]) -> list[str]:
    """`b v` as `bv`: single letters in a row are an abbreviation."""
    joined, was_letter = list[str](), False
    for word in words:
        is_letter = len(word) == 1 and word.isalpha()
        if is_letter and was_letter:
            joined[-1] += word
        else:
            joined.append(word)
        was_letter = is_letter
    return joined


def _fit_person(one: PersonName, other: PersonName) -> Fitting | None:
    if one.particles != other.particles:
        return None
    if one.words == other.words:
        return Fitting("same", 1.0)
    left, right, likeness = _unmatched(one, other)
    has_family_name = one.words[-1] == other.words[-1] and len(one.words[-1]) > 1
    shorter, longer = sorted((one.words, other.words), key=len)
    if (left and right) or len(shorter) < 2:
        return None
    if likeness < 1 or sorted(shorter) == sorted(longer):
        return Fitting("alike", min(likeness, 0.97)) if len(shorter) == len(longer) else None
    if set(shorter) <= set(longer) and sum(len(word) > 1 for word in shorter) >= 2:
        return Fitting("part", 0.95)
    return Fitting("initials", 0.95) if has_family_name else None


def _unmatched(one: PersonName, other: PersonName) -> tuple[list[str], list[str], float]:
    """Words that each name has for itself, and the likeness of the worst pair of words that may be one mistyped word.

    An initial matches what begins with it; at most one word may be mistyped.
    """
    left = [word for word in one.words if word not in other.words]
    right = [word for word in other.words if word not in one.words]
    for word in tuple(left):
        match = next((each for each in right if _is_initial(word, each)), None)
        if match is not None:
            left.remove(word)
            right.remove(match)
    likeness = 1.0
    if len(left) == len(right) == 1 and (alike := _mistyped(left[0], right[0])):
        left, right, likeness = [], [], alike
    return left, right, likeness


def _is_initial(one: str, other: str) -> bool:
    return (len(one) == 1 or len(other) == 1) and one[0] == other[0]


def _mistyped(one: str, other: str) -> float:
    """How alike two words are; 0 unless one may be the other, mistyped.

    A word that begins with the other is another one more often than not: Daniel and Daniela.
    """
    if min(len(one), len(other)) < _SHORTEST_ALIKE or one.startswith(other) or other.startswith(one):
        return 0.0
    likeness = JaroWinkler.similarity(one, other)
    return likeness if likeness >= _ALIKE else 0.0


def _fit_thing(one: tuple[str, ...], other: tuple[str, ...]) -> Fitting | None:
    """Numbers must be equal: Windows 10 and Windows 11 are two products."""
    if _numbers(one) != _numbers(other):
        return None
    if _compact(one) == _compact(other):
        return Fitting("same", 1.0)
    if set(one) <= set(other) or set(other) <= set(one):
        return Fitting("part", 0.9)
    likeness = _mistyped(" ".join(one), " ".join(other))
    return Fitting("alike", likeness) if likeness else None


def _numbers(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word[0].isdigit())


def _compact(words: tuple[str, ...]) -> str:
    """`share point 2019` as `sharepoint 2019`: numbers apart, for 1 11 is not 11 1."""
    return re.sub(r"(?<=[^\W\d]) (?=[^\W\d])", "", " ".join(words))


def _best(fittings: Iterable[Fitting | None]) -> Fitting | None:
    found = [one for one in fittings if one is not None]
    return max(found, key=lambda one: (one.likeness, one.fit), default=None)
