"""What tests of all sources' `<source>_graph.py` share: relations in a readable form, and payloads with odd fields."""

from collections.abc import Callable, Iterator
from typing import Any

from sync_assets.documents import Document

_ODD: tuple[Any, ...] = (None, True, -1, 1.5, "\ud83d\0 odd", [None], [[]], {"id": {}})


def edges(document: Document) -> list[tuple[str, ...]]:
    """(kind, target) of each relation of the record itself, (source, kind, target) of others; internal ones marked."""
    return [
        (
            *((relation.source.node_id,) if relation.source else ()),
            relation.kind.value,
            relation.target.node_id,
            *(("internal",) if relation.internal else ()),
        )
        for relation in document.relations
    ]


def check_odd_fields(payload: Any, plain: Callable[[Any], Document], whole: Callable[[Any], Document]) -> None:
    """Whatever one field of a payload is: a record that makes a document makes the same one with a graph.

    Args:
        plain: the document without what it tells of the graph.
        whole: the same as the source gives it.
    """
    readable = 0
    for odd in _odd_versions(payload):
        try:
            expected = plain(odd)
        except ValueError:
            continue
        document = whole(odd)
        assert document.model_copy(update={"entity": None, "relations": []}) == expected
        told = document.told
        assert told is None or told.model_dump_json()
        readable += 1
    assert readable > 0


def _odd_versions(payload: Any) -> Iterator[Any]:
    """The payload with each value in it, at any depth, left out or replaced in turn."""
    if isinstance(payload, dict):
        for key, value in payload.items():
            yield {name: other for name, other in payload.items() if name != key}
            for odd in (*_ODD, *_odd_versions(value)):
                yield {**payload, key: odd}
    elif isinstance(payload, list):
        for position, value in enumerate(payload):
            for odd in (*_ODD, *_odd_versions(value)):
                yield [*payload[:position], odd, *payload[position + 1 :]]
