"""When the checks that need no sync are evaluated: those of all sources together.

What belongs here: two schedules, off until somebody turns them on in the UI. What is checked is in `checks/`.
"""

from collections.abc import Collection

import dagster as dg

from sync_assets.checks.selection import EQUALS_LEDGER


def check_schedules(checks: Collection[dg.AssetCheckKey]) -> list[dg.ScheduleDefinition]:
    """`stores_health` every hour for what Dagster and the ledger tell, `stores_audit` every night for whole stores."""
    audits = [check for check in checks if check.name == EQUALS_LEDGER]
    return [
        dg.ScheduleDefinition(
            name="stores_health",
            cron_schedule="30 * * * *",
            target=dg.AssetSelection.checks(*(check for check in checks if check not in audits)),
            execution_timezone="UTC",
            description="Tells which tenants were not synced lately to which store, and which partitions failed.",
        ),
        dg.ScheduleDefinition(
            name="stores_audit",
            cron_schedule="0 4 * * *",
            target=dg.AssetSelection.checks(*audits),
            execution_timezone="UTC",
            description="Compares everything that the stores hold with the ledger.",
        ),
    ]
