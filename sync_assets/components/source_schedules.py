"""When a source is synced by itself, as its `defs.yaml` says it.

What belongs here: the form of that setting. What a schedule does is in `automation/schedules.py`.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._utils.schedules import is_valid_cron_string
from pydantic import field_validator

from sync_assets.automation.schedules import SyncKind, sync_schedule


class Schedules(dg.Model, dg.Resolvable):
    """Cron expressions by the clocks of each tenant's time zone; default never.

    Attributes:
        incremental: from where each tenant's last success ended.
        incremental_sweeps: whether that, and what the sensor asks for, also sweeps, for an upstream that tells neither
            edits nor deletions.
        daily: yesterday and today once more, each window as a whole.
        sweep: as `incremental`, with a comparison of all that lives upstream.
    """

    incremental: str | None = None
    incremental_sweeps: bool = False
    daily: str | None = None
    sweep: str | None = None

    @field_validator("incremental", "daily", "sweep")
    @classmethod
    def _fires(cls, value: str | None) -> str | None:
        if value is not None and not is_valid_cron_string(value):
            raise ValueError(f"{value!r} is no cron expression, such as 0 2 * * *")
        return value

    def build(self, source: str, assets: Sequence[dg.AssetKey]) -> list[dg.ScheduleDefinition]:
        """Those that are set, for a source's assets."""
        times = {SyncKind.INCREMENTAL: self.incremental, SyncKind.DAILY: self.daily, SyncKind.SWEEP: self.sweep}
        sweeps = {SyncKind.INCREMENTAL: self.incremental_sweeps, SyncKind.DAILY: False, SyncKind.SWEEP: True}
        return [
            sync_schedule(source, assets, kind, cron, sweeps=sweeps[kind])
            for kind, cron in times.items()
            if cron is not None
        ]
