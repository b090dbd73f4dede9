"""Who could not be asked, by sensors and schedules: how often in a row, and why.

A tick that can ask some tenants asks for runs of those, and nothing of it tells of the others; so this is remembered
for `notifications.py`, which tells people. It lies in Dagster's own storage, beside the sensors' cursors: schedules
have none. Each sensor and schedule has a place of its own there, since two of them may tick at once.

What belongs here: that memory. What does not: asking (`asking.py`), and when a tenant is asked again.
"""

from collections.abc import Collection, Iterable
from typing import Any

import dagster as dg
from pydantic import BaseModel, ValidationError

from sync_assets.automation.asking import Answers

# Refusals in a row that people are told of: a quarter of an hour of a sensor, half an hour of a schedule. What upstream
# mends by itself until then is nobody's business.
TOLD_AFTER = 3
_PLACE = "sync_assets/refusals/"
_REASON = 200


class _Refusal(BaseModel):
    """How often a tenant could not be asked since it last could, and why the last time."""

    times: int
    reason: str


class _Refusals(BaseModel):
    """Those of a sensor or schedule, by tenant."""

    source: str
    tenants: dict[str, _Refusal] = {}


def note(instance: dg.DagsterInstance, name: str, source: str, tenants: Collection[str], answers: Answers[Any]) -> None:
    """Remember what came of asking.

    Args:
        name: of the sensor or schedule.
        tenants: all that have an account in the source; others are forgotten.
    """
    before = _read(instance, [name]).get(name)
    known = before.tenants if before else {}
    kept = {tenant: found for tenant, found in known.items() if tenant in tenants and tenant not in answers.found}
    for tenant, reason in answers.failed.items():
        times = known[tenant].times + 1 if tenant in known else 1
        kept[tenant] = _Refusal(times=times, reason=reason.removeprefix(f"{tenant}: ")[:_REASON])
    after = _Refusals(source=source, tenants=kept)
    if after != before:
        instance.daemon_cursor_storage.set_cursor_values({_PLACE + name: after.model_dump_json()})


def standing(instance: dg.DagsterInstance, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Of each source that these sensors and schedules asked: its tenants that refuse for a while, with the reason."""
    found: dict[str, dict[str, str]] = {}
    for refusals in _read(instance, names).values():
        of_source = found.setdefault(refusals.source, {})
        of_source |= {name: one.reason for name, one in refusals.tenants.items() if one.times >= TOLD_AFTER}
    return found


def _read(instance: dg.DagsterInstance, names: Iterable[str]) -> dict[str, _Refusals]:
    """By sensor or schedule, for those of which something is remembered."""
    places = {_PLACE + name: name for name in names}
    stored = instance.daemon_cursor_storage.get_cursor_values(set(places)) if places else {}
    found: dict[str, _Refusals] = {}
    for place, text in sorted(stored.items()):
        try:
            found[places[place]] = _Refusals.model_validate_json(text)
        except ValidationError:
            continue  # of another version: it is told again
    return found
