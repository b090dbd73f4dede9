"""Checks of what a run could not do: records in quarantine, and sweeps that refused to delete.

What belongs here: what every stage is asked after its run. What its rows are judged by is in `batch.py`.
"""

from collections.abc import Sequence

import dagster as dg

from sync_assets.checks.results import ERROR, result
from sync_assets.ledger import QuarantinedRecord
from sync_assets.stages import Report

QUARANTINE_RULE = "No record of the run's tenants is in quarantine at this stage."


def quarantine_check(held: Sequence[QuarantinedRecord], key: dg.AssetKey) -> dg.AssetCheckResult:
    """Red while records of the run's tenants are in quarantine at this stage, naming partitions and reasons."""
    return result(
        key,
        "quarantine",
        ERROR,
        f"{len(held)} in quarantine; see `sync-assets quarantine list`" if held else "nothing in quarantine",
        passed=not held,
        failing=len(held),
        cases=[f"{record.tenant} {record.record_id}: {record.reason[:200]}" for record in held],
        # Rows of tables have no window.
        partitions=sorted({"|".join(filter(None, (record.window, record.tenant))) for record in held}),
        tenants={record.tenant for record in held},
    )


def sweep_check(report: Report, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Red where a sweep refused to delete."""
    return result(
        key,
        "sweep",
        ERROR,
        " ".join(report.problems) or "no sweep refused",
        passed=not report.problems,
        failing=len(report.problems),
        cases=report.problems,
        # Each begins with its tenant.
        tenants={problem.partition(":")[0] for problem in report.problems},
    )
