"""`sync-assets notify`: the places that are told of failures and recoveries."""

from typing import Any

import typer

from sync_assets.cli.session import Json, open_services, print_json
from sync_assets.errors import NotificationError, SettingsError
from sync_assets.terminal import console, print_rows

notify_app = typer.Typer(no_args_is_help=True, help="Who is told of failures and recoveries.")


@notify_app.command("test")
def notify_test(as_json: Json = False) -> None:
    """Send a trial message to every place that SYNC_ASSETS_NOTIFY names.

    Examples:

        sync-assets notify test
    """
    from sync_assets.notifications.targets import Message, parse_targets

    message = Message("sync-assets: trial message", "Failures, quarantine and recoveries will be told here.")
    rows: list[dict[str, Any]] = []
    with open_services() as services:
        if services.settings.notify is None:
            raise SettingsError(
                "SYNC_ASSETS_NOTIFY names nobody to tell.", "Name a Slack webhook, an SNS topic or a mail server there."
            )
        for target in parse_targets(services.settings.notify.get_secret_value()):
            try:
                target.send(message)
                rows.append({"target": target.name, "ok": True, "detail": "accepted"})
            except NotificationError as error:
                rows.append({"target": target.name, "ok": False, "detail": str(error)})
    if as_json:
        print_json(rows)
    else:
        print_rows(console(), ("target", "ok", "detail"), rows)
    raise typer.Exit(0 if all(row["ok"] for row in rows) else 1)
