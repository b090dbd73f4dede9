"""An installation of its own, and runs of its ticket chain through Dagster."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from sync_assets.definitions import build_defs
from sync_assets.partitions import RANGE_END, RANGE_START
from sync_assets.runs import failures
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages import Stream
from sync_assets_tests.laws.upstream import DAY, START, Chain, Fuse, Fused, Ticket, Upstream, install

TENANTS = ("acme", "polder")
STORES = ("qdrant", "pgvector")
FILE_STAGES = ("raw", "documents", "chunks", "embeddings")
STAGES = (*FILE_STAGES, *STORES)


def key(stage: str) -> dg.AssetKey:
    return dg.AssetKey(["freshdesk", "tickets", stage])


def day(window: int) -> str:
    """The key of a window; windows are days, counted from the first of January 2026."""
    return f"{START + window * DAY:%Y-%m-%d}"


def partition(window: int, tenant: str = "acme") -> str:
    """The key of a partition, as Dagster has it."""
    return f"{day(window)}|{tenant}"


class Installation:
    """Services, a Dagster instance and the definitions over them.

    Args:
        settings: beside home and database.
    """

    def __init__(self, home: Path, database_url: str, **settings: Any) -> None:
        values = {"home": home, "database_url": database_url, "model": "hash-8", **settings}
        self.services = Services(Settings(**values))
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("freshdesk_tenants", list(TENANTS))
        self._job = build_defs(self.services).resolve_implicit_global_asset_job_def()

    def close(self) -> None:
        self.services.close()
        self.instance.dispose()

    def run(
        self,
        first: str,
        last: str | None = None,
        stages: Sequence[str] = STAGES,
        succeeds: bool = True,
        **raw: Any,
    ) -> dg.ExecuteInProcessResult:
        """One run of the ticket chain: one partition, or the rectangle from `first` to `last`.

        Args:
            raw: configuration of the raw asset.
        """
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
        assert result.success == succeeds, reasons(result)
        return result

    def evaluate(self, checks: Sequence[dg.AssetCheckKey]) -> dg.ExecuteInProcessResult:
        """A run of these checks alone."""
        job = self._job.get_subset(asset_selection=set(), asset_check_selection=set(checks))
        return job.execute_in_process(
            instance=self.instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )


class World(Installation):
    """An installation whose two tenants have a simulated upstream each.

    Attributes:
        chain: reads what the stores hold, and says what they ought to hold.
    """

    def __init__(self, home: Path, database_url: str, **settings: Any) -> None:
        super().__init__(home, database_url, **settings)
        self.upstreams = {tenant: Upstream() for tenant in TENANTS}
        install(self.services, self.upstreams, {})
        stream = Stream("freshdesk", "tickets", "day", STORES, "freshdesk_tickets", chunk_tokens=254)
        self.chain = Chain(self.services, stream, lambda: datetime.now(UTC))

    def write(self, record_id: str, window: int, *texts: str, tenant: str = "acme", **attributes: Any) -> None:
        """Let a ticket be written upstream in a window."""
        self.upstreams[tenant].tickets[record_id] = Ticket(self._now(tenant, window), texts, **attributes)

    def delete(self, record_id: str, window: int, listed: bool = True) -> None:
        """Let a ticket of acme be deleted upstream in a window: `listed` in the deletion feed, or in silence."""
        before = self.upstreams["acme"].tickets[record_id]
        now = self._now("acme", window)
        self.upstreams["acme"].tickets[record_id] = Ticket(
            now if listed else before.modified_at, before.texts, deleted=True, listed_as_deleted=listed
        )

    def _now(self, tenant: str, window: int) -> datetime:
        """Upstream's clock goes on; it stands in `window` afterwards."""
        upstream = self.upstreams[tenant]
        start = START + window * DAY
        assert upstream.now < start + DAY, "upstream's clock never goes back"
        upstream.now = max(upstream.now + timedelta(minutes=1), start)
        return upstream.now

    def expected(self, tenant: str = "acme") -> dict[str, tuple[str, str]]:
        return self.chain.expected(tenant, self.upstreams[tenant])

    def stored(self, store: str, tenant: str = "acme") -> dict[str, tuple[str, str]]:
        return self.chain.stored(store, tenant)

    def documents(self, store: str, tenant: str = "acme") -> set[str]:
        """Record ids of the documents that a store holds vectors of."""
        return {document.rsplit("_", 1)[-1] for document, _ in self.stored(store, tenant).values()}

    def assert_converged(self) -> None:
        """Both stores hold of both tenants what a rebuild from upstream would give, and not nothing."""
        expected = {tenant: self.expected(tenant) for tenant in TENANTS}
        assert any(expected.values())
        for store in STORES:
            assert {tenant: self.stored(store, tenant) for tenant in TENANTS} == expected, store

    def guard(self, store: str, *writes: str) -> Fuse:
        """A fuse that the named writes of a store burn, in place of the one that all parts share."""
        fuse = Fuse()
        opened = self.services.store(store)
        self.services.__dict__["_stores"][store] = Fused(opened, fuse, writes)
        return fuse

    def files(self) -> dict[str, bytes]:
        """Everything below the home folder, by path."""
        home = self.services.settings.home
        return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def materializations(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Metadata values by (stage, partition), as the run's events hold them."""
    return {
        (found.asset_key.path[-1], found.partition or ""): {name: value.value for name, value in found.metadata.items()}
        for event in result.get_asset_materialization_events()
        if (found := event.step_materialization_data.materialization)
    }


def data_versions(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], str]:
    """The data version by (stage, partition), from the tags in the event log."""
    return {
        (found.asset_key.path[-1], found.partition or ""): (found.tags or {})["dagster/data_version"]
        for event in result.get_asset_materialization_events()
        if (found := event.step_materialization_data.materialization)
    }


def total(result: dg.ExecuteInProcessResult, stage: str, name: str) -> int:
    """A count of a stage, summed over the partitions of a run."""
    return sum(counts[name] for (of_stage, _), counts in materializations(result).items() if of_stage == stage)


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Check results by (stage, check)."""
    return {(found.asset_key.path[-1], found.check_name): found for found in result.get_asset_check_evaluations()}


def reasons(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What failed steps say at their top, by stage; steps that were only skipped are left out."""
    # Both kinds of result have the events that `failures` reads.
    found = failures(result)  # pyright: ignore[reportArgumentType]
    return {step.rsplit("/", 1)[-1]: reason for step, reason in found.items()}
