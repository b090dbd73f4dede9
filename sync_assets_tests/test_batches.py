"""Batches keep what they are given, page by page, whatever it is."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.batches import BatchWriter, FileLayout, Partition, Rows, dump_json, load_json, raw_table
from sync_assets.chunks import CHUNK_SCHEMA
from sync_assets.documents import RAW_SCHEMA
from sync_assets.hashing import SetDigest

START = datetime(2026, 1, 1, tzinfo=UTC)
RAW = FileLayout("freshdesk", "tickets", "raw", "day")
CHUNKS = FileLayout("freshdesk", "tickets", "chunks", "day")
DAYS = [
    Partition("acme", f"2026-01-0{day + 1}", START + timedelta(days=day), START + timedelta(days=day + 1))
    for day in range(3)
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def raw_row(number: int, payload: Any) -> dict[str, Any]:
    moment = START + timedelta(minutes=number)
    return {
        "record_id": f'{number}","payload":',
        "event": "live",
        "modified_at": moment,
        "observed_at": moment,
        "authoritative": False,
        "payload": dump_json(payload),
        "problem": None,
    }


@given(st.lists(values, min_size=1, max_size=5))
@settings(max_examples=50)
def test_raw_records_come_back_as_they_came(payloads: list[Any]) -> None:
    rows = [raw_row(number, payload) for number, payload in enumerate(payloads)]
    writer = BatchWriter(RAW, RAW_SCHEMA, DAYS[:1])
    for row in rows:
        writer.write(DAYS[0], raw_table([row], DAYS[0]))
    table = writer.finish().to_table()
    assert table.equals(raw_table(rows, DAYS[0]))
    for text, payload in zip(table["payload"].to_pylist(), payloads, strict=True):
        assert json.loads(text) == payload


@given(values)
def test_json_survives_but_for_characters_that_no_store_can_hold(value: Any) -> None:
    text = json.dumps(value)
    cleaned = load_json(text)
    assert "\0" not in json.dumps(cleaned, ensure_ascii=False)
    if "\\u0000" not in text:
        assert cleaned == value


def test_lone_surrogates_are_kept_in_raw_and_replaced_in_what_is_made_of_it() -> None:
    value = {"text": "half \ud83d of an emoji, and \\u0000 spelled out"}
    assert json.loads(dump_json(value)) == value
    assert load_json(dump_json(value)) == {"text": "half ? of an emoji, and \\u0000 spelled out"}


def test_rows_of_one_document_are_never_divided_between_pages() -> None:
    writer = BatchWriter(CHUNKS, CHUNK_SCHEMA, DAYS)
    counts = [3, 1, 9, 2, 5]
    for day in DAYS:
        rows = [
            {"partition": day.key, "document_id": f"{day.window}-{document}", "chunk_id": f"{document}-{chunk}"}
            for document, chunks in enumerate(counts)
            for chunk in range(chunks)
        ]
        writer.write(day, pa.Table.from_pylist(rows, CHUNK_SCHEMA))
    pages = list(writer.finish().document_pages(rows=4))
    assert sum(table.num_rows for _, table in pages) == 3 * sum(counts)
    seen = [(partition, document) for partition, table in pages for document in set(table["document_id"].to_pylist())]
    assert len(seen) == len(set(seen)) == 3 * len(counts)
    for partition, table in pages:
        assert set(table["partition"].to_pylist()) == {partition.key}


def test_a_partition_without_rows_has_an_empty_file() -> None:
    for layout, schema in ((RAW, RAW_SCHEMA), (CHUNKS, CHUNK_SCHEMA)):
        batch = BatchWriter(layout, schema, DAYS).finish()
        assert batch.partitions == DAYS
        assert batch.to_table().num_rows == 0
        assert batch.schema == schema


@pytest.mark.parametrize(
    ("grain", "path"),
    [
        ("hour", "year=2026/month=01/day=02/hour=00.parquet"),
        ("day", "year=2026/month=01/day=02.parquet"),
        ("month", "year=2026/month=01.parquet"),
    ],
)
def test_files_lie_by_tenant_stage_and_time(grain: Any, path: str) -> None:
    layout = FileLayout("freshdesk", "tickets", "chunks", grain)
    assert layout.path(DAYS[1]) == f"acme/freshdesk/tickets/chunks/{path}"


@given(st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=6), st.randoms())
def test_a_set_digest_knows_rows_but_not_their_order(rows: list[list[str]], random: Any) -> None:
    def digest(items: list[list[str]]) -> str:
        built = SetDigest()
        for item in items:
            built.add(item)
        return built.hexdigest()

    shuffled = list(rows)
    random.shuffle(shuffled)
    assert digest(rows) == digest(shuffled)
    assert digest([*rows, ["one more"]]) != digest(rows)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8), data=st.data())
def test_rows_are_read_forward_by_their_numbers_however_they_come(sizes: list[int], data: st.DataObject) -> None:
    ends = list(itertools.accumulate(sizes))
    tables = [pa.table({"number": range(end - size, end)}) for size, end in zip(sizes, ends, strict=True)]
    edges = sorted(data.draw(st.sets(st.integers(0, ends[-1]), min_size=2)))
    rows = Rows(iter(tables))
    for start, stop in itertools.pairwise(edges):
        if data.draw(st.booleans()):
            assert rows.between(start, stop)["number"].to_pylist() == list(range(start, stop))
