"""The sensor that tells people what failed and what recovered. Off until somebody turns it on in the UI.

What belongs here: what happened, from Dagster's events and the ledger, and what was told already, in the sensor's
cursor. Each target has a part of its own there, which moves when the target took the message: what one of them missed
it gets at the next tick, and the others get nothing twice.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Self

import dagster as dg
from dagster import DagsterEventType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus
from dagster_shared.error import SerializableErrorInfo
from pydantic import BaseModel, ValidationError

from sync_assets import postgres
from sync_assets.automation.asking import NONE_ASKED, ask_all
from sync_assets.automation.refusals import standing
from sync_assets.clock import utc_now
from sync_assets.errors import SyncAssetsError
from sync_assets.ledger.quarantine import QuarantineGroup, quarantine_groups
from sync_assets.notifications.news import RunEnd, Told, news
from sync_assets.notifications.targets import Message, Target, parse_targets
from sync_assets.partitions import run_tenants
from sync_assets.runs import is_interruption, reason_of
from sync_assets.services import Services

_NAME = "notifications"
_SECONDS = 60
# Ends of runs that one tick looks at: a few seconds' work.
_ENDS = 200
# Accounts that can't be asked of which a target is told, all sources together: half of what it is remembered to know.
_ACCOUNTS = 100
# How long all targets together may take, in seconds; the rest of a tick's time is for what is looked up before.
_SENDING = 35.0
# The check of what is in quarantine, which is told by its own count.
_TOLD_APART = "quarantine"
# What Dagster puts before the name of a schedule to name its job.
_OF_SCHEDULE = "__anonymous_asset_job_"
_ON = {InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE}
_FINISHED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
_ERRORS = f"{SyncAssetsError.__module__}."
_Kind = Literal[DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_SUCCESS]
_KINDS: tuple[_Kind, ...] = (DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_SUCCESS)


class _Parcel(NamedTuple):
    """A message for a target, and what it knows once it took it."""

    target: Target
    message: Message
    known: Told

    def send(self) -> None:
        self.target.send(self.message)


class _Cursor(BaseModel):
    """What each target was told, by its key."""

    targets: dict[str, Told] = {}

    @classmethod
    def read(cls, text: str | None) -> Self:
        """As it was written; without one, and from one of another form, every target counts as new."""
        try:
            return cls.model_validate_json(text or "")
        except ValidationError:
            return cls()


@dg.sensor(
    name=_NAME,
    minimum_interval_seconds=_SECONDS,
    description="Tells the places of SYNC_ASSETS_NOTIFY what failed, what is in quarantine, and what recovered.",
    required_resource_keys={"services"},
)
def notifications(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One message to each target that has missed something; the reason given says what was sent, or why it was not."""
    services: Services = context.resources.services
    if services.settings.notify is None:
        return dg.SkipReason("SYNC_ASSETS_NOTIFY names nobody to tell.")
    targets = parse_targets(services.settings.notify.get_secret_value())
    before = _Cursor.read(context.cursor)
    held, lines = _quarantine(services)
    on = context.instance.all_instigator_state(instigator_statuses=_ON)
    ticks = _ticks(context.instance, on)
    refused = standing(context.instance, [state.instigator_name for state in on])
    after = _Cursor()
    newest = _newest(context.instance)
    parcels: dict[str, _Parcel] = {}
    for number, target in enumerate(targets, 1):
        # Who is new is told what is in quarantine now, and of the runs from here on.
        told = after.targets[target.key] = before.targets.get(target.key) or Told(seen=newest)
        ends = [*_ends(context.instance, told.seen), *ticks, *_accounts(refused, told.failed)]
        found, known = news(told, ends, held, utc_now())
        message = found.message(services.settings.ui_url)
        if message is None:
            after.targets[target.key] = known
        else:
            parcels[f"Target {number} of SYNC_ASSETS_NOTIFY"] = _Parcel(target, message, known)
    answers = ask_all(list(parcels), lambda name: parcels[name].send(), _SENDING)
    for name in answers.found:
        target, message, known = parcels[name]
        after.targets[target.key] = known
        lines.append(f"{target.name} was told: {message.subject}.")
    for reason in [*answers.failed.values(), *(f"{name} was not told for lack of time." for name in answers.left)]:
        lines.append(f"{reason} The next tick tries again.")
        context.log.error(lines[-1])
    context.update_cursor(after.model_dump_json())
    return dg.SkipReason(" ".join(lines) or "Nothing to tell.")


def _quarantine(services: Services) -> tuple[Sequence[QuarantineGroup] | None, list[str]]:
    """What is in quarantine, or None and why that can't be said: runs are told all the same."""
    state = postgres.status(services.settings)
    if not state.running:
        # An embedded server that somebody stopped stays stopped.
        return None, [f"The quarantine was not read: PostgreSQL at {state.place} does not run."]
    try:
        with services.ledger.transaction() as connection:
            return quarantine_groups(connection), []
    except SyncAssetsError as error:
        return None, [f"The quarantine was not read: {error}"]


def _newest(instance: dg.DagsterInstance) -> int:
    """Storage id of the last end of a run, 0 where none has ended."""
    return max((record.storage_id for kind in _KINDS for record in _records(instance, kind, None, 1)), default=0)


def _ends(instance: dg.DagsterInstance, after: int) -> list[RunEnd]:
    """The next ends of runs, in order. Cancelled and interrupted runs are none: somebody wanted that."""
    found = [_records(instance, kind, after, _ENDS) for kind in _KINDS]
    # Of the one kind there may be more before the last of the other kind.
    upto = min((records[-1].storage_id for records in found if len(records) == _ENDS), default=None)
    records = sorted((record for records in found for record in records), key=lambda record: record.storage_id)
    return [
        end
        for record in records
        if (upto is None or record.storage_id <= upto) and (end := _end(instance, record)) is not None
    ]


def _records(instance: dg.DagsterInstance, kind: _Kind, after: int | None, limit: int) -> Sequence[dg.EventLogRecord]:
    """Events of the ends of runs: those after a storage id, oldest first, or where there is none the newest."""
    wanted = dg.RunStatusChangeRecordsFilter(kind, after_storage_id=after)
    return instance.fetch_run_status_changes(wanted, limit, ascending=after is not None).records


def _end(instance: dg.DagsterInstance, record: dg.EventLogRecord) -> RunEnd | None:
    """How a run ended; None where somebody interrupted it, or it was deleted meanwhile."""
    entry = record.event_log_entry
    run = instance.get_run_by_id(entry.run_id)
    if run is None or is_interruption(entry.get_dagster_event()):
        return None
    failed = {_place(event): _reason(event) for event in _events(instance, run.run_id, DagsterEventType.STEP_FAILURE)}
    died = not run.is_success and not failed
    succeeded = {_place(event) for event in _events(instance, run.run_id, DagsterEventType.STEP_SUCCESS)}
    for event in _events(instance, run.run_id, DagsterEventType.ASSET_CHECK_EVALUATION):
        check = event.asset_check_evaluation_data
        name = f"{check.asset_key.to_user_string()}:{check.check_name}"
        if check.passed:
            succeeded.add(name)
        elif check.severity is dg.AssetCheckSeverity.ERROR and check.check_name != _TOLD_APART:
            failed[name] = check.description or "unknown"
    # A run of checks alone goes by its schedule.
    whole = {key.path[0] for key in run.asset_selection or ()} or {run.job_name.removeprefix(_OF_SCHEDULE)}
    if run.is_success:
        succeeded |= whole
    elif died:
        # The run's process died, or never started.
        reason = entry.get_dagster_event().message or "unknown"
        failed |= dict.fromkeys(sorted(whole), reason)
    tenants = tuple(run_tenants(instance, run)) or ("every tenant",)
    return RunEnd(record.storage_id, run.run_id, tenants, frozenset(succeeded - failed.keys()), failed)


def _events(instance: dg.DagsterInstance, run_id: str, kind: DagsterEventType) -> Iterator[dg.DagsterEvent]:
    for entry in instance.all_logs(run_id, of_type=kind):
        yield entry.get_dagster_event()


def _ticks(instance: dg.DagsterInstance, on: Sequence[InstigatorState]) -> list[RunEnd]:
    """How the last tick of each of these sensors and schedules went: where one fails, no run is even asked for."""
    ends: list[RunEnd] = []
    for state in on:
        last = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=_FINISHED)
        for tick in last:
            reason = _trouble(tick)
            failed = {} if reason is None else {state.instigator_name: reason}
            ends.append(RunEnd(0, "", ("tick",), frozenset({state.instigator_name} - failed.keys()), failed))
    return ends


def _trouble(tick: InstigatorTick) -> str | None:
    """Why a tick failed; None where it did what it should, as when all accounts refuse, of which `_accounts` tells."""
    error = tick.error and (tick.error.cause or tick.error)
    return None if error is None or NONE_ASKED in error.message else _words(error, "its tick")


def _accounts(refused: Mapping[str, Mapping[str, str]], told: Mapping[str, Collection[str]]) -> list[RunEnd]:
    """The accounts that could not be asked for a while, and those that a target knows of and that answer again.

    Args:
        refused: tenant to reason, by source.
        told: tenants that the target knows to fail, by place.
    """
    ends: list[RunEnd] = []
    failing: list[tuple[str, str, str]] = []
    for source, reasons in refused.items():
        place = f"{source} account"
        if well := set(told.get(place, ())) - reasons.keys():
            ends.append(RunEnd(0, "", tuple(sorted(well)), frozenset({place}), {}))
        failing += [(place, tenant, reason) for tenant, reason in reasons.items()]
    # Those first that were told: only they can be told to be well again.
    failing.sort(key=lambda one: one[1] not in told.get(one[0], ()))
    ends += [RunEnd(0, "", (tenant,), frozenset(), {place: why}) for place, tenant, why in failing[:_ACCOUNTS]]
    return ends


def _reason(event: dg.DagsterEvent) -> str:
    """The reason of a step's failure, as it may be told."""
    data = event.step_failure_data
    error = data.error and (data.error.cause or data.error)
    if data.user_failure_data is not None or error is None or error.cls_name == "DagsterAssetCheckFailedError":
        return reason_of(event)
    return _words(error, "its run")


def _words(error: SerializableErrorInfo, where: str) -> str:
    """An error as it may be told: ours speak for themselves, and others' texts may hold anything."""
    if error.message.startswith(_ERRORS):
        return error.message.removeprefix(_ERRORS)
    return f"{error.cls_name or 'an unknown error'}; {where} says more in the UI"


def _place(event: dg.DagsterEvent) -> str:
    return str(event.step_key).replace("__", "/")
