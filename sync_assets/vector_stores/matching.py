"""Who may see a chunk and which filters it meets: one rule for every store, as lists of plain keywords.

What belongs here: the two keyword lists that are stored with each point, and the keywords that a search asks for. A
store then needs no rule of its own: a point is found when it has *all* facets and *any* of the readers asked for.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from sync_assets.documents import Visibility
from sync_assets.hashing import text_hash
from sync_assets.vector_stores import Audience, Point

_MAX_KEYWORD_BYTES = 256


def facets(point: Point) -> list[str]:
    """What filters can ask of a point: `key=value` for its identity and for each value in its metadata.

    Identity wins where metadata has a key of the same name.
    """
    identity = {name: getattr(point, name) for name in ("source", "stream", "document_id", "record_id", "role")}
    return wanted_facets({**point.metadata, **identity})


def wanted_facets(filters: Mapping[str, Any]) -> list[str]:
    """The facets that a point must have to meet all filters.

    Numbers and truth values are written as JSON, whole numbers without a fraction: 2, 2.0 and "2" are one value.

    >>> wanted_facets({"status": "open", "tags": ["vpn", "mail"], "priority_id": 2.0, "spam": False})
    ['priority_id=2', 'spam=false', 'status=open', 'tags=mail', 'tags=vpn']
    """
    found = set()
    for key, value in filters.items():
        name = key.replace("%", "%25").replace("=", "%3D")
        for item in value if isinstance(value, list | tuple | set | frozenset) else [value]:
            found.add(_keyword(f"{name}={_text(item)}"))
    return sorted(found)


def readers(point: Point) -> list[str]:
    """Who may see a point: everybody, everybody inside, or the principals that it names."""
    if point.visibility is Visibility.RESTRICTED:
        return sorted({_principal(name) for name in point.principals})
    return [point.visibility.value]


def wanted_readers(audience: Audience) -> list[str]:
    """The readers on whose behalf a search is made.

    >>> wanted_readers(Audience(visibility=Visibility.INTERNAL, principals=frozenset({"group:sre"})))
    ['public', 'internal', 'principal:group:sre']
    """
    inside = [Visibility.INTERNAL.value] if audience.visibility is Visibility.INTERNAL else []
    return [Visibility.PUBLIC.value, *inside, *sorted(_principal(name) for name in audience.principals)]


def _principal(name: str) -> str:
    return _keyword(f"principal:{name}")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _keyword(text: str) -> str:
    """`text`, or its hash where it is longer than an index takes."""
    return text if len(text.encode()) <= _MAX_KEYWORD_BYTES else f"#{text_hash(text)}"
