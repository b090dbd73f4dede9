"""A ledger that is not the stores' or the graph's any more: an audit says so, and a sync with healing mends it."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from sync_assets.audit import AuditScope, Finding, audit
from sync_assets.audit.healing import prepare
from sync_assets.documents import Told, Version, Visibility
from sync_assets.graph.applying import Change, apply_changes
from sync_assets.io_managers.object_storage import stored_batch
from sync_assets.ledger import Ledger
from sync_assets.ledger import tables as t
from sync_assets.relations import Entity, NodeKind
from sync_assets.services import Services
from sync_assets.stages import Report, Stream
from sync_assets.stages.graph import apply_to_graph
from sync_assets_tests.audit.world import NewWorld
from sync_assets_tests.laws.upstream import START, Chain, Ticket, Upstream, edited, install, window
from sync_assets_tests.stages.telling import TellingTenants, living

pytestmark = pytest.mark.filterwarnings("ignore:(Payload indexes|Local mode):UserWarning")

_TENANT = "in-the-graph"


def backup(ledger: Ledger, tenant: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of a tenant in the ledger, by table."""
    with ledger.transaction() as connection:
        return {
            table.name: [
                dict(row._mapping) for row in connection.execute(sa.select(table).where(table.c.tenant == tenant))
            ]
            for table in t.metadata.sorted_tables
            if "tenant" in table.c
        }


def restore(ledger: Ledger, tenant: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    with ledger.transaction() as connection:
        for table in reversed(t.metadata.sorted_tables):
            if "tenant" in table.c:
                connection.execute(sa.delete(table).where(table.c.tenant == tenant))
        for table in t.metadata.sorted_tables:
            if rows.get(table.name):
                connection.execute(sa.insert(table), rows[table.name])


def test_a_ledger_of_yesterday_is_reported_and_mended(new_world: NewWorld) -> None:
    world = new_world()
    yesterday = backup(world.services.ledger, world.tenant)
    world.write("1", "printer 1 is on fire", "it is out again", "thanks")
    world.write("9", "the scanner smokes")
    world.upstream.tickets["2"] = edited(world.upstream.tickets["2"], modified_at=world.upstream.tick(), deleted=True)
    world.sync()
    gone = yesterday_chunks(yesterday, world.document("2"))
    now, new, changed = world.contents(), world.chunks("9"), world.chunks("1")[1]

    restore(world.services.ledger, world.tenant, yesterday)
    found = world.found()
    assert found["stranger"] == {world.document("9"): new}
    assert found["missing"] == {world.document("2"): gone}
    assert found["other version"] == {world.document("1"): [changed]}
    assert set(found) == {"stranger", "missing", "other version"}

    world.sync(sweep=False)
    world.heal()
    assert world.found(upstream=True) == {}
    assert world.contents() == now


def yesterday_chunks(rows: dict[str, list[dict[str, Any]]], document_id: str) -> list[str]:
    (row,) = [row for row in rows["collection_documents"] if row["document_id"] == document_id]
    return sorted(row["chunk_ids"])


def test_an_audit_waits_for_who_writes_to_the_collection_and_for_nobody_else(
    services: Services, new_world: NewWorld
) -> None:
    world = new_world()
    collection = world.registered.collection.name
    url = services.settings.database_url
    assert url is not None
    writer, impatient = Ledger(url.get_secret_value()), Ledger(url.get_secret_value(), lock_timeout=0.2)
    with closing(writer), closing(impatient):
        services.__dict__["ledger"] = impatient
        with writer.lock("store", world.store, collection, world.tenant):
            result = world.audit()
            assert ["SYNC_ASSETS_LOCK_TIMEOUT" in failure for failure in result.failures] == [True], result
        with writer.lock("store", world.store, collection, "another-tenant"):
            assert world.found() == {}


@pytest.fixture
def graph_chain(services: Services) -> Iterator[tuple[Chain, Upstream]]:
    """A stream that feeds the graph alone, and its upstream."""
    kept = {name: getattr(services, name) for name in ("tenants", "ledger", "storage", "cache")}
    upstream = Upstream(now=START)
    install(services, {}, {})
    services.__dict__["tenants"] = TellingTenants({_TENANT: upstream})
    stream = Stream("freshdesk", "tickets", "day", (), "none", model="hash-8", chunk_tokens=254, graph="chunks")
    yield Chain(services, stream, lambda: upstream.tick()), upstream
    services.__dict__.update(kept)


def test_a_graph_that_differs_from_the_ledger_is_found_and_mended(graph_chain: tuple[Chain, Upstream]) -> None:
    chain, upstream = graph_chain
    services, ref = chain.services, chain.stream.of(_TENANT)
    for record_id in ("1", "2", "3"):
        upstream.tickets[record_id] = Ticket(upstream.tick(), (f"printer {record_id}",))
    sync_graph(chain)
    assert graph_findings(chain) == {}

    with services.graph.transaction() as connection:
        connection.execute(sa.text("DELETE FROM sync_assets.graph_documents WHERE document_id LIKE '%freshdesk_2'"))
    entity = Entity(kind=NodeKind.TICKET, key="stranger", name="Nobody's", scope="freshdesk")
    version = Version(modified_at=START, observed_at=START)
    stranger = Change(
        "stranger", version, deleted=False, told=Told(entity=entity, visibility=Visibility.PUBLIC), texts=()
    )
    apply_changes(services.graph, services.extractor, ref, [stranger])
    upstream.tickets["3"] = edited(upstream.tickets["3"], modified_at=upstream.tick(), deleted=True)
    chain.sync([window(_TENANT, 0)])  # not into the graph
    found = graph_findings(chain)
    documents = {kind: list(finding.documents) for kind, finding in found.items()}
    assert documents == {
        "behind": [f"{_TENANT}_freshdesk_2"],
        "not deleted": [f"{_TENANT}_freshdesk_3"],
        "stranger": ["stranger"],
    }

    prepare(services, audit(services, [chain.stream], AuditScope(tenants=(_TENANT,), places=("graph",))))
    sync_graph(chain)
    assert graph_findings(chain) == {}
    assert living(services.graph, ref) == {"1", "2"}


def sync_graph(chain: Chain) -> None:
    """Everything into the graph, with a sweep."""
    windows = [window(_TENANT, 0)]
    chain.sync(windows, sweep=True)
    batch = stored_batch(chain.services.storage, chain.stream.layout("chunks"), windows)
    assert batch is not None
    context = chain.context()
    apply_to_graph(context, batch, Report.after(context, "chunks", "graph", windows).upstream)


def graph_findings(chain: Chain) -> dict[str, Finding]:
    result = audit(chain.services, [chain.stream], AuditScope(tenants=(_TENANT,), places=("graph",)))
    assert result.failures == []
    return {finding.kind: finding for finding in result.findings}
