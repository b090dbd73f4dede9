"""Running assets from this process, as if the Dagster UI had launched them.

What belongs here: the one place that uses Dagster's internals, so that a run started by the command line carries the
code location's origin, stands under it in the UI and can be re-executed there. A GraphQL launch would do the same, but
needs a webserver and a daemon.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.api import create_execution_plan, execute_run
from dagster._core.execution.stats import StepEventStatus
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.tags import CODE_LOCATION_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id
from fasteners import InterProcessLock

from sync_assets.checks.selection import checks_of_sync
from sync_assets.run_processes import PROCESS_TAG, RunProcess, fail_dead_runs

LOCATION = "sync_assets"
_MODULE = "sync_assets.definitions"
_ATTRIBUTE = "defs"
# What a failed step tells of its error besides the text.
KIND = "kind"
_REPOSITORY = "__repository__"
_JOB = "__ASSET_JOB"


def execute(
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetKey],
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> dg.JobExecutionResult:
    """Materialize assets in one run, in this process.

    Args:
        tags: of the run, its range of partitions among them (`partitions.RANGE_START`).
    """
    return execute_made(instance, make(instance, assets, run_config, tags))


def make(
    instance: dg.DagsterInstance,
    assets: Collection[dg.AssetKey],
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> dg.DagsterRun:
    """A run of `execute` that has not begun. It names this process as its own until another claims it.

    Dagster's own `create_run` also writes an event for each asset and partition, which takes seconds, and lets them all
    look as if they were under way.
    """
    whole = _whole_job()
    selection = frozenset(assets)
    checks = checks_of_sync(whole.get_definition().asset_layer.asset_graph, selection)
    job = whole.get_subset(asset_selection=selection, asset_check_selection=checks)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        loadable_target_origin=LoadableTargetOrigin(module_name=_MODULE, attribute=_ATTRIBUTE), location_name=LOCATION
    )
    run_id = make_new_run_id()
    definition = job.get_definition()
    plan = create_execution_plan(job, run_config, tags=tags)
    graph: Any = definition.asset_layer.asset_graph
    # `create_run_for_job` stores no choice of checks: repeated in the UI, the run would evaluate all of its assets'.
    run = instance.run_domain.construct_run_with_snapshots(
        job_name=definition.name,
        run_id=run_id,
        run_config=run_config,
        status=DagsterRunStatus.NOT_STARTED,
        tags={**tags, CODE_LOCATION_TAG: LOCATION, PROCESS_TAG: str(RunProcess.current(run_id))},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        execution_plan_snapshot=snapshot_from_execution_plan(plan, definition.get_job_snapshot_id()),
        job_snapshot=definition.get_job_snapshot(),
        parent_job_snapshot=definition.get_parent_job_snapshot(),
        asset_selection=selection,
        asset_check_selection=frozenset(checks),
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), _JOB),
        job_code_origin=job.get_python_origin(),
        asset_graph=graph,
    )
    return instance.run_storage.add_run(run)


def execute_made(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.JobExecutionResult:
    """Execute a run that `make` made, in this process."""
    job = _whole_job().get_subset(asset_selection=run.asset_selection, asset_check_selection=run.asset_check_selection)
    plan = instance.get_execution_plan_snapshot(str(run.execution_plan_snapshot_id))
    with partition_loading_context(dynamic_partitions_store=instance):
        graph = job.get_definition().asset_layer.asset_graph
        instance.run_domain._log_asset_planned_events(run, plan, graph)  # what else `create_run` does
    return execute_run(job, run, instance)


def _whole_job() -> ReconstructableJob:
    return ReconstructableRepository.for_module(_MODULE, _ATTRIBUTE).get_reconstructable_job(_JOB)


@contextlib.contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance that DAGSTER_HOME names. Runs whose process is gone are marked as failed."""
    # Two processes that make the instance's SQLite files at the same time leave two heads in their version tables.
    with InterProcessLock(Path(os.environ["DAGSTER_HOME"]) / "instance.lock"):
        opened = dg.DagsterInstance.get()
    with opened as instance:
        fail_dead_runs(instance)
        yield instance


def failures(result: dg.JobExecutionResult) -> dict[str, str]:
    """Asset or step name to the one-line reason of its failure; steps that were only skipped are left out."""
    reasons: dict[str, str] = {}
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            reasons[str(event.step_key).replace("__", "/")] = reason_of(event)
    return reasons


def reason_of(event: dg.DagsterEvent) -> str:
    """The one-line reason of a step's failure."""
    data = event.step_failure_data
    described = data.user_failure_data.description if data.user_failure_data else None
    error = data.error.cause or data.error if data.error else None
    if described or error is None:
        return described or "unknown"
    lines = error.message.strip().splitlines()
    # Which checks stopped the run stands below the first line.
    return " ".join(lines) if error.cls_name == "DagsterAssetCheckFailedError" else lines[0]


def kind_of(event: dg.DagsterEvent) -> str:
    """The kind of error that a step failed with: `SyncAssetsError.kind`, or the name of another error's class."""
    data = event.step_failure_data
    told = data.user_failure_data.metadata.get(KIND) if data.user_failure_data else None
    if told is not None:
        return str(told.value)
    return str(data.error.cls_name) if data.error else "unknown"


def interrupted(result: dg.JobExecutionResult) -> bool:
    """Whether Ctrl-C ended the run: Dagster keeps it to itself, and calls it a failure."""
    return any(map(is_interruption, result.all_events))


def is_interruption(event: dg.DagsterEvent) -> bool:
    """Whether an event is the end of a run that was interrupted."""
    data = event.event_specific_data
    return isinstance(data, JobFailureData) and data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION


def materialized(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """The assets that a run materialized, all of them where it succeeded."""
    assets = set(run.asset_selection or ())
    if run.is_success:
        return assets
    ended = {step.step_key: step.status for step in instance.get_run_step_stats(run.run_id)}
    return {key for key in assets if ended.get("__".join(key.path)) is StepEventStatus.SUCCESS}


def counts(result: dg.JobExecutionResult) -> dict[dg.AssetKey, Counter[str]]:
    """Counts of each materialized asset, summed over the run's partitions."""
    return counts_of(result.all_events)


def counts_of(events: Iterable[dg.DagsterEvent]) -> dict[dg.AssetKey, Counter[str]]:
    """The same of a run that was executed elsewhere, from its events."""
    found: dict[dg.AssetKey, Counter[str]] = {}
    for event in events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            materialization = event.step_materialization_data.materialization
            total = found.setdefault(materialization.asset_key, Counter())
            for name, value in materialization.metadata.items():
                if isinstance(value, dg.IntMetadataValue) and value.value is not None:
                    total[name] += value.value
    return found


def texts(result: dg.JobExecutionResult, name: str) -> dict[dg.AssetKey, list[str]]:
    """Lines of the Markdown list that a materialized asset carries under a metadata name."""
    found: dict[dg.AssetKey, list[str]] = {}
    for event in result.all_events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            materialization = event.step_materialization_data.materialization
            value = materialization.metadata.get(name)
            if isinstance(value, dg.MarkdownMetadataValue):
                lines = (value.md_str or "").splitlines()
                found[materialization.asset_key] = [line.removeprefix("- ") for line in lines]
    return found


def failed_checks(result: dg.JobExecutionResult) -> dict[str, str]:
    """Failed asset checks that are no mere warnings, `asset:check` to its description."""
    return {
        f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}": evaluation.description or ""
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
    }
