"""Zoho Desk from its servers to what a search finds: who finds what, and what arrives without a modification time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sync_assets.demo.company import DemoCompany
from sync_assets.demo.server import DemoServers
from sync_assets_tests.command_line import Installation
from sync_assets_tests.postgres import fresh_database

TENANT = "solara"


class Solara:
    """An installation whose only tenant has a Zoho Desk account, synced once, and that account."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.first = installation.sync("--all")

    @property
    def articles(self) -> dict[str, dict[str, Any]]:
        """The articles in their own language as they are now, in every status."""
        account = self.installation.servers.company.zoho[TENANT].data
        return {article_id: texts[account.locale] for article_id, texts in account.articles.items()}

    def change(self, article_id: str, **attributes: Any) -> None:
        """Change an article without moving its modification time."""
        url = f"{self.installation.servers.base_url(TENANT)}/_demo/zoho/articles/{article_id}"
        before = self.articles[article_id]["modifiedTime"]
        httpx.patch(url, json=attributes).raise_for_status()
        assert self.articles[article_id]["modifiedTime"] == before

    def found(self, text: str, *options: str) -> set[str]:
        """Record ids of the nearest documents to a text."""
        outcome = self.installation.run("search", text, "--tenant", TENANT, "--top-k", "100", "--json", *options)
        assert outcome.code == 0, outcome
        return {hit["record_id"] for hit in outcome.json}

    def assert_in_step(self) -> None:
        for stream in ("articles", "tickets"):
            found = self.installation.compare(TENANT, "pgvector", stream, source="zoho_desk")
            assert found["equal"], found
            assert found["stored"], found


@pytest.fixture
def solara(tmp_path: Path, postgres_url: str) -> Iterator[Solara]:
    company = DemoCompany()
    company.desks, company.slack, company.discord, company.gitlab, company.backlog = {}, {}, {}, {}, {}
    with DemoServers(0, company) as servers, fresh_database(postgres_url) as url:
        yield Solara(Installation(tmp_path / "home", url, servers))


def test_everything_that_lives_is_stored_and_a_second_sync_writes_nothing(solara: Solara) -> None:
    assert (solara.first["failures"], solara.first["quarantined"]) == ([], 0)
    solara.assert_in_step()
    again = solara.installation.sync("--all")
    assert (again["embedded"], again["written"], again["deleted"]) == (0, 0, 0)


def test_customers_never_find_what_is_for_agents_or_not_published(solara: Solara) -> None:
    live = {key for key, row in solara.articles.items() if row["status"] == "Published" and not row["isTrashed"]}
    for_agents = {key for key in live if solara.articles[key]["permission"] == "AGENTS"}
    restricted = {key for key in live if solara.articles[key]["permission"] == "USERGROUPS"}
    for_customers = live - for_agents - restricted
    assert for_agents
    assert restricted
    assert set(solara.articles) - live
    everything = ("--filter", "doc_type=article", "--filter", "language=en")
    ids = {"public": set[str](), "internal": set[str]()}
    for audience in ids:
        found = solara.found("solar panels", "--audience", audience, *everything)
        ids[audience] = {record_id.removeprefix("article-") for record_id in found}
    assert ids["public"] == for_customers
    assert ids["internal"] == for_customers | for_agents


def test_what_moves_no_modification_time_arrives_with_the_sweep(solara: Solara) -> None:
    articles = solara.articles
    draft = next(key for key, row in articles.items() if row["status"] == "Draft" and row["permission"] == "ALL")
    for_all, hidden, trashed = [
        key for key, row in articles.items() if (row["status"], row["permission"]) == ("Published", "ALL")
    ][:3]
    solara.change(draft, status="Published")
    solara.change(for_all, permission="AGENTS")
    solara.change(hidden, status="Unpublished")
    solara.change(trashed, isTrashed=True)
    plain = solara.installation.sync("--incremental", "--no-sweep")
    assert (plain["written"], plain["deleted"]) == (0, 0), "no window can see it"
    swept = solara.installation.sync("--all")
    assert swept["failures"] == []
    solara.assert_in_step()
    public = solara.found("solar panels", "--filter", "doc_type=article")
    assert f"article-{draft}" in public
    assert not {f"article-{key}" for key in (for_all, hidden, trashed)} & public
    assert f"article-{for_all}" in solara.found(
        "solar panels", "--audience", "internal", "--filter", "doc_type=article"
    )
    again = solara.installation.sync("--all")
    assert (again["embedded"], again["written"], again["payloads"]) == (0, 0, 0)


def test_articles_of_one_title_are_kept_apart(solara: Solara) -> None:
    titles: dict[str, list[str]] = {}
    for key, row in solara.articles.items():
        if row["status"] == "Published" and row["permission"] in ("ALL", "REGISTEREDUSERS"):
            titles.setdefault(row["title"], []).append(key)
    twins = [keys for keys in titles.values() if len(keys) > 1]
    assert twins
    for keys in twins:
        title = solara.articles[keys[0]]["title"]
        assert {f"article-{key}" for key in keys} <= solara.found(title, "--filter", "doc_type=article")


def test_one_article_can_be_synced_alone(solara: Solara) -> None:
    key = next(key for key, row in solara.articles.items() if row["status"] == "Published")
    solara.change(key, title="Where is the big red switch?")
    chosen = ("--tenant", TENANT, "--source", "zoho_desk", "--stream", "articles", "--record", f"article-{key}")
    alone = solara.installation.sync(*chosen)
    assert (alone["documents"], alone["written"] > 0) == (1, True)
    solara.assert_in_step()


def test_a_mistyped_id_is_told_and_leaves_no_trace(solara: Solara) -> None:
    chosen = ("--tenant", TENANT, "--source", "zoho_desk", "--stream", "articles", "--record", "articel-17")
    outcome = solara.installation.run("sync", *chosen)
    assert outcome.code == 1, outcome
    assert "zoho_desk/articles has no record 'articel-17'" in " ".join((outcome.out + outcome.err).split())
    assert "articel-17" not in solara.installation.run("quarantine", "list").out
