"""An installation whose sensors and schedules tick by hand, over upstreams in memory that can hang."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

import dagster as dg
from dagster._core.errors import ScheduleExecutionError
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from sync_assets.automation.schedules import SyncKind, sync_schedule
from sync_assets.automation.sensors import change_sensor
from sync_assets.definitions import build_defs
from sync_assets.errors import SourceError
from sync_assets.ledger import StreamRef
from sync_assets.partitions import RANGE_END, RANGE_START
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets_tests.laws.upstream import Ticket, Upstream
from sync_assets_tests.stages.telling import ARTICLE, TellingSource, TellingTenants

# When the upstreams' histories begin: few windows ago, since each costs time in a run.
BEGAN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class ProbedSource(TellingSource):
    """An account that can be probed.

    Args:
        asked: the tenants whose account was asked something, in order.
        hung: upstreams by tenant that do not answer until the event is set.
        slow: those that answer all but their span until then.
    """

    def __init__(
        self, tenant: str, upstream: Upstream, asked: list[str], hung: dict[str, Event], slow: dict[str, Event]
    ) -> None:
        super().__init__(tenant, upstream)
        self._asked = asked
        self._hung = hung.get(tenant)
        self._slow = slow.get(tenant)

    def check(self) -> str:
        self._asked.append(self._tenant)
        if self._upstream.broken:
            raise SourceError("Upstream is down.", "Wait.")
        return super().check()

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        if self._slow is not None:
            self._slow.wait(10)
        return super().span(stream)

    def probe(self, stream: str) -> str:
        self._asked.append(self._tenant)
        if self._hung is not None:
            self._hung.wait(10)
        if self._upstream.broken:
            raise SourceError("Upstream is down.", "Wait.")
        of_stream = {
            record_id: found.modified_at
            for record_id, found in self._upstream.tickets.items()
            if record_id.startswith(ARTICLE) == (stream == "articles")
        }
        return str(sorted(of_stream.items()))


class ProbedTenants(TellingTenants):
    """Stands for `Tenants`: those that have an upstream, with their time zones."""

    def __init__(self, upstreams: dict[str, Upstream]) -> None:
        super().__init__(upstreams)
        self.asked: list[str] = []
        self.hung: dict[str, Event] = {}
        self.slow: dict[str, Event] = {}
        self.zones: dict[str, str] = {}

    def open(self, source: str, tenant: str) -> ProbedSource:
        return ProbedSource(tenant, self._upstreams[tenant], self.asked, self.hung, self.slow)

    def time_zone(self, tenant: str) -> str:
        return self.zones.get(tenant, "UTC")


class Automation:
    """Tenants of Freshdesk, and ticks of its sensor and schedules, whose clock goes as the test says.

    Attributes:
        now: the time of the next tick.
        cursor: what the sensor remembers.
        budget: how long upstream is asked in one tick, in seconds.
        sweeping: streams that runs of the sensor sweep.
    """

    def __init__(self, home: Path, database_url: str, tenants: Sequence[str]) -> None:
        self.services = Services(Settings(**{"home": home, "database_url": database_url, "model": "hash-8"}))
        home.mkdir()
        # A tick opens its instance anew, which one in memory does not admit.
        self.instance = dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}})
        self.upstreams = {tenant: Upstream(now=BEGAN) for tenant in tenants}
        self.tenants = ProbedTenants(self.upstreams)
        self.services.__dict__["tenants"] = self.tenants
        self.repository = _repository()
        self.now = datetime.now(UTC)
        self.cursor: str | None = None
        self.budget = 20.0
        self.sweeping: list[str] = []

    def close(self) -> None:
        self.services.close()
        self.instance.dispose()

    def write(self, tenant: str, record_id: str, text: str) -> None:
        """Let a record be written upstream; those that begin with `article-` are articles."""
        upstream = self.upstreams[tenant]
        upstream.tickets[record_id] = Ticket(upstream.tick(), (text,))

    def ref(self, tenant: str, stream: str) -> StreamRef:
        return StreamRef(tenant, "freshdesk", stream)

    def tick(self, minutes: float = 5) -> "Ticked":
        """A tick of the sensor, so long after the last one. A tick that fails leaves the cursor as it was."""
        self.now += timedelta(minutes=minutes)
        sensor = change_sensor("freshdesk", [], sweeping=self.sweeping, clock=lambda: self.now, budget=self.budget)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.repository,
            resources={"services": self.services},
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return Ticked(data.run_requests or [], data.skip_message or "", data.asset_events)

    def scheduled(self, kind: SyncKind, cron: str, at: datetime, *, sweeps: bool = False) -> "Ticked":
        """A tick of a schedule; one that fails raises what failed it."""
        schedule = sync_schedule("freshdesk", [], kind, cron, sweeps=sweeps, budget=self.budget)
        with dg.build_schedule_context(
            instance=self.instance,
            resources={"services": self.services},
            repository_def=self.repository,
            scheduled_execution_time=at,
        ) as context:
            try:
                data = schedule.evaluate_tick(context)
            except ScheduleExecutionError as error:
                raise error.user_exception from error
        return Ticked(data.run_requests or [], data.skip_message or "", [])

    def fail(self, request: dg.RunRequest, at: datetime) -> None:
        """Let the run that was asked for have failed at a time, without running anything."""
        run_id = self.end(request, dg.DagsterRunStatus.STARTED)
        failure = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, "__ASSET_JOB")
        self.instance.run_storage.handle_run_event(run_id, failure, at)

    def end(self, request: dg.RunRequest, status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS) -> str:
        """Let the run that was asked for be in a status, without running anything; returns its id."""
        run = dg.DagsterRun(
            "__ASSET_JOB",
            status=status,
            tags=dict(request.tags),
            asset_selection=frozenset(request.asset_selection or []),
        )
        self.instance.add_run(run)
        return run.run_id

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run what was asked for."""
        return (
            build_defs(self.services)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=self.instance,
                asset_selection=list(request.asset_selection or []),
                run_config={**(request.run_config or {}), **QUIET},
                tags=dict(request.tags),
                raise_on_error=False,
            )
        )


def instigator(name: str, since: datetime | None = None) -> InstigatorState:
    """What Dagster remembers of a sensor or schedule that somebody turned on, at some time."""
    is_sensor = name.endswith("_changes")
    kind = InstigatorType.SENSOR if is_sensor else InstigatorType.SCHEDULE
    data = None if is_sensor else ScheduleInstigatorData("*/15 * * * *", since and since.timestamp())
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="sync_assets.definitions"), "x")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    return InstigatorState(origin, kind, InstigatorStatus.RUNNING, data)


@cache
def _repository() -> dg.RepositoryDefinition:
    """For its assets and their partitions; what a tick works with is handed to it."""
    return build_defs().get_repository_def()


class Ticked:
    """What a tick came to."""

    def __init__(self, requests: Sequence[dg.RunRequest], skipped: str, events: Sequence[Any]) -> None:
        self.requests = list(requests)
        self.skipped = skipped
        self.events = list(events)

    @property
    def tenants(self) -> list[list[str]]:
        """Whom each run is for."""
        return [request.tags["sync_assets/tenants"].split(",") for request in self.requests]

    @property
    def windows(self) -> list[tuple[str, str]]:
        """The windows of each run, both included."""
        return [
            (request.tags[RANGE_START].split("|")[0], request.tags[RANGE_END].split("|")[0])
            for request in self.requests
        ]

    @property
    def streams(self) -> list[set[str]]:
        """What each run syncs."""
        return [{key.path[1] for key in request.asset_selection or []} - {"graph"} for request in self.requests]
