"""A small graph of one tenant, made of documents as a sync would make it.

Ticket 12 is open. Ticket 40 solved the same: it shares a laptop and an error code with it. Fifty more tickets share
only the category, and two the reporter.
"""

from datetime import UTC, datetime
from typing import Any

from sync_assets.documents import Told, Version, Visibility, document_id
from sync_assets.graph.applying import Change, apply_changes, settle
from sync_assets.graph.evidence import Text
from sync_assets.graph.extraction import Extractor, open_extractor
from sync_assets.graph.store import GraphStore
from sync_assets.graph.store_state import Merge, replace_merges
from sync_assets.ledger import StreamRef
from sync_assets.relations import EdgeKind, Entity, NodeKind, Relation

TENANT = "acme"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOSTILE = """<script>alert("1")</script> <img src=x onerror='alert(2)'> & </script>"""

HARDWARE = Entity(kind=NodeKind.CATEGORY, key="hardware", name="Hardware")
SANNE = Entity(kind=NodeKind.PERSON, key="portal/1", name="Sanne de Wit", facts={"email": "sanne@acme.test"})
SAME_SANNE = Entity(kind=NodeKind.PERSON, key="portal/2", name="S. de Wit", facts={"phone": "+31 20 555 01 00"})
BO = Entity(kind=NodeKind.PERSON, key="portal/3", name="Bo Jansen")


def identity(record: str) -> str:
    return document_id(TENANT, "portal", record)


def node(record: str) -> str:
    """Id of the node that a record stands for."""
    kind = {"ci": NodeKind.CONFIGURATION_ITEM, "kb": NodeKind.ARTICLE}.get(record.partition("-")[0], NodeKind.TICKET)
    return Entity(kind=kind, key=identity(record)).node_id


def change(
    record: str,
    name: str,
    *texts: str | Text,
    relations: tuple[Relation, ...] = (),
    aliases: tuple[str, ...] = (),
    **facts: str,
) -> Change:
    entity = Entity(
        kind=NodeKind(node(record).partition(":")[0]),
        key=identity(record),
        name=name,
        aliases=aliases or (f"#{record}",),
        scope="portal",
        facts={"url": f"https://portal.acme.test/{record}", **facts},
    )
    told = Told(entity=entity, relations=list(relations), visibility=Visibility.PUBLIC)
    written = tuple(
        text if isinstance(text, Text) else Text(f"part-{number}", f"{record}-{number}", role(number), text, PUBLIC)
        for number, text in enumerate((name, *texts))
    )
    return Change(identity(record), Version(modified_at=NOON, observed_at=NOON), False, told, written)


PUBLIC = Visibility.PUBLIC


def role(number: int) -> str:
    return "header" if number == 0 else "comment"


def relation(kind: EdgeKind, target: Entity) -> Relation:
    return Relation(kind=kind, target=target)


def ticket(record: str, name: str, *texts: str | Text, state: str = "open", by: Entity = BO) -> Change:
    fields = (relation(EdgeKind.BELONGS_TO, HARDWARE), relation(EdgeKind.CREATED_BY, by))
    return change(record, name, *texts, relations=fields, state=state)


def changes() -> list[Change]:
    note = Text("note-1", "40-note", "comment", "Only for us: KB-7 helps, see 10.1.2.3.", Visibility.INTERNAL)
    return [
        change("ci-1", "Latitude 5520", aliases=("CI-2025-001",), serial_number="SN-77120-X"),
        change("kb-7", "Repair the print queue", "Stop the spooler first.", aliases=("KB-7",)),
        ticket("12", "Printing fails", "My Latitude 5520 says 0x80070005 since Monday.", by=SANNE),
        ticket("40", "No paper comes", "CI-2025-001 shows 0x80070005.", note, "Solved, see KB-7.", state="resolved"),
        ticket("41", "Screen is dark", "It stays black.", state="resolved", by=SANNE),
        ticket("42", HOSTILE, f"{HOSTILE} on CI-2025-001.", by=SAME_SANNE),
        *(ticket(str(number), f"Question {number}", "How do I begin?") for number in range(100, 150)),
    ]


def fill(store: GraphStore, extractor: Extractor | None = None, merges: Any = ()) -> None:
    """Put the small graph into a store, with these merges."""
    extractor = extractor or open_extractor({})
    apply_changes(store, extractor, StreamRef(TENANT, "portal", "tickets"), changes())
    settle(store, extractor, TENANT)
    with store.transaction() as connection:
        replace_merges(connection, TENANT, [Merge(*merge) for merge in merges])
