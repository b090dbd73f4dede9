"""What it means that a text names a node: which edge it gives, and how surely.

What belongs here: the words around a mention, in English and Dutch, that tell duplicates, fixes, solutions and things
that are not concerned. What does not: finding mentions (`matching.py`, `rules.py`).
"""

import re
from typing import NamedTuple

from sync_assets.relations import EdgeKind, NodeKind


class Mention(NamedTuple):
    """A node named in a text.

    Attributes:
        document: kind of the entity that the document is.
        is_final: a resolved ticket's resolution or last comment.
        before, after: what stands around it in the same sentence.
        is_link: it was found as the host of a URL.
    """

    kind: NodeKind
    document: NodeKind
    role: str
    is_final: bool
    before: str
    after: str
    is_link: bool = False


class Meaning(NamedTuple):
    """An edge that a mention gives.

    Attributes:
        is_reversed: it begins at the node named and ends at the document's entity.
    """

    edge: EdgeKind
    probability: float
    is_reversed: bool = False


_THINGS = frozenset({NodeKind.PRODUCT, NodeKind.CONFIGURATION_ITEM, NodeKind.HOST})
_CHANGES = frozenset({NodeKind.MERGE_REQUEST, NodeKind.COMMIT})
_AFFECTED_IN_HEADER, _AFFECTED, _MENTIONED = 0.7, 0.5, 0.9
_DUPLICATE, _FIXED, _FIXED_BY, _DOCUMENTED, _RESOLVED = 0.9, 0.95, 0.8, 0.9, 0.9

_CONTEXT = 90
_SENTENCE_END = re.compile(r"[.!?;](?=\s)|\n\s*\n|\n(?=\S+:\s)")

_NEGATED = re.compile(r"(?:\b(?:not?|never|cannot|nor|without|geen|niet|nooit|noch)|n['’]t)\b", re.IGNORECASE)

# What stands between a cue and the reference: `ticket`, a sign, other references of a list.
_REFERENCE = r"(?:(?:the|a|of|de|het|een|issue|ticket|bug|case|melding|incident|story)s?\s+|nr\.?\s*|[:(\"'\[]\s*)*"
_OTHERS = r"(?:\S*[#!/-]\w+[),]*\s+(?:(?:and|en|&)\s+)?)*(?:\S*\w,)?"

_DUPLICATE_BEFORE = re.compile(
    r"\b(?:duplicate\s+(?:of|van)|dup(?:e|licates?)?\s*:?\s+(?:of)?|the\s+same\s+as|same\s+as|identical\s+to|dubbel(?:e|ing)?\s+"
    r"(?:van|met|aan)|duplicaat\s+van|(?:het|de)?zelfde\s+(?:\w+\s+)?als|gelijk\s+aan|identiek\s+aan"
    r"|doublure\s+van|merged\s+(?:in)?to|samengevoegd\s+met)\s*" + _REFERENCE + _OTHERS + r"$",
    re.IGNORECASE,
)
_OF_IT = re.compile(
    r"^[^.;]{0,25}?\bis\s+(?:a\s+|een\s+)?(?:duplicate|dubbel\w*|duplicaat)\s+(?:of\s+(?:that|it)\b|(?:hier|daar)van\b)",
    re.IGNORECASE,
)
_OF_THIS = re.compile(
    r"^\W{0,3}is\s+(?:a\s+|een\s+)?(?:duplicate|dubbel\w*|duplicaat)\s+(?:of|van)\s+(?:this|deze|dit)\b", re.IGNORECASE
)
_LIKE = re.compile(r"\b(?:thing|approach|way|idea|error|problem|aanpak|manier|idee|fout|probleem)\s+(?:as|als|in)\b",
                   re.IGNORECASE)  # fmt: skip

_FIXES = re.compile(
    r"\b(?:fix(?:e[sd]|ing)?|clos(?:e[sd]?|ing)|resolv(?:e[sd]?|ing)|implement(?:s|ed)?|lost|sluit|verhelpt|verholpen|fixt"
    r"|repareert|oplossing\s+voor|fix\s+(?:for|voor))\b\s*:?\s*" + _REFERENCE + _OTHERS + r"$",
    re.IGNORECASE,
)

_NOT_AFTER = re.compile(r"\s*(?:\w+\s+)?niet\b", re.IGNORECASE)
_SOLVED_BY = re.compile(
    r"\b(?:(?:solved|fixed|resolved|done|solution|same\s+(?:fix|solution|way)|works?|helped|described|opgelost|verholpen"
    r"|hersteld|gefixt|gerepareerd|oplossing|gedaan|beschreven)\b(?:\s+\w+){0,3}?\s+(?:as|in|by|with|via|from|per|like|using"
    r"|following|zoals|als|met|door|volgens|uit|conform)|(?:as|zoals)\s+(?:described\s+|beschreven\s+)?(?:in|bij|for|with)"
    r"|workaround\s+(?:from|of|in|uit|van)|solution\s+(?:of|from|in|see)|oplossing\s+(?:van|uit|in|zie))\s+"
    + _REFERENCE
    + r"(?:in\s+|bij\s+)?"
    + _REFERENCE
    + r"$",
    re.IGNORECASE,
)
_NO_SOLUTION = re.compile(
    r"\b(?:cause\s+(?:in|is|was)?|caused\s+by|oorzaak|veroorzaakt\s+door|reverted|see\s+also|zie\s+ook|related\s+to"
    r"|part\s+of|hoort\s+bij|similar\s+to|lijkt\s+op|vgl\.?|cf\.?)\s+" + _REFERENCE + r"$",
    re.IGNORECASE,
)
_USELESS = re.compile(
    r"^[^.;]{0,30}?(?:\b(?:did|does|do|has|have|is|was)\s*(?:not|n't|n’t)\b|n't\b|\bno\s+(?:help|luck|use)\b|\bwithout\b"
    r"|\b(?:hielp|helpt|helpen|werkt|werkte|lukt|lukte|loste|is|was)\s+(?:\w+\s+)?(?:niet|niets|geen)\b|\bzonder\b)",
    re.IGNORECASE,
)
_REPLACED_BY = re.compile(
    r"\b(?:replaced\s+(?:[^\s.]+\s+){0,4}?(?:by|with)|swapped\s+(?:for|with)|exchanged\s+for|moved\s+(?:over\s+)?(?:on)?to|migrated\s+to"
    r"|switched\s+(?:over\s+)?to|vervangen\s+door|omgezet\s+naar|overgezet\s+naar|omgeruild\s+(?:voor|tegen)"
    r"|gewisseld\s+(?:voor|met)|verhuisd\s+naar|overgestapt\s+op)\s+(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)

# That the thing named is well, with at most a few words between; not where another clause begins.
_WELL = (
    r"works?\s+(?:fine|well|normally|ok|okay|perfectly|as\s+usual)|(?:is|are)\s+(?:\w+\s+)?(?:fine|ok|okay|working|unaffected)"
    r"|(?:is|are|was|were)\s+(?:not|never)\s+(?:affected|like|the\s+(?:problem|cause)|involved|needed)|isn't\s+affected"
    r"|ha(?:s|ve)\s+no\s+(?:trouble|problems?|issues?)"
    r"|werk(?:t|en)\s+(?:wel|gewoon|goed|prima)|doe(?:t|n)\s+het\s+(?:wel|gewoon|goed|prima)"
    r"|(?:heeft|hebben)\s+(?:er\s+)?(?:geen|nergens)\s+(?:last|problemen?|storing)|(?:is|was|zijn)\s+niet\s+nodig"
    r"|(?:is|zijn)\s+(?:prima|in\s+orde|verder\s+in\s+orde|ok|oké)"
)
_CLAUSE = r"(?:\b(?!but\b|maar\b|while\b|terwijl\b|though\b|because\b|omdat\b|so\b|dus\b)\w+\b|'s)"
_IS_WELL = re.compile(rf"^\W{{0,4}}(?:{_CLAUSE}[ ()'\"]{{1,4}}){{0,5}}?(?:{_WELL})\b", re.IGNORECASE)
_IS_SENDER = re.compile(
    r"\b(?:sent\s+(?:from|with|by|via|using)|verstuurd\s+(?:vanaf|vanuit|met|via|door)|verzonden\s+(?:vanaf|vanuit|met|via|door)"
    r"|received:?\s+from|automat\w+\s+(?:message|mail|e-mail|bericht|melding)\s+(?:from|by|van)|get|download)\s+"
    r"(?:my\s+|mijn\s+|the\s+|de\s+)?(?:\S+\s+\(\[?)?$",
    re.IGNORECASE,
)


def around(text: str, start: int, end: int) -> tuple[str, str]:
    """What stands before and after a span in the same sentence, as far as it matters."""
    before = text[max(0, start - _CONTEXT) : start]
    ends = [match.end() for match in _SENTENCE_END.finditer(before)]
    after = text[end : end + _CONTEXT]
    stop = _SENTENCE_END.search(after)
    return before[ends[-1] if ends else 0 :], after[: stop.start()] if stop else after


def meanings(mention: Mention) -> list[Meaning]:
    """The edges that a mention gives, between the document's entity and the node named; at least one."""
    if mention.document is NodeKind.TICKET:
        found = _in_ticket(mention)
    elif mention.document in _CHANGES and mention.kind is NodeKind.TICKET and _is_fixed(mention):
        found = [Meaning(EdgeKind.FIXES, _FIXED), Meaning(EdgeKind.RESOLVED_BY, _FIXED_BY, is_reversed=True)]
    else:
        found = []
    return found or [Meaning(EdgeKind.MENTIONS, _MENTIONED)]


def _in_ticket(mention: Mention) -> list[Meaning]:
    if mention.kind in _THINGS:
        return _of_thing(mention)
    if mention.kind is NodeKind.ARTICLE:
        resolves = mention.is_final and not _is_denied(mention)
        documented = Meaning(EdgeKind.DOCUMENTED_IN, _DOCUMENTED)
        return [documented, Meaning(EdgeKind.RESOLVED_BY, _RESOLVED)] if resolves else [documented]
    if mention.kind in _CHANGES:
        resolves = mention.is_final and not _is_denied(mention) and not _NO_SOLUTION.search(mention.before)
        return [Meaning(EdgeKind.RESOLVED_BY, _RESOLVED)] if resolves else []
    if mention.kind is NodeKind.TICKET:
        return _of_ticket(mention)
    return []


def _of_ticket(mention: Mention) -> list[Meaning]:
    if _is_said(_DUPLICATE_BEFORE, mention.before) and not _LIKE.search(mention.before):
        return [Meaning(EdgeKind.DUPLICATE_OF, _DUPLICATE)]
    if _OF_IT.search(mention.after):
        return [Meaning(EdgeKind.DUPLICATE_OF, _DUPLICATE)]
    if _OF_THIS.search(mention.after):
        return [Meaning(EdgeKind.DUPLICATE_OF, _DUPLICATE, is_reversed=True)]
    if mention.is_final and _is_said(_SOLVED_BY, mention.before) and not _is_denied(mention):
        return [Meaning(EdgeKind.RESOLVED_BY, _RESOLVED)]
    return []


def _of_thing(mention: Mention) -> list[Meaning]:
    """Tickets are about the things that they name, unless they say otherwise."""
    if mention.is_link or _IS_WELL.search(mention.after) or _IS_SENDER.search(mention.before):
        return []
    if mention.kind is NodeKind.CONFIGURATION_ITEM and mention.is_final and _is_said(_REPLACED_BY, mention.before):
        return [Meaning(EdgeKind.RESOLVED_BY, _RESOLVED)]
    return [Meaning(EdgeKind.AFFECTS, _AFFECTED_IN_HEADER if mention.role == "header" else _AFFECTED)]


def _is_fixed(mention: Mention) -> bool:
    return _is_said(_FIXES, mention.before) and not _NOT_AFTER.match(mention.after)


def _is_said(cue: re.Pattern[str], before: str) -> bool:
    """Whether a cue stands right before the mention, and no word shortly before it denies it."""
    found = cue.search(before)
    return found is not None and not _NEGATED.search(before, max(0, found.start() - 20), found.start())


def _is_denied(mention: Mention) -> bool:
    return bool(_USELESS.search(mention.after) or _NEGATED.search(mention.before[-20:]))
