"""What Discord's conversations tell of the knowledge graph."""

from typing import Any

import pytest

from sync_assets.documents import Document
from sync_assets.sources.discord_documents import message_document
from sync_assets.sources.discord_graph import with_graph
from sync_assets_tests.sources.graph import check_odd_fields, edges
from sync_assets_tests.sources.test_discord_documents import ANNA, BEN, Json, message


def payload_of(*messages: Json, **more: Any) -> Json:
    return {
        "guild_id": "900",
        "channel": {"id": "1", "name": "general"},
        "day": "2025-11-02",
        "visibility": "internal",
        "messages": list(messages),
    } | more


def document(payload: Any) -> Document:
    return with_graph(message_document("solara", "1-2025-11-02", payload), payload)


def test_all_conversations_of_a_channel_stand_for_the_channel() -> None:
    day = document(payload_of(message("Hello")))
    thread = document(payload_of(message("Help!"), day=None, thread={"id": "77", "name": "Error 3"}))
    assert day.entity is not None
    assert day.entity == thread.entity
    assert (day.entity.node_id, day.entity.name) == ("channel:discord/1", "general")
    assert day.entity.facts == {"url": "https://discord.com/channels/900/1"}


@pytest.mark.parametrize("more", [{"guild_id": None}, {"channel": {"name": "general"}}], ids=["server", "channel"])
def test_a_channel_whose_place_is_unknown_has_no_address(more: Json) -> None:
    channel = with_graph(document(payload_of(message("Hello"))), payload_of(message("Hello"), **more)).entity
    assert channel is not None
    assert (channel.name, channel.facts) == ("general", {})


def test_people_who_spoke_are_of_the_channel_and_programs_are_not() -> None:
    found = document(
        payload_of(
            message("Hello"),
            message("again", 1),
            message("beep", 2, author={"id": "13", "username": "robot", "bot": True}),
            message("hook", 3, author={"id": "14", "username": "hook"}, webhook_id="14"),
            message("", 4, type=21, author={"id": "15", "username": "opener"}, referenced_message=message(author=BEN)),
        )
    )
    assert edges(found) == [
        ("person:discord/11", "BELONGS_TO", "channel:discord/1"),
        ("person:discord/12", "BELONGS_TO", "channel:discord/1"),
    ]
    people = [relation.source for relation in found.relations]
    assert [(one.name, one.aliases) for one in people if one] == [("Anna", ("@anna84",)), ("ben", ("@ben",))]


def test_no_odd_field_spoils_a_document() -> None:
    answer = message("Yes", 1, type=19, author=BEN, referenced_message=message("So?", author=ANNA))
    check_odd_fields(
        payload_of(message("Hello"), answer),
        lambda payload: message_document("solara", "1-2025-11-02", payload),
        document,
    )
