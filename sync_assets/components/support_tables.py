"""The tables of the support database as assets: one for each table, below the tables that its foreign keys name.

What belongs here: how a load is seen, selected and configured in Dagster. What it does is in `support_database/`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.dialects import postgresql

from sync_assets.checks.run import quarantine_check
from sync_assets.components.failures import failures
from sync_assets.components.metadata import attach_partition_metadata, markdown_table
from sync_assets.components.progress import progress_of
from sync_assets.errors import SettingsError
from sync_assets.ledger import QuarantinedRecord, StreamRef
from sync_assets.partitions import tenants_name
from sync_assets.services import Services
from sync_assets.sources.support_database import Account
from sync_assets.support_database import SOURCE, TABLES_STREAM, table_key
from sync_assets.support_database.loading import load
from sync_assets.support_database.report import LoadReport, TableReport
from sync_assets.support_database.tables import TABLES, parents

_SAMPLE = 20


class LoadConfig(dg.Config):
    """What a load reads, and whether it starts anew."""

    folder: str | None = Field(default=None, description="Folder of JSON files; default the account's `folder`")
    reset: bool = Field(default=False, description="Drop the tenant's tables first; only with all tables selected")


class SupportTables(dg.Component, dg.Model, dg.Resolvable):
    """The support database's tables, loaded from a folder of JSON files and partitioned by tenant.

    Attributes:
        owners: of every asset, as e-mail addresses or `team:<name>`.
    """

    owners: list[str] = []

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        @dg.multi_asset(
            name=f"{SOURCE}__{TABLES_STREAM}",
            specs=[self._spec(table) for table in TABLES],
            check_specs=[
                dg.AssetCheckSpec(
                    "quarantine", asset=_key(table), description="No row of the run's tenants was rejected."
                )
                for table in TABLES
            ],
            partitions_def=dg.DynamicPartitionsDefinition(name=tenants_name(SOURCE)),
            backfill_policy=dg.BackfillPolicy.single_run(),
            can_subset=True,
        )
        def tables(
            context: dg.AssetExecutionContext, config: LoadConfig, services: dg.ResourceParam[Services]
        ) -> Iterator[dg.MaterializeResult]:
            with failures():
                yield from _load(context, config, services)

        return dg.Definitions(assets=[tables])

    def _spec(self, table: sa.Table) -> dg.AssetSpec:
        return dg.AssetSpec(
            _key(table),
            deps=[_key(parent) for parent in parents(table)],
            description=f"{table.comment} One row for each row of the seed folder that keeps the table's constraints.",
            group_name=SOURCE,
            kinds={"postgres", "json"},
            owners=self.owners,
            metadata={"dagster/column_schema": _column_schema(table)},
            skippable=True,
        )


def _load(context: dg.AssetExecutionContext, config: LoadConfig, services: Services) -> Iterator[dg.MaterializeResult]:
    """Load the selected tables of the run's tenants."""
    selected = [table for table in TABLES if _key(table) in context.selected_asset_keys]
    if config.reset and len(selected) < len(TABLES):
        raise SettingsError("reset drops all tables, and only some are selected.", "Select all, or leave reset out.")
    progress = progress_of(context)
    reports: dict[str, LoadReport] = {}
    for tenant in context.partition_keys:
        reports[tenant] = load(
            services.ledger.engine,
            tenant,
            Path(config.folder) if config.folder else folder_of(services, tenant),
            tables=[table.name for table in selected],
            reset=config.reset,
            on_progress=lambda table, done, total, tenant=tenant: progress(f"{tenant} {SOURCE}/{table}", done, total),
        )
    for table in selected:
        # What is about files of no table stands at the first one.
        metadata = {
            tenant: _metadata(report.tables[table.name], report.notices if table is selected[0] else [])
            for tenant, report in reports.items()
        }
        attach_partition_metadata(context, _key(table), metadata)
        held = _settle(services, reports, table)
        yield dg.MaterializeResult(asset_key=_key(table), check_results=[quarantine_check(held, _key(table))])


def _key(table: sa.Table) -> dg.AssetKey:
    return dg.AssetKey(table_key(table.name))


def folder_of(services: Services, tenant: str) -> Path:
    """The folder that a tenant's account names; a relative one lies beside the tenants file.

    Raises:
        SettingsError: it names none.
    """
    account = services.tenants.account(SOURCE, tenant)
    assert isinstance(account, Account)  # noqa: S101 validated when the tenants file was read
    if account.folder is None:
        raise SettingsError(
            f"No folder of JSON files is named for the support database of {tenant!r}.",
            f"Set tenants.{tenant}.{SOURCE}.folder, or load with --folder.",
        )
    return services.settings.tenants_path.parent / account.folder


def _settle(services: Services, reports: Mapping[str, LoadReport], table: sa.Table) -> list[QuarantinedRecord]:
    """Put the rejected rows of a table in quarantine, release those that are no longer rejected; what is held then."""
    ledger = services.ledger
    held: list[QuarantinedRecord] = []
    for tenant, report in reports.items():
        ref = StreamRef(tenant, SOURCE, TABLES_STREAM)
        rejected = [
            QuarantinedRecord(
                tenant=tenant,
                source=SOURCE,
                stream=TABLES_STREAM,
                stage=table.name,
                record_id=row.row_id,
                reason=row.reason[:2000],
                payload_ref=row.place,
                window="",
            )
            for row in report.tables[table.name].rejected
        ]
        still = {record.record_id for record in rejected}
        mended = [record.record_id for record in ledger.quarantined(*ref, table.name) if record.record_id not in still]
        ledger.release(ref, table.name, mended)
        ledger.put_in_quarantine(rejected)
        held += ledger.quarantined(*ref, table.name)
    return held


def _metadata(report: TableReport, files_left_out: Sequence[str]) -> dict[str, Any]:
    """Counts of one tenant's table, what was rejected, and what is worth knowing."""
    metadata: dict[str, Any] = {
        "read": report.read,
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "merged": report.merged,
        "rejected": len(report.rejected),
    }
    if report.rejected:
        rows = [{"place": row.place, "row": row.row_id, "reason": row.reason} for row in report.rejected[:_SAMPLE]]
        metadata["rejected_rows"] = dg.MetadataValue.md(markdown_table(rows))
    for name, lines in (("notices", report.notices), ("files_left_out", files_left_out)):
        if lines:
            metadata[name] = dg.MetadataValue.md("\n".join(f"- {line}" for line in lines))
    return metadata


def _column_schema(table: sa.Table) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                str(column.type.compile(dialect=postgresql.dialect())).lower(),
                _column_description(column),
                dg.TableColumnConstraints(nullable=bool(column.nullable), unique=column.primary_key),
            )
            for column in table.columns
        ]
    )


def _column_description(column: sa.Column[Any]) -> str:
    """What a column holds, as far as its definition says it; at least its name in words."""
    said = [column.comment] if column.comment else []
    said += [f"id of a row of {key.column.table.name}" for key in column.foreign_keys]
    said += [rule.condition for rule in column.table.info.get("rules", ()) if rule.column == column.name]
    return "; ".join(said) or column.name.replace("_", " ")
