"""Sensors: each tick asks every tenant's upstream what changed, and asks for runs of what did.

What belongs here: what a tick does. What it remembers is in `cursor.py`, how upstream is asked in each source's
`probe`, which is a hint: what it does not see is found by the schedules (`schedules.py`). All sensors are off until
somebody turns them on in the UI.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import dagster as dg

from sync_assets.automation.asking import BUDGET_SECONDS, NONE_ASKED, Answers, ask_all
from sync_assets.automation.cursor import Cursor, Tokens
from sync_assets.automation.refusals import note
from sync_assets.automation.schedules import run_under_way
from sync_assets.checks.selection import checks_of_sync
from sync_assets.clock import utc_now
from sync_assets.hashing import digest, text_hash
from sync_assets.planning import Begin, Planner, Span, SyncRequest
from sync_assets.services import Services

# Of a run: which asking of a sensor it answers, so that the sensor finds it again, and one that was executed anew too.
ASKED = "sync_assets/asked"

_EVERY_SECONDS = 300
_TOKEN_DIGITS = 16


class _Changes(NamedTuple):
    """What is new in a tenant's streams, and since when; without a span where nothing is."""

    tokens: Tokens
    span: Span | None


def change_sensor(
    source: str,
    assets: Sequence[dg.AssetKey],
    *,
    sweeping: Collection[str] = (),
    clock: Callable[[], datetime] = utc_now,
    budget: float = BUDGET_SECONDS,
) -> dg.SensorDefinition:
    """The sensor of a source, for all tenants that have an account in it.

    Args:
        assets: of its chains.
        sweeping: streams whose runs also sweep, since their probe shows what no window has.
        clock: wall clock, for rests.
        budget: how long upstream is asked in one tick, in seconds.
    """

    @dg.sensor(
        name=_name(source),
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=_EVERY_SECONDS,
        description=f"Asks {source} every {_EVERY_SECONDS // 60} minutes what changed, and syncs the streams that did.",
        required_resource_keys={"services"},
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _Tick(source, sweeping, context, clock(), budget).result()

    return sensor


def _name(source: str) -> str:
    return f"{source}_changes"


class _Tick:
    """One look at a source's accounts.

    Args:
        sweeping: streams whose runs also sweep.
        budget: how long upstream is asked, in seconds.
    """

    def __init__(
        self,
        source: str,
        sweeping: Collection[str],
        context: dg.SensorEvaluationContext,
        now: datetime,
        budget: float,
    ) -> None:
        assert context.repository_def is not None  # noqa: S101 a code location's sensor has one
        self._source = source
        self._sweeping = sweeping
        self._context = context
        self._now = now
        self._budget = budget
        self._services: Services = context.resources.services
        self._graph = context.repository_def.asset_graph
        self._planner = Planner(self._services, self._graph, context.instance)
        self._cursor = Cursor.read(context.cursor, now)
        self._chains = self._planner.chains(SyncRequest(sources=(source,)))
        self._begins: dict[str, dict[str, Begin]] = {}

    def result(self) -> dg.SensorResult:
        """What to run, what was seen, and what to remember."""
        self._planner.register(self._source)
        tenants = self._services.tenants.names(self._source)
        self._cursor.forget_all_but(tenants)
        under_way = run_under_way(self._context.instance, [self._source])
        self._settle()
        if not tenants:
            return self._nothing(f"No tenant has an account in {self._source}.")
        if under_way is not None:
            return self._nothing(f"A sync of {self._source} is still running: {under_way}")
        answers = self._ask(tenants)
        changed = {tenant: found for tenant, found in answers.found.items() if found.tokens}
        requests = list(self._requests(changed))
        if not requests:
            return self._nothing(self._told(tenants, answers))
        return dg.SensorResult(
            requests, cursor=self._cursor.model_dump_json(), asset_events=list(self._observations(changed))
        )

    def _settle(self) -> None:
        """Learn what became of the runs that were asked for."""
        for key in list(self._cursor.asked):
            runs = self._context.instance.get_runs(dg.RunsFilter(tags={ASKED: key}), limit=1)
            if not runs or runs[0].status is dg.DagsterRunStatus.FAILURE:
                self._cursor.failed(key, self._now)
            elif runs[0].status is dg.DagsterRunStatus.CANCELED:
                self._cursor.canceled(key)
            elif runs[0].is_success:
                self._cursor.succeeded(key)

    def _ask(self, tenants: Sequence[str]) -> Answers[_Changes]:
        order = self._cursor.order(tenants, self._now)
        self._begins = self._planner.begins(order, self._chains)
        answers = ask_all(order, self._changes, self._budget)
        note(self._context.instance, _name(self._source), self._source, tenants, answers)
        if order:
            reached = min((order.index(tenant) for tenant in answers.left), default=len(order))
            self._cursor.last = order[reached - 1]
        for tenant, reason in answers.failed.items():
            self._cursor.rest(tenant, self._now)
            self._context.log.error(reason)
        for tenant, found in answers.found.items():
            if not found.tokens:
                self._cursor.rests.pop(tenant, None)
        return answers

    def _changes(self, tenant: str) -> _Changes:
        """What changed in a tenant's streams. Runs in a thread."""
        changed = self._cursor.changed(tenant, self._tokens(tenant))
        if not changed:
            return _Changes({}, None)
        begins = {stream: self._begins[tenant][stream] for stream in changed}
        return _Changes(changed, self._planner.span_from(self._source, tenant, begins))

    def _tokens(self, tenant: str) -> Tokens:
        """How a tenant's streams look upstream."""
        with self._services.tenants.open(self._source, tenant) as account:
            probed = {chain.stream: account.probe(chain.stream) for chain in self._chains}
        return {stream: text_hash(found)[:_TOKEN_DIGITS] for stream, found in probed.items()}

    def _request(self, streams: Iterable[str]) -> SyncRequest:
        return SyncRequest(sources=(self._source,), streams=tuple(sorted(streams)), incremental=True)

    def _requests(self, changed: Mapping[str, _Changes]) -> Iterator[dg.RunRequest]:
        """One run for all tenants where their windows allow; a tenant that failed before has its own."""
        rested = [tenant for tenant in changed if tenant in self._cursor.rests]
        groups = [[tenant for tenant in changed if tenant not in rested], *([tenant] for tenant in rested)]
        for group in filter(None, groups):
            request = self._request({stream for tenant in group for stream in changed[tenant].tokens})
            spans = {tenant: span for tenant in group if (span := changed[tenant].span) is not None}
            for planned in self._planner.plan(self._source, self._planner.chains(request), spans, request):
                tokens = {tenant: changed[tenant].tokens for tenant in planned.tenants}
                key = f"{self._source} {self._cursor.number} {digest(tokens)[:_TOKEN_DIGITS]}"
                self._cursor.ask(key, tokens)
                yield dg.RunRequest(
                    key,
                    asset_selection=planned.assets,
                    asset_check_keys=sorted(checks_of_sync(self._graph, planned.assets)),
                    run_config=planned.config(request, self._sweeping),
                    tags={**planned.tags, ASKED: key},
                )
        self._cursor.number += 1

    def _observations(self, changed: Mapping[str, _Changes]) -> Iterator[dg.AssetObservation]:
        """For people to see at the systems upstream; nothing follows from them."""
        for tenant, found in changed.items():
            for stream, token in found.tokens.items():
                yield dg.AssetObservation(
                    [self._source, stream, "upstream"],
                    description=f"Something changed for {tenant}.",
                    metadata={
                        "tenant": tenant,
                        "token": token,
                        "asked_at": dg.MetadataValue.timestamp(self._now),
                    },
                )

    def _nothing(self, reason: str) -> dg.SensorResult:
        return dg.SensorResult(skip_reason=reason, cursor=self._cursor.model_dump_json())

    def _told(self, tenants: Sequence[str], answers: Answers[_Changes]) -> str:
        """Why no run is asked for."""
        resting = [tenant for tenant in tenants if tenant not in (*answers.found, *answers.failed, *answers.left)]
        if not answers.found and not answers.left:
            # No failure of the tick: that would lose its cursor, and with it who is left alone.
            return (
                NONE_ASKED + " ".join(answers.failed.values())
                if answers.failed
                else f"Every tenant is left alone for a while after a failure: {', '.join(resting)}"
            )
        parts = [f"Nothing changed for {', '.join(answers.found)}."] if answers.found else []
        parts += answers.failed.values()
        parts += [f"Not asked for lack of time, so first at the next tick: {', '.join(answers.left)}."] * bool(
            answers.left
        )
        parts += [f"Left alone for a while after a failure: {', '.join(resting)}."] * bool(resting)
        return " ".join(parts)
