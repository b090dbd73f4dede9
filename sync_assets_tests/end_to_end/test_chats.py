"""Slack and Discord from their servers to what a search finds: who finds what, what arrives, and what stays."""

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from sync_assets.definitions import build_defs
from sync_assets.demo.company import DemoCompany
from sync_assets.demo.discord_data import Permission
from sync_assets.demo.discord_guild import DiscordGuild
from sync_assets.demo.discord_limits import DiscordLimits
from sync_assets.demo.server import DemoServers
from sync_assets.demo.slack_records import new_file
from sync_assets.demo.slack_workspace import SlackLimits, SlackWorkspace
from sync_assets.partitions import RANGE_END, RANGE_START
from sync_assets_tests.command_line import Installation
from sync_assets_tests.postgres import fresh_database

PRIVATE = "C08ESCALAT1"
PHONES = "C08PHONES01"
SWITCHES, DRAFT = "switches-without-autosave.csv", "orchard-vale-root-cause-draft.docx"
HIDDEN_FROM_MOST = "Quayside Credit Union threatens to end the contract"


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Installation]:
    """An installation whose tenants have chats only, synced once."""
    company = DemoCompany()
    company.desks, company.zoho, company.gitlab, company.backlog = {}, {}, {}, {}
    many = 100_000
    slack_limits = SlackLimits(tier_2=many, tier_3=many, tier_4=many)
    limits = DiscordLimits(messages=many, others=many, per_second=many)
    servers = DemoServers(company=company, slack_limits=slack_limits, discord_limits=limits)
    with servers, fresh_database(postgres_url) as url:
        made = Installation(tmp_path_factory.mktemp("chats"), url, servers)
        first = made.sync("--all")
        assert first["failures"] == []
        yield made


@pytest.fixture(autouse=True)
def own_tenants(chats: Installation) -> Iterator[None]:
    """Every test begins with the tenants file as it was."""
    yield
    chats.write_tenants()


@pytest.fixture
def workspace(chats: Installation) -> Iterator[SlackWorkspace]:
    """The Slack of acme; afterwards everything is as it was."""
    yield chats.servers.company.slack["acme"]
    as_at_the_start(chats, "slack")


@pytest.fixture
def guild(chats: Installation) -> Iterator[DiscordGuild]:
    """The Discord of solara, likewise."""
    yield chats.servers.company.discord["solara"]
    as_at_the_start(chats, "discord")


def as_at_the_start(chats: Installation, source: str) -> None:
    company = chats.servers.company
    for chat in (*company.slack.values(), *company.discord.values()):
        chat.reset()
    chats.write_tenants()
    swept = chats.sync("--source", source, "--all")
    assert (swept["failures"], swept["quarantined"]) == ([], 0)


def found(chats: Installation, tenant: str, text: str, *options: str) -> list[dict[str, Any]]:
    outcome = chats.run("search", text, "--tenant", tenant, "--top-k", "100", "--json", *options)
    assert outcome.code == 0, outcome
    return json.loads(outcome.out)


def records(chats: Installation, tenant: str, *options: str) -> set[str]:
    return {hit["record_id"] for hit in found(chats, tenant, "anything", "--audience", "internal", *options)}


def file_id(workspace: SlackWorkspace, name: str) -> str:
    """The id of the shared file of this name."""
    messages = (message for channel in workspace.data.messages.values() for message in channel.values())
    (found_id,) = (file["id"] for message in messages for file in message.get("files", []) if file.get("name") == name)
    return found_id


def test_every_conversation_is_found_and_a_second_sync_does_nothing(chats: Installation) -> None:
    company = chats.servers.company
    own = ("--principal", "user:U08ACME001")
    assert records(chats, "acme", *own) == set(company.record_ids("acme", "slack", "messages"))
    # The public may not look into a company's chat.
    assert found(chats, "acme", "anything") == []
    again = chats.sync("--all")
    assert (again["embedded"], again["written"], again["payloads"], again["deleted"]) == (0, 0, 0, 0)


def test_a_private_channel_is_found_by_its_members_only_and_a_new_member_costs_no_embedding(
    chats: Installation, workspace: SlackWorkspace
) -> None:
    stranger = next(user for user in workspace.data.users if user not in workspace.data.members[PRIVATE])

    def finds(user: str) -> bool:
        hits = found(chats, "acme", HIDDEN_FROM_MOST, "--audience", "internal", "--principal", f"user:{user}")
        return any(hit["record_id"].startswith(f"private.{PRIVATE}-") for hit in hits)

    assert finds(workspace.data.members[PRIVATE][1])
    assert not finds(stranger)
    workspace.join(PRIVATE, stranger, at=datetime(2026, 11, 13, 18, tzinfo=UTC))
    synced = chats.sync("--source", "slack", "--all")
    assert (synced["embedded"], synced["written"], synced["payloads"] > 0) == (0, 0, True)
    assert finds(stranger)


def test_files_are_found_by_the_readers_of_their_conversation_until_they_are_deleted(
    chats: Installation, workspace: SlackWorkspace
) -> None:
    stranger = next(user for user in workspace.data.users if user not in workspace.data.members[PRIVATE])

    def finds(name: str, user: str) -> list[tuple[str, str]]:
        """Record and text of what a user finds of a file."""
        options = ("--audience", "internal", "--principal", f"user:{user}", "--filter", f"part_attachment={name}")
        return [(hit["record_id"], hit["text"]) for hit in found(chats, "acme", "anything", *options)]

    ((thread, rows),) = finds(SWITCHES, stranger)
    assert thread == "C08WIFI0001-1794494667.071087"
    assert "Workshop" in rows
    ((thread, draft),) = finds(DRAFT, workspace.data.members[PRIVATE][1])
    assert thread.startswith(f"private.{PRIVATE}-")
    assert "Supply pressure" in draft
    assert finds(DRAFT, stranger) == []
    workspace.delete_file(file_id(workspace, SWITCHES))
    synced = chats.sync("--source", "slack", "--all")
    assert (synced["failures"], synced["quarantined"], synced["embedded"]) == ([], 0, 1)
    assert finds(SWITCHES, stranger) == []


def test_without_the_scope_for_files_conversations_are_stored_and_the_scope_is_named(
    chats: Installation, workspace: SlackWorkspace
) -> None:
    workspace.data.scopes.remove("files:read")
    workspace.post(
        PHONES, "U08ACME003", "Here it is:", files=[new_file(workspace.data, "plan.pdf", "U08ACME003", "1.000000")]
    )
    synced = chats.sync("--source", "slack", "--incremental", code=3)
    assert (synced["failures"], synced["quarantined"]) == ([], 1)
    (hit,) = (
        hit for hit in found(chats, "acme", "plan.pdf", "--audience", "internal") if "File: plan.pdf" in hit["text"]
    )
    assert hit["record_id"].startswith(PHONES)
    (record,) = chats.run("quarantine", "list", "--json").json
    assert "plan.pdf: " in record["reason"]
    assert "Give the app the scope files:read" in record["reason"]


def test_a_late_reply_is_found_and_leads_to_its_window(chats: Installation, workspace: SlackWorkspace) -> None:
    root = "1793696713.344038"
    workspace.post(PHONES, "U08ACME003", "The marzipan firmware fixed it.", thread_ts=root)
    synced = chats.sync("--source", "slack", "--incremental")
    assert synced["failures"] == []
    assert synced["embedded"] in (1, 2), "the last window, which may become two"
    (hit,) = (
        hit for hit in found(chats, "acme", "marzipan firmware", "--audience", "internal") if "marzipan" in hit["text"]
    )
    assert hit["record_id"] == f"{PHONES}-{root}"
    assert hit["url"].startswith(f"https://acme-support.slack.com/archives/{PHONES}/p")
    assert hit["metadata"]["channel"] == "support-phones"
    assert hit["metadata"]["part_messages"] <= 10


def test_a_channel_that_the_app_left_keeps_what_is_stored_until_it_is_excluded(
    chats: Installation, workspace: SlackWorkspace
) -> None:
    stored = {record_id for record_id in records(chats, "acme") if record_id.startswith(PHONES)}
    assert len(stored) > 10
    workspace.leave(PHONES, workspace.data.app_user)
    swept = chats.sync("--source", "slack", "--all", code=1)
    assert "exclude_channels" in swept["failures"][0]
    assert stored <= records(chats, "acme")
    chats.change_account("acme", "slack", exclude_channels=["support-phones"])
    swept = chats.sync("--source", "slack", "--all", code=1)
    assert "SWEEP_MAX_DELETE_SHARE" in swept["failures"][0], "so many at once are deleted when told only"
    chats.sync("--source", "slack", "--all", SYNC_ASSETS_SWEEP_MAX_DELETE_SHARE="1")
    assert not stored & records(chats, "acme")


@pytest.mark.parametrize("lost", ["intent", "history"])
def test_what_discord_shows_no_more_stays_and_is_told(chats: Installation, guild: DiscordGuild, lost: str) -> None:
    stored = records(chats, "solara")
    if lost == "intent":
        guild.switch_intent(False)
    else:
        guild.overwrite("general", guild.data.bot_id, 1, 0, Permission.READ_MESSAGE_HISTORY)
    outcome = chats.sync("--source", "discord", "--all", code=1)
    words = {"intent": "Message Content Intent", "history": "#general"}
    assert words[lost] in outcome["failures"][0]
    assert records(chats, "solara") == stored


def test_an_archive_takes_the_place_of_a_token(chats: Installation, tmp_path: Path) -> None:
    archive = tmp_path / "export.zip"
    said = {"type": "message", "user": "U1", "text": "The *saffron* switch is off.", "ts": "1793700000.000100"}
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("channels.json", json.dumps([{"id": "C77", "name": "attic", "members": ["U1"]}]))
        writer.writestr("users.json", json.dumps([{"id": "U1", "name": "ada", "real_name": "Ada"}]))
        writer.writestr("attic/2026-11-03.json", json.dumps([said]))
    tenants = yaml.safe_load(chats.tenants_file.read_text())
    tenants["tenants"]["archive"] = {"slack": {"export": str(archive)}}
    chats.tenants_file.write_text(yaml.safe_dump(tenants))
    synced = chats.sync("--tenant", "archive", "--all")
    assert (synced["failures"], synced["documents"]) == ([], 1)
    (hit,) = found(chats, "archive", "saffron", "--audience", "internal")
    assert (hit["record_id"], hit["text"]) == ("C77-2026-11-03", "Ada: The **saffron** switch is off.")


def test_the_schedule_asks_for_one_range_with_a_sweep(chats: Installation) -> None:
    definitions = build_defs()
    schedule = definitions.resolve_schedule_def("slack_incremental")
    assert "`0 */6 * * *`" in (schedule.description or "")
    at = datetime.now(UTC) + timedelta(minutes=1)
    with chats.services() as services, chats.instance() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            resources={"services": services},
            repository_def=definitions.get_repository_def(),
        )
        (request,) = schedule.evaluate_tick(context).run_requests or []
    assert request.tags[RANGE_START].endswith("|acme")
    assert request.tags[RANGE_END] == f"{datetime.now(UTC):%Y-%m-%d}|acme"
    assert request.run_config["ops"]["slack__messages__raw"]["config"]["sweep"] is True
    assert [key.path[-1] for key in request.asset_selection or []] == [
        *("raw", "documents", "chunks", "embeddings", "chroma", "graph")
    ]
