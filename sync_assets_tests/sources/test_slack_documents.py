from typing import Any

import pytest

from sync_assets.documents import Document, Visibility
from sync_assets.sources.slack_documents import channels_in, conversation_of, people_in

Json = dict[str, Any]

ROOT, REPLY = "1793869200.000100", "1793872800.000200"
PEOPLE = {"U1": "Ada", "U2": "Grace"}
CHANNELS = {"C1": "support", "C2": "sales"}


def message(text: str = "", ts: str = ROOT, user: str | None = "U1", **more: Any) -> Json:
    return {"type": "message", "ts": ts, "user": user, "text": text, **more}


def document(*messages: Json, record_id: str = f"C1-{ROOT}", private: bool = False, **more: Any) -> Document:
    payload = {
        "workspace": "https://acme.slack.com",
        "channel": {"id": "C1", "name": "support", "is_private": private},
        "members": ["U2", "U1"] if private else [],
        "messages": list(messages),
        "people": PEOPLE,
        "channels": CHANNELS,
        **more,
    }
    return conversation_of("acme", record_id, payload, files=True)


def said(**more: Any) -> str:
    """What the document says that a message of Ada's says."""
    (part,) = document(message(**more)).parts
    return part.text.removeprefix("Ada: ")


def rich(*elements: Json, **more: Any) -> list[Json]:
    """Blocks of one line of rich text, or of the groups that are given."""
    groups = [{"type": "rich_text_section", "elements": list(elements)}]
    return [{"type": "rich_text", "elements": more.get("groups", groups)}]


# Texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("*bold* and _italic_ and ~gone~", "**bold** and _italic_ and ~~gone~~"),
        ("2*3*4 and snake_case_name", "2*3*4 and snake_case_name"),
        ("<@U1> asks <@U2|old> and <@U9> and <@U8|bob>", "@Ada asks @Grace and @U9 and @bob"),
        ("in <#C2> or <#C2|old> or <#C9|gone> or <#C8>", "in #sales or #sales or #private-channel or #private-channel"),
        ("<!here> <!channel> <!everyone>", "@here @channel @everyone"),
        ("<!subteam^S1|@support-team> <!subteam^S2>", "@support-team @S2"),
        ("due <!date^1793869200^{date}|5 November>", "due 5 November"),
        ("see <https://a.example/x_y_z*1*>", "see https://a.example/x_y_z*1*"),
        ("see <https://a.example/?a=1&amp;b=2|the *page*>", "see [the *page*](https://a.example/?a=1&b=2)"),
        ("mail <mailto:ada@a.example|ada@a.example> or <tel:+4930|030>", "mail ada@a.example or 030"),
        ("if a &lt; b &amp;&amp; c &gt; d", "if a < b && c > d"),
        ("&lt;@U1&gt; and &amp;lt;", "<@U1> and &lt;"),
        ("done :white_check_mark: :flag-nl: :raised_hands::skin-tone-3: :our-logo:", "done ✅ 🇳🇱 🙌 :our-logo:"),
        ("run `ls *a* :key: <https://a.example|x>`", "run `ls *a* :key: x`"),
        ("```\n*not bold* :key: &lt;tag&gt;\n```", "```\n*not bold* :key: <tag>\n```"),
        ("odd <|label> and <> and < b", "odd label and <> and < b"),
        ("half \ud83d a pair", "half � a pair"),
    ],
)
def test_mrkdwn_becomes_markdown(text: str, expected: str) -> None:
    assert said(text=text) == expected


def test_blocks_are_preferred_to_the_text() -> None:
    blocks = rich(
        {"type": "text", "text": "Set the "},
        {"type": "text", "text": "VLAN ", "style": {"bold": True}},
        {"type": "text", "text": "to "},
        {"type": "text", "text": "20", "style": {"code": True}},
        {"type": "text", "text": ", "},
        {"type": "user", "user_id": "U2"},
        {"type": "text", "text": ": "},
        {"type": "link", "url": "https://a.example", "text": "how"},
        {"type": "text", "text": " "},
        {"type": "emoji", "name": "+1", "unicode": "1f44d"},
        {"type": "emoji", "name": "our-logo"},
        {"type": "text", "text": " "},
        {"type": "channel", "channel_id": "C2"},
        {"type": "text", "text": " "},
        {"type": "broadcast", "range": "here"},
        {"type": "text", "text": " "},
        {"type": "date", "timestamp": 1793869200, "format": "{date}", "fallback": "5 November"},
        {"type": "text", "text": " a &lt; b"},
    )

    assert said(text="never seen", blocks=blocks) == (
        "Set the **VLAN** to `20`, @Grace: [how](https://a.example) 👍:our-logo: #sales @here 5 November a < b"
    )


def test_rich_text_keeps_lists_quotes_and_code() -> None:
    def line(text: str) -> Json:
        return {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}

    blocks = rich(
        groups=[
            line("Steps:\n"),
            {"type": "rich_text_list", "style": "ordered", "elements": [line("open"), line("close")]},
            {"type": "rich_text_list", "style": "bullet", "indent": 1, "elements": [line("gently")]},
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "it said\nno"}]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a *b*"}]},
        ]
    )

    assert said(blocks=blocks) == "Steps:\n1. open\n2. close\n  - gently\n> it said\n> no\n```\na *b*\n```"


def test_layout_blocks_give_their_texts() -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Outage :fire:"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "*Down* since <!date^1^{time}|9:00>"},
            "fields": [{"type": "mrkdwn", "text": "*Site:* Delft"}],
        },
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "image", "alt_text": "map"}, {"type": "mrkdwn", "text": "by <@U2>"}]},
        {"type": "image", "alt_text": "a switch", "title": {"type": "plain_text", "text": "The switch"}},
        {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Ack"}}]},
    ]

    assert said(text="fallback", blocks=blocks) == (
        "**Outage 🔥**\n\n**Down** since 9:00\n**Site:** Delft\n\nmap by @Grace\n\nThe switch"
    )


def test_blocks_without_any_text_leave_it_to_the_text() -> None:
    assert said(text="fallback", blocks=[{"type": "divider"}, {"type": "unheard_of", "text": "?"}]) == "fallback"


def test_attachments_and_names_of_files_follow_the_text() -> None:
    attachments = [
        {
            "pretext": "New ticket",
            "title": "No dial tone",
            "title_link": "https://desk.example/7",
            "text": "From *Delft*",
            "fields": [{"title": "Priority", "value": "high"}, {"title": "Count", "value": 3}],
            "fallback": "never seen",
        },
        {"fallback": "Only &amp; this"},
        {"message_blocks": [{"message": {"blocks": rich({"type": "text", "text": "Shared."})}}], "text": "never seen"},
    ]
    files = [
        {"name": "router.log", "title": "router.log"},
        {"name": "IMG_1.jpg", "title": "The lobby"},
        {"name": "gone.txt", "mode": "tombstone"},
        {"name": "old.txt", "mode": "hidden_by_limit"},
    ]

    assert said(text="Look:", attachments=attachments, files=files) == (
        "Look:\n\nNew ticket\n[No dial tone](https://desk.example/7)\nFrom **Delft**\nPriority: high\nCount: 3\n\n"
        "Only & this\n\nShared.\n\nFile: router.log\nFile: IMG_1.jpg (The lobby)"
    )


def test_an_unreadable_piece_of_a_block_says_nothing_and_fails_nothing() -> None:
    blocks = [
        {"type": "rich_text", "elements": "none"},
        {"type": "section", "text": 7, "fields": None},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [None, {"type": "text"}]}]},
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_section", "elements": [{"type": "emoji", "unicode": "zz"}]}],
        },
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_section", "elements": [{"type": "date", "timestamp": "x"}]}],
        },
    ]

    assert said(text="Still here.", blocks=blocks) == "Still here."


# Documents


def test_a_thread_has_the_first_line_of_its_root_for_a_title() -> None:
    long = "Which headset fits the D785, and does it need an adapter or can it be plugged in directly?"
    thread = document(message(f"{long}\nSecond line"), message("Yes.", REPLY, "U2", thread_ts=ROOT))

    assert thread.title == f"#support: {long[:80]}"
    assert thread.document_id == f"acme_slack_C1-{ROOT}"
    assert thread.url == "https://acme.slack.com/archives/C1/p1793869200000100"
    assert thread.parts[1].metadata["link"] == (
        f"https://acme.slack.com/archives/C1/p1793872800000200?thread_ts={ROOT}&cid=C1"
    )
    assert thread.metadata | {"started_at": "", "ended_at": ""} == {
        "platform": "slack",
        "doc_type": "conversation",
        "channel": "support",
        "channel_id": "C1",
        "kind": "thread",
        "thread_ts": ROOT,
        "participants": ["Ada", "Grace"],
        "messages": 2,
        "started_at": "",
        "ended_at": "",
    }


def test_a_day_has_its_date_for_a_title() -> None:
    day = document(message("Hello."), record_id="C1-2026-11-05")

    assert day.title == "#support, 2026-11-05"
    assert day.metadata["kind"] == "day"
    assert "thread_ts" not in day.metadata


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, "Ada"),
        ({"user": "U9"}, "U9"),
        ({"user": None, "username": "Robot", "bot_id": "B1"}, "Robot"),
        ({"user": None, "bot_id": "B1", "bot_profile": {"name": "CI"}}, "CI"),
        ({"user": "U2", "bot_id": "B1"}, "Grace"),
        ({"user": None, "bot_id": "B1"}, "B1"),
        ({"user": None, "comment": {"user": "U2"}}, "Grace"),
        ({"user": None}, "unknown"),
    ],
)
def test_the_author_is_the_name_that_is_shown(names: Json, expected: str) -> None:
    (part,) = document(message("Hello.") | names).parts

    assert part.text == f"{expected}: Hello."
    assert part.metadata["author"] == expected


def test_a_private_channel_is_for_its_members() -> None:
    day = document(message("Hello."), private=True)

    assert (day.visibility, day.principals) == (Visibility.RESTRICTED, ["user:U1", "user:U2"])
    assert all(part.visibility is Visibility.RESTRICTED and part.principals == day.principals for part in day.parts)


def test_a_renamed_channel_changes_no_text() -> None:
    before = document(message("Hello."))
    after = document(message("Hello."), channel={"id": "C1", "name": "helpdesk", "is_private": False})

    assert [part.text for part in before.parts] == [part.text for part in after.parts]
    assert before.metadata["channel"] != after.metadata["channel"]


def test_a_message_without_any_text_is_no_part() -> None:
    assert [part.text for part in document(message(""), message("Hi.", REPLY)).parts] == ["Ada: Hi."]


@pytest.mark.parametrize(
    "bad",
    [{"ts": "today"}, {"ts": None}, {"text": 7}, {"user": {"id": "U1"}}, {"blocks": "none"}, {"attachments": [1]}],
)
def test_a_message_in_another_form_is_a_value_error_without_the_value(bad: Json) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        document(message("Hello.") | bad)

    assert "Hello" not in str(caught.value)


def test_all_that_is_mentioned_is_found_at_any_depth() -> None:
    messages = [
        message("<@U1> and <#C2|old>", user="U5"),
        message(blocks=rich({"type": "user", "user_id": "U2"}, {"type": "channel", "channel_id": "C3"})),
        message(attachments=[{"fields": [{"value": "<@U7|x>"}]}], reply_users=["U8"], user="U1"),
    ]

    assert people_in(messages) == {"U1", "U2", "U5", "U7"}
    assert channels_in(messages) == {"C2", "C3"}
