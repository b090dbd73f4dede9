"""`sync-assets` as a user runs it: a home of its own, a small demo company, and commands in this process or another."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import dagster as dg
import httpx
import yaml

from sync_assets.cli import main
from sync_assets.demo.company import TENANTS, DemoCompany, Stream
from sync_assets.demo.records import timestamp
from sync_assets.demo.server import DemoServers
from sync_assets.demo.tour import compare
from sync_assets.runs import open_instance
from sync_assets.services import Services
from sync_assets.settings import PREFIX, Settings

STORES = ("pgvector", "qdrant")
TICKETS = 6
ARTICLES = 2
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
DATABASE_PASSWORD = "sesame-of-the-ledger"


class Outcome(NamedTuple):
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one value on stdout."""
        return json.loads(self.out)


def small_company() -> DemoCompany:
    """The Freshdesk accounts with a few tickets and articles a tenant, all modified yesterday: a sync has few windows.

    Of each tenant at least one ticket has a private note. The keys are words that can be searched for.
    """
    company = DemoCompany()
    company.zoho, company.slack, company.discord, company.gitlab, company.backlog = {}, {}, {}, {}, {}
    for tenant, desk in company.desks.items():
        account = desk.data
        account.api_key = f"sesame-of-{tenant}"
        kept = sorted(account.tickets, key=lambda ticket: (not _has_note(account.conversations[ticket]), ticket))
        kept = [ticket for ticket in kept if not account.tickets[ticket]["spam"]][:TICKETS]
        account.tickets = {ticket: account.tickets[ticket] for ticket in kept}
        account.conversations = {ticket: account.conversations[ticket] for ticket in kept}
        # Files are few and alike; without them no two texts are equal.
        for row in (*account.tickets.values(), *(row for rows in account.conversations.values() for row in rows)):
            row["attachments"] = []
        for number, ticket in enumerate(account.tickets.values()):
            ticket.update(created_at=_minute(-1), updated_at=_minute(number))
            ticket.pop("deleted", None)
        published = [key for key, texts in account.articles.items() if texts[account.language]["status"] == 2]
        article = account.articles[published[0]][account.language]
        category, folder = account.categories[article["category_id"]], account.folders[article["folder_id"]]
        account.categories, account.folders = {category["id"]: category}, {folder["id"]: folder}
        for row in (category, folder):
            row.update(created_at=_minute(-1), updated_at=_minute(-1))
        account.articles = {key: {account.language: account.articles[key][account.language]} for key in published[:1]}
        article.update(created_at=_minute(-1), updated_at=_minute(0))
    return company


def _minute(number: int) -> str:
    return timestamp(YESTERDAY + timedelta(minutes=number))


def _has_note(conversations: list[dict[str, Any]]) -> bool:
    return any(conversation["private"] for conversation in conversations)


class Installation:
    """One DAGSTER_HOME with its settings, and the servers that its tenants point at.

    Args:
        database_url: of an empty database.
    """

    def __init__(self, home: Path, database_url: str, servers: DemoServers) -> None:
        self.home = home
        self.servers = servers
        self.tenants_file = home / "tenants.yaml"
        self.database_url = f"{database_url}{'&' if '?' in database_url else '?'}password={DATABASE_PASSWORD}"
        home.mkdir(parents=True, exist_ok=True)
        self.write_tenants()

    def write_tenants(self, **keys: str) -> None:
        """(Re)write the tenants file; `keys` stand in place of a tenant's right key."""
        tenants: dict[str, Any] = self.servers.tenants
        for tenant in self.servers.company.desks:
            account = tenants[tenant]["freshdesk"]
            account["limits"] = {"max_attempts": 2, "max_retry_wait": 0, "breaker_failures": 1000}
            account["api_key"] = keys.get(tenant, account["api_key"])
        self.tenants_file.write_text(yaml.safe_dump({"tenants": tenants}))

    def change_account(self, tenant: str, source: str, **settings: Any) -> None:
        """Give a tenant's account other settings, until the tenants file is written again."""
        tenants = yaml.safe_load(self.tenants_file.read_text())
        tenants["tenants"][tenant][source] |= settings
        self.tenants_file.write_text(yaml.safe_dump(tenants))

    def keep_tenants(self, *tenants: str) -> None:
        """Take all but these out of the tenants file, until it is written again."""
        found = yaml.safe_load(self.tenants_file.read_text())["tenants"]
        self.tenants_file.write_text(yaml.safe_dump({"tenants": {name: found[name] for name in tenants}}))

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "COLUMNS"))}
        return {
            **inherited,
            "DAGSTER_HOME": str(self.home),
            f"{PREFIX}DATABASE_URL": self.database_url,
            f"{PREFIX}MODEL": "hash-8",
            **more,
        }

    def run(self, *arguments: str, **environment: str) -> Outcome:
        """A command in this process, with the environment that another process would have."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.environment(**environment), clear=True),
            patch.object(sys, "argv", ["sync-assets", *arguments]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                return Outcome(int(end.code or 0), out.getvalue(), err.getvalue())
        raise AssertionError("main() returned instead of exiting")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A command in a process of its own; `options` are Popen's, and `program` what Python runs."""
        program = options.pop("program", ("-m", "sync_assets"))
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            env=self.environment(),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    def sync(self, *arguments: str, code: int = 0, **environment: str) -> dict[str, Any]:
        """`sync --json`, which has to end with `code`: its counts."""
        outcome = self.run("sync", *arguments, "--json", **environment)
        assert outcome.code == code, outcome
        return outcome.json

    @contextmanager
    def services(self) -> Iterator[Services]:
        services = Services(Settings(home=self.home, database_url=self.database_url, model="hash-8"))  # pyright: ignore[reportArgumentType] a string becomes a secret
        try:
            yield services
        finally:
            services.close()

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with patch.dict(os.environ, {"DAGSTER_HOME": str(self.home)}), open_instance() as instance:
            yield instance

    def stored(self, store: str, tenant: str, stream: str = "tickets") -> dict[str, str]:
        """Chunk ids and content hashes that a store lists of a tenant."""
        with self.services() as services:
            registered = services.ledger.active_collection(store, f"freshdesk_{stream}")
            if registered is None:
                return {}
            listed = services.store(store).scan(registered.collection, tenant)
            return {chunk.chunk_id: chunk.content_hash for chunk in listed}

    def documents(self, store: str, tenant: str) -> set[str]:
        """Ids of the tickets that a store has something of."""
        with self.services() as services:
            registered = services.ledger.active_collection(store, "freshdesk_tickets")
            assert registered is not None
            listed = services.store(store).scan(registered.collection, tenant)
            return {chunk.document_id.rsplit("_", 1)[-1] for chunk in listed}

    def compare(self, tenant: str, store: str, stream: Stream = "tickets", source: str = "freshdesk") -> dict[str, Any]:
        """What a store lists, against what the company's records give when computed anew."""
        with self.services() as services:
            (found,) = compare(services, self.servers.company, tenant, stream, [store], source)
            return found

    def assert_in_step(self, *tenants: str, stores: tuple[str, ...] = STORES) -> None:
        """The stores hold exactly what upstream's tickets give now, of all tenants or of these, and not nothing."""
        for tenant in tenants or TENANTS:
            for store in stores:
                found = self.compare(tenant, store)
                assert found["equal"], found
                assert found["stored"], found

    @contextmanager
    def upstream(self, tenant: str = "polder") -> Iterator[httpx.Client]:
        """A client of the tenant's account, as its agents have one."""
        key = self.servers.company.desks[tenant].data.api_key
        hooks = {"response": [httpx.Response.raise_for_status]}
        with httpx.Client(base_url=self.servers.base_url(tenant), auth=(key, "X"), event_hooks=hooks) as client:
            yield client

    def order_fault(self, tenant: str, **fault: Any) -> None:
        with self.upstream(tenant) as client:
            client.post("/_demo/faults", json=fault)

    def mend(self, tenant: str) -> None:
        with self.upstream(tenant) as client:
            client.delete("/_demo/faults")

    def reply(self, tenant: str, text: str) -> None:
        """Let an agent answer the tenant's first ticket."""
        with self.upstream(tenant) as client:
            client.post(f"/api/v2/tickets/{self.tickets(tenant)[0]}/reply", json={"body": f"<p>{text}</p>"})

    def requests(self, tenant: str) -> Mapping[str, int]:
        """Requests that the tenant's account has answered, by method and path."""
        return dict(self.servers.company.desks[tenant].requests)

    def tickets(self, tenant: str = "polder") -> list[int]:
        """Ids of the tickets, those with a private note first."""
        return list(self.servers.company.desks[tenant].data.tickets)

    def files(self) -> list[Path]:
        """All files that the stages have stored."""
        return sorted(self.home.glob("storage/*/freshdesk/**/*.*"))
