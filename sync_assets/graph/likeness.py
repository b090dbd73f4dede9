"""Whether two entities may be the same, and how sure that is, by what their records tell.

What belongs here: the facts that tell entities apart, in a form in which they can be compared. What does not: names
(`naming.py`), and what follows from many likenesses together (`resolution.py`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from sync_assets.graph.naming import (
    Fitting,
    PersonName,
    fit_persons,
    fit_things,
    folded,
    may_be_one,
    person_names,
    thing_names,
    word_set,
)
from sync_assets.relations import Entity, NodeKind

# A host is no such kind: its key is its name already, and a short name may be a machine of any domain.
RESOLVED_KINDS = frozenset(
    {NodeKind.PERSON, NodeKind.ORGANISATION, NodeKind.DEPARTMENT, NodeKind.PRODUCT, NodeKind.LOCATION}
)

_EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")
_PHONE = re.compile(r"[+(\d][\d\s().\-/]{6,}")
# The last digits are the same with and without the codes of country and region; fewer are an extension.
_PHONE_DIGITS = 8
# Domains that say nothing of who somebody works for.
_PUBLIC_DOMAINS = word_set(
    "aol.com gmail.com gmx.de gmx.net googlemail.com hetnet.nl hotmail.com hotmail.nl icloud.com kpnmail.nl live.com "
    "live.nl mail.com me.com msn.com outlook.com proton.me protonmail.com web.de xs4all.nl yahoo.com ziggo.nl"
)
# Addresses that several people share by their nature.
_SHARED_MAILBOXES = word_set(
    "admin administratie balie contact facilities finance frontdesk helpdesk hr ict info inkoop it mail noreply office "
    "planning postmaster receptie reception sales secretariaat service servicedesk support team verkoop"
)
# Words of names that stand for anybody.
_NOBODY = word_set("anonymous bot deleted former guest member onbekend support system team unknown user verwijderd")


class Link(NamedTuple):
    """That two entities are probably the same.

    Attributes:
        score: 0..1.
        reason: for people; tells which facts agree, not what they are, for not everybody may see them.
    """

    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What an entity is told by, brought into one form.

    Attributes:
        platform: that numbers it; empty for what is known by its name. Two numbers of one are seldom the same person.
        persons: forms of the name of a person.
        things, aliases: forms of the name of what is no person, and of what it is called beside.
        emails, phones: each tells who or which it is, but for what is shared.
        domains: where the addresses are from.
        department: folded; empty where unknown.
        weight: how much is known of it.
    """

    node_id: str
    kind: NodeKind
    platform: str
    persons: tuple[PersonName, ...]
    things: tuple[tuple[str, ...], ...]
    aliases: tuple[tuple[str, ...], ...]
    emails: frozenset[str]
    phones: frozenset[str]
    domains: frozenset[str]
    department: str
    weight: int


def profile_of(entity: Entity) -> Profile:
    """What is compared of an entity."""
    facts, kind = entity.facts, entity.kind
    name = entity.name or ("" if "/" in entity.key else entity.key)
    addresses = (name, *entity.aliases, facts.get("email", ""))
    emails = frozenset(_untagged(one) for text in addresses for one in _EMAIL.findall(text.casefold()))
    return Profile(
        node_id=entity.node_id,
        kind=kind,
        platform=entity.key.rpartition("/")[0],
        persons=person_names(name) if kind is NodeKind.PERSON and "@" not in name else (),
        things=_forms(kind, [name]),
        aliases=_forms(kind, entity.aliases),
        emails=emails,
        phones=frozenset(_phones(facts.get("phone", ""))),
        domains=frozenset(email.partition("@")[2] for email in emails) - _PUBLIC_DOMAINS,
        department=folded(facts.get("department", "")),
        weight=len(facts),
    )


def keys_of(profile: Profile) -> Iterator[tuple[str, ...]]:
    """What two entities must have one of in common to be compared at all."""
    kind = profile.kind.value
    if profile.kind not in RESOLVED_KINDS:
        return
    for label, values in (("email", profile.emails), ("phone", profile.phones)):
        for value in values:
            yield kind, label, value
    if profile.kind is NodeKind.PERSON:
        yield from _keys_of_person(profile)
    else:
        yield from ((kind, "name", "".join(words)) for words in profile.things + profile.aliases)


def clash(one: Profile, other: Profile) -> bool:
    """Whether something forbids that two entities are the same, however alike they are."""
    if one.kind is not other.kind:
        return False
    return _persons_clash(one, other) if one.kind is NodeKind.PERSON else _things_clash(one, other)


def link(one: Profile, other: Profile) -> Link | None:
    """How sure it is that two entities of a kind are the same; None where nothing says so, or something forbids it."""
    if clash(one, other):
        return None
    return _link_persons(one, other) if one.kind is NodeKind.PERSON else _link_things(one, other)


def _keys_of_person(profile: Profile) -> Iterator[tuple[str, ...]]:
    """The whole name; and where the department is known, each word with the first letter of another."""
    for name in profile.persons:
        if len(name.words) > 1:
            yield "person", "name", *name.words
        if profile.department:
            for word, another in permutations(name.words[:4], 2):
                if len(word) > 1:
                    yield "person", "near", word, another[0], profile.department


def _persons_clash(one: Profile, other: Profile) -> bool:
    has_same_email = bool(one.emails & other.emails)
    has_same_phone = bool(one.phones & other.phones)
    if _both_differ(one.emails, other.emails) and (one.domains & other.domains or not has_same_phone):
        return True
    if not has_same_email and _both_differ(one.phones, other.phones) and _differ(one.department, other.department):
        return True
    if not (one.persons and other.persons) or any(may_be_one(a, b) for a in one.persons for b in other.persons):
        return False
    return not _is_renamed(one, other)


def _is_renamed(one: Profile, other: Profile) -> bool:
    """Whether two different names may be one person's, who married or goes by another first name."""
    own = {email for email in one.emails & other.emails if email.partition("@")[0] not in _SHARED_MAILBOXES}
    words = ({word for name in each.persons for word in name.words if len(word) > 1} for each in (one, other))
    return bool(own) and not set.isdisjoint(*words)


def _things_clash(one: Profile, other: Profile) -> bool:
    """Other than with persons, different names forbid nothing: one may be an abbreviation that a third one tells of."""
    return bool(set(one.aliases) & set(other.aliases)) and _fit_things(one, other) is None


def _link_persons(one: Profile, other: Profile) -> Link | None:
    if one.emails & other.emails:
        return Link(1.0, "same e-mail address")
    fitting = fit_persons(one.persons, other.persons)
    if fitting is None:
        return None
    if one.phones & other.phones:
        return _because(fitting, "phone number")
    if one.department and one.department == other.department:
        return _because(fitting, "department")
    if fitting.fit == "same" and one.platform != other.platform and any(map(_is_telling, one.persons)):
        return Link(0.85, "same name, and nothing against it")
    return None


def _is_telling(name: PersonName) -> bool:
    """Whether few people have a name: it has first and family name, and is not `Deleted User`."""
    return len(name.words) > 1 and len(name.words[0]) > 1 and _NOBODY.isdisjoint(name.words)


def _link_things(one: Profile, other: Profile) -> Link | None:
    fitting = _fit_things(one, other)
    if fitting is None or fitting.fit == "part":
        return None
    if one.phones & other.phones:
        return _because(fitting, "phone number")
    return Link(0.9, "same name") if fitting.fit == "same" else None


def _fit_things(one: Profile, other: Profile) -> Fitting | None:
    """A name and an alias may fit, but two aliases say little: several things are called `Windows`."""
    by_name = fit_things(one.things, other.things + other.aliases)
    by_alias = fit_things(one.aliases, other.things)
    return max((fitting for fitting in (by_name, by_alias) if fitting), key=lambda one: one[::-1], default=None)


def _because(fitting: Fitting, shared: str) -> Link:
    words = {
        "same": "same name",
        "initials": "same initials and family name",
        "alike": f"names alike ({fitting.likeness:.2f})",
        "part": "one name is part of the other",
    }
    return Link(round(0.95 * fitting.likeness, 2), f"{words[fitting.fit]}, same {shared}")


def _both_differ(ones: frozenset[str], others: frozenset[str]) -> bool:
    return bool(ones and others) and ones.isdisjoint(others)


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _forms(kind: NodeKind, names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """What things are called, without what they are reached by."""
    if kind is NodeKind.PERSON or kind not in RESOLVED_KINDS:
        return ()
    called = (name for name in names if "@" not in name and "://" not in name)
    return tuple(dict.fromkeys(form for name in called for form in thing_names(kind, name)))


def _untagged(email: str) -> str:
    """`piet+test@example.com` is Piet's mailbox."""
    local, _, domain = email.partition("@")
    return f"{local.partition('+')[0] or local}@{domain.rstrip('.')}"


def _phones(text: str) -> list[str]:
    numbers = ("".join(filter(str.isdigit, one)) for one in _PHONE.findall(text))
    return [number[-_PHONE_DIGITS:] for number in numbers if len(number) >= _PHONE_DIGITS]
