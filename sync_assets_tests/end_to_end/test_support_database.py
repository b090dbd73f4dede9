"""`sync-assets support-db`: what is in the tables and in the store afterwards, what is reported, and how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml

from sync_assets.definitions import build_defs
from sync_assets.demo.server import DemoServers
from sync_assets_tests.command_line import Installation, small_company
from sync_assets_tests.postgres import fresh_database

ADA, BOB, TWIN = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2, 3))
TEXT = "Open the settings of your account and follow the link."


def article(number: int, title: str, category: str = "billing") -> dict[str, Any]:
    identity = f"a{number:07}-0000-4000-8000-000000000000"
    return {"id": identity, "title": title, "content": TEXT, "category": category}


def seed() -> dict[str, list[dict[str, Any]]]:
    """Three customers of whom one is another's twin, their invoices, one of them at fault, and three articles."""
    return {
        "customers": [
            {"id": ADA, "email": "ada@acme.example", "name": "Ada", "plan": "basic"},
            {"id": BOB, "email": "bob@acme.example", "name": "Bob", "plan": "free"},
            {"id": TWIN, "email": "ADA@acme.example", "name": "Ada again", "plan": "basic"},
        ],
        "invoices": [
            {"customer_id": BOB, "invoice_number": "1", "amount": 10.5, "currency": "EUR", "status": "paid"},
            {"customer_id": TWIN, "invoice_number": "2", "amount": 20, "currency": "EUR", "status": "open"},
            {"customer_id": ADA, "invoice_number": "3", "amount": 30, "currency": "EUR", "status": "past_due"},
        ],
        "kb_articles": [
            article(1, "How to pay an invoice"),
            article(2, "How to reset a password", "account"),
            article(3, "How to call the API", "api"),
        ],
    }


def write_seed(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    folder.mkdir(exist_ok=True)
    for table, found in rows.items():
        (folder / f"{table}.json").write_text(json.dumps({"records": found}))


class Support:
    """An installation whose tenant acme has a support database and nothing else."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        self.write(seed())
        self.write_tenants("acme")

    def write(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        write_seed(self.folder, rows)

    def write_tenants(self, *tenants: str) -> None:
        accounts = {tenant: {"support_database": {"folder": str(self.folder)}} for tenant in tenants}
        self.installation.tenants_file.write_text(yaml.safe_dump({"tenants": accounts}))

    def run(self, *arguments: str, code: int = 0) -> Any:
        outcome = self.installation.run("support-db", *arguments, "--json")
        assert outcome.code == code, outcome
        return outcome.json

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.installation.database_url) as connection:
            connection.execute("SET search_path TO support_acme")
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def stored(self) -> dict[str, str]:
        """Titles of the articles in the store, with their categories."""
        found: dict[str, str] = {}
        with self.installation.services() as services:
            registered = services.ledger.active_collection("qdrant", "kb_articles")
            assert registered is not None
            ids = {chunk.document_id for chunk in services.store("qdrant").scan(registered.collection, "acme")}
        for record_id, title, category in self.sql("SELECT id::text, title, category FROM kb_articles"):
            if f"acme_support%5Fdatabase_{record_id}" in ids:
                found[title] = category
                ids.discard(f"acme_support%5Fdatabase_{record_id}")
        return found | dict.fromkeys(ids, "not in SQL")


@pytest.fixture
def support(tmp_path: Path, postgres_url: str) -> Iterator[Support]:
    with fresh_database(postgres_url) as url:
        yield Support(Installation(tmp_path / "home", url, DemoServers(0, small_company())), tmp_path / "seed")


def test_a_load_fills_the_tables_and_the_store_and_accounts_for_every_row(support: Support) -> None:
    report = support.run("load", code=3)
    tables = {table: counts for table, counts in report["tables"].items() if counts["read"]}
    assert tables == {
        "customers": {"read": 3, "added": 2, "changed": 0, "unchanged": 0, "merged": 1, "rejected": 0},
        "kb_articles": {"read": 3, "added": 3, "changed": 0, "unchanged": 0, "merged": 0, "rejected": 0},
        "invoices": {"read": 3, "added": 2, "changed": 0, "unchanged": 0, "merged": 0, "rejected": 1},
    }
    assert [(row["table"], row["place"]) for row in report["rejected"]] == [("invoices", "invoices.json, row 3")]
    assert "past_due" in report["rejected"][0]["reason"]
    assert support.sql("SELECT invoice_number, customer_id::text FROM invoices ORDER BY 1") == [("1", BOB), ("2", ADA)]
    assert support.stored() == {
        "How to pay an invoice": "billing",
        "How to reset a password": "account",
        "How to call the API": "api",
    }
    assert report["in_step"]
    assert report["categories"] == [
        {"category": name, "in_sql": 1, "in_store": 1} for name in ("account", "api", "billing")
    ]
    assert len(report["searches"]) == 6


def test_a_file_that_is_no_tables_is_named(support: Support) -> None:
    (support.folder / "leftovers.json").write_text("[]")
    notices = support.run("load", code=3)["notices"]
    assert notices[0] == "leftovers.json belongs to no table and was left out."
    assert any(notice.startswith("customers: 1 row merged") for notice in notices)


def test_a_run_over_two_tenants_shows_each_its_own(support: Support) -> None:
    support.write_tenants("acme", "polder")
    accounts = yaml.safe_load(support.installation.tenants_file.read_text())
    accounts["tenants"]["polder"]["support_database"]["folder"] = "other"
    support.installation.tenants_file.write_text(yaml.safe_dump(accounts))
    write_seed(support.installation.home / "other", {"customers": seed()["customers"][:1]})
    with support.installation.services() as services, dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("support_database_tenants", ["acme", "polder"])
        result = (
            build_defs(services)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                asset_selection=[dg.AssetKey(["support_database", "tables", "customers"])],
                instance=instance,
                tags={"dagster/asset_partition_range_start": "acme", "dagster/asset_partition_range_end": "polder"},
            )
        )
    found = {
        event.partition: event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    }
    assert {tenant: (metadata["read"].value, metadata["merged"].value) for tenant, metadata in found.items()} == {
        "acme": (3, 1),
        "polder": (1, 0),
    }
    assert ADA in str(found["acme"]["notices"].value)
    assert "notices" not in found["polder"]


def test_a_second_load_changes_nothing(support: Support) -> None:
    support.run("load", code=3)
    rows = [f"SELECT id, updated_at, xmin::text FROM {table} ORDER BY id" for table in ("customers", "kb_articles")]
    before = [support.sql(statement) for statement in rows]
    report = support.run("load", code=3)
    assert [support.sql(statement) for statement in rows] == before
    counts = report["tables"]["customers"]
    assert (counts["added"], counts["changed"], counts["unchanged"]) == (0, 0, 2)
    assert (report["articles"]["embedded"], report["articles"]["written"], report["articles"]["deleted"]) == (0, 0, 0)


def test_a_row_that_is_mended_leaves_quarantine(support: Support) -> None:
    support.run("load", code=3)
    [held] = support.installation.run("quarantine", "list", "--json").json
    assert (held["tenant"], held["stream"], held["stage"]) == ("acme", "tables", "invoices")
    outcome = support.installation.run("quarantine", "retry")
    assert (outcome.code, "0 of 1 left quarantine" in outcome.out) == (3, True)
    rows = seed()
    rows["invoices"][2]["status"] = "uncollectible"
    support.write(rows)
    outcome = support.installation.run("quarantine", "retry")
    assert (outcome.code, "1 of 1 left quarantine" in outcome.out) == (0, True)
    assert support.sql("SELECT status FROM invoices WHERE invoice_number = '3'") == [("uncollectible",)]


def test_changes_by_hand_reach_the_store(support: Support) -> None:
    support.run("load", code=3)
    support.sql("UPDATE kb_articles SET is_active = 0 WHERE category = 'billing'")
    support.sql("UPDATE kb_articles SET title = 'How to change a password' WHERE category = 'account'")
    outcome = support.installation.sync("--source", "support_database", "--incremental")
    assert (outcome["deleted"], outcome["failures"]) == (1, [])
    assert support.stored() == {"How to change a password": "account", "How to call the API": "api"}
    support.sql("UPDATE kb_articles SET is_active = 1 WHERE category = 'billing'")
    report = support.run("reindex")
    assert (report["embedded"], report["in_step"]) == (0, True)
    assert set(support.stored()) == {"How to change a password", "How to call the API", "How to pay an invoice"}


def test_a_row_that_was_removed_leaves_the_store(support: Support) -> None:
    support.run("load", code=3)
    support.sql("DELETE FROM kb_articles WHERE category = 'api'")
    refused = support.run("reindex", code=1)
    assert (refused["in_step"], len(refused["only_in_store"])) == (False, 1), "one of three is more than may go unasked"
    outcome = support.installation.run("support-db", "reindex", "--json", SYNC_ASSETS_SWEEP_MAX_DELETE_SHARE="1")
    assert (outcome.code, outcome.json["in_step"]) == (0, True)
    assert set(support.stored()) == {"How to pay an invoice", "How to reset a password"}


def test_a_reset_is_shown_before_it_is_made(support: Support) -> None:
    support.run("load", code=3)
    rows = seed()
    rows["customers"] = [row for row in rows["customers"] if row["id"] != BOB]
    rows["invoices"] = rows["invoices"][1:]
    support.write(rows)
    shown = support.run("load", "--reset", "--dry-run", code=3)
    assert shown["tables"]["customers"]["added"] == 1
    assert support.sql("SELECT name FROM customers ORDER BY 1") == [("Ada",), ("Bob",)]
    support.run("load", code=3)
    assert support.sql("SELECT name FROM customers ORDER BY 1") == [("Ada",), ("Bob",)]
    support.run("load", "--reset", code=3)
    assert support.sql("SELECT name FROM customers ORDER BY 1") == [("Ada",)]


def test_generated_rows_load_whole_and_come_again_with_their_seed(support: Support, tmp_path: Path) -> None:
    made = support.run("generate", "--customers", "5", "--seed", "7", "--output", str(tmp_path / "one"))
    support.run("generate", "--customers", "5", "--seed", "7", "--output", str(tmp_path / "two"))
    files = sorted(path.name for path in (tmp_path / "one").rglob("*.json"))
    assert files
    for path in (tmp_path / "one").rglob("*.json"):
        assert path.read_text() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_text()
    report = support.run("generate", "--customers", "5", "--seed", "7")
    assert {table: counts["added"] for table, counts in report["tables"].items()} == made
    assert report["rejected"] == []
    assert support.sql("SELECT count(*) FROM customers") == [(5,)]


def test_embed_writes_every_chunk_with_its_vector(support: Support, tmp_path: Path) -> None:
    support.run("load", code=3)
    outcome = support.installation.run("support-db", "embed", "--output", str(tmp_path / "out.jsonl"))
    assert (outcome.code, "0 were embedded" in outcome.out) == (0, True), outcome
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {line["title"] for line in lines} == set(support.stored())
    assert {len(line["vector"]) for line in lines} == {8}


def test_two_tenants_have_nothing_in_common(support: Support) -> None:
    support.write_tenants("acme", "acme-eu")
    outcome = support.installation.run("support-db", "load")
    assert (outcome.code, "Choose one with --tenant" in outcome.err) == (2, True)
    support.run("load", "--tenant", "acme-eu", code=3)
    assert support.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'support%'") == [("support_acme-eu",)]
    hits = support.installation.run("search", "password", "--tenant", "acme", "--json")
    assert (hits.code, hits.json if hits.code == 0 else []) in ((0, []), (2, []))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tenant", "polder"], ["no support database of 'polder'", "tenants.polder"]),
        (["--folder", "nowhere"], ["--folder nowhere is no folder"]),
    ],
)
def test_what_is_missing_is_named(support: Support, arguments: list[str], words: list[str]) -> None:
    outcome = support.installation.run("support-db", "load", *arguments)
    assert outcome.code == 2
    assert [word for word in words if word not in outcome.err] == [], outcome.err


def test_some_tables_can_be_loaded_alone_and_a_reset_needs_all(support: Support) -> None:
    def materialize(table: str, reset: bool) -> dg.ExecuteInProcessResult:
        with support.installation.services() as services, dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("support_database_tenants", ["acme"])
            job = build_defs(services).resolve_implicit_global_asset_job_def()
            return job.execute_in_process(
                asset_selection=[dg.AssetKey(["support_database", "tables", table])],
                instance=instance,
                partition_key="acme",
                run_config={"ops": {"support_database__tables": {"config": {"reset": reset}}}},
                raise_on_error=False,
            )

    support.run("load", code=3)
    rows = seed()
    rows["invoices"][0]["status"] = "void"
    rows["customers"][0]["name"] = "Ada Lovelace"
    support.write(rows)
    result = materialize("invoices", reset=False)
    assert result.success
    [check] = result.get_asset_check_evaluations()
    assert (check.passed, check.metadata["failing"].value) == (False, 1)
    assert support.sql("SELECT status FROM invoices WHERE invoice_number = '1'") == [("void",)]
    assert support.sql("SELECT name FROM customers ORDER BY 1") == [("Ada",), ("Bob",)]
    assert not materialize("invoices", reset=True).success
    assert support.sql("SELECT count(*) FROM customers") == [(2,)]
