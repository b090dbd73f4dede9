"""An installation of its own with a simulated upstream, and runs of its assets through Dagster."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import dagster as dg
import psycopg
from psycopg import sql

from sync_assets.definitions import build_defs
from sync_assets.runs import RANGE_END, RANGE_START
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Stream
from sync_assets_tests.laws.upstream import DAY, START, Chain, Fused, Ticket, Upstream, install

TENANTS = ("acme", "polder")
STORES = ("qdrant", "pgvector")
STAGES = ("raw", "documents", "chunks", "embeddings", *STORES)


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """URL of a new, empty database on the server of `url`."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def key(stage: str) -> dg.AssetKey:
    return dg.AssetKey(["freshdesk", "tickets", stage])


def at(window: int, minute: int = 1) -> datetime:
    """A moment in a window; windows are days, counted from the first of January 2026."""
    return START + window * DAY + (datetime(2026, 1, 1, 0, minute, tzinfo=UTC) - START)


def partition(window: int, tenant: str = "acme") -> str:
    """The key of a partition, as Dagster has it."""
    return f"{START + window * DAY:%Y-%m-%d}|{tenant}"


class World:
    """Two tenants with an upstream each, and the ticket chain of the definitions over services of their own.

    Attributes:
        chain: reads what the stores hold, and says what they ought to hold.
        runs: ids of the runs so far.
    """

    def __init__(self, home: Path, database_url: str, **settings: Any) -> None:
        values = {"home": home, "database_url": database_url, "model": "hash-8", **settings}
        self.services = Services(Settings(**values))
        self.upstreams = {tenant: Upstream() for tenant in TENANTS}
        install(self.services, self.upstreams, {})
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("freshdesk_tenants", list(TENANTS))
        stream = Stream("freshdesk", "tickets", "day", STORES, "freshdesk_tickets", chunk_tokens=254)
        self.chain = Chain(self.services, stream, lambda: datetime.now(UTC))
        self.runs: list[str] = []
        self._job = build_defs(self.services).resolve_implicit_global_asset_job_def()

    def close(self) -> None:
        self.services.close()
        self.instance.dispose()

    def write(self, record_id: str, window: int, *texts: str, tenant: str = "acme", **attributes: Any) -> None:
        """Let a ticket be written upstream in a window."""
        upstream = self.upstreams[tenant]
        upstream.now = max(upstream.now, at(window))
        upstream.tickets[record_id] = Ticket(at(window), texts, **attributes)

    def delete(self, record_id: str, window: int, tenant: str = "acme", listed: bool = True) -> None:
        """Let a ticket be deleted upstream in a window; `listed` in the deletion feed, or in silence."""
        upstream = self.upstreams[tenant]
        before = upstream.tickets[record_id]
        upstream.now = max(upstream.now, at(window))
        upstream.tickets[record_id] = Ticket(
            at(window) if listed else before.modified_at, before.texts, deleted=True, listed_as_deleted=listed
        )

    def run(
        self,
        first: str,
        last: str | None = None,
        stages: Sequence[str] = STAGES,
        succeeds: bool = True,
        **raw: Any,
    ) -> dg.ExecuteInProcessResult:
        """One run of the chain: one partition, or the rectangle from `first` to `last`; `raw` is its run config."""
        where: dict[str, Any] = {"tags": {RANGE_START: first, RANGE_END: last}} if last else {"partition_key": first}
        result = self._job.execute_in_process(
            instance=self.instance,
            asset_selection=[key(stage) for stage in stages],
            run_config={
                "ops": {"freshdesk__tickets__raw": {"config": raw}} if raw else {},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
            **where,
        )
        self.runs.append(result.run_id)
        assert result.success == succeeds, reasons(result)
        return result

    def expected(self, tenant: str = "acme") -> dict[str, tuple[str, str]]:
        return self.chain.expected(tenant, self.upstreams[tenant])

    def stored(self, store: str, tenant: str = "acme") -> dict[str, tuple[str, str]]:
        return self.chain.stored(store, tenant)

    def assert_converged(self) -> None:
        """Both stores hold of both tenants what a rebuild from upstream would give, and not nothing."""
        for tenant in TENANTS:
            expected = self.expected(tenant)
            for store in STORES:
                assert self.stored(store, tenant) == expected, (store, tenant)
        assert any(self.expected(tenant) for tenant in TENANTS)

    def put_store(self, name: str, writes: Sequence[str]) -> Fused:
        """Put a fuse of its own before a store, which the named methods burn."""
        from sync_assets_tests.laws.upstream import Fuse

        fused = Fused(self.services.store(name), Fuse(), writes)
        self.services.__dict__["_stores"][name] = fused
        return fused


def materializations(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Metadata values by (stage, partition), as the run's events hold them."""
    return {
        (found.asset_key.path[-1], found.partition or ""): {name: value.value for name, value in found.metadata.items()}
        for event in result.get_asset_materialization_events()
        if (found := event.step_materialization_data.materialization)
    }


def data_versions(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], str]:
    """The data version tag by (stage, partition), as the run's events hold them."""
    return {
        (found.asset_key.path[-1], found.partition or ""): (found.tags or {})["dagster/data_version"]
        for event in result.get_asset_materialization_events()
        if (found := event.step_materialization_data.materialization)
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Check results by (stage, check)."""
    return {
        (found.asset_key.path[-1], found.check_name): found for found in result.get_asset_check_evaluations()
    }


def reasons(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What the failed steps say at their top, by stage."""
    from sync_assets.runs import failures

    return {step.rsplit("/", 1)[-1]: reason for step, reason in failures(result).items()}  # pyright: ignore
