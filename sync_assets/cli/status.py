"""`sync-assets status`: what each store has of each tenant and stream.

What belongs here: the table. What it is counted from is in the ledger and in the stores.
"""

from typing import Any

from sync_assets.cli.session import Json, OneTenant, open_services, print_json
from sync_assets.errors import SettingsError
from sync_assets.services import Services
from sync_assets.terminal import console, print_rows

COLUMNS = ("tenant", "source", "stream", "store", "documents", "chunks", "vectors", "quarantined", "last_success")


def status(tenant: OneTenant = None, as_json: Json = False) -> None:
    """What each store has of each tenant and stream.

    Examples:

        sync-assets status

        sync-assets status --tenant acme --json
    """
    with open_services() as services:
        if as_json:
            print_json(_status_rows(services, tenant))
        else:
            print_status(services, tenant)


def print_status(services: Services, tenant: str | None = None) -> None:
    """A table with a row for each tenant, source, stream and store."""
    rows = _status_rows(services, tenant)
    if rows:
        shown = [{**row, "last_success": _minute(row["last_success"])} for row in rows]
        print_rows(console(), COLUMNS, shown)
    else:
        console().print("Nothing was synced yet. Run `sync-assets sync`, or `sync-assets demo` for a look.")


def _status_rows(services: Services, tenant: str | None) -> list[dict[str, Any]]:
    rows = []
    for row in services.ledger.status(tenant):
        collection = row["collection"]
        vectors = services.store(row["store"]).count(collection, row["tenant"]) if collection else 0
        last_success = row["last_success"] and row["last_success"].isoformat(timespec="seconds")
        row |= {"vectors": vectors, "last_success": last_success}
        rows.append({name: row[name] for name in COLUMNS})
    if not rows:
        check_tenant(services, tenant)
    return rows


def check_tenant(services: Services, tenant: str | None) -> None:
    """Tell a typing error from a tenant that has nothing.

    Raises:
        SettingsError: the tenants file does not have this tenant.
    """
    names = services.tenants.names()
    if tenant is not None and tenant not in names:
        raise SettingsError(f"Unknown tenant {tenant!r}.", f"Known are: {', '.join(names) or 'none'}.")


def _minute(moment: str | None) -> str:
    return f"{moment[:16].replace('T', ' ')}Z" if moment else "never"
