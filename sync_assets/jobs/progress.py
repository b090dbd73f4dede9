"""How far a job is: stages done, what they counted, what failed, and how long the rest may take.

What belongs here: reading the events of a job's runs.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import dagster as dg
from dagster._core.execution.stats import RunStepKeyStatsSnapshot, StepEventStatus

from sync_assets import runs
from sync_assets.jobs.job import Job, Piece

_STAGES = ("raw", "documents", "chunks", "embeddings")


class Stage(NamedTuple):
    """A stage of a job: in how many of its parts it is done."""

    name: str
    done: int
    total: int


class Failed(NamedTuple):
    """A step that failed.

    Attributes:
        kind: the name of the error's class.
        reason: its line, for the operator alone: it may name hosts and paths.
    """

    asset: str
    kind: str
    reason: str


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
        counts: of its stages, as `sync` prints them.
        errors: the steps that failed and were not done since.
        remaining_seconds: by the steps that are done; None where nothing was measured or the job is not at work.
    """

    stages: list[Stage]
    counts: dict[str, int]
    errors: list[Failed]
    remaining_seconds: float | None


class _Step(NamedTuple):
    """What became of one asset in one attempt at a piece.

    Attributes:
        seconds: that it took, or has taken so far; None where it has not begun.
    """

    run: dg.DagsterRun
    piece: Piece
    key: dg.AssetKey
    status: StepEventStatus | None
    seconds: float | None

    @property
    def stage(self) -> str:
        return "graph" if self.key.path[0] == "graph" else self.key.path[-1]

    @property
    def place(self) -> tuple[int, dg.AssetKey]:
        return self.piece.number, self.key

    @property
    def is_done(self) -> bool:
        return self.status is StepEventStatus.SUCCESS

    @property
    def has_failed(self) -> bool:
        """Whether it failed by itself: Dagster says so, too, of a step that was interrupted to stop its run."""
        return self.status is StepEventStatus.FAILURE and self.run.status is not dg.DagsterRunStatus.CANCELED


def progress(instance: dg.DagsterInstance, job: Job) -> Progress:
    """How far a job is."""
    steps = list(_steps(instance, job))
    done = {step.place for step in steps if step.is_done}
    places = {step.place: step.stage for step in steps}
    totals = Counter(places.values())
    finished = Counter(places[place] for place in done)
    names = sorted(totals, key=lambda name: (name == "graph", (*_STAGES, name).index(name), name))
    failed = [step for step in steps if step.has_failed and step.place not in done]
    return Progress(
        stages=[Stage(name, finished[name], totals[name]) for name in names],
        counts=_counts(instance, job),
        errors=sorted({one for step in failed for one in _reasons(instance, step)}),
        remaining_seconds=None if job.is_finished else _remaining(steps, done),
    )


def _steps(instance: dg.DagsterInstance, job: Job) -> Iterator[_Step]:
    """Every asset of every run, the first attempts first."""
    for record in job.records:
        run = record.dagster_run
        known = (
            {stats.step_key: stats for stats in instance.get_run_step_stats(run.run_id)} if record.start_time else {}
        )
        for key in run.asset_selection or ():
            stats = known.get("__".join(key.path))
            yield _Step(run, Piece.of(run), key, stats and stats.status, _seconds(stats))


def _seconds(stats: RunStepKeyStatsSnapshot | None) -> float | None:
    if stats is None or stats.start_time is None:
        return None
    return (stats.end_time or time.time()) - stats.start_time


def _remaining(steps: list[_Step], done: set[tuple[int, dg.AssetKey]]) -> float | None:
    """Seconds for the windows that are left, each stage at the pace that it had, or that all had."""
    measured, windows = defaultdict[str, float](float), Counter[str]()
    for step in steps:
        if step.is_done and step.seconds is not None:
            measured[step.stage] += step.seconds
            windows[step.stage] += step.piece.windows
    if not measured:
        return None
    pace = sum(measured.values()) / windows.total()
    left = 0.0
    for step in {step.place: step for step in steps if step.place not in done}.values():
        of_stage = measured[step.stage] / windows[step.stage] if windows[step.stage] else pace
        left += max(0.0, of_stage * step.piece.windows - (step.seconds or 0.0))
    return left


def _counts(instance: dg.DagsterInstance, job: Job) -> dict[str, int]:
    """Documents, chunks and so on, each by the stage that tells it."""
    total = Counter[tuple[str, str]]()
    for record in job.records:
        if record.start_time is None:
            continue
        logs = instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        events = [entry.dagster_event for entry in logs if entry.dagster_event is not None]
        for key, numbers in runs.counts_of(events).items():
            total.update({(key.path[-1], name): number for name, number in numbers.items()})
    stores = {stage for stage, name in total if name == "written"}
    return {
        "documents": total["documents", "documents"],
        "deleted": total["documents", "deleted"],
        "chunks": total["chunks", "chunks"],
        "embedded": total["embeddings", "embedded"],
        "reused": total["embeddings", "reused"],
        "vectors_written": sum(total[store, "written"] for store in stores),
        "quarantined": sum(number for (_, name), number in total.items() if name == "quarantined"),
    }


def _reasons(instance: dg.DagsterInstance, step: _Step) -> Iterator[Failed]:
    for entry in instance.all_logs(step.run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is not None and event.step_key == "__".join(step.key.path):
            yield Failed("/".join(step.key.path), runs.kind_of(event), runs.reason_of(event))
