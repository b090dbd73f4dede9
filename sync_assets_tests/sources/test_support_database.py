"""The knowledge base as a source: what its rows become, and that every change reaches a window or a listing."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.documents import Record, Visibility
from sync_assets.errors import SourceError
from sync_assets.sources.support_database import STREAM, Account, Source
from sync_assets.support_database.loading import load
from sync_assets.support_database.tables import schema_of
from sync_assets_tests.support_database.rows import article, uid

NOW = datetime(2026, 11, 14, tzinfo=UTC)
EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(sa.make_url(postgres_url).set(drivername="postgresql+psycopg"))
    yield engine
    engine.dispose()


@pytest.fixture
def tenant(engine: sa.Engine) -> Iterator[str]:
    name = f"t-{uuid.uuid4().hex[:12]}"
    yield name
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema_of(name), cascade=True, if_exists=True))


@pytest.fixture
def source(tenant: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SYNC_ASSETS_DATABASE_URL", postgres_url)
    with Source(tenant, Account(), clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def put(engine: sa.Engine, tenant: str, tmp_path: Path) -> Callable[..., None]:
    """Load articles into the tenant's table."""

    def load_articles(*articles: dict[str, Any]) -> None:
        folder = tmp_path / "seed"
        folder.mkdir(exist_ok=True)
        (folder / "kb_articles.json").write_text(json.dumps(articles), encoding="utf-8")
        load(engine, tenant, folder)

    return load_articles


@pytest.fixture
def change(engine: sa.Engine, tenant: str) -> Callable[[str], None]:
    """Run a statement on the tenant's articles by hand; `{table}` stands for the table."""

    def run(statement: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement.format(table=f'"{schema_of(tenant)}".kb_articles'))

    return run


def at(day: int) -> datetime:
    return datetime(2026, 11, day, tzinfo=UTC)


def test_an_article_is_a_public_document_with_its_facts_beside_the_text(
    source: Source, put: Callable[..., None], tenant: str
) -> None:
    put(
        article(
            1,
            title="Refunds & returns",
            content="# Refunds\n\nWithin thirty days.",
            tags=["refund"],
            url="https://help.example/1",
            quality_score=88.5,
            created_at="2026-01-02T03:04:05Z",
            updated_at="2026-11-05T06:07:08Z",
            view_count=7,
        )
    )
    (record,) = source.extract(STREAM, at(5), at(6))
    assert (record.record_id, record.event, record.observed_at) == (uid(1), "live", NOW)
    document = source.to_document(STREAM, record)
    assert document.document_id == f"{tenant}_support%5Fdatabase_{uid(1)}"
    assert [(part.path, part.role, part.text) for part in document.parts] == [
        ("header", "header", "Refunds & returns"),
        ("content", "section", "# Refunds\n\nWithin thirty days."),
    ]
    assert {document.visibility, *(part.visibility for part in document.parts)} == {Visibility.PUBLIC}
    assert (document.title, document.url) == ("Refunds & returns", "https://help.example/1")
    assert document.metadata == {
        "platform": "support_database",
        "doc_type": "article",
        "category": "billing",
        "tags": ["refund"],
        "quality_score": 88.5,
        "created_at": "2026-01-02T03:04:05+00:00",
        "updated_at": "2026-11-05T06:07:08+00:00",
    }


def test_windows_are_half_open_and_each_article_comes_once(source: Source, put: Callable[..., None]) -> None:
    put(*(article(day, updated_at=at(day).isoformat()) for day in range(2, 6)))
    assert source.span(STREAM) == (at(2), at(5))
    assert [record.record_id for record in source.extract(STREAM, at(3), at(5))] == [uid(3), uid(4)]
    assert [record.record_id for record in source.extract(STREAM, *EVER)] == [uid(day) for day in range(2, 6)]


def test_listing_and_records_agree_over_many_pages(source: Source, put: Callable[..., None]) -> None:
    put(*(article(number) for number in range(1, 651)))
    records = {record.record_id: record for record in source.extract(STREAM, *EVER)}
    listed = {item.record_id: item for item in source.live_ids(STREAM)}
    assert len(listed) == 650
    assert {key: (item.modified_at, item.cheap_version) for key, item in listed.items()} == {
        key: (record.modified_at, record.cheap_version) for key, record in records.items()
    }
    asked = [uid(number) for number in range(1, 651)]
    fetched = [(record.record_id, record.cheap_version, record.payload) for record in source.fetch(STREAM, asked)]
    assert sorted(fetched) == sorted((key, record.cheap_version, record.payload) for key, record in records.items())
    assert source.check().endswith("650 active articles")


@pytest.mark.parametrize("how", ["is_active = 0", "deleted_at = now()"])
def test_an_article_that_was_switched_off_by_hand_is_deleted_in_a_window_of_that_time(
    source: Source, put: Callable[..., None], change: Callable[[str], None], how: str
) -> None:
    put(article(1, updated_at=at(3).isoformat()), article(2, updated_at=at(4).isoformat()))
    change(f"UPDATE {{table}} SET {how} WHERE id = '{uid(1)}'")
    assert [record.record_id for record in source.extract(STREAM, at(2), at(5))] == [uid(2)]
    (gone,) = source.extract(STREAM, at(5), EVER[1])
    assert (gone.record_id, gone.event, gone.payload) == (uid(1), "deleted", None)
    assert [item.record_id for item in source.live_ids(STREAM)] == [uid(2)]
    assert [record.event for record in source.fetch(STREAM, [uid(1)])] == ["deleted"]
    change(f"UPDATE {{table}} SET is_active = 1, deleted_at = NULL WHERE id = '{uid(1)}'")
    assert [record.event for record in source.extract(STREAM, at(5), EVER[1])] == ["live"]


def test_a_removed_row_is_missing_from_the_listing_and_comes_as_deleted_when_asked_for(
    source: Source, put: Callable[..., None], change: Callable[[str], None]
) -> None:
    put(article(1), article(2))
    change(f"DELETE FROM {{table}} WHERE id = '{uid(1)}'")
    assert [item.record_id for item in source.live_ids(STREAM)] == [uid(2)]
    found = {record.record_id: record.event for record in source.fetch(STREAM, [uid(1), uid(2), "no-uuid", uid(1)])}
    assert found == {uid(1): "deleted", uid(2): "live", "no-uuid": "deleted"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", "'Another title'"),
        ("content", "'Another text of more than twenty characters'"),
        ("category", "'api'"),
        ("tags", "ARRAY['x']"),
        ("url", "'https://help.example/other'"),
        ("quality_score", "12"),
        ("created_at", "'2020-01-01'"),
    ],
)
def test_a_change_that_moved_no_time_is_seen_in_the_cheap_version(
    source: Source, put: Callable[..., None], change: Callable[[str], None], column: str, value: str
) -> None:
    put(article(1))
    (before,) = source.live_ids(STREAM)
    change("ALTER TABLE {table} DISABLE TRIGGER touch_updated_at")
    change(f"UPDATE {{table}} SET {column} = {value}")
    (after,) = source.live_ids(STREAM)
    assert after.modified_at == before.modified_at
    assert after.cheap_version != before.cheap_version


def test_an_edit_by_hand_moves_the_article_into_a_later_window(
    source: Source, put: Callable[..., None], change: Callable[[str], None]
) -> None:
    put(article(1, updated_at=at(3).isoformat()))
    change("UPDATE {table} SET title = 'A new title'")
    assert list(source.extract(STREAM, at(3), at(4))) == []
    (record,) = source.extract(STREAM, at(4), EVER[1])
    assert record.payload["title"] == "A new title"


def test_a_listing_sees_one_moment(source: Source, put: Callable[..., None], change: Callable[[str], None]) -> None:
    put(*(article(number) for number in range(1, 501)))
    listing = source.live_ids(STREAM)
    first = next(listing)
    change("DELETE FROM {table}")
    assert len([first, *listing]) == 500
    assert source.span(STREAM) is None


def test_a_database_without_tables_names_the_command_that_makes_them(source: Source, tenant: str) -> None:
    for ask in (source.check, lambda: list(source.live_ids(STREAM)), lambda: list(source.extract(STREAM, *EVER))):
        with pytest.raises(SourceError, match="has no tables yet") as failure:
            ask()
        assert failure.value.remedy == f"Load it: sync-assets support-db load --tenant {tenant}."


def test_a_database_out_of_reach_is_told_without_its_password(
    tenant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("SYNC_ASSETS_DATABASE_URL", "postgresql://user:hush-hush@127.0.0.1:1/none")
    with Source(tenant, Account()) as source, pytest.raises(SourceError, match="can't be read") as failure:
        source.check()
    assert "hush" not in str(failure.value)


def test_another_stream_is_refused(source: Source) -> None:
    with pytest.raises(SourceError, match="no stream 'tickets'"):
        source.span("tickets")


_FIELDS = ("id", "title", "content", "category", "tags", "url", "quality_score", "created_at", "updated_at")
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text()),
)


@given(payload=st.one_of(_VALUES, st.fixed_dictionaries({}, optional=dict.fromkeys(_FIELDS, _VALUES))))
def test_any_payload_is_a_document_or_names_what_is_wrong(payload: Any) -> None:
    record = Record(record_id=uid(1), modified_at=NOW, observed_at=NOW + timedelta(seconds=1), payload=payload)
    source = Source("acme", Account())
    try:
        document = source.to_document(STREAM, record)
    except ValueError as error:
        reason = str(error)
    else:
        assert document.title == payload["title"]
        assert document == source.to_document(STREAM, record)
        return
    assert reason.partition(":")[0].partition(".")[0] in (*_FIELDS, "payload")
