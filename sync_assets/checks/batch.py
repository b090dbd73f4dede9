"""Checks of what a run's stage made, told with its materialization: ids, texts, lengths, vectors, equal contents.

What belongs here: which finding of a stage becomes which check. What is judged, and how, is in `stages/findings.py`;
what is compared with earlier runs in `checks/upstream.py`.

Blocking checks stop what is downstream in the run. They fail only where most rows of a run break their rule: single
ones are in quarantine by then, and the rest goes on.
"""

from typing import NamedTuple

import dagster as dg

from sync_assets.checks.results import ERROR, WARN, result
from sync_assets.stages import Report
from sync_assets.stages.findings import Finding

# A smaller run may well consist of the few documents that say the same.
_FEWEST_DOCUMENTS = 20
_EQUAL_SHARE = 0.2


class _Rule(NamedTuple):
    """A rule of a stage.

    Attributes:
        rule: what holds, for people; the check's description.
        broken: what a failing row is, for people.
        blocking: whether a fault of the whole batch stops what is downstream; else any excess is a warning.
        allowed: share of failing rows beyond which it warns, in runs of more than a few.
    """

    rule: str
    broken: str
    blocking: bool
    allowed: float = 0.0


_RULES: dict[str, dict[str, _Rule]] = {
    "documents": {
        "unique_ids": _Rule("Upstream sends each record once in a run.", "records came more than once", True),
        "duplicates": _Rule(
            f"No more than {_EQUAL_SHARE:.0%} of a run's documents say exactly the same as another.",
            "documents say the same as another",
            False,
            _EQUAL_SHARE,
        ),
    },
    "chunks": {
        "unique_ids": _Rule("No two chunks of a document have one id.", "documents have two chunks of one id", True),
        "no_empty_text": _Rule("Every chunk has a text.", "documents have a chunk without a text", True),
        "lengths": _Rule("No chunk is longer than the model reads.", "chunks are longer than the model reads", False),
    },
    "embeddings": {
        "vectors": _Rule(
            "Every vector has the model's dimension, is finite and is not zero.",
            "documents have no vector that can be stored",
            True,
        ),
    },
}


def batch_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a stage's asset that its own run evaluates."""
    return [
        dg.AssetCheckSpec(name, asset=key, description=rule.rule, blocking=rule.blocking)
        for name, rule in _RULES.get(key.path[-1], {}).items()
    ]


def batch_checks(key: dg.AssetKey, report: Report) -> list[dg.AssetCheckResult]:
    """Results of these checks for a run."""
    rules = _RULES.get(key.path[-1], {})
    return [_checked(key, name, rule, report.findings.get(name) or Finding()) for name, rule in rules.items()]


def _checked(key: dg.AssetKey, name: str, rule: _Rule, found: Finding) -> dg.AssetCheckResult:
    if rule.blocking:
        passed = not found.is_whole_batch
    else:
        passed = found.share <= rule.allowed or (rule.allowed > 0 and found.judged < _FEWEST_DOCUMENTS)
    description = f"{found.failing} of {found.judged} {rule.broken}" if found.failing else f"{found.judged} looked at"
    if found.sampled:
        description += ", a sample of a large run"
    if rule.blocking and not passed:
        description += ": too many for single bad records, so what is downstream did not run"
    return result(
        key,
        name,
        ERROR if rule.blocking else WARN,
        description,
        passed=passed,
        failing=found.failing,
        cases=found.cases,
        partitions=found.partitions,
        tenants=found.tenants,
        more={"judged": found.judged, "share": round(found.share, 4)},
    )
