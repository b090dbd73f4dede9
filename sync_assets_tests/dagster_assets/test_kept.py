"""Files of windows in which nothing changed: they stay, and only for as long as they are right."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from sync_assets.hashing import text_hash
from sync_assets.ledger import tables as t
from sync_assets.processors import ProcessorUse
from sync_assets.stages import Stream, chunks, kept, store
from sync_assets_tests.dagster_assets.world import (
    STORES,
    World,
    checks,
    data_versions,
    day,
    materializations,
    partition,
    total,
)
from sync_assets_tests.laws.upstream import Chain, UpstreamTenants
from sync_assets_tests.laws.upstream import window as tenant_window

STAGES = ("documents", "chunks", "embeddings")


def _file(world: World, stage: str, window: int = 0) -> Path:
    (path,) = world.services.settings.home.rglob(f"acme/*/tickets/{stage}/**/day={window + 1:02}.parquet")
    return path


def _identity(path: Path) -> int:
    """Changes with every put: a file takes the place of the one before."""
    return path.stat().st_ino


def _told(result: dg.ExecuteInProcessResult) -> tuple[Any, Any]:
    """What the stages say of their partitions, and what their checks found, but for how long it took."""
    metadata = {place: dict(found) for place, found in materializations(result).items() if place[0] in STAGES}
    for found in metadata.values():
        del found["run_seconds"]
    return metadata, {key: (found.passed, found.metadata) for key, found in checks(result).items() if key[0] in STAGES}


@pytest.fixture
def synced(world: World) -> World:
    for number in range(3):
        world.write(str(number), 0, f"text {number}", "a comment")
    world.write("9", 1, "of another day")
    world.run(partition(0), partition(1))
    return world


def test_windows_without_changes_keep_their_files_and_tell_the_same(synced: World) -> None:
    for stage in STAGES:
        for window in (0, 1):
            _file(synced, stage, window).unlink()
    made = synced.run(partition(0), partition(1))
    files = [_identity(_file(synced, stage, window)) for stage in STAGES for window in (0, 1)]
    again = synced.run(partition(0), partition(1))
    assert [_identity(_file(synced, stage, window)) for stage in STAGES for window in (0, 1)] == files
    assert data_versions(again) == data_versions(made)
    assert _told(again) == _told(made)


def test_a_change_in_one_window_leaves_the_files_of_the_other(synced: World) -> None:
    files = {(stage, window): _identity(_file(synced, stage, window)) for stage in STAGES for window in (0, 1)}
    synced.write("10", 1, "new in the other window")
    result = synced.run(partition(0), partition(1))
    stayed = {place for place, before in files.items() if _identity(_file(synced, *place)) == before}
    assert stayed == {(stage, 0) for stage in STAGES}
    assert total(result, "embeddings", "embedded") == 1
    synced.assert_converged()


@pytest.mark.parametrize("change", ["code", "chunk size"])
def test_other_code_and_other_settings_make_them_anew(
    synced: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = _identity(_file(synced, "chunks"))
    if change == "code":
        monkeypatch.setattr(kept, "_code", lambda: "another release")
    else:
        limits = Stream.limits
        shorter = {"max_tokens": 100}
        monkeypatch.setattr(Stream, "limits", lambda self, model: limits(self, model).model_copy(update=shorter))
    synced.run(partition(0), stages=("raw", "documents", "chunks"))
    assert _identity(_file(synced, "chunks")) != before


def test_another_account_makes_documents_anew(synced: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Account(BaseModel):
        base_url: str = "https://elsewhere.example"

    before = _identity(_file(synced, "documents"))
    monkeypatch.setattr(UpstreamTenants, "account", lambda self, source, tenant: Account())
    synced.run(partition(0))
    assert _identity(_file(synced, "documents")) != before
    synced.assert_converged()


@pytest.mark.parametrize("column", ["modified_at", "content_hash", "cheap_version", "deleted", "all"])
def test_documents_are_made_anew_where_the_ledger_has_something_else(synced: World, column: str) -> None:
    before = _identity(_file(synced, "documents"))
    others = {
        "modified_at": t.documents.c.modified_at - timedelta(days=40),
        "content_hash": "of another text",
        "cheap_version": "of another listing",
        "deleted": True,
    }
    chosen = t.documents.c.document_id == "acme_freshdesk_1"
    change = sa.update(t.documents).values({column: others.get(column)}) if column in others else sa.delete(t.documents)
    with synced.services.ledger.transaction() as connection:
        connection.execute(change.where(chosen))
    result = synced.run(partition(0))
    assert _identity(_file(synced, "documents")) != before
    known = "cheap_version" if column == "cheap_version" else None
    assert total(result, "documents", "unchanged") == (3 if known else 2)
    again = synced.run(partition(0))
    assert total(again, "documents", "unchanged") == 3
    synced.assert_converged()


def test_what_was_forgotten_stays_in_no_kept_file(synced: World) -> None:
    with synced.services.ledger.transaction() as connection:
        row = {"tenant": "acme", "document_key": text_hash("acme_freshdesk_1")}
        connection.execute(sa.insert(t.forgotten).values(row))
    synced.run(partition(0))
    for stage in STAGES:
        assert "1" not in set(pq.read_table(_file(synced, stage))["record_id"].to_pylist())


def test_documents_that_processors_see_are_made_each_time(synced: World) -> None:
    stream = replace(synced.chain.stream, processors=(ProcessorUse("any", "mask_mail_addresses"),))
    chain = Chain(synced.services, stream, synced.chain.clock)
    for _ in range(2):
        chain.sync([tenant_window("acme", 0)])
        states = synced.services.ledger.window_states(stream.of("acme"), "documents", [day(0)])
        assert states[day(0)].origin is None


def test_a_text_that_the_cache_lost_is_embedded_again(synced: World) -> None:
    with synced.services.ledger.transaction() as connection:
        chosen = sa.select(sa.func.min(t.embedding_cache.c.content_hash)).scalar_subquery()
        connection.execute(sa.delete(t.embedding_cache).where(t.embedding_cache.c.content_hash == chosen))
    texts = total(synced.run(partition(0), partition(1)), "embeddings", "embedded")
    assert texts == 1
    assert total(synced.run(partition(0), partition(1)), "embeddings", "embedded") == 0


def _once(first: Callable[[], object], then: Callable[..., Any]) -> Callable[..., Any]:
    """As `then`, but before its first call something else happens."""
    waiting = [first]

    def both(*arguments: Any, **named: Any) -> Any:
        if waiting:
            waiting.pop()()
        return then(*arguments, **named)

    return both


def test_documents_that_another_run_replaces_meanwhile_reach_the_stores(
    synced: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_run() -> None:
        synced.write("9", 1, "a second edit")
        synced.run(partition(1), stages=("raw", "documents"))

    synced.write("9", 1, "a first edit")
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "chunk_document", _once(another_run, chunks.chunk_document))
        synced.run(partition(1))
    synced.run(partition(1), stages=("chunks", "embeddings", *STORES))
    synced.assert_converged()


def test_embeddings_that_another_run_replaces_while_a_store_reads_them_are_mixed_with_no_others(
    synced: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_run() -> None:
        synced.write("7", 1, "text 7", "a comment", "one more", "and another")
        synced.run(partition(1), stages=("raw", "documents", "chunks", "embeddings"))

    for number in (7, 8):
        synced.write(str(number), 1, f"text {number}", "a comment")
    synced.run(partition(1))
    synced.write("8", 1, "text 8 edited")
    with monkeypatch.context() as patch:
        patch.setattr(store, "_apply_page", _once(another_run, store._apply_page))
        synced.run(partition(1))
    synced.run(partition(1))
    texts = {name: _texts(synced, name) for name in STORES}
    assert texts["pgvector"] == texts["qdrant"]
    assert "text 8 edited" in " ".join(texts["pgvector"])
    synced.assert_converged()


def _texts(world: World, name: str) -> list[str]:
    """What a store holds of acme, by record."""
    registered = world.services.ledger.active_collection(name, "freshdesk_tickets")
    assert registered is not None
    points = world.services.store(name).scan_points(registered.collection, "acme")
    return sorted(f"{point.payload['record_id']}: {point.payload['text']}" for point in points)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("damage", ["changed at the start", "changed inside", "changed at the end", "cut off", "gone"])
def test_a_damaged_file_is_made_anew(synced: World, stage: str, damage: str) -> None:
    path = _file(synced, stage)
    rows = pq.read_table(path).to_pylist()
    _damage(path, damage)
    result = synced.run(partition(0))
    assert pq.read_table(_file(synced, stage)).to_pylist() == rows
    assert total(result, "embeddings", "embedded") == 0
    assert {name for (_, name), found in checks(result).items() if not found.passed} <= {"freshness"}
    synced.assert_converged()


def _damage(path: Path, damage: str) -> None:
    content = path.read_bytes()
    place = {"changed at the start": 1, "changed inside": len(content) // 3, "changed at the end": len(content) - 40}
    if damage == "gone":
        path.unlink()
    elif damage == "cut off":
        path.write_bytes(content[:-9])
    else:
        at = place[damage]
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
