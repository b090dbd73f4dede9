"""`sync-assets plan`: it writes nothing, and a sync that follows does exactly what was planned."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sync_assets.components import SourceSync
from sync_assets.demo.server import DemoServers
from sync_assets.enrichment.summaries import Summaries
from sync_assets_tests.command_line import STORES, Installation, small_company
from sync_assets_tests.enrichment import language_models
from sync_assets_tests.postgres import fresh_database


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """Two tenants that nothing was synced of."""
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        yield Installation(tmp_path / "home", url, servers)


def plan(installation: Installation, *arguments: str, code: int = 0, **environment: Any) -> dict[str, Any]:
    outcome = installation.run("plan", *arguments, "--json", **environment)
    assert outcome.code == code, outcome
    return outcome.json


def planned(forecast: dict[str, Any]) -> dict[tuple[str, str], dict[str, int]]:
    """Counts by stream and place, summed over tenants, under the names that a sync gives them."""
    found: dict[tuple[str, str], dict[str, int]] = {}

    def add(place: tuple[str, str], counts: dict[str, int]) -> None:
        row = found.setdefault(place, {})
        for name, number in counts.items():
            row[name] = row.get(name, 0) + number

    for stream in forecast["streams"]:
        add((stream["stream"], "documents"), stream["documents"])
        add((stream["stream"], "chunks"), {"chunks": stream["chunks"]})
        add((stream["stream"], "embeddings"), {"embedded": stream["texts"]})
        for store, counts in stream["stores"].items():
            written = counts["chunks_added"] + counts["chunks_changed"]
            same = {name: counts[name] for name in ("added", "changed", "deleted", "unchanged", "payloads")}
            add((stream["stream"], store), {**same, "written": written, "removed": counts["chunks_dropped"]})
    return found


def done(result: dict[str, Any], like: dict[tuple[str, str], dict[str, int]]) -> dict[tuple[str, str], dict[str, int]]:
    """What a sync reports, in the same form."""
    stages = {(row["stream"], row["stage"]): row for row in result["stages"]}
    return {place: {name: stages[place].get(name, 0) for name in counts} for place, counts in like.items()}


def everything_stored(installation: Installation) -> dict[str, Any]:
    """Digests of all tables and files, what the stores list, and what Dagster's instance holds."""
    found: dict[str, Any] = {}
    with psycopg.connect(installation.database_url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
        ).fetchall()
        for schema, table in tables:
            query = sql.SQL("SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} AS t")
            found[f"{schema}.{table}"] = connection.execute(query.format(sql.Identifier(schema, table))).fetchone()
        sequences = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
        found["sequences"] = connection.execute(sequences).fetchall()
    for path in installation.home.glob("storage/**/*.*"):
        found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    for tenant in installation.servers.company.desks:
        for store in STORES:
            found[f"{tenant} {store}"] = installation.stored(store, tenant)
    with installation.instance() as instance:
        found["runs"] = instance.get_run_ids()
        found["tenants"] = list(instance.get_dynamic_partitions("freshdesk_tenants"))
    return found


@pytest.mark.slow
def test_a_sync_does_what_was_planned_and_the_plan_wrote_nothing(installation: Installation) -> None:
    for command in (["status"], ["graph", "stats", "--tenant", "polder"]):
        installation.run(*command)  # makes its tables
    before = everything_stored(installation)
    forecast = plan(installation, "--all")
    assert everything_stored(installation) == before
    expected = planned(forecast)
    assert done(installation.sync("--all"), expected) == expected
    assert forecast["texts"] > 0
    assert (forecast["seconds"], forecast["cost"]) == (None, 0)

    first, second, *_ = installation.tickets()
    with installation.upstream() as client:
        client.put(f"/api/v2/tickets/{first}", json={"subject": "The pump leaks again"})
        client.delete(f"/api/v2/tickets/{second}")
    before = everything_stored(installation)
    again = ("--since-hours", "24", "--tenant", "polder", "--stream", "tickets", "--sweep")
    forecast = plan(installation, *again)
    assert everything_stored(installation) == before
    expected = planned(forecast)
    result = installation.sync(*again)
    assert done(result, expected) == expected
    assert expected["tickets", "documents"]["changed"] == 1
    assert expected["tickets", "pgvector"]["deleted"] == 1
    assert forecast["texts"] > 0
    assert forecast["seconds"] > 0  # the first sync was the measurement


def test_a_sync_beyond_a_limit_refuses_until_told_and_the_plan_says_so(installation: Installation) -> None:
    chosen = ("--all", "--tenant", "polder", "--stream", "tickets")
    limits: dict[str, Any] = {"SYNC_ASSETS_MAX_EMBEDDED_TEXTS": "5"}
    price: dict[str, Any] = {"SYNC_ASSETS_MODEL_PRICES": '{"hash-8": 1000}', "SYNC_ASSETS_MAX_COST": "1"}
    forecast = plan(installation, *chosen, code=1, **limits)
    refusal = f"freshdesk/tickets: {forecast['texts']} new texts to embed, more than SYNC_ASSETS_MAX_EMBEDDED_TEXTS=5"
    assert [failure.startswith(refusal) for failure in forecast["failures"]] == [True]
    assert "--no-limits" in forecast["failures"][0]

    forecast = plan(installation, *chosen, code=1, **price)
    assert forecast["cost"] == pytest.approx(forecast["tokens"] / 1000)
    (failure,) = forecast["failures"]
    assert f"for {forecast['cost']:.2f} US dollars, more than SYNC_ASSETS_MAX_COST=1 allows" in failure

    result = installation.sync(*chosen, "--until", "embeddings", code=1, **limits)
    assert refusal in result["failures"][0]
    assert result["embedded"] == 0
    # Nothing is lost: the same again, told to, does it all.
    assert plan(installation, *chosen, "--no-limits", **limits)["texts"] == forecast["texts"]
    again = installation.sync(*chosen, "--until", "embeddings", "--no-limits", **limits)
    assert again["embedded"] == forecast["texts"]


def test_summaries_to_ask_for_are_told_with_their_cost_and_nobody_is_asked(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = SourceSync.stream
    summaries = Summaries(kind="llm", model="tiny-chat", max_characters=100)
    monkeypatch.setattr(SourceSync, "stream", lambda self, name: replace(stream(self, name), summaries=summaries))
    chosen = ("--all", "--tenant", "polder", "--stream", "tickets")
    with language_models.openai() as model:
        settings: dict[str, Any] = {
            "SYNC_ASSETS_LLM_URL": model.url,
            "SYNC_ASSETS_LLM_PRICES": '{"tiny-chat": [1000, 10000]}',
        }
        outcome = installation.run("plan", *chosen, **settings, COLUMNS="250")
        assert outcome.code == 0, outcome
        forecast = plan(installation, *chosen, code=1, **settings, SYNC_ASSETS_MAX_COST="0.1")
        assert not model.seen
    number, cost = forecast["summaries"], forecast["summaries_cost"]
    assert 0 < number <= forecast["streams"][0]["documents"]["added"]
    assert cost > 0.25 * number
    assert f"To summarise: {number} documents, about {cost:.2f} US dollars.\n" in outcome.out
    (failure,) = forecast["failures"]
    assert f"{number} documents to summarise for about {cost:.2f} US dollars" in failure


@pytest.mark.slow
def test_people_read_counts_time_money_and_what_would_fail(installation: Installation) -> None:
    installation.write_tenants(acme="a wrong key")
    outcome = installation.run("plan", "--all", "--stream", "articles", COLUMNS="200")
    assert outcome.code == 1
    assert "To embed: 2 texts, 133 tokens, time not yet measured, 0.00 US dollars." in outcome.out
    assert "chunks_added" in outcome.out
    assert outcome.out.endswith("Nothing was written.\n")
    assert "Would fail: freshdesk: acme" in outcome.err
    assert "a wrong key" not in outcome.out + outcome.err
