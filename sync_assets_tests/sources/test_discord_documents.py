from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync_assets.documents import Document, Visibility
from sync_assets.sources.discord_documents import (
    first_snowflake,
    is_said,
    mentioned_ids,
    message_document,
    snowflake_time,
)

Json = dict[str, Any]
ANNA: Json = {"id": "11", "username": "anna84", "global_name": "Anna"}
BEN: Json = {"id": "12", "username": "ben", "global_name": None}
NINE = 1_434_457_735_372_800_000


def message(content: str = "", number: int = 0, **more: Any) -> Json:
    return {
        "id": str(NINE + number),
        "channel_id": "1",
        "type": 0,
        "content": content,
        "author": ANNA,
        "mentions": [],
    } | more


def document(*messages: Json, **more: Any) -> Document:
    payload: Json = {
        "guild_id": "900",
        "channel": {"id": "1", "name": "general"},
        "day": "2025-11-02",
        "roles": {"950": "Helpers"},
        "channels": {"3": "help"},
        "visibility": "internal",
        "principals": [],
        "messages": list(messages),
    }
    return message_document("solara", "1-2025-11-02", payload | more)


def said(content: str = "", **more: Any) -> str:
    """The text of one message of Anna's, without her name."""
    parts = document(message(content, **more)).parts
    return parts[0].text.removeprefix("Anna: ") if parts else ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Ask <@12> or <@!12>", "Ask @ben or @ben"),
        ("Ask <@99>", "Ask @unknown-user"),
        ("Ask <@&950>, not <@&951>", "Ask @Helpers, not @unknown-role"),
        ("See <#3>, not <#4>", "See #help, not #unknown"),
        ("<:sun:77> <a:rain_2:78>", ":sun: :rain_2:"),
        ("Closed from <t:1762342923> on", "Closed from 2025-11-05 11:42 UTC on"),
        ("On <t:1762342923:D>, at <t:1762342923:R>", "On 2025-11-05, at 2025-11-05 11:42 UTC"),
        ("<t:999999999999999>", "<t:999999999999999>"),
        ("Type </ticket open:123>", "Type /ticket open"),
        ("The code is ||4711||.", "The code is 4711."),
        ("`a || b || c` and ```\n<@12> || x ||\n```", "`a || b || c` and ```\n<@12> || x ||\n```"),
        ("**bold** [link](https://a.example/?x=1) @everyone", "**bold** [link](https://a.example/?x=1) @everyone"),
        (
            "https://cdn.discordapp.com/attachments/1/2/roof.png?ex=67&is=66&hm=abc& there",
            "https://cdn.discordapp.com/attachments/1/2/roof.png there",
        ),
        ("half a pair \ud83d", "half a pair \ufffd"),
        ("  \n ", ""),
    ],
)
def test_markup_is_resolved(content: str, text: str) -> None:
    assert said(content, mentions=[BEN]) == text


def test_embeds_hold_their_words_and_an_address_that_is_not_named_yet() -> None:
    card = {
        "type": "rich",
        "title": "Firmware 2.4",
        "description": "Fixes the <@&950> beep",
        "url": "https://a.example/firmware",
        "fields": [{"name": "Size", "value": "3 MB", "inline": True}],
    }
    assert (
        said("New:", embeds=[card])
        == "New:\n\nFirmware 2.4\nFixes the @Helpers beep\nSize: 3 MB\nhttps://a.example/firmware"
    )
    preview = {"type": "link", "title": "Snow", "url": "https://a.example/snow"}
    assert said("See https://a.example/snow", embeds=[preview]) == "See https://a.example/snow\n\nSnow"


def test_a_picture_shows_its_address_once_and_without_its_signature() -> None:
    address = "https://cdn.discordapp.com/attachments/1/2/roof.png"
    embed = {"type": "image", "url": f"{address}?ex=2&is=2&hm=2"}
    assert said(f"{address}?ex=1&is=1&hm=1", embeds=[embed]) == address
    assert said("", embeds=[embed]) == address


def test_attachments_and_stickers_hold_names_and_descriptions_only() -> None:
    attachments = [
        {"id": "1", "filename": "roof.png", "description": "Snow on it", "url": "https://cdn.discordapp.com/x?hm=1"},
        {"id": "2", "filename": "log.txt", "url": "https://cdn.discordapp.com/y?hm=1"},
    ]
    text = said("Look", attachments=attachments, sticker_items=[{"id": "5", "name": "Thanks", "format_type": 1}])
    assert text == "Look\n\nAttachment: roof.png (Snow on it)\nAttachment: log.txt\n\nSticker: Thanks"


def test_a_poll_shows_its_votes_only_when_they_are_final() -> None:
    poll: Json = {
        "question": {"text": "Which battery?"},
        "answers": [
            {"answer_id": 1, "poll_media": {"text": "5 kWh"}},
            {"answer_id": 2, "poll_media": {"text": "10 kWh", "emoji": {"name": "x"}}},
        ],
        "results": {"is_finalized": False, "answer_counts": [{"id": 2, "count": 3, "me_voted": False}]},
    }
    assert said(poll=poll) == "Poll: Which battery?\n- 5 kWh\n- 10 kWh"
    poll["results"]["is_finalized"] = True
    assert said(poll=poll) == "Poll: Which battery?\n- 5 kWh (0 votes)\n- 10 kWh (3 votes)"


def test_the_result_of_a_poll_is_a_sentence() -> None:
    values = {
        "poll_question_text": "Which battery?",
        "victor_answer_votes": "3",
        "total_votes": "4",
        "victor_answer_id": "2",
        "victor_answer_text": "10 kWh",
    }
    embed = {"type": "poll_result", "fields": [{"name": name, "value": value} for name, value in values.items()]}
    assert said(type=46, embeds=[embed]) == "Poll ended: Which battery?\nMost votes: 10 kWh (3 of 4 votes)"


def test_a_forward_says_what_was_forwarded() -> None:
    snapshot = {"message": {"content": "Ask <@12>", "mentions": [BEN], "attachments": [{"filename": "a.pdf"}]}}
    text = said(message_reference={"type": 1, "message_id": "5"}, message_snapshots=[snapshot])
    assert text == "Ask @ben\n\nAttachment: a.pdf"


def test_text_displays_are_read_wherever_they_stand() -> None:
    components = [
        {"type": 17, "components": [{"type": 9, "components": [{"type": 10, "content": "Hello <@&950>"}]}]},
        {"type": 1, "components": [{"type": 2, "label": "Open", "style": 5}]},
        {"type": 10, "content": "Bye"},
    ]
    assert said(components=components) == "Hello @Helpers\n\nBye"


def test_the_starter_of_a_thread_comes_first_with_its_own_link() -> None:
    starter = message("Does it snow?", author=BEN)
    notice = message("", 4 << 22, type=21, channel_id="2", referenced_message=starter)
    reply = message("Yes", 5 << 22, channel_id="2", type=19, referenced_message=message("x", 9, author=BEN))
    found = document(notice, reply, thread={"id": "2", "name": "Snow"}, day=None)
    assert [part.text for part in found.parts] == ["ben: Does it snow?", "Anna: Yes"]
    assert [part.path for part in found.parts] == [str(NINE), str(NINE + (5 << 22))]
    assert found.url == f"https://discord.com/channels/900/1/{NINE}"
    assert found.parts[1].metadata["link"] == f"https://discord.com/channels/900/2/{NINE + (5 << 22)}"
    assert found.title == "#general: Snow"
    assert found.metadata["kind"] == "thread"


def test_a_document_holds_what_is_said_in_the_order_of_time() -> None:
    found = document(message("second", 1 << 22), message("first"), message("", 2 << 22))
    assert [part.text for part in found.parts] == ["Anna: first", "Anna: second"]
    assert found.title == "#general, 2025-11-02"
    assert (found.visibility, found.principals) == (Visibility.INTERNAL, [])
    assert {name: found.metadata[name] for name in ("channel", "channel_id", "kind", "messages")} == {
        "channel": "general",
        "channel_id": "1",
        "kind": "day",
        "messages": 2,
    }
    assert found.parts[0].metadata["sent_at"] == snowflake_time(NINE).isoformat()


def test_a_new_name_of_the_channel_embeds_nothing() -> None:
    texts = [
        [part.text for part in document(message("Hi"), channel={"id": "1", "name": name}).parts] for name in ("a", "b")
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ({"id": 7}, "messages.0.id"),
        ({"id": "x"}, "messages.0.id"),
        ({"author": None}, "messages.0.author"),
        ({"embeds": [{"fields": "x"}]}, "messages.0.embeds.0.fields"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_shown(broken: Json, place: str) -> None:
    with pytest.raises(ValueError, match=rf"^{place}: ") as caught:
        document(message("secret words") | broken)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("facts", "people", "all_of_them"),
    [
        ({}, True, True),
        ({"type": 19}, True, True),
        ({"type": 46}, True, True),
        ({"type": 7}, False, False),
        ({"type": 18}, False, False),
        ({"type": 20}, False, True),
        ({"type": 23}, False, True),
        ({"author": BEN | {"bot": True}}, False, True),
        ({"webhook_id": "5"}, False, True),
        ({"type": 21, "referenced_message": None}, False, False),
        ({"type": 21, "referenced_message": message("x")}, True, True),
        ({"type": 21, "referenced_message": message("x", webhook_id="5")}, False, True),
        ({"type": "0"}, True, True),
    ],
)
def test_only_peoples_words_are_kept(facts: Json, people: bool, all_of_them: bool) -> None:
    assert is_said(message("x") | facts, bots=False) is people
    assert is_said(message("x") | facts, bots=True) is all_of_them


def test_mentions_are_found_wherever_they_stand() -> None:
    inside = message("<@&950>", embeds=[{"description": "<#3> <@12>"}])
    assert mentioned_ids([inside, "not a message"]) == ({"950"}, {"3"})


def test_ids_tell_their_time() -> None:
    moment = datetime(2016, 4, 30, 11, 18, 25, 796000, tzinfo=UTC)
    assert snowflake_time(175928847299117063) == moment
    assert first_snowflake(moment) <= 175928847299117063 < first_snowflake(moment + timedelta(milliseconds=1))
    assert first_snowflake(datetime(2000, 1, 1, tzinfo=UTC)) == 0
