"""The command line: what each command does to the stores, what it prints, and how it ends."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer.main

from sync_assets import cli
from sync_assets.cli.status import COLUMNS
from sync_assets.demo.company import TENANTS
from sync_assets.demo.server import DemoServers
from sync_assets.runs import LOCATION
from sync_assets_tests.command_line import (
    ARTICLES,
    DATABASE_PASSWORD,
    STORES,
    TICKETS,
    YESTERDAY,
    Installation,
    small_company,
)
from sync_assets_tests.postgres import fresh_database

KEYS = {"documents", "chunks", "embedded", "reused", "written", "deleted", "quarantined", "seconds"}
STAGES = ("raw", "documents", "chunks", "embeddings", *STORES)
# Of all streams of a source, and of all sources of a tenant.
GRAPH_STAGES = ("graph", "resolution", "similarity", "summary")
DAY = f"{YESTERDAY:%Y-%m-%d}"
PROGRAM = str(Path(sys.executable).with_name("sync-assets"))


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and group of commands, by its words."""

    def below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in getattr(group, "commands", {}).items():
            yield (*words, name)
            yield from below(command, (*words, name))

    return below(typer.main.get_command(cli.app), ())


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """Two tenants that nothing was synced of."""
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        yield Installation(tmp_path / "home", url, servers)


class First:
    """The first sync of an installation as a process of its own, its stderr on a terminal."""

    def __init__(self, installation: Installation) -> None:
        controller, terminal = pty.openpty()
        process = installation.start("sync", "--all", "--json", stderr=terminal)
        os.close(terminal)
        shown = b"".join(_read_all(controller))
        os.close(controller)
        assert process.stdout is not None
        self.out = process.stdout.read()
        self.code = process.wait()
        self.progress = shown.decode()
        self.requests = {tenant: installation.requests(tenant) for tenant in TENANTS}


def _read_all(descriptor: int) -> Iterator[bytes]:
    try:
        while block := os.read(descriptor, 4096):
            yield block
    except OSError:  # Linux says so when the other side is closed
        return


class Synced(Installation):
    """Both tenants, synced once. For tests that only read."""

    first: First


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Synced]:
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        made = Synced(tmp_path_factory.mktemp("synced") / "home", url, servers)
        made.first = First(made)
        assert made.first.code == 0, made.first.out + made.first.progress
        yield made


# What it says of itself


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_of_every_command_shows_examples_of_it(synced: Synced, words: tuple[str, ...]) -> None:
    outcome = synced.run(*words, "--help", COLUMNS="200")
    assert outcome.code == 0
    if not any(len(others) > len(words) and others[: len(words)] == words for others in commands()):
        assert f"sync-assets {' '.join(words)}" in outcome.out.partition("Examples")[2]


def test_the_module_and_the_program_are_the_same_command(synced: Synced) -> None:
    asked = ["status", "--json"]
    module = subprocess.run(
        [sys.executable, "-m", "sync_assets", *asked], env=synced.environment(), capture_output=True, text=True
    )
    program = subprocess.run([PROGRAM, *asked], env=synced.environment(), capture_output=True, text=True)
    assert (module.returncode, module.stdout) == (program.returncode, program.stdout) == (0, module.stdout)
    assert (module.stderr, program.stderr) == ("", "")
    assert json.loads(module.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "x"], ["--tenant", "`sync-assets search --help`"]),
        (["search", "x", "--tenant", "nobody"], ["nobody", "acme, polder"]),
        (["search", "x", "--tenant", "acme", "--source", "zendesk"], ["zendesk", "freshdesk"]),
        (["search", "x", "--tenant", "acme", "--store", "chroma"], ["chroma", "pgvector, qdrant"]),
        (["search", "x", "--tenant", "acme", "--filter", "open"], ["'open'", "key=value"]),
        (["search", "x", "--tenant", "acme", "--audience", "restricted"], ["--principal"]),
        (["search", " ".join(["word"] * 300), "--tenant", "acme"], ["300 tokens", "254"]),
        (["sync", "--until", "vectors"], ["'vectors'", "raw, documents, chunks, embeddings, stores"]),
        (["sync", "--stream", "forum"], ["'forum'", "articles, commits, configuration_items"]),
        (["sync", "--source", "zendesk"], ["'zendesk'", "freshdesk"]),
        (["sync", "--tenant", "nobody"], ["'nobody'", "acme, polder"]),
        (["sync", "--all", "--incremental"], ["--since-hours, --incremental, --from/--to and --all"]),
        (["sync", "--from", "2026-01-01"], ["--from and --to"]),
        (["sync", "--from", "2026-01-02", "--to", "2026-01-01"], ["2026-01-02", "Swap"]),
        (["sync", "--from", "2026-13-02", "--to", "2026-01-01"], ["2026-13-02", "%Y-%m-%d"]),
        (["sync", "--from", "2001-01-01", "--to", "2001-01-02"], ["2001-01-01", "defs.yaml"]),
        (["sync", "--limit", "0"], ["--limit"]),
        (["sync", "--since-hours", "-1"], ["--since-hours"]),
        (["status", "--tenant", "nobody"], ["'nobody'", "acme, polder"]),
        (["quarantine", "list", "--tenant", "nobody"], ["'nobody'", "acme, polder"]),
        (["nonsense"], ["'nonsense'", "--help"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_wrong_usage_is_told_in_one_line_with_the_remedy_and_exit_code_2(
    synced: Synced, arguments: list[str], words: list[str]
) -> None:
    outcome = synced.run(*arguments, COLUMNS="60")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err


def test_a_home_that_cannot_be_written_is_a_wrong_setting(synced: Synced) -> None:
    outcome = synced.run("status", DAGSTER_HOME=str(synced.tenants_file))
    assert outcome.code == 2
    assert outcome.err.startswith(f"Error: DAGSTER_HOME {synced.tenants_file}: ")


def test_without_tenants_nothing_is_synced_and_the_file_is_named(installation: Installation) -> None:
    installation.tenants_file.unlink()
    outcome = installation.run("sync")
    assert outcome.code == 2
    assert str(installation.tenants_file) in outcome.err
    assert "sync-assets demo" in outcome.err


# The first sync


def test_json_is_one_object_with_the_counts_and_nothing_else(synced: Synced) -> None:
    counts = json.loads(synced.first.out)
    assert counts.keys() >= KEYS
    chunks = sum(
        len(synced.stored("qdrant", tenant, stream)) for tenant in TENANTS for stream in ("tickets", "articles")
    )
    assert counts["documents"] == TICKETS * 2 + ARTICLES
    assert (counts["chunks"], counts["embedded"], counts["written"]) == (chunks, chunks, chunks * len(STORES))
    assert (counts["deleted"], counts["quarantined"], counts["failures"]) == (0, 0, [])
    assert counts["seconds"] > 0
    assert {(row["stream"], row["stage"]) for row in counts["stages"]} == {
        *((stream, stage) for stream in ("tickets", "articles") for stage in STAGES),
        *(("", stage) for stage in GRAPH_STAGES),
    }
    assert not [name for row in counts["stages"] for name in row if "/" in name]


def test_with_json_stderr_stays_silent_even_on_a_terminal(synced: Synced) -> None:
    assert synced.first.progress == ""


def test_the_stores_hold_what_upstream_has(synced: Synced) -> None:
    synced.assert_in_step()
    for tenant in TENANTS:
        for store in STORES:
            assert synced.compare(tenant, store, "articles")["equal"]


def test_several_tenants_are_one_run_with_the_code_locations_origin(synced: Synced) -> None:
    with synced.instance() as instance:
        runs = instance.get_runs()
    # The latest come first: what is made of whole graphs, by tenant.
    *whole, run = runs
    assert [one.run_id for one in reversed(runs)] == json.loads(synced.first.out)["runs"]
    assert [one.tags["sync_assets/tenants"] for one in reversed(whole)] == ["acme", "polder"]
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["sync_assets/tenants"] == "acme,polder"
    origin = run.remote_job_origin
    assert origin is not None
    assert origin.job_name == "__ASSET_JOB"
    assert origin.repository_origin.code_location_origin.location_name == LOCATION
    # Repeated in the UI, it evaluates the same: what reads whole stores is not among them.
    chosen = {check.name for check in run.asset_check_selection or ()}
    assert "unique_ids" in chosen
    assert "equals_ledger" not in chosen


def test_the_log_of_the_day_tells_what_was_run(synced: Synced) -> None:
    (log, *_) = sorted((synced.home / "logs").iterdir())
    assert re.fullmatch(r"sync-assets-\d{4}-\d\d-\d\d\.log", log.name)
    text = log.read_text()
    assert "sync --all --json" in text
    assert '"embedded": ' in text


def test_a_home_without_an_instance_file_gets_one_that_reports_to_nobody(synced: Synced) -> None:
    with synced.instance() as instance:
        assert not instance.telemetry_enabled


# Looking at it


def test_status_counts_what_the_stores_hold(synced: Synced) -> None:
    rows = synced.run("status", "--json").json
    assert [tuple(row) for row in rows] == [COLUMNS] * len(rows)
    assert {(row["tenant"], row["stream"], row["store"]) for row in rows} == {
        (tenant, stream, store) for tenant in TENANTS for stream in ("tickets", "articles") for store in STORES
    }
    for row in rows:
        stored = len(synced.stored(row["store"], row["tenant"], row["stream"]))
        assert (row["chunks"], row["vectors"], row["quarantined"]) == (stored, stored, 0)
        assert row["documents"] == (TICKETS if row["stream"] == "tickets" else ARTICLES // 2)
        assert row["last_success"].endswith("+00:00")
    only = synced.run("status", "--tenant", "acme", "--json").json
    assert only == [row for row in rows if row["tenant"] == "acme"]


@pytest.mark.parametrize("width", [None, 160, 80, 40])
def test_tables_are_readable_in_every_width(synced: Synced, width: int | None) -> None:
    outcome = synced.run("status", **({} if width is None else {"COLUMNS": str(width)}))
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    words = outcome.out.replace(",", " ").split()
    for word in ("acme", "polder", "freshdesk", "tickets", "articles", "pgvector", "qdrant", "documents", "vectors"):
        assert word in words, "no word is broken"
    if width:
        assert max(map(len, lines)) <= width or width < 60
    if width != 40:
        assert len([line for line in lines if line.startswith(("acme", "polder"))]) == 8


def test_a_dry_run_shows_the_runs_and_touches_nothing(synced: Synced) -> None:
    synced.servers.company.desks["acme"].requests.clear()
    synced.servers.company.desks["polder"].requests.clear()
    before = (synced.files(), synced.run("status", "--json").json)
    plan = synced.run("sync", "--dry-run", "--stream", "tickets", "--json").json["runs"]
    assert [(run["source"], run["tenants"], run["windows"], run["assets"]) for run in plan] == [
        ("freshdesk", "acme, polder", 2, 7)
    ]
    assert not synced.requests("acme"), "changes of a day are asked of nobody"
    table = synced.run("sync", "--dry-run", "--all", "--stream", "tickets")
    assert table.out.splitlines()[-1] == "Dry run: nothing was fetched or written."
    assert DAY in table.out
    assert set(synced.requests("acme")) == {"GET /api/v2/tickets"}, "all there is: only its first and last moment"
    assert (synced.files(), synced.run("status", "--json").json) == before
    with synced.instance() as instance:
        assert instance.get_runs_count() == 3, "those of the first sync"


def test_a_dry_run_on_a_new_installation_registers_no_tenant(installation: Installation) -> None:
    plan = installation.run("sync", "--dry-run", "--since-hours", "0", "--until", "raw", "--json").json["runs"]
    assert [(run["first_window"], run["last_window"], run["assets"], run["sweep"]) for run in plan] == [
        (DAY, DAY, 2, True)
    ]
    with installation.instance() as instance:
        assert instance.get_dynamic_partitions("freshdesk_tenants") == []
    assert installation.files() == []


# Search


def hits(installation: Installation, *arguments: str) -> list[dict[str, Any]]:
    outcome = installation.run("search", *arguments, "--json")
    assert outcome.code == 0, outcome
    return outcome.json


@pytest.mark.parametrize("store", STORES)
def test_search_shows_private_notes_to_internal_audiences_only(synced: Synced, store: str) -> None:
    ticket = synced.tickets("acme")[0]
    note = next(
        row["body_text"] for row in synced.servers.company.desks["acme"].data.conversations[ticket] if row["private"]
    )
    asked = (" ".join(note.split()[:200]), "--tenant", "acme", "--store", store, "--top-k", "100")
    public, internal = hits(synced, *asked), hits(synced, *asked, "--audience", "internal")
    assert {hit["visibility"] for hit in public} == {"public"}
    assert internal[0]["record_id"] == str(ticket)
    assert internal[0]["visibility"] == "internal"
    assert internal[0]["role"] == "comment"
    assert {hit["document_id"].partition("_")[0] for hit in internal} == {"acme"}


def test_search_narrows_by_source_filter_and_number(synced: Synced) -> None:
    asked = ("the phone", "--tenant", "acme")
    everything = hits(synced, *asked, "--top-k", "100")
    assert len(everything) == TICKETS + 1
    assert hits(synced, *asked, "--top-k", "100", "--source", "freshdesk") == everything
    assert [hit["chunk_id"] for hit in hits(synced, *asked, "--top-k", "2")] == [
        hit["chunk_id"] for hit in everything[:2]
    ]
    articles = hits(synced, *asked, "--filter", "stream=articles")
    assert {hit["stream"] for hit in articles} == {"articles"}
    status = everything[0]["metadata"].get("status") or everything[-1]["metadata"]["status"]
    both = hits(synced, *asked, "--top-k", "100", "--filter", "stream=tickets", "--filter", f"status={status}")
    wanted = [hit for hit in everything if hit["metadata"].get("status") == status]
    assert sorted(hit["record_id"] for hit in both) == sorted(hit["record_id"] for hit in wanted)
    assert hits(synced, *asked, "--filter", "status=no-such") == []
    either = hits(synced, *asked, "--top-k", "100", "--filter", "stream=tickets", "--filter", "stream=articles")
    assert either == everything, "of a repeated key any value will do"
    assert hits(synced, *asked, "--top-k", "100", "--since", DAY) == everything
    assert hits(synced, *asked, "--until", DAY) == []
    category = next(hit["metadata"]["category"] for hit in everything if hit["stream"] == "articles")
    assert hits(synced, *asked, "--category", category) == articles
    assert hits(synced, *asked, "--principal", "group:nobody") == everything[:5]


def test_search_prints_titles_and_links_on_unbroken_lines(synced: Synced) -> None:
    found = hits(synced, "the phone", "--tenant", "acme")
    lines = synced.run("search", "the phone", "--tenant", "acme", COLUMNS="40").out.splitlines()
    assert [line for line in lines if line.startswith(tuple("12345"))] == [
        f"{rank}. {hit['title']}  {hit['score']:.3f}" for rank, hit in enumerate(found, 1)
    ]
    facts = [
        f"   freshdesk/{hit['stream']}  {hit['modified_at'][:10]}  {hit['visibility']}  {hit['path']}  "
        + ", ".join(f"{name} {score:.3f}" for name, score in hit["scores"].items())
        for hit in found
    ]
    assert [line for line in lines if line.startswith("   freshdesk/")] == facts
    highlights = [" ".join(one["text"].split()) for hit in found for one in hit["highlights"]]
    assert set(highlights) <= {line.strip() for line in lines}
    assert {hit["url"] for hit in found} <= {line.strip() for line in lines}
    assert synced.run("search", "x", "--tenant", "acme", "--filter", "status=no-such").out == "Nothing found.\n"


# Sync


def test_nothing_is_done_twice_and_an_edit_costs_exactly_its_own_chunks(installation: Installation) -> None:
    asked = ("--stream", "tickets", "--tenant", "polder")
    first = installation.sync(*asked, "--all")
    assert first["embedded"] == first["chunks"] > 0
    second = installation.sync(*asked, "--all")
    assert (second["documents"], second["reused"]) == (TICKETS, first["chunks"])
    assert (second["embedded"], second["written"], second["payloads"], second["deleted"]) == (0, 0, 0, 0)
    before = {store: installation.stored(store, "polder") for store in STORES}
    ticket = installation.tickets()[0]
    with installation.upstream() as client:
        client.post(f"/api/v2/tickets/{ticket}/reply", json={"body": "<p>The replacement valve was sent today.</p>"})
        client.put(f"/api/v2/tickets/{installation.tickets()[1]}", json={"priority": 4})
    third = installation.sync(*asked, "--incremental")
    for store in STORES:
        after = installation.stored(store, "polder")
        new = after.keys() - before[store].keys()
        assert len(new) == 1
        assert before[store].items() <= after.items()
    assert (third["embedded"], third["written"]) == (1, len(STORES))
    assert third["documents"] == 2, "only what was edited is fetched"
    assert third["payloads"] > 0, "the priority stands beside the text"
    installation.assert_in_step("polder")


def test_an_audit_finds_what_was_damaged_and_heals_it_without_embedding(installation: Installation) -> None:
    installation.sync("--stream", "tickets", "--tenant", "polder", "--all")
    assert installation.run("audit", "--upstream", "--tenant", "polder", "--stream", "tickets").code == 0
    with installation.services() as services:
        registered = services.ledger.active_collection("pgvector", "freshdesk_tickets")
        assert registered is not None
        services.store("pgvector").delete(
            registered.collection, "polder", sorted(installation.stored("pgvector", "polder"))[:2]
        )
    found = installation.run("audit", "--tenant", "polder", "--json")
    assert found.code == 3
    assert [(one["place"], one["kind"], one["chunks"]) for one in found.json["findings"]] == [
        ("pgvector", "missing", 2)
    ]
    healed = installation.run("audit", "--tenant", "polder", "--heal", "--json")
    assert healed.code == 0
    assert (healed.json["healed"]["sync"]["embedded"], healed.json["healed"]["left"]["findings"]) == (0, [])
    installation.assert_in_step("polder")


def test_until_stops_after_the_named_stage(installation: Installation) -> None:
    done: set[str] = set()
    for until, added in zip(
        ("raw", "documents", "chunks", "embeddings", "stores"),
        [*((name,) for name in STAGES[:4]), (*STORES, *GRAPH_STAGES)],
        strict=True,
    ):
        counts = installation.sync("--all", "--stream", "tickets", "--tenant", "polder", "--until", until)
        done |= set(added)
        assert {row["stage"] for row in counts["stages"]} == done
        stages = {path.relative_to(installation.home / "storage").parts[3] for path in installation.files()}
        assert stages == done - {*STORES, *GRAPH_STAGES}
        assert bool(installation.stored("qdrant", "polder")) == (until == "stores")
    installation.assert_in_step("polder")


def test_days_limits_and_sweeps(installation: Installation) -> None:
    asked = ("--stream", "tickets", "--tenant", "polder")
    limited = installation.sync(*asked, "--from", DAY, "--to", DAY, "--limit", "2")
    assert limited["documents"] == 2
    status = installation.run("status", "--json").json
    assert {row["last_success"] for row in status} == {None}, "a limited sync is no success"
    empty = f"{YESTERDAY.replace(year=YESTERDAY.year - 1):%Y-%m-%d}"
    assert installation.sync(*asked, "--from", empty, "--to", empty)["documents"] == 0
    assert installation.sync(*asked, "--from", DAY, "--to", DAY)["documents"] == TICKETS
    installation.assert_in_step("polder")
    ticket = installation.tickets()[-1]
    with installation.upstream() as client:
        client.post(f"/_demo/tickets/{ticket}/purge")
    unswept = installation.sync(*asked, "--from", DAY, "--to", DAY)
    assert unswept["deleted"] == 0
    assert not installation.compare("polder", "qdrant")["equal"], "the purge is in no feed"
    swept = installation.sync(*asked, "--sweep")
    assert swept["deleted"] == 1
    installation.assert_in_step("polder")


def test_a_sweep_that_refuses_fails_and_names_its_setting(installation: Installation) -> None:
    asked = ("--stream", "tickets", "--tenant", "polder", "--all")
    installation.sync(*asked)
    before = installation.stored("qdrant", "polder")
    with installation.upstream() as client:
        for ticket in installation.tickets()[:2]:
            client.post(f"/_demo/tickets/{ticket}/purge")
    outcome = installation.run("sync", *asked)
    assert outcome.code == 1
    assert "2 of 6 documents are missing upstream" in outcome.err
    assert "SYNC_ASSETS_SWEEP_MAX_DELETE_SHARE=0.2" in outcome.err
    assert installation.stored("qdrant", "polder") == before
    assert installation.sync(*asked, SYNC_ASSETS_SWEEP_MAX_DELETE_SHARE="0.5")["deleted"] == 2
    installation.assert_in_step("polder")


def test_progress_on_a_terminal_has_rate_and_remaining_time(installation: Installation) -> None:
    controller, terminal = pty.openpty()
    process = installation.start(
        "sync", "--all", "--stream", "tickets", "--tenant", "polder", stdout=subprocess.DEVNULL, stderr=terminal
    )
    os.close(terminal)
    shown = b"".join(_read_all(controller)).decode()
    os.close(controller)
    assert process.wait() == 0, shown
    assert "Warning" not in shown
    assert f"freshdesk: tickets of polder, 1 windows from {DAY} to {DAY}" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    for stage in STAGES:
        assert f"polder freshdesk/tickets {stage}" in plain
    for store in STORES:
        assert re.search(rf"polder freshdesk/tickets {store} +━+ \d+/\d+ \d+/s \d:\d\d:\d\d", plain)


# Quarantine


def test_what_is_quarantined_is_listed_retried_and_dropped(installation: Installation) -> None:
    asked = ("--stream", "tickets", "--tenant", "polder", "--all")
    bad, worse = installation.tickets()[:2]
    for ticket in (bad, worse):
        installation.order_fault("polder", path=r"/tickets", malformed="numeric_subject", record_id=ticket)
    counts = installation.sync(*asked, code=3)
    assert (counts["documents"], counts["quarantined"]) == (TICKETS - 2, 2)
    listed = installation.run("quarantine", "list", "--json").json
    assert {(row["tenant"], row["record_id"], row["stage"], row["window"]) for row in listed} == {
        ("polder", str(ticket), "documents", DAY) for ticket in (bad, worse)
    }
    assert all("subject" in row["reason"] for row in listed)
    table = installation.run("quarantine", "list", "--tenant", "polder", COLUMNS="60").out
    assert "ticket.subject: Input should be a valid string" in " ".join(table.split())
    assert installation.run("quarantine", "list", "--tenant", "acme").out == "Nothing is in quarantine.\n"
    assert {row["quarantined"] for row in installation.run("status", "--json").json} == {2}

    shown = installation.run("quarantine", "drop", "--tenant", "polder", "--record", str(worse))
    assert "1 would be dropped; nothing was." in shown.out
    assert len(installation.run("quarantine", "list", "--json").json) == 2
    assert installation.run("quarantine", "retry", "--json").code == 3, "upstream still sends them broken"
    assert installation.run("quarantine", "drop", "--record", str(worse), "--yes").out == "1 dropped.\n"
    assert [row["record_id"] for row in installation.run("quarantine", "list", "--json").json] == [str(bad)]

    installation.mend("polder")
    retried = installation.run("quarantine", "retry", "--tenant", "polder")
    assert retried.code == 0
    assert retried.out.splitlines()[-1] == "1 of 1 left quarantine."
    assert installation.run("quarantine", "list", "--json").json == []
    found = hits(installation, "koelen", "--tenant", "polder", "--filter", f"record_id={bad}")
    assert [hit["record_id"] for hit in found] == [str(bad)]


def test_an_empty_quarantine_has_nothing_to_retry(synced: Synced) -> None:
    assert synced.run("quarantine", "retry").out == "0 of 0 left quarantine.\n"
    assert synced.run("quarantine", "retry", "--json").json == {"quarantined": 0}


# Tenants


def test_tenants_are_registered_as_partitions_in_order(installation: Installation) -> None:
    for _ in range(2):
        assert installation.run("tenants", "register").out == "freshdesk: acme, polder\n"
        with installation.instance() as instance:
            assert instance.get_dynamic_partitions("freshdesk_tenants") == ["acme", "polder"]


def test_checking_tenants_tries_every_credential(installation: Installation) -> None:
    good = installation.run("tenants", "check", "--json")
    assert good.code == 0
    assert [(row["tenant"], row["source"], row["ok"]) for row in good.json] == [
        ("acme", "freshdesk", True),
        ("polder", "freshdesk", True),
    ]
    installation.write_tenants(polder="sesame-that-is-wrong")
    bad = installation.run("tenants", "check", COLUMNS="80")
    assert bad.code == 1
    assert "tenants.polder.freshdesk.api_key" in " ".join(bad.out.split())
    assert "sesame" not in bad.out + bad.err
    assert sum(installation.requests("polder").values()) <= 2, "one cheap call each"


# Ending


def test_ctrl_c_stops_the_servers_with_one_line(synced: Synced) -> None:
    # A shell that starts tests in the background lets them ignore Ctrl-C.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import sync_assets.__main__"
    process = synced.start("upstream", "serve", "--port", "0", program=("-c", heeding))
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "Stopped. What was done so far is kept; the next sync does the rest.\n"


def test_the_database_of_a_url_is_described_and_not_ours_to_stop(synced: Synced) -> None:
    assert "accepts connections" in synced.run("database", "status").out
    stopping = synced.run("database", "stop")
    assert stopping.code == 2
    assert "SYNC_ASSETS_DATABASE_URL" in stopping.err


# Secrets (law 8)


def test_no_secret_is_ever_written_or_printed(installation: Installation) -> None:
    wrong = "sesame-that-is-wrong"
    installation.write_tenants(polder=wrong)
    outcomes = [
        installation.run("sync", "--all", "--stream", "tickets"),
        installation.run("tenants", "check", "--json"),
    ]
    assert [outcome.code for outcome in outcomes] == [1, 1]
    installation.write_tenants()
    installation.order_fault("polder", path=r"/tickets\?.*include", status=500)
    outcomes.append(installation.run("sync", "--all", "--stream", "tickets", "--tenant", "polder"))
    assert outcomes[-1].code == 1
    installation.mend("polder")
    outcomes.append(installation.run("sync", "--all", "--stream", "tickets", "--tenant", "polder"))
    unreachable = "postgresql://someone:sesame-of-another-ledger@127.0.0.1:1/nothing"
    outcomes.append(installation.run("sync", "--stream", "tickets", SYNC_ASSETS_DATABASE_URL=unreachable))
    assert [outcome.code for outcome in outcomes[-2:]] == [0, 1]
    assert "sesame" not in "".join(outcome.out + outcome.err for outcome in outcomes)
    installation.tenants_file.unlink()
    written = [path for path in installation.home.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= {".db", ".log", ".parquet", ".gz"}
    assert [path for path in written if b"sesame" in path.read_bytes()] == []
    assert DATABASE_PASSWORD in installation.database_url, "and it was used"
