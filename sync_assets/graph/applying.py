"""A batch of changed documents brought into the graph's store.

What belongs here: the order of the steps, so that a crash between any two is mended by the next run. What does not: how
evidence is found (`extraction.py`), and SQL (`store*.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from sync_assets.documents import Told, Version, Visibility, is_stale, next_floor
from sync_assets.graph.evidence import FIELDS, Evidence, Subject, Text
from sync_assets.graph.extraction import Extractor
from sync_assets.graph.gazetteer import NameSearch, phrases_of
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_documents import (
    DocumentRow,
    KnownDocument,
    known_documents,
    record_documents,
    replace_texts,
    scan_texts,
    subjects,
)
from sync_assets.graph.store_evidence import Touched, replace_evidence, replace_similarity
from sync_assets.graph.store_names import names_of, pending_names, settle_names, settled_names, update_names
from sync_assets.graph.store_nodes import nodes, refresh
from sync_assets.graph.store_state import delete_vectors
from sync_assets.graph.store_tenants import count_change, record_search, searched_with
from sync_assets.hashing import digest
from sync_assets.ledger import StreamRef
from sync_assets.relations import Relation

_FIELDS_EXTRACTOR = "fields/1"
_PAGE = 200
_NARROWNESS = [Visibility.PUBLIC, Visibility.INTERNAL, Visibility.RESTRICTED]


class Change(NamedTuple):
    """One document of a batch.

    Attributes:
        told: what its record tells of the graph; None for a document that was deleted, or is nothing in the graph.
        texts: in the order in which people read them.
    """

    document_id: str
    version: Version
    deleted: bool
    told: Told | None
    texts: tuple[Text, ...]

    @property
    def content(self) -> list[Any]:
        """All that the graph follows from, as JSON."""
        told = self.told.model_dump(mode="json") if self.told else None
        return [self.deleted, told, [list(text) for text in self.texts]]


def apply_changes(store: GraphStore, extractor: Extractor, ref: StreamRef, changes: Sequence[Change]) -> dict[str, str]:
    """Apply a page of changes in one transaction; what was done with each, by document id.

    That is one of added, changed, unchanged, deleted and stale. Texts that hold names which came or went with these
    changes are searched again by `settle`.

    Raises:
        GraphRefusal: the database takes no such rows; nothing of the page was applied.
        GraphError: it is out of reach; neither was anything.
    """
    with store.lock(ref.tenant), store.transaction() as connection:
        known = known_documents(connection, ref.tenant, [change.document_id for change in changes])
        outcomes: dict[str, str] = {}
        rows: list[DocumentRow] = []
        todo: list[Change] = []
        for change in changes:
            before = known.get(change.document_id)
            row = _row(ref, change, before, digest([_FIELDS_EXTRACTOR, change.content, change.version.modified_at]))
            outcome = outcomes[change.document_id] = _outcome(change, before, row.applied_digest)
            if outcome == "stale":
                continue
            if outcome != "unchanged":
                todo.append(change)
            # What only has a later version is recorded as well: an older observation must not undo it.
            if before is None or outcome != "unchanged" or _is_other_version(row, before):
                rows.append(row)
        record_documents(connection, ref.tenant, rows)
        if todo:
            _note_extractor(connection, extractor, ref.tenant)
            _replace(connection, extractor, ref.tenant, todo, known)
            count_change(connection, ref.tenant)
    return outcomes


def settle(store: GraphStore, extractor: Extractor, tenant: str) -> int:
    """Search all texts again for names that came or went since the last time; how many documents that touched.

    Where another extractor searched them last, all are searched for everything. A run that breaks off leaves what it
    did not reach pending, and the next one begins anew.

    Raises:
        GraphError: the database is out of reach.
    """
    with store.lock(tenant):
        with store.transaction() as connection:
            everything = searched_with(connection, tenant) not in (extractor.fingerprint, None)
            if everything:
                update_names(connection, tenant, [node.node_id for node in nodes(connection, tenant)], phrases_of)
            pending = pending_names(connection, tenant)
            if not everything and not pending:
                return 0
            affected = _holding(connection, tenant, None if everything else NameSearch(pending))
        _search_again(store, extractor, tenant, affected)
        with store.transaction() as connection:
            settle_names(connection, tenant, pending)
            record_search(connection, tenant, extractor.fingerprint)
    return len(affected)


def rebuild(store: GraphStore, extractor: Extractor, tenant: str) -> int:
    """Search all texts of a tenant again, as after a change of the extractor; how many documents there are.

    Raises:
        GraphError: the database is out of reach; `settle` does the rest.
    """
    with store.lock(tenant), store.transaction() as connection:
        if searched_with(connection, tenant) is None:
            return 0
        record_search(connection, tenant, "")
    return settle(store, extractor, tenant)


def _note_extractor(connection: sa.Connection, extractor: Extractor, tenant: str) -> None:
    """Remember what searches a tenant's texts, or that not all were searched with the same."""
    searched = searched_with(connection, tenant)
    if searched != extractor.fingerprint:
        record_search(connection, tenant, extractor.fingerprint if searched is None else "")


def _search_again(store: GraphStore, extractor: Extractor, tenant: str, document_ids: Sequence[str]) -> None:
    for page in _pages(document_ids):
        with store.transaction() as connection:
            found = extractor.extract(subjects(connection, tenant, page), names_of(connection, tenant))
            # No names to update: what is found in texts tells nothing of nodes that gives names.
            refresh(connection, tenant, replace_evidence(connection, tenant, page, found, keep_fields=True))
            count_change(connection, tenant)


def _holding(connection: sa.Connection, tenant: str, search: NameSearch | None) -> list[str]:
    """Documents with a text in which one of the names may stand; None for any text."""
    return _unique(
        row.document_id
        for page in scan_texts(connection, tenant)
        for row in page
        if search is None or search.may_hold(row.text, row.scope)
    )


def _pages(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE))


def _unique(ids: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _replace(
    connection: sa.Connection,
    extractor: Extractor,
    tenant: str,
    changes: Sequence[Change],
    known: Mapping[str, KnownDocument],
) -> None:
    """Put the texts and the evidence of changed documents in the place of the old ones."""
    ids = [change.document_id for change in changes]
    told = [change for change in changes if change.told is not None]
    replace_texts(connection, tenant, {change.document_id: change.texts if change.told else () for change in changes})
    evidence = [row for change in told for row in _field_evidence(change)]
    # Pending names are searched for by `settle`; without them the search is the same for all pages of a run.
    evidence += extractor.extract([_subject(change) for change in told], settled_names(connection, tenant))
    touched = replace_evidence(connection, tenant, ids, evidence)
    touched.update(_forget_alike(connection, tenant, changes, known))
    update_names(connection, tenant, refresh(connection, tenant, touched), phrases_of)


def _forget_alike(
    connection: sa.Connection, tenant: str, changes: Sequence[Change], known: Mapping[str, KnownDocument]
) -> Touched:
    """Remove what was found similar to documents that are gone, or that not all readers may see any more."""
    gone = {change.document_id for change in changes if change.told is None}
    delete_vectors(connection, tenant, gone)
    closed = {change.document_id for change in changes if change.told and change.told.visibility != Visibility.PUBLIC}
    entities = [known[document_id].entity for document_id in gone | closed if document_id in known]
    return replace_similarity(connection, tenant, [entity.node_id for entity in entities if entity], [])


def _outcome(change: Change, known: KnownDocument | None, applied: str) -> str:
    if known is not None and is_stale(change.version, known.standing):
        return "stale"
    if known is not None and known.applied_digest == applied:
        return "unchanged"
    if change.deleted:
        return "deleted"
    return "added" if known is None or known.standing.deleted else "changed"


def _is_other_version(row: DocumentRow, before: KnownDocument) -> bool:
    standing = before.standing
    return (row.version.modified_at, row.version.observed_at, row.floor) != (
        standing.modified_at,
        standing.observed_at,
        standing.floor,
    )


def _row(ref: StreamRef, change: Change, known: KnownDocument | None, applied: str) -> DocumentRow:
    return DocumentRow(
        document_id=change.document_id,
        source=ref.source,
        stream=ref.stream,
        version=change.version,
        floor=next_floor(change.version, change.deleted, known.standing if known else None),
        deleted=change.deleted,
        applied_digest=applied,
        entity=change.told.entity if change.told else None,
        is_resolved=_is_resolved(change.told),
        visibility=change.told.visibility if change.told else Visibility.RESTRICTED,
        principals=tuple(change.told.principals) if change.told else (),
    )


def _is_resolved(told: Told | None) -> bool:
    return told is not None and told.entity.facts.get("state") == "resolved"


def _subject(change: Change) -> Subject:
    assert change.told is not None  # noqa: S101 the caller chose those
    return Subject(change.document_id, change.told.entity, _is_resolved(change.told), change.texts)


def _field_evidence(change: Change) -> Iterator[Evidence]:
    """That the document's entity is there, and what the record's fields say of it."""
    told = change.told
    assert told is not None  # noqa: S101 the caller chose those

    def evidence(relation: Relation | None) -> Evidence:
        visibility, principals = told.visibility, tuple(told.principals)
        if relation is not None and relation.internal:
            # Those who may see a restricted document need not be of the company.
            visibility, principals = max(visibility, Visibility.INTERNAL, key=_NARROWNESS.index), ()
        return Evidence(
            document_id=change.document_id,
            place=FIELDS,
            chunk_id=None,
            span=None,
            extractor=_FIELDS_EXTRACTOR,
            probability=1.0,
            source=(relation.source if relation else None) or told.entity,
            edge=relation.kind if relation else None,
            target=relation.target if relation else None,
            visibility=visibility,
            principals=principals,
            told_at=change.version.modified_at,
        )

    yield evidence(None)
    yield from map(evidence, told.relations)
