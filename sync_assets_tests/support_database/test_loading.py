"""Loading seed folders: what stands in the tables afterwards, and whether the report says so."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from sync_assets.errors import LedgerError, SettingsError
from sync_assets.support_database.loading import load
from sync_assets.support_database.report import LoadReport
from sync_assets.support_database.tables import TABLES, parents, schema_of
from sync_assets_tests.support_database.rows import (
    article,
    conversation,
    customer,
    invoice,
    message,
    payment,
    uid,
)

Seed = Callable[..., Path]
Stored = Callable[[str], list[dict[str, Any]]]


def counts(report: LoadReport, table: str) -> tuple[int, int, int, int, int]:
    """Added, changed, unchanged, merged and rejected; their sum is what was read."""
    found = report.tables[table]
    parts = (found.added, found.changed, found.unchanged, found.merged, len(found.rejected))
    assert found.read == sum(parts)
    return parts


def reasons(report: LoadReport, table: str) -> dict[str, str]:
    return {row.row_id: row.reason for row in report.tables[table].rejected}


# Values


def test_values_have_the_types_of_their_columns(engine: sa.Engine, tenant: str, seed: Seed, stored: Stored) -> None:
    folder = seed(
        customers=[customer(1, extra_metadata={"company": "One", "sizes": [1, 2.5, None]}, created_at="2026-01-02")],
        invoices=[
            invoice(2, 1, amount=10.005, due_date="2026-11-02T08:00:00+02:00", issued_at="2026-11-01T08:00:00.123456")
        ],
        customer_health_events=[
            {"id": uid(3), "customer_id": uid(1), "event_type": "usage_spike", "score_change": "7.125"}
        ],
        conversations=[conversation(4, 1, agents_involved=["a", "b"], sentiment_avg=-0.25)],
        agent_performance=[{"id": uid(5), "agent_name": "a", "date": "2026-11-02", "avg_resolution_time": 61}],
    )
    assert counts(load(engine, tenant, folder), "invoices") == (1, 0, 0, 0, 0)
    (kept,) = stored("customers")
    assert (kept["id"], kept["created_at"]) == (UUID(uid(1)), datetime(2026, 1, 2, tzinfo=UTC))
    assert kept["extra_metadata"] == {"company": "One", "sizes": [1, 2.5, None]}
    (kept,) = stored("invoices")
    assert (kept["amount"], kept["currency"]) == (Decimal("10.01"), "USD")
    assert kept["due_at"] == datetime(2026, 11, 2, 6, tzinfo=UTC)
    assert kept["issued_at"] == datetime(2026, 11, 1, 8, 0, 0, 123456, tzinfo=UTC)
    assert stored("customer_health_events")[0]["new_value"] == Decimal("7.13")
    (kept,) = stored("conversations")
    assert (kept["agents_involved"], kept["sentiment_avg"]) == (["a", "b"], -0.25)
    assert stored("agent_performance")[0]["date"] == date(2026, 11, 2)


def test_names_from_the_description_of_the_files_are_taken_for_their_columns(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    lead = {"id": uid(1), "email": "l@one.example", "name": "Lea", "status": "mql"}
    folder = seed(leads=[lead], customers=[customer(2)], payments=[payment(3, 2, method="card")])
    load(engine, tenant, folder)
    assert stored("leads")[0]["qualification_status"] == "mql"
    assert stored("payments")[0]["payment_method"] == "card"


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("customers", customer(1, plan="gold"), "plan is 'gold', must be one of free, basic, premium, enterprise"),
        ("customers", customer(1, email=None), "email is missing"),
        ("customers", customer(1, name="x" * 256), "name has 256 characters, must have at most 255"),
        ("customers", customer(1, name="a\0b"), "name holds a NUL"),
        ("customers", customer(1, name="\ud800"), "name holds a NUL or half a surrogate pair"),
        ("customers", customer(1, created_at="yesterday"), "created_at is 'yesterday', must be a time such as"),
        ("customers", customer(1, created_at="0001-01-01T00:00:00+10:00"), "must be a time such as"),
        ("customers", customer(1, extra_metadata={"a": float("nan")}), "extra_metadata holds nan"),
        ("customers", customer(1, extra_metadata={"a": ["b\0"]}), "extra_metadata holds a NUL"),
        ("customers", customer(1, created_by="me"), "created_by is 'me', must be a UUID"),
        ("customers", customer(1, id={}), "id is {}, must be an id"),
        ("invoices", invoice(1, 9, amount=1e12), "amount is 1000000000000.0, must be less than"),
        ("invoices", invoice(1, 9, amount="many"), "amount is 'many', must be a number"),
        ("invoices", invoice(1, 9, amount=True), "amount is True, must be a number"),
        ("invoices", invoice(1, 9, status="past_due"), "status is 'past_due', must be one of draft, open"),
        ("invoices", invoice(1, 8), f"customer_id: customers has no row {uid(8)}"),
        ("messages", message(1, 7), f"conversation_id: conversations has no row {uid(7)}"),
        ("conversations", conversation(1, 9, sentiment_avg=1.5), "sentiment_avg is 1.5, must be from -1 to 1"),
        ("conversations", conversation(1, 9, kb_articles_used=[1]), "kb_articles_used is [1], must be a list of texts"),
        ("conversations", conversation(1, 9, resolution_time_seconds=2.5), "must be a whole number"),
        ("conversations", conversation(1, 9, resolution_time_seconds=2**31), "must be a whole number of at most"),
        ("kb_articles", article(1, title="Abcd"), "title has 4 characters, must have at least 5"),
        ("kb_articles", article(1, title="x" * 501), "title has 501 characters, must have at most 500"),
        ("kb_articles", article(1, content="Too short"), "content has 9 characters, must have at least 20"),
        ("kb_articles", article(1, category="fun"), "category is 'fun', must be one of billing, technical"),
        ("kb_articles", article(1, quality_score=101), "quality_score is 101.00, must be from 0 to 100"),
        (
            "credits",
            {"customer_id": uid(9), "amount": 5, "used_amount": 6, "credit_type": "refund", "status": "active"},
            "used_amount is 6.00, must be at most amount, 5.00",
        ),
        (
            "agent_handoffs",
            {"conversation_id": uid(8), "from_agent": "a", "to_agent": "a", "timestamp": "2026-11-02"},
            "from_agent is 'a', must differ from to_agent",
        ),
    ],
)
def test_a_row_that_breaks_a_rule_is_named_with_its_reason_and_its_neighbour_is_kept(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored, table: str, row: dict[str, Any], reason: str
) -> None:
    rows: dict[str, list[Any]] = {"customers": [customer(9)]}
    rows.setdefault(table, []).append(row)
    report = load(engine, tenant, seed(**rows))
    (rejected,) = report.tables[table].rejected
    assert reason in rejected.reason
    assert rejected.place == f"{table}.json, row {len(rows[table])}"
    assert rejected.row_id.isprintable()
    assert [kept["id"] for kept in stored("customers")] == [UUID(uid(9))]
    assert len(stored(table)) == len(rows[table]) - 1


def test_every_rule_is_a_constraint_of_the_database_too(engine: sa.Engine, tenant: str, seed: Seed) -> None:
    load(engine, tenant, seed(customers=[customer(1)]))
    schema = schema_of(tenant)
    inspector = sa.inspect(engine)
    for table in TABLES:
        found = {check["name"] for check in inspector.get_check_constraints(table.name, schema)}
        assert found == {f"ck_{table.name}_{rule.name}" for rule in table.info["rules"]}
        keys = inspector.get_foreign_keys(table.name, schema)
        assert {key["referred_table"] for key in keys} == {parent.name for parent in parents(table)}
        for key in keys:
            nullable = table.c[key["constrained_columns"][0]].nullable
            assert key.get("options") == {"ondelete": "SET NULL" if nullable else "CASCADE"}
        indexed = {index["column_names"][0] for index in inspector.get_indexes(table.name, schema)}
        assert {key.parent.name for key in table.foreign_keys} <= indexed
    with engine.connect() as connection, pytest.raises(IntegrityError, match="ck_customers_plan"):
        connection.exec_driver_sql(f"UPDATE \"{schema}\".customers SET plan = 'gold'")
    with engine.connect() as connection, pytest.raises(IntegrityError, match="uq_customers_email"):
        connection.exec_driver_sql(
            f"INSERT INTO \"{schema}\".customers (email, name, plan) VALUES ('c1@one.example', 'x', 'free')"
        )


def test_rows_go_with_their_parent_and_only_leave_it_where_they_can_do_without(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    folder = seed(
        customers=[customer(1)],
        invoices=[invoice(2, 1)],
        payments=[payment(3, 1, invoice_id=uid(2))],
        conversations=[conversation(4, 1)],
    )
    load(engine, tenant, folder)
    with engine.begin() as connection:
        connection.exec_driver_sql(f'DELETE FROM "{schema_of(tenant)}".invoices')
    assert stored("payments")[0]["invoice_id"] is None
    with engine.begin() as connection:
        connection.exec_driver_sql(f'DELETE FROM "{schema_of(tenant)}".customers')
    assert stored("payments") == stored("conversations") == []


# Duplicates and references


def test_children_of_a_merged_row_follow_the_row_that_stayed(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    folder = seed(
        customers=[customer(1, email="Ada@One.example"), customer(2, email=" ada@one.EXAMPLE", name="Second")],
        invoices=[invoice(3, 2), invoice(4, 1), invoice(5, 2, invoice_number="INV-3")],
        payments=[payment(6, 2, invoice_id=uid(5))],
    )
    report = load(engine, tenant, folder)
    assert counts(report, "customers") == (1, 0, 0, 1, 0)
    assert counts(report, "invoices") == (2, 0, 0, 1, 0)
    assert [row["name"] for row in stored("customers")] == ["Ada Holt"]
    assert {row["customer_id"] for row in stored("invoices")} == {UUID(uid(1))}
    (kept,) = stored("payments")
    assert (kept["customer_id"], kept["invoice_id"]) == (UUID(uid(1)), UUID(uid(3)))
    assert uid(2) in report.tables["customers"].notices[0]


def test_a_row_is_merged_into_one_that_an_earlier_load_left(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    load(engine, tenant, seed(customers=[customer(1, email="ada@one.example")]))
    report = load(engine, tenant, seed(customers=[customer(2, email="ADA@one.example")], invoices=[invoice(3, 2)]))
    assert counts(report, "customers") == (0, 0, 0, 1, 0)
    assert counts(report, "invoices") == (1, 0, 0, 0, 0)
    assert stored("invoices")[0]["customer_id"] == UUID(uid(1))


def test_some_tables_alone_know_what_was_merged_in_their_parents(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    folder = seed(
        customers=[customer(1, email="ada@one.example"), customer(2, email="ada@one.example"), customer(7, plan="x")],
        conversations=[conversation(3, 2), conversation(4, 7)],
        messages=[message(5, 3)],
    )
    load(engine, tenant, folder, tables=["customers"])
    report = load(engine, tenant, folder, tables=["conversations", "messages"])
    assert list(report.tables) == ["conversations", "messages"]
    assert counts(report, "conversations") == (1, 0, 0, 0, 1)
    assert counts(report, "messages") == (1, 0, 0, 0, 0)
    assert stored("conversations")[0]["customer_id"] == UUID(uid(1))


def test_a_row_whose_key_was_taken_by_another_stored_row_is_rejected(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    load(engine, tenant, seed(customers=[customer(1, email="a@one.example"), customer(2, email="b@one.example")]))
    report = load(engine, tenant, seed(customers=[customer(2, email="A@one.example")]))
    assert f"row {uid(1)} has the same already" in reasons(report, "customers")[uid(2)]
    assert [row["email"] for row in stored("customers")] == ["a@one.example", "b@one.example"]


def test_the_first_good_row_of_an_id_wins_and_each_bad_one_is_named(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    rows = [customer(1, plan="x"), customer(1, plan="y"), customer(1, name="Good"), customer(1, name="Late")]
    report = load(engine, tenant, seed(customers=rows))
    assert counts(report, "customers") == (1, 0, 0, 1, 2)
    assert set(reasons(report, "customers")) == {uid(1), f"{uid(1)} (customers.json, row 2)"}
    assert stored("customers")[0]["name"] == "Good"


def test_an_orphan_is_an_orphan_in_every_load_though_a_later_row_has_its_key(
    engine: sa.Engine, tenant: str, seed: Seed
) -> None:
    folder = seed(
        customers=[customer(1)], invoices=[invoice(2, 8, invoice_number="A"), invoice(3, 1, invoice_number="A")]
    )
    assert counts(load(engine, tenant, folder), "invoices") == (1, 0, 0, 0, 1)
    assert counts(load(engine, tenant, folder), "invoices") == (0, 0, 1, 0, 1)


def test_equal_titles_with_other_content_are_two_articles_and_equal_articles_are_one(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    same = {"title": "Same title", "content": "The very same content."}
    rows = [article(1, **same), article(2, **same), article(3, title="Same title")]
    folder = seed(
        kb_articles=rows,
        customers=[customer(9)],
        conversations=[conversation(4, 9, kb_articles_used=[uid(2), uid(3), uid(8)])],
    )
    report = load(engine, tenant, folder)
    assert counts(report, "kb_articles") == (2, 0, 0, 1, 0)
    assert stored("conversations")[0]["kb_articles_used"] == [uid(1), uid(3), uid(8)]
    assert report.tables["conversations"].notices == ["kb_articles_used: 1 of 3 ids match no row of kb_articles"]


def test_ids_that_are_no_uuids_and_missing_ones_are_always_the_same_uuid(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    folder = seed(
        kb_articles=[article(1, id="001"), article(2, id=None), article(3, id=7)],
        customers=[customer(4, id="c-4")],
        conversations=[conversation(5, 0, id="x", customer_id="c-4", kb_articles_used=["001"])],
        usage_events=[{"customer_id": "c-4", "event_type": "login", "timestamp": "2026-11-02T08:00:00"}],
    )
    load(engine, tenant, folder)
    tables = ("kb_articles", "customers", "conversations", "usage_events")
    before = {table: stored(table) for table in tables}
    assert before["conversations"][0]["customer_id"] == before["customers"][0]["id"]
    (first,) = (row for row in before["kb_articles"] if row["title"] == "Article 1")
    assert before["conversations"][0]["kb_articles_used"] == [str(first["id"])]
    report = load(engine, tenant, folder)
    assert [counts(report, table)[2] for table in tables] == [3, 1, 1, 1]
    assert {table: stored(table) for table in tables} == before


def test_a_reference_that_a_row_can_do_without_is_left_empty_with_a_notice(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    folder = seed(
        customers=[customer(1)],
        invoices=[invoice(2, 1, status="past_due"), invoice(3, 1, subscription_id=uid(8))],
        payments=[payment(4, 1, invoice_id=uid(2))],
    )
    report = load(engine, tenant, folder)
    assert counts(report, "payments") == (1, 0, 0, 0, 0)
    assert stored("payments")[0]["invoice_id"] is None
    assert "invoice_id: left empty in 1 row" in report.tables["payments"].notices[0]
    assert "subscription_id: left empty in 1 row" in report.tables["invoices"].notices[0]


def test_conversations_without_a_message_are_counted(engine: sa.Engine, tenant: str, seed: Seed) -> None:
    folder = seed(
        customers=[customer(1)], conversations=[conversation(2, 1), conversation(3, 1)], messages=[message(4, 2)]
    )
    assert load(engine, tenant, folder).tables["messages"].notices == ["1 of the conversations have no message"]


# Loading again


def test_only_what_differs_is_written_and_moves_its_time(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    rows = [customer(number, extra_metadata={"n": 1.0, "big": 1e300}) for number in range(1, 4)]
    load(engine, tenant, seed(customers=rows))
    before = stored("customers")
    report = load(engine, tenant, seed(customers=rows))
    assert counts(report, "customers") == (0, 0, 3, 0, 0)
    assert stored("customers") == before
    rows[1]["name"] = "New Name"
    report = load(engine, tenant, seed(customers=[*rows, customer(4)]))
    assert counts(report, "customers") == (1, 1, 2, 0, 0)
    after = stored("customers")
    assert [after[0], after[2]] == [before[0], before[2]]
    assert after[1]["name"] == "New Name"
    assert after[1]["updated_at"] > before[1]["updated_at"]


def test_a_time_of_change_in_the_file_is_kept_and_a_change_by_hand_moves_it(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    future = datetime(2199, 11, 3, 10, tzinfo=UTC)
    rows = [article(1, updated_at="2026-11-03T10:00:00Z"), article(2, updated_at=future.isoformat())]
    load(engine, tenant, seed(kb_articles=rows))
    assert [row["updated_at"] for row in stored("kb_articles")] == [datetime(2026, 11, 3, 10, tzinfo=UTC), future]
    with engine.begin() as connection:
        connection.exec_driver_sql(f'UPDATE "{schema_of(tenant)}".kb_articles SET title = title')
    assert stored("kb_articles")[1]["updated_at"] == future
    with engine.begin() as connection:
        connection.exec_driver_sql(f'UPDATE "{schema_of(tenant)}".kb_articles SET view_count = 5')
    moved = [row["updated_at"] for row in stored("kb_articles")]
    assert moved[0].year >= 2026
    assert moved[0] > datetime(2026, 11, 3, 10, tzinfo=UTC)
    assert moved[1] > future
    report = load(engine, tenant, seed(kb_articles=rows))
    assert counts(report, "kb_articles") == (0, 0, 2, 0, 0)
    assert [row["updated_at"] for row in stored("kb_articles")] == moved
    rows[1] |= {"updated_at": "2200-01-01T00:00:00Z"}
    assert counts(load(engine, tenant, seed(kb_articles=rows)), "kb_articles") == (0, 1, 1, 0, 0)
    assert stored("kb_articles")[1]["updated_at"] == datetime(2200, 1, 1, tzinfo=UTC)


def test_what_the_folder_does_not_speak_of_stays_until_a_reset(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    other = f"{tenant}x"
    folder = seed(customers=[customer(1), customer(2)], kb_articles=[article(3)])
    load(engine, other, folder)
    load(engine, tenant, folder)
    with engine.begin() as connection:
        connection.exec_driver_sql(f'UPDATE "{schema_of(tenant)}".kb_articles SET is_active = 0')
    load(engine, tenant, seed(customers=[customer(1)]))
    assert len(stored("customers")) == 2
    assert stored("kb_articles")[0]["is_active"] == 0
    report = load(engine, tenant, folder, reset=True)
    assert counts(report, "customers") == (1, 0, 0, 0, 0)
    assert stored("kb_articles")[0]["is_active"] == 1
    with engine.begin() as connection:
        kept = connection.exec_driver_sql(f'SELECT count(*) FROM "{schema_of(other)}".customers').scalar()
        connection.execute(sa.schema.DropSchema(schema_of(other), cascade=True))
    assert kept == 2


def test_a_row_that_only_the_database_refuses_costs_no_other(
    engine: sa.Engine, tenant: str, seed: Seed, stored: Stored
) -> None:
    load(engine, tenant, seed(customers=[]))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"ALTER TABLE \"{schema_of(tenant)}\".customers ADD CONSTRAINT no_bob CHECK (name <> 'Bob')"
        )
    rows = [customer(number, name="Bob" if number == 300 else "Ada") for number in range(1, 1201)]
    report = load(engine, tenant, seed(customers=rows))
    assert counts(report, "customers") == (1199, 0, 0, 0, 1)
    assert "no_bob" in reasons(report, "customers")[uid(300)]
    assert len(stored("customers")) == 1199


def test_two_loads_at_once_wait_for_each_other(engine: sa.Engine, tenant: str, seed: Seed, stored: Stored) -> None:
    folder = seed(customers=[customer(number) for number in range(1, 301)])
    reports: list[LoadReport] = []
    threads = [threading.Thread(target=lambda: reports.append(load(engine, tenant, folder))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts(report, "customers") for report in reports) == [(0, 0, 300, 0, 0)] * 2 + [(300, 0, 0, 0, 0)]
    assert len(stored("customers")) == 300


def test_a_load_gives_up_when_another_does_not_end(
    postgres_url: str, engine: sa.Engine, tenant: str, seed: Seed
) -> None:
    hurried = sa.create_engine(engine.url, connect_args={"options": "-c lock_timeout=200"}, poolclass=sa.pool.NullPool)
    started, release = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        started.set()
        release.wait(20)

    folder = seed(customers=[customer(1)])
    thread = threading.Thread(target=lambda: load(engine, tenant, folder, on_progress=hold))
    thread.start()
    try:
        assert started.wait(20)
        with pytest.raises(LedgerError, match="has not ended yet"):
            load(hurried, tenant, folder)
    finally:
        release.set()
        thread.join()


# Folders


def test_files_are_found_by_name_folder_or_what_they_say(
    engine: sa.Engine, tenant: str, tmp_path: Path, stored: Stored
) -> None:
    def write(name: str, text: str, mark: bytes = b"") -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(mark + text.encode())

    write("sql_seed/customers.json", json.dumps({"data": [customer(1)]}), b"\xef\xbb\xbf")
    write("kb_articles/anything.json", json.dumps({"articles": [article(2)]}))
    write("seed_articles.json", json.dumps({"items": [article(3)]}))
    write(
        "export.json",
        json.dumps(
            {"table": "employees", "records": [{"id": uid(4), "email": "e@one.example", "name": "Eve", "role": "csm"}]}
        ),
    )
    write("invoices.jsonl", "\n".join(json.dumps(invoice(number, 1)) for number in (5, 6)) + "\n{broken\n[1]\n")
    write("payments.json", "\n".join(json.dumps(payment(number, 1)) for number in (7, 8)))
    write("messages.json", '[{"id": ')
    write("credits.json", '{"rows": []}')
    write("notes.json", "[]")
    report = load(engine, tenant, tmp_path)
    assert counts(report, "customers") == (1, 0, 0, 0, 0)
    assert counts(report, "kb_articles") == (2, 0, 0, 0, 0)
    assert counts(report, "employees") == (1, 0, 0, 0, 0)
    assert counts(report, "invoices") == (2, 0, 0, 0, 2)
    assert set(reasons(report, "invoices")) == {"invoices.jsonl, line 3", "invoices.jsonl, line 4"}
    assert counts(report, "payments") == (2, 0, 0, 0, 0)
    assert "is no JSON" in reasons(report, "messages")["messages.json"]
    assert "holds no list of rows" in reasons(report, "credits")["credits.json"]
    assert report.notices == ["notes.json belongs to no table and was left out."]
    assert len(stored("invoices")) == 2


def test_a_missing_folder_a_wrong_table_and_a_wrong_tenant_are_refused(engine: sa.Engine, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no folder"):
        load(engine, "acme", tmp_path / "none")
    with pytest.raises(SettingsError, match="Unknown table 'nope'"):
        load(engine, "acme", tmp_path, tables=["nope"])
    with pytest.raises(SettingsError, match="is not a tenant name"):
        load(engine, 'a"; DROP', tmp_path)


def test_names_that_are_no_columns_are_told(engine: sa.Engine, tenant: str, seed: Seed) -> None:
    report = load(engine, tenant, seed(customers=[customer(1, fax="1"), customer(2, fax="2")]))
    assert counts(report, "customers") == (2, 0, 0, 0, 0)
    assert report.tables["customers"].notices == ["'fax' is no column and was left out of 2 rows"]
