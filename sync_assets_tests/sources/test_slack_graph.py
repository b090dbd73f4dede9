"""What Slack's conversations tell of the knowledge graph."""

from typing import Any

from sync_assets.documents import Document
from sync_assets.sources.slack_documents import conversation_of
from sync_assets.sources.slack_graph import with_graph
from sync_assets_tests.sources.graph import check_odd_fields, edges
from sync_assets_tests.sources.test_slack_documents import PEOPLE, ROOT, Json, message


def payload_of(*messages: Json, private: bool = False) -> Json:
    return {
        "workspace": "https://acme.slack.com",
        "channel": {"id": "C1", "name": "support", "is_private": private},
        "members": ["U1"] if private else [],
        "messages": list(messages),
        "people": PEOPLE,
        "channels": {},
    }


def plain(payload: Any) -> Document:
    return conversation_of("acme", f"C1-{ROOT}", payload, files=True)


def document(payload: Any) -> Document:
    return with_graph(plain(payload), payload)


def test_a_conversation_stands_for_its_channel_in_which_people_speak() -> None:
    found = document(
        payload_of(
            message("Hello"),
            message("Hi", ts="1793872800.000200", user="U2"),
            message("Me too", ts="1793872800.000300", user="U9"),
            message("Built", ts="1793872800.000400", user="U2", bot_id="B1"),
            message("Nobody", ts="1793872800.000500", user=None, comment={"user": "U1"}),
        )
    )
    assert found.entity is not None
    assert (found.entity.node_id, found.entity.name) == ("channel:slack/C1", "support")
    assert found.entity.facts == {"url": "https://acme.slack.com/archives/C1"}
    assert edges(found) == [(f"person:slack/U{n}", "BELONGS_TO", "channel:slack/C1") for n in (1, 2, 9)]
    people = [relation.source for relation in found.relations]
    assert [one.name for one in people if one] == ["Ada", "Grace", ""]


def test_what_a_private_channel_tells_is_for_its_members() -> None:
    told = document(payload_of(message("Hello"), private=True)).told
    assert told is not None
    assert (told.visibility.value, told.principals) == ("restricted", ["user:U1"])


def test_no_odd_field_spoils_a_document() -> None:
    check_odd_fields(payload_of(message("Hello"), message("Hi", ts="1793872800.000200", user="U2")), plain, document)
