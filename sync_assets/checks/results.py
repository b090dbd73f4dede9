"""How every check of ours shows a result: what it means in one line, failing cases, partitions and tenants."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from sync_assets.stages.findings import SAMPLE

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def result(
    key: dg.AssetKey,
    name: str,
    severity: dg.AssetCheckSeverity,
    description: str,
    *,
    passed: bool,
    failing: int,
    cases: Sequence[str] = (),
    partitions: Iterable[str] = (),
    tenants: Iterable[str] = (),
    more: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    """A check result with the same metadata for every check.

    Args:
        failing: how many cases fail; `cases` has the first of them, which may be words of upstream.
        more: metadata of this check alone.
    """
    from sync_assets.components.metadata import as_words  # which imports this package

    shown = "\n".join(f"- {as_words(case)}" for case in cases[:SAMPLE])
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=key,
        passed=passed,
        severity=severity,
        description=description,
        metadata={
            "failing": failing,
            # The UI hides Markdown behind a link.
            "cases": dg.MetadataValue.md(shown) if shown else "none",
            "partitions": ", ".join(list(partitions)[:SAMPLE]) or "none",
            "tenants": ", ".join(sorted(tenants)) or "none",
            **(more or {}),
        },
    )
