"""Checks of what upstream sent, compared with what it sent before: its fields, and how much it was."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import dagster as dg

from sync_assets.batches import Partition
from sync_assets.checks.results import WARN, result
from sync_assets.clock import utc_now
from sync_assets.ledger import Ledger, StreamRef
from sync_assets.ledger.fields import NEWS_DAYS, note_fields
from sync_assets.ledger.health import rows_by_window
from sync_assets.stages import Report, Stream

_HISTORY = 28
_LEAST_HISTORY = 14
_TIMES = 4
_SLACK = 20


def upstream_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a raw asset that compare a run with those before."""
    return [
        dg.AssetCheckSpec(
            "schema_drift",
            asset=key,
            description=f"Records have the fields that they always had, and none that is younger than {NEWS_DAYS} "
            "days. A warning: data goes on.",
        ),
        dg.AssetCheckSpec(
            "volume",
            asset=key,
            description=f"The latest windows have not over {_TIMES} times, nor under a {_TIMES}th, of what any of the "
            f"{_HISTORY} windows before had. A warning: data goes on.",
        ),
    ]


def upstream_checks(
    ledger: Ledger, stream: Stream, report: Report, key: dg.AssetKey, whole: bool
) -> list[dg.AssetCheckResult]:
    """Results of these checks for a run.

    Args:
        whole: False where a run fetched a part of the records only, so that nobody can tell whether they are many.
    """
    judged = report if whole else Report.of(report.stage, [])
    return [drift_check(ledger, stream, report, key), volume_check(ledger, stream, judged, key)]


def drift_check(ledger: Ledger, stream: Stream, report: Report, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Warns of fields that are new or gone, by tenant; the run's records are noted for the next time."""
    cases: list[str] = []
    tenants: list[str] = []
    for tenant, seen in sorted(report.fields.items()):
        drift = note_fields(ledger, stream.of(tenant), seen, utc_now())
        news = [f"{tenant}: new {name}" for name in drift.new] + [f"{tenant}: gone {name}" for name in drift.gone]
        cases += news
        tenants += [tenant] * bool(news)
    described = f"{len(cases)} fields are new or gone: see whether they matter to what is found"
    return result(
        key,
        "schema_drift",
        WARN,
        described if cases else "no field is new or gone",
        passed=not cases,
        failing=len(cases),
        cases=cases,
        tenants=tenants,
        more={"records": sum(seen[""] for seen in report.fields.values())},
    )


def volume_check(
    ledger: Ledger, stream: Stream, report: Report, key: dg.AssetKey, now: datetime | None = None
) -> dg.AssetCheckResult:
    """Warns of windows with far more or far fewer records than those before them."""
    cases: list[str] = []
    odd: list[Partition] = []
    for tenant, group in groupby(sorted(report.counts), key=lambda partition: partition.tenant):
        for partition, low, high in _odd_windows(ledger, stream.of(tenant), list(group), report, now or utc_now()):
            odd.append(partition)
            rows = report.digests[partition].rows
            cases.append(f"{partition.key}: {rows} records, the {_HISTORY} windows before had {low} to {high}")
    return result(
        key,
        "volume",
        WARN,
        f"{len(cases)} windows have far more or fewer records than usual" if cases else "as many records as usual",
        passed=not cases,
        failing=len(cases),
        cases=cases,
        partitions=[partition.key for partition in odd],
        tenants={partition.tenant for partition in odd},
    )


def _odd_windows(
    ledger: Ledger, ref: StreamRef, windows: Sequence[Partition], report: Report, now: datetime
) -> list[tuple[Partition, int, int]]:
    """The odd ones of a tenant's latest windows, with the least and the most records of those before."""
    latest = windows[-_HISTORY:]
    rows = [number for _, number in rows_by_window(ledger, ref, "raw", latest[0].window, _HISTORY)]
    odd: list[tuple[Partition, int, int]] = []
    for window in latest:
        number = report.digests[window].rows
        before = rows[-_HISTORY:]
        rows.append(number)
        if len(before) < _LEAST_HISTORY:
            continue
        low, high = min(before), max(before)
        # A window that is still open has only begun.
        too_few = window.end <= now and number * _TIMES < low
        if too_few or number > high * _TIMES + _SLACK:
            odd.append((window, low, high))
    return odd
