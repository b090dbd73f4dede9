"""Probes: each changes when, and only when, its stream changes upstream, for few calls."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import psycopg
import pytest

from sync_assets.demo.company import DemoCompany
from sync_assets.demo.server import DemoServers
from sync_assets.sources import Source, source_module
from sync_assets.support_database.loading import load
from sync_assets.support_database.tables import schema_of
from sync_assets_tests.sources.portal_world import NOON, sqlite_world
from sync_assets_tests.support_database.rows import article

LATE = datetime(2026, 11, 20, 12, tzinfo=UTC)
Act = Callable[[DemoCompany], Any]


class Counting(httpx.HTTPTransport):
    """The network, with a count of the requests that go over it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        return super().handle_request(request)


class Case(NamedTuple):
    """A stream, what changes it, what does not, and how many calls a probe may take."""

    source: str
    tenant: str
    stream: str
    calls: int
    changes: tuple[Act, ...]
    others: tuple[Act, ...] = ()


def ticket(company: DemoCompany, **changes: Any) -> None:
    """Change the oldest Freshdesk ticket."""
    tickets = company.desks["acme"].data.tickets
    tickets[min(tickets)].update(updated_at="2026-11-20T12:00:00Z", **changes)


def remove_article(company: DemoCompany) -> None:
    articles = company.desks["acme"].data.articles
    del articles[min(articles)]


def zoho(company: DemoCompany, kind: str) -> None:
    records: Any = getattr(company.zoho["solara"].data, kind)
    record = records[min(records)]
    (record if kind == "tickets" else next(iter(record.values())))["modifiedTime"] = "2026-11-20T12:00:00.000Z"


def say_in_slack(company: DemoCompany) -> None:
    workspace = company.slack["acme"]
    channel = next(iter(workspace.data.messages))
    user = next(message["user"] for message in workspace.data.messages[channel].values() if "user" in message)
    workspace.post(channel, user, "Is anybody there?", at=LATE)


def unsay_in_slack(company: DemoCompany) -> None:
    messages = company.slack["acme"].data.messages
    channel = next(iter(messages))
    company.slack["acme"].delete(channel, max(messages[channel]))


def discord_places(company: DemoCompany) -> tuple[str, str, str]:
    """A channel and a living thread that hold messages, and who wrote in them."""
    data = company.discord["solara"].data
    channels = [key for key, row in data.channels.items() if row["type"] == 0 and data.messages.get(key)]
    threads = [
        key
        for key, row in data.channels.items()
        if row["type"] == 11 and data.messages.get(key) and not row["thread_metadata"]["archived"]
    ]
    return channels[0], threads[0], next(iter(data.messages[threads[0]].values()))["author"]["id"]


def say_in_discord(company: DemoCompany, place: int) -> None:
    places = discord_places(company)
    company.discord["solara"].post(places[place], places[2], "Is anybody there?", at=LATE)


def gitlab(company: DemoCompany) -> tuple[Any, str, str]:
    """The instance, a project with issues, and a user."""
    instance = company.gitlab["acme"]
    project = next(project for project in instance.data.projects.values() if project.issues and project.merge_requests)
    return instance, project.path, next(iter(instance.data.users))


def edit_in_gitlab(company: DemoCompany, kind: str) -> None:
    instance, path, user = gitlab(company)
    project = instance.data.project(path)
    items = project.issues if kind == "#" else project.merge_requests
    instance.edit(path, f"{kind}{min(items)}", user, LATE, description="Said anew.")


def push_to_gitlab(company: DemoCompany) -> None:
    instance, path, user = gitlab(company)
    instance.push(path, user, "Explain it", write={"docs/why.md": "Because."}, at=LATE)


def write_in_gitlab_s_wiki(company: DemoCompany) -> None:
    instance, path, _ = gitlab(company)
    pages = instance.data.project(path).wiki
    title = next(iter(pages.values())).title if pages else "Home"
    instance.write_wiki_page(path, title, "Said anew.")


def backlog(company: DemoCompany) -> tuple[Any, str]:
    space = company.backlog["polder"]
    return space, next(iter(space.data.users.values()))["userId"]


def edit_in_backlog(company: DemoCompany, kind: str) -> None:
    space, user = backlog(company)
    if kind == "issues":
        space.update_issue(min(space.data.issues), user, LATE, description="Said anew.")
    elif kind == "wikis":
        space.update_wiki(min(space.data.wikis), user, LATE, content="Said anew.")
    else:
        space.update_document(min(space.data.documents), user, text="Said anew.", at=LATE)


def remove_from_backlog(company: DemoCompany, kind: str) -> None:
    space, user = backlog(company)
    if kind == "issues":
        space.delete_issue(min(space.data.issues), user, LATE)
    elif kind == "wikis":
        space.delete_wiki(min(space.data.wikis), user, LATE)
    else:
        space.delete_document(min(space.data.documents))


CASES = [
    Case(
        *("freshdesk", "acme", "tickets", 3),
        (
            ticket,
            lambda company: ticket(company, deleted=True),
            lambda company: ticket(company, deleted=False, spam=True),
        ),
        (remove_article,),
    ),
    Case("freshdesk", "acme", "articles", 12, (remove_article,), (ticket,)),
    Case(
        *("zoho_desk", "solara", "tickets", 1),
        (lambda company: zoho(company, "tickets"),),
        (lambda company: zoho(company, "articles"),),
    ),
    Case(
        *("zoho_desk", "solara", "articles", 1),
        (lambda company: zoho(company, "articles"),),
        (lambda company: zoho(company, "tickets"),),
    ),
    Case("slack", "acme", "messages", 8, (say_in_slack, unsay_in_slack)),
    Case(
        *("discord", "solara", "messages", 6),
        (lambda company: say_in_discord(company, 0), lambda company: say_in_discord(company, 1)),
    ),
    *(
        Case("gitlab", "acme", stream, 6, (change,), others)
        for stream, change, others in (
            ("issues", lambda company: edit_in_gitlab(company, "#"), (push_to_gitlab, write_in_gitlab_s_wiki)),
            ("merge_requests", lambda company: edit_in_gitlab(company, "!"), (write_in_gitlab_s_wiki,)),
            ("commits", push_to_gitlab, (write_in_gitlab_s_wiki,)),
            ("files", push_to_gitlab, (write_in_gitlab_s_wiki,)),
            ("wikis", write_in_gitlab_s_wiki, (push_to_gitlab,)),
        )
    ),
    *(
        Case(
            *("backlog", "polder", stream, 6),
            (
                lambda company, stream=stream: edit_in_backlog(company, stream),
                lambda company, stream=stream: remove_from_backlog(company, stream),
            ),
            (lambda company, other=other: edit_in_backlog(company, other),),
        )
        for stream, other in (("issues", "wikis"), ("wikis", "documents"), ("documents", "issues"))
    ),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[DemoServers]:
    with DemoServers() as running:
        yield running


@pytest.fixture
def company(servers: DemoServers) -> Iterator[DemoCompany]:
    def reset() -> None:
        company = servers.company
        for accounts in (
            *(company.desks, company.zoho, company.slack, company.discord),
            *(company.gitlab, company.backlog),
        ):
            for account in accounts.values():
                account.reset()

    reset()
    yield servers.company
    reset()


def opened(servers: DemoServers, case: Case, transport: httpx.BaseTransport) -> Source:
    """The account, as a run opens it; the circuit breaker is no other test's."""
    module = source_module(case.source)
    account = module.Account.model_validate(servers.tenants[case.tenant][case.source])
    return module.Source(f"{case.tenant}-{uuid4().hex[:8]}", account, transport=transport)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source} {case.stream}")
def test_a_probe_changes_when_and_only_when_its_stream_does(
    servers: DemoServers, company: DemoCompany, case: Case
) -> None:
    transport = Counting()

    def probe() -> str:
        # Opened anew each time, as each tick does.
        with opened(servers, case, transport) as source:
            return source.probe(case.stream)

    before = probe()
    transport.calls = 0
    assert probe() == before
    assert 0 < transport.calls <= case.calls
    for act in case.others:
        act(company)
        assert probe() == before, "something else changed"
    for act in case.changes:
        act(company)
        after = probe()
        assert after != before, "the stream changed"
        assert probe() == after
        before = after


def test_a_probe_of_the_portal_sees_each_table_of_a_stream(tmp_path: Path) -> None:
    with sqlite_world(tmp_path) as portal:
        portal.fill()
        portal.ticket(1)
        module = source_module("ticket_portal")
        account = module.Account.model_validate({"database_url": portal.url})

        def probe(stream: str) -> str:
            with module.Source("polder", account) as source:
                return source.probe(stream)

        later = NOON + timedelta(days=1)
        acts: list[Callable[[], Any]] = [
            lambda: portal.ticket(2),
            lambda: portal.run(f"UPDATE tickets SET title = 'x', updated_at = '{later}' WHERE ticket_id = 1"),
            lambda: portal.comment(1),
            lambda: portal.value(1),
            lambda: portal.attachment(1),
            lambda: portal.link(1),
            lambda: portal.run("DELETE FROM ticket_comments"),
        ]
        articles = probe("knowledge_base")
        for number, act in enumerate(acts):
            before = probe("tickets")
            assert probe("tickets") == before
            act()
            assert probe("tickets") != before, number
        assert probe("knowledge_base") == articles
        portal.article(1)
        assert probe("knowledge_base") != articles


def test_a_probe_of_the_support_database_sees_edits_and_lost_rows(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy as sa

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("SYNC_ASSETS_DATABASE_URL", postgres_url)
    tenant = f"t-{uuid4().hex[:12]}"
    (tmp_path / "kb_articles.json").write_text(json.dumps([article(1), article(2)]))
    engine = sa.create_engine(sa.make_url(postgres_url).set(drivername="postgresql+psycopg"))
    load(engine, tenant, tmp_path)
    module = source_module("support_database")

    def probe() -> str:
        with module.Source(tenant, module.Account()) as source:
            return source.probe("kb_articles")

    with engine.connect() as connection, psycopg.connect(postgres_url, autocommit=True) as raw:
        table = f'"{schema_of(tenant)}".kb_articles'
        seen = [probe()]
        assert probe() == seen[0]
        raw.execute(f"UPDATE {table} SET title = 'other', updated_at = now()".encode())
        seen.append(probe())
        raw.execute(f"DELETE FROM {table} WHERE id = (SELECT id FROM {table} LIMIT 1)".encode())
        seen.append(probe())
        assert len(set(seen)) == 3
        connection.execute(sa.schema.DropSchema(schema_of(tenant), cascade=True))
        connection.commit()
    engine.dispose()


def test_a_probe_of_an_archive_sees_another_archive_and_not_another_date(tmp_path: Path) -> None:
    module = source_module("slack")
    path = tmp_path / "export.zip"

    def write(text: str, minute: int) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in {
                "channels.json": [{"id": "C1", "name": "attic", "members": []}],
                "users.json": [],
                "attic/2026-11-03.json": [{"type": "message", "user": "U1", "text": text, "ts": "1793700000.000100"}],
            }.items():
                archive.writestr(zipfile.ZipInfo(name, (2026, 11, 3, 8, minute, 0)), json.dumps(content))
        path.write_bytes(packed.getvalue())

    def probe() -> str:
        with module.Source("acme", module.Account.model_validate({"export": str(path)})) as source:
            return source.probe("messages")

    write("Hello", 0)
    before = probe()
    write("Hello", 1)
    assert probe() == before
    write("Good bye", 1)
    assert probe() != before
