from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.documents import Document, Record, Visibility
from sync_assets.sources.freshdesk import Account, Source

NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
SIGNED = "https://s3.example/file?Expires=1&Signature=secret"
Json = dict[str, Any]

CONVERSATIONS: list[Json] = [
    {
        "id": 11,
        "body": "<p>Which firmware?</p><blockquote class='gmail_quote'>The phone is dead</blockquote>",
        "private": False,
        "incoming": False,
        "user_id": 8,
        "created_at": "2026-10-05T09:12:00Z",
        "attachments": [
            {"name": "manual.pdf", "content_type": "application/pdf", "size": 10, "attachment_url": SIGNED}
        ],
    },
    {
        "id": 12,
        "body": "<p>Customer is on the old plan.</p>",
        "private": True,
        "incoming": False,
        "user_id": 8,
        "created_at": "2026-10-05T11:13:00+02:00",
        "attachments": [{"name": "plan.txt", "content_type": "text/plain", "size": 3, "attachment_url": SIGNED}],
    },
    {"id": 13, "body": "<p>5.1</p>", "private": False, "incoming": True, "user_id": 5, "attachments": []},
    {"id": 14, "body": "<p>Me too.</p>", "private": False, "incoming": True, "user_id": 999},
    {"id": 15, "body": "", "private": False, "incoming": True, "user_id": 5},
]
TICKET: Json = {
    "ticket": {
        "id": 123,
        "subject": "Phone &amp; fax  dead",
        "description": "<p>The phone is dead.<img src='https://track.example/x.gif'></p>",
        "status": 6,
        "priority": 3,
        "source": 1,
        "type": "Incident",
        "tags": ["wan"],
        "requester_id": 5,
        "responder_id": 8,
        "company_id": 30,
        "product_id": None,
        "custom_fields": {"cf_serial": "HB4", "cf_empty": None, "cf_onsite": False, "cf_kinds": ["a", "b"]},
        "created_at": "2026-10-05T08:00:00Z",
        "updated_at": "2026-10-05T10:00:00Z",
        "due_by": None,
        "requester": {"id": 5, "name": "Fraser", "email": "fraser@customer.example"},
    },
    "conversations": CONVERSATIONS,
    "attachments": [{"name": "photo.jpg", "content_type": "image/jpeg", "size": 99, "attachment_url": SIGNED}],
    "names": {
        "status": "Waiting on Customer",
        "group": "R&D",
        "requester": "Fraser",
        "agents": {"8": "Noor"},
        "fields": {"cf_serial": "Serial number"},
    },
}
ARTICLE: Json = {
    "article": {
        "id": 77,
        "title": "Install &quot;Relay&quot;",
        "description": "<h2>Needs</h2><p>A cable.</p>",
        "type": 2,
        "status": 2,
        "tags": ["relay"],
        "hits": 4,
        "thumbs_up": 1,
        "created_at": "2026-10-05T08:00:00Z",
        "updated_at": "2026-10-05T10:00:00Z",
        "attachments": [{"name": "map.png", "content_type": "image/png", "size": 5, "attachment_url": SIGNED}],
    },
    "folder": {"id": 2, "name": "Desk &amp; mobile", "visibility": 1},
    "category": {"id": 1, "name": "Phones"},
    "language": "en",
}


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source("acme", Account.model_validate({"base_url": "https://acme.freshdesk.com", "api_key": "k"})) as opened:
        yield opened


def ticket(source: Source, payload: Any = None) -> Document:
    return source.to_document("tickets", Record(record_id="123", observed_at=NOON, payload=payload or TICKET))


def article(source: Source, payload: Any = None, record_id: str = "article-77") -> Document:
    return source.to_document("articles", Record(record_id=record_id, observed_at=NOON, payload=payload or ARTICLE))


def changed(payload: Json, part: str, **values: Any) -> Json:
    return payload | {part: payload[part] | values}


def test_a_tickets_texts(source: Source) -> None:
    document = ticket(source)
    assert document.title == "Phone & fax dead"
    assert document.url == "https://acme.freshdesk.com/a/tickets/123"
    assert {part.path: part.text for part in document.parts} == {
        "header": "Ticket 123: Phone & fax dead\nRequester: Fraser\nCreated: 2026-10-05",
        "description": "The phone is dead.",
        "fields": "cf_kinds: a, b\ncf_onsite: no\nSerial number: HB4",
        "conversation-11": "Noor (agent), 2026-10-05 09:12 UTC:\nWhich firmware?",
        "conversation-12": "Noor (agent), 2026-10-05 09:13 UTC:\nCustomer is on the old plan.",
        "conversation-13": "Fraser (customer):\n5.1",
        "conversation-14": "Customer:\nMe too.",
        "attachments": "photo.jpg (image/jpeg, 99 bytes)\nmanual.pdf (application/pdf, 10 bytes)",
        "attachments-internal": "plan.txt (text/plain, 3 bytes)",
    }


def test_private_notes_and_their_attachments_are_internal(source: Source) -> None:
    document = ticket(source)
    internal = {part.path for part in document.parts if part.visibility == Visibility.INTERNAL}
    assert internal == {"conversation-12", "attachments-internal", "fields"}
    unknown = deepcopy(TICKET)
    del unknown["conversations"][0]["private"]
    parts = {part.path: part.visibility for part in ticket(source, unknown).parts}
    assert parts["conversation-11"] == Visibility.INTERNAL


def test_a_tickets_metadata(source: Source) -> None:
    document = ticket(source)
    assert document.metadata == {
        "platform": "freshdesk",
        "doc_type": "ticket",
        "status": "waiting on customer",
        "status_id": 6,
        "priority": "high",
        "priority_id": 3,
        "type": "Incident",
        "tags": ["wan"],
        "group": "R&D",
        "agent": "Noor",
        "requester": "Fraser",
        "company_id": 30,
        "channel": "email",
        "channel_id": 1,
        "created_at": "2026-10-05T08:00:00Z",
        "updated_at": "2026-10-05T10:00:00Z",
        "has_attachments": True,
        "attachment_count": 2,
        "conversation_count": 4,
    }
    comment = next(part for part in document.parts if part.path == "conversation-11")
    assert comment.metadata == {
        "author": "Noor",
        "created_at": "2026-10-05T09:12:00Z",
        "incoming": False,
        "conversation_id": 11,
    }


def test_metadata_beside_public_texts_tell_nothing_of_internal_ones(source: Source) -> None:
    by_path = {part.path: part for part in ticket(source).parts}
    fields = by_path.pop("fields")
    assert fields.visibility is Visibility.INTERNAL
    assert fields.metadata == {"custom_fields": {"cf_serial": "HB4", "cf_onsite": False, "cf_kinds": ["a", "b"]}}
    assert all("custom_fields" not in part.metadata for part in by_path.values())


def test_no_mail_address_and_no_signed_link_is_kept(source: Source) -> None:
    for document in (ticket(source), article(source)):
        # The graph keeps addresses for agents, to tell people from each other.
        relations = [relation for relation in document.relations if not relation.internal]
        kept = document.model_copy(update={"relations": relations}).model_dump_json()
        assert "Expires" not in kept
        assert "@customer.example" not in kept
        assert "track.example" not in kept


@pytest.mark.parametrize(
    "change",
    [
        {"status": 5},
        {"priority": 1},
        {"tags": ["other"]},
        {"responder_id": None},
        {"updated_at": "2026-11-01T00:00:00Z"},
        {"due_by": "2026-11-02T00:00:00Z"},
        {"source": 15},
    ],
    ids=str,
)
def test_what_changes_beside_the_text_computes_no_embedding(source: Source, change: Json) -> None:
    before, after = ticket(source), ticket(source, changed(TICKET, "ticket", **change))
    assert after.content_hash == before.content_hash
    assert after.metadata_hash != before.metadata_hash


def test_a_note_made_public_computes_no_embedding(source: Source) -> None:
    payload = deepcopy(TICKET)
    payload["conversations"][1] |= {"private": False, "attachments": []}
    before = deepcopy(TICKET)
    before["conversations"][1]["attachments"] = []
    assert ticket(source, payload).content_hash == ticket(source, before).content_hash
    assert ticket(source, payload).metadata_hash != ticket(source, before).metadata_hash


@pytest.mark.parametrize(
    ("status", "word"), [(2, "open"), (3, "pending"), (4, "resolved"), (5, "closed"), (8, "status 8")]
)
def test_statuses_without_a_label(source: Source, status: int, word: str) -> None:
    payload = changed(TICKET, "ticket", status=status) | {"names": {}}
    assert ticket(source, payload).metadata["status"] == word


def test_a_chat_that_repeats_the_description_is_left_out(source: Source) -> None:
    first = {"id": 10, "body": "<div>The phone  is dead.</div>", "private": False, "incoming": True, "user_id": 5}
    paths = {part.path for part in ticket(source, TICKET | {"conversations": [first, *CONVERSATIONS]}).parts}
    assert "conversation-10" not in paths
    assert "conversation-11" in paths


def test_a_ticket_without_subject_description_and_answers(source: Source) -> None:
    document = ticket(source, {"ticket": {"id": 1, "subject": None, "status": 2}, "conversations": []})
    assert document.title == "Ticket 1"
    assert [part.path for part in document.parts] == ["header"]


def test_an_article(source: Source) -> None:
    document = article(source)
    assert document.title == 'Install "Relay"'
    assert document.url == "https://acme.freshdesk.com/a/solutions/articles/77"
    assert {part.path: part.text for part in document.parts} == {
        "header": 'Install "Relay"',
        "body": "## Needs\n\nA cable.",
        "attachments": "map.png (image/png, 5 bytes)",
    }
    assert document.metadata == {
        "platform": "freshdesk",
        "doc_type": "article",
        "category": "Phones",
        "folder": "Desk & mobile",
        "language": "en",
        "article_type": "workaround",
        "article_type_id": 2,
        "tags": ["relay"],
        "created_at": "2026-10-05T08:00:00Z",
        "updated_at": "2026-10-05T10:00:00Z",
        "has_attachments": True,
        "attachment_count": 1,
    }
    assert (
        article(source, record_id="article-77-nl").url == "https://acme.freshdesk.com/a/solutions/articles/77?lang=nl"
    )


def test_reading_an_article_changes_nothing(source: Source) -> None:
    read = article(source, changed(ARTICLE, "article", hits=5, thumbs_up=2))
    assert (read.content_hash, read.metadata_hash) == (article(source).content_hash, article(source).metadata_hash)


@pytest.mark.parametrize(
    ("folder", "visibility", "principals"),
    [
        ({"visibility": 1}, "public", []),
        ({"visibility": 2}, "public", []),
        ({"visibility": 3}, "internal", []),
        ({"visibility": 5}, "internal", []),
        ({"visibility": 4, "company_ids": [9, 3]}, "restricted", ["company:3", "company:9"]),
        ({"visibility": 4}, "restricted", []),
        ({"visibility": 6, "contact_segment_ids": [1]}, "restricted", ["contact_segment:1"]),
        ({"visibility": 7, "company_segment_ids": [2]}, "restricted", ["company_segment:2"]),
        ({"visibility": 42}, "restricted", []),
        ({}, "restricted", []),
    ],
    ids=str,
)
def test_the_folder_says_who_may_find_an_article(
    source: Source, folder: Json, visibility: str, principals: list[str]
) -> None:
    document = article(source, ARTICLE | {"folder": folder})
    assert (document.visibility, document.principals) == (visibility, principals)
    assert {(part.visibility, tuple(part.principals)) for part in document.parts} == {(visibility, tuple(principals))}


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (changed(TICKET, "ticket", subject=42), "ticket.subject: Input should be a valid string"),
        (changed(TICKET, "ticket", status=None), "ticket.status"),
        (TICKET | {"conversations": ["oops"]}, "conversations.0"),
        ("oops", "payload"),
    ],
    ids=["subject", "status", "conversation", "string"],
)
def test_a_payload_that_cannot_be_read_says_where(source: Source, payload: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        ticket(source, payload)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, payload: Json) -> Json:
    """The payload with some values, anywhere in it, replaced by any JSON."""
    value: Any = deepcopy(payload)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = value
        while True:
            keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(JSON)
            break
    return value


@given(JSON | damaged(TICKET), JSON | damaged(ARTICLE))
def test_any_payload_gives_a_document_or_a_value_error(
    source: Source, ticket_payload: Any, article_payload: Any
) -> None:
    for stream, payload in (("tickets", ticket_payload), ("articles", article_payload)):
        try:
            document = source.to_document(stream, Record(record_id="1", observed_at=NOON, payload=payload))
        except ValueError:
            continue
        assert document.content_hash
        assert document.metadata_hash
        assert all(part.text for part in document.parts)
