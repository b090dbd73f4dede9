"""A load of the support database as people ask for one: its tables materialized as Dagster assets, and summed up.

What belongs here: from a folder to one run, and from its events to counts. What a load does with rows is in
`support_database/`, how it is printed in `cli/support_db.py`.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from sync_assets import runs
from sync_assets.components.support_tables import folder_of
from sync_assets.partitions import RANGE_END, RANGE_START, SOURCE_TAG, TENANTS_TAG, tenants_name
from sync_assets.services import Services
from sync_assets.support_database import SOURCE, TABLES_STREAM, table_key
from sync_assets.support_database.loading import load
from sync_assets.support_database.tables import TABLES

COUNTS = ("read", "added", "changed", "unchanged", "merged", "rejected")


class Rejection(NamedTuple):
    """A row that was not loaded: its table, its file and place there, its id, and the rule that it breaks."""

    table: str
    place: str
    row: str
    reason: str


@dataclass(frozen=True)
class LoadResult:
    """What a load did.

    Attributes:
        tables: counts (`COUNTS`) by table, in the order of loading.
        notices: what is worth knowing about rows that were loaded, one line each.
        failures: one line each; empty when the load went through.
    """

    tables: dict[str, Counter[str]]
    rejected: list[Rejection]
    notices: list[str]
    failures: list[str]

    def summary(self) -> dict[str, Any]:
        """What a script reads."""
        return {
            "tables": {table: {name: counts[name] for name in COUNTS} for table, counts in self.tables.items()},
            "rejected": [row._asdict() for row in self.rejected],
            "notices": self.notices,
            "failures": self.failures,
        }


def load_tables(
    services: Services, instance: dg.DagsterInstance, tenant: str, folder: Path | None, reset: bool
) -> LoadResult:
    """Load a tenant's tables in one run.

    Args:
        folder: of JSON files; default the account's.
        reset: drop the tables first.
    """
    if tenant not in instance.get_dynamic_partitions(tenants_name(SOURCE)):
        instance.add_dynamic_partitions(tenants_name(SOURCE), [tenant])
    config = {"folder": str(folder.absolute()) if folder else None, "reset": reset}
    # The run opens connections of its own.
    services.close()
    run = runs.execute(
        instance,
        [dg.AssetKey(table_key(table.name)) for table in TABLES],
        {
            "ops": {f"{SOURCE}__{TABLES_STREAM}": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        {
            RANGE_START: tenant,
            RANGE_END: tenant,
            SOURCE_TAG: SOURCE,
            TENANTS_TAG: tenant,
        },
    )
    if runs.interrupted(run):
        raise KeyboardInterrupt
    failures = [f"{tenant} {step}: {reason}" for step, reason in runs.failures(run).items()]
    if not run.success and not failures:
        failures.append(f"{tenant}: run {run.run_id} failed; see it in the Dagster UI.")
    counts = {key.path[-1]: numbers for key, numbers in runs.counts(run).items()}
    return LoadResult(
        {table.name: counts[table.name] for table in TABLES if table.name in counts},
        [
            Rejection(held.stage, held.payload_ref, held.record_id, held.reason)
            for held in services.ledger.quarantined(tenant, SOURCE, TABLES_STREAM)
        ],
        [
            *(line for found in runs.texts(run, "files_left_out").values() for line in found),
            *(f"{key.path[-1]}: {line}" for key, found in runs.texts(run, "notices").items() for line in found),
        ],
        failures,
    )


def preview_load(services: Services, tenant: str, folder: Path | None, reset: bool) -> LoadResult:
    """What `load_tables` would do. Writes nothing.

    Raises:
        SettingsError: there is no such folder, or none is named.
        LedgerError: the database can't be reached.
    """
    folder = folder or folder_of(services, tenant)
    report = load(services.ledger.engine, tenant, folder, reset=reset, dry_run=True)
    tables: dict[str, Counter[str]] = {}
    for name, table in report.tables.items():
        tables[name] = Counter({count: getattr(table, count) for count in COUNTS if count != "rejected"})
        tables[name]["rejected"] = len(table.rejected)
    return LoadResult(
        tables,
        [Rejection(name, *row) for name, table in report.tables.items() for row in table.rejected],
        [*report.notices, *(f"{name}: {notice}" for name, table in report.tables.items() for notice in table.notices)],
        [],
    )
