"""What is told of runs and of the quarantine: new troubles and recoveries since a target was last written to.

What belongs here: which news there is and how it reads, from plain values. What does not: where they come from and when
(`automation/notifications.py`), and how a message is sent (`targets.py`).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import BaseModel

from sync_assets.ledger.quarantine import QuarantineGroup
from sync_assets.notifications.targets import Message

_REASON = 200
_LINES = 20
# What one target is remembered to have been told, so that a cursor stays below 64 KiB for each.
_PLACES = 200
_REASONS = 5
_AGAIN = timedelta(days=1)


class RunEnd(NamedTuple):
    """How a run ended, or a tick: that has no storage id, no run and no tenant but the word for it.

    Attributes:
        storage_id: of the event, larger than that of every earlier end; 0 for a tick.
        tenants: that it was about.
        succeeded: steps such as `freshdesk/tickets/raw`; the sources too, where the whole run succeeded.
        failed: step, or source where no step is to blame, to the reason.
    """

    storage_id: int
    run_id: str
    tenants: tuple[str, ...]
    succeeded: frozenset[str]
    failed: Mapping[str, str]


class ToldQuarantine(BaseModel):
    """How many records of a stage a target knows to be in quarantine, and when it was told."""

    records: int
    at: datetime


class Told(BaseModel):
    """What a target was told and is not over yet.

    Attributes:
        seen: storage id of the last end of a run that was looked at.
        failed: tenant by place, each with digests of the reasons that were told.
        quarantine: by tenant, source, stream and stage, as `acme/freshdesk/tickets/chunks`.
    """

    seen: int
    failed: dict[str, dict[str, list[str]]] = {}
    quarantine: dict[str, ToldQuarantine] = {}


class _Sighting(NamedTuple):
    tenant: str
    reason: str
    run_id: str


class _Failure(NamedTuple):
    place: str
    reason: str
    tenants: list[str]
    run_ids: list[str]


class News(NamedTuple):
    """What there is to tell a target.

    Attributes:
        failed: by place and reason, with tenants and runs.
        recovered: place to tenants.
    """

    failed: list[_Failure]
    recovered: Mapping[str, list[str]]
    held: list[QuarantineGroup]
    released: list[str]

    def message(self, ui_url: str | None) -> Message | None:
        """What is sent; None where there is nothing to tell.

        Args:
            ui_url: root of the Dagster UI, for links to runs.
        """
        sections = {
            "Failed": [_failure_line(failure, ui_url) for failure in self.failed],
            "In quarantine": [_held_line(group) for group in self.held],
            "Recovered": [f"{place}: {_names(tenants)}" for place, tenants in self.recovered.items()],
            "Quarantine is empty again": self.released,
        }
        filled = {title: lines for title, lines in sections.items() if lines}
        if not filled:
            return None
        subject = ", ".join(f"{len(lines)} {title[0].lower()}{title[1:]}" for title, lines in filled.items())
        return Message(f"sync-assets: {subject}", "\n\n".join(_section(*item) for item in filled.items()))


def news(
    told: Told, ends: Sequence[RunEnd], held: Sequence[QuarantineGroup] | None, now: datetime
) -> tuple[News, Told]:
    """What a target is to be told, and what it knows once it was.

    A trouble that began and ended since the last message is not told.

    Args:
        ends: of runs after `told.seen`, in order.
        held: what is in quarantine; None where that can't be said now.
    """
    failing = {place: {tenant: list(known) for tenant, known in by.items()} for place, by in told.failed.items()}
    sightings: dict[tuple[str, str], list[_Sighting]] = {}
    for end in ends:
        for place in end.succeeded:
            for tenant in end.tenants:
                failing.get(place, {}).pop(tenant, None)
        for place, text in end.failed.items():
            reason = _first_line(text)
            for tenant in end.tenants:
                known = failing.setdefault(place, {}).setdefault(tenant, [])
                if (digest := _digest(reason)) not in known:
                    known.append(digest)
                sightings.setdefault((place, digest), []).append(_Sighting(tenant, reason, end.run_id))
    failed = list(_fresh(told, failing, sightings))
    recovered = {
        place: gone
        for place, by in told.failed.items()
        if (gone := [name for name in by if name not in failing[place]])
    }
    fresh, quarantine = _quarantine(told.quarantine, held, now)
    released = [] if held is None else sorted(told.quarantine.keys() - {group.place for group in held})
    after = Told(
        seen=max([told.seen, *(end.storage_id for end in ends)]), failed=_bounded(told, failing), quarantine=quarantine
    )
    return News(failed, recovered, fresh, released), after


def _fresh(
    told: Told,
    failing: Mapping[str, Mapping[str, Sequence[str]]],
    sightings: Mapping[tuple[str, str], Sequence[_Sighting]],
) -> Iterator[_Failure]:
    """Failures that stand now and that the target does not know, the tenants of one reason together."""
    for (place, digest), found in sightings.items():
        known = told.failed.get(place, {})
        new = [
            seen
            for seen in found
            if digest in failing[place].get(seen.tenant, ()) and digest not in known.get(seen.tenant, ())
        ]
        if new:
            tenants, run_ids = ({seen.tenant: None for seen in new}, {seen.run_id: None for seen in new})
            yield _Failure(place, new[-1].reason, list(tenants), list(run_ids))


def _quarantine(
    told: Mapping[str, ToldQuarantine], held: Sequence[QuarantineGroup] | None, now: datetime
) -> tuple[list[QuarantineGroup], dict[str, ToldQuarantine]]:
    """Groups to tell of, and what is known of all that are left.

    A group is told when it appears, when it has doubled, and a day later if it has grown.
    """
    if held is None:
        return [], dict(told)
    fresh: list[QuarantineGroup] = []
    known: dict[str, ToldQuarantine] = {}
    # Those first that were told: only they can be told to be over.
    for group in sorted(held, key=lambda group: group.place not in told)[:_PLACES]:
        before = told.get(group.place)
        grown = before is not None and group.records > before.records
        if before is None or (grown and (group.records >= 2 * before.records or now - before.at >= _AGAIN)):
            fresh.append(group)
            before = ToldQuarantine(records=group.records, at=now)
        known[group.place] = ToldQuarantine(records=min(before.records, group.records), at=before.at)
    return fresh, known


def _bounded(told: Told, failing: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, dict[str, list[str]]]:
    """The latest places and reasons: what fell out would be told again.

    Reasons that were told stay while their place fails for another one, since no recovery was told.
    """
    kept: dict[str, dict[str, list[str]]] = {}
    pairs = [(place, tenant, known) for place, by in failing.items() for tenant, known in by.items()]
    for place, tenant, known in pairs[-_PLACES:]:
        before = told.failed.get(place, {}).get(tenant, [])
        kept.setdefault(place, {})[tenant] = list(dict.fromkeys([*before, *known]))[-_REASONS:]
    return kept


def _digest(reason: str) -> str:
    """The same for texts that differ in numbers only, such as seconds, ids and counts."""
    return hashlib.sha256(re.sub(r"[0-9]+", "0", reason).encode()).hexdigest()[:8]


def _first_line(text: str) -> str:
    line = next(iter(text.strip().splitlines()), "unknown")
    return line if len(line) <= _REASON else f"{line[: _REASON - 3]}..."


def _failure_line(failure: _Failure, ui_url: str | None) -> str:
    runs = f" ({len(failure.run_ids)} runs)" if len(failure.run_ids) > 1 else ""
    link = f"\n  {ui_url.rstrip('/')}/runs/{failure.run_ids[-1]}" if ui_url and failure.run_ids[-1] else ""
    return f"{failure.place}: {_names(failure.tenants)}{runs}: {failure.reason}{link}"


def _held_line(group: QuarantineGroup) -> str:
    counted = "1 record" if group.records == 1 else f"{group.records} records"
    return f"{group.place}: {counted}, the latest: {_first_line(group.reason)}"


def _names(tenants: Sequence[str]) -> str:
    shown = ", ".join(tenants[:_LINES])
    return f"{shown} and {len(tenants) - _LINES} more" if len(tenants) > _LINES else shown


def _section(title: str, lines: Iterable[str]) -> str:
    every = [f"- {line}" for line in lines]
    more = [f"- and {len(every) - _LINES} more"] if len(every) > _LINES else []
    return "\n".join([title, *every[:_LINES], *more])
