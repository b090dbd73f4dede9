from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.documents import Document, Record, Visibility
from sync_assets.sources.zoho_desk import Account, Source

NOON = datetime(2026, 11, 5, 12, tzinfo=UTC)
Json = dict[str, Any]

ACCOUNT: Json = {
    "data_center": "eu",
    "org_id": "20064",
    "client_id": "1000.client",
    "client_secret": "secret",
    "refresh_token": "refresh",
}
ARTICLE: Json = {
    "id": "155000000001000001",
    "title": "What does &quot;kWp&quot; mean?",
    "answer": "Kilowatt peak: the power of a panel under full sun &amp; 25 &deg;C.",
    "summary": "Kilowatt peak",
    "status": "Published",
    "latestVersionStatus": "Published",
    "latestPublishedVersion": "1.0",
    "latestVersion": "1.0",
    "permission": "REGISTEREDUSERS",
    "locale": "en",
    "sourceLocale": "en",
    "category": {"id": "155000000000500001", "name": "Panels &amp; cells", "locale": "en"},
    "categoryId": "155000000000500001",
    "departmentId": "155000000000400001",
    "tags": ["panels", "power"],
    "author": {"id": "155000000000300001", "name": "Ines Kraft", "photoURL": None},
    "authorId": "155000000000300001",
    "viewCount": "41",
    "likeCount": "3",
    "isTrashed": False,
    "createdTime": "2026-11-02T09:00:00.000Z",
    "modifiedTime": "2026-11-03T09:00:00.000Z",
    "webUrl": "https://desk.zoho.eu/support/solara/ShowHomePage.do#Solutions/dv/155000000001000001",
    "portalUrl": "https://desk.zoho.eu/portal/en/kb/articles/what-does-kwp-mean",
}
TRANSLATION: Json = {
    **ARTICLE,
    "title": "Was bedeutet kWp?",
    "answer": "<p>Kilowatt&shy;-Peak</p>",
    "locale": "de",
    "permission": "ALL",
    "tags": None,
}
THREADS: list[Json] = [
    {
        "id": "155000000002000003",
        "channel": "EMAIL",
        "direction": "in",
        "status": "SUCCESS",
        "visibility": "public",
        "contentType": "text/html",
        "content": "<div>Since Monday.</div><blockquote class='gmail_quote'>Since when?</blockquote>",
        "createdTime": "2026-11-05T11:00:00.000Z",
        "fromEmailAddress": '"Fraser Hume"<fraser@customer.example>',
        "author": {"name": None, "email": None, "type": "END_USER"},
        "isDescriptionThread": False,
        "isForward": False,
        "attachments": [{"id": "1", "name": "roof.jpg", "size": "900", "href": "https://desk.zoho.eu/x?token=secret"}],
    },
    {
        "id": "155000000002000002",
        "direction": "out",
        "status": "SUCCESS",
        "visibility": "public",
        "contentType": "plainText",
        "content": "Since when?\n\n-- \nInes Kraft\nSolara",
        "createdTime": "2026-11-05T10:00:00.000Z",
        "author": {"firstName": "Ines", "lastName": "Kraft", "email": "ines@solara.example", "type": "AGENT"},
    },
    {
        "id": "155000000002000001",
        "direction": "in",
        "status": "SUCCESS",
        "visibility": "public",
        "summary": "The inverter is silent.",
        "createdTime": "2026-11-05T09:00:00.000Z",
        "isDescriptionThread": True,
    },
    {
        "id": "155000000002000004",
        "direction": "out",
        "status": "DRAFT",
        "isDraft": True,
        "visibility": "public",
        "summary": "We will replace it for free",
        "createdTime": "2026-11-05T12:00:00.000Z",
    },
    {
        "id": "155000000002000005",
        "direction": "out",
        "status": "SUCCESS",
        "visibility": "public",
        "isForward": True,
        "contentType": "html",
        "content": "<p>Dear supplier, see below.</p>",
        "createdTime": "2026-11-05T13:00:00.000Z",
        "author": {"name": "Ines Kraft"},
    },
]
COMMENTS: list[Json] = [
    {
        "id": "155000000003000001",
        "content": "zsu[@user:55616589]zsu zsu[@team:7_Field Service]zsu zsu[@user:1]zsu Customer pays late.",
        "contentType": "plainText",
        "isPublic": False,
        "commentedTime": "2026-11-05T10:30:00.000Z",
        "commenter": {"name": "Ines Kraft", "email": "ines@solara.example"},
        "mention": [{"id": "9", "zuid": "55616589", "firstName": "Jo", "lastName": "Weber"}],
        "attachments": [{"id": "2", "name": "invoice.pdf", "size": "12"}],
    },
    {
        "id": "155000000003000002",
        "content": "<p>A technician comes on Friday.</p>",
        "contentType": "html",
        "isPublic": True,
        "commentedTime": "2026-11-05T14:00:00.000Z",
        "commenter": {"name": "ines@solara.example"},
    },
]
TICKET: Json = {
    "ticket": {
        "id": "155000000002500001",
        "ticketNumber": "107",
        "subject": "Inverter &amp; app  silent",
        "description": "<p>The inverter is silent.</p>",
        "resolution": "<p>Replaced the fuse.</p>",
        "status": "Waiting for parts",
        "statusType": "On Hold",
        "priority": "High",
        "channel": "Email",
        "category": None,
        "contact": {"firstName": "Fraser", "lastName": "Hume", "email": "fraser@customer.example"},
        "assignee": {"firstName": "Ines", "lastName": "Kraft"},
        "department": {"name": "Service"},
        "team": None,
        "customFields": {"Serial": "HB4", "On site": False, "Empty": None, "Kinds": ["a", "b"]},
        "threadCount": "5",
        "commentCount": "2",
        "createdTime": "2026-11-05T09:00:00.000Z",
        "modifiedTime": "2026-11-05T14:00:00.000Z",
        "webUrl": "https://desk.zoho.eu/support/solara/ShowHomePage.do#Cases/dv/155000000002500001",
    },
    "threads": THREADS,
    "comments": COMMENTS,
}


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source("solara", Account.model_validate(ACCOUNT)) as opened:
        yield opened


def article(source: Source, payload: Any = None, record_id: str = "article-155000000001000001", **new: Any) -> Document:
    payload = payload or {"article": ARTICLE | new}
    return source.to_document("articles", Record(record_id=record_id, observed_at=NOON, payload=payload))


def translation(source: Source, article: Json | None = None, **new: Any) -> Document:
    payload = {"article": ARTICLE | (article or {}), "translation": TRANSLATION | new}
    return source.to_document(
        "articles", Record(record_id="article-155000000001000001-de", observed_at=NOON, payload=payload)
    )


def ticket(source: Source, payload: Any = None) -> Document:
    return source.to_document(
        "tickets", Record(record_id="155000000002500001", observed_at=NOON, payload=payload or TICKET)
    )


def changed(**values: Any) -> Json:
    return TICKET | {"ticket": TICKET["ticket"] | values}


# Articles


def test_an_article_is_its_title_and_its_answer_with_entities_decoded(source: Source) -> None:
    document = article(source)
    assert document.title == 'What does "kWp" mean?'
    assert [(part.path, part.role, part.text) for part in document.parts] == [
        ("header", "header", 'What does "kWp" mean?'),
        ("answer", "answer", "Kilowatt peak: the power of a panel under full sun & 25 °C."),
    ]
    assert document.metadata == {
        "platform": "zoho_desk",
        "doc_type": "article",
        "category": "Panels & cells",
        "tags": ["panels", "power"],
        "author": "Ines Kraft",
        "status": "Published",
        "permission": "REGISTEREDUSERS",
        "language": "en",
        "department_id": "155000000000400001",
        "version": "1.0",
        "created_at": "2026-11-02T09:00:00.000Z",
        "updated_at": "2026-11-03T09:00:00.000Z",
    }


def test_an_answer_in_html_becomes_markdown_in_one_normal_form(source: Source) -> None:
    document = article(
        source, title="ﬁrst &amp;quot;steps", answer="<h2>Size</h2><p>10&nbsp;ｋＷ&nbsp;<b>at most</b></p>"
    )
    assert document.title == "first &quot;steps"
    assert document.parts[1].text == "## Size\n\n10 kW **at most**"


def test_articles_with_equal_titles_stay_apart(source: Source) -> None:
    first = article(source, record_id="article-1", id="1")
    second = article(source, record_id="article-2", id="2", answer="Another answer")
    assert first.title == second.title
    assert first.document_id != second.document_id


def test_an_article_without_an_answer_has_its_title_only(source: Source) -> None:
    for answer in (None, "", "<p>&nbsp;</p>"):
        assert [part.path for part in article(source, answer=answer).parts] == ["header"]


@pytest.mark.parametrize(
    ("permission", "status", "visibility"),
    [
        ("ALL", "Published", "public"),
        ("REGISTEREDUSERS", "Published", "public"),
        ("AGENTS", "Published", "internal"),
        ("USERGROUPS", "Published", "restricted"),
        (None, "Published", "restricted"),
        ("ALL", "Draft", "internal"),
        ("REGISTEREDUSERS", "Review", "internal"),
        ("AGENTS", "Draft", "internal"),
        ("USERGROUPS", "Expired", "restricted"),
    ],
)
def test_agents_only_articles_and_drafts_are_never_public(
    source: Source, permission: str | None, status: str, visibility: str
) -> None:
    document = article(source, permission=permission, status=status)
    assert (document.visibility, document.principals) == (visibility, [])
    assert {(part.visibility, tuple(part.principals)) for part in document.parts} == {(visibility, ())}


@pytest.mark.parametrize(
    ("above", "own", "visibility"),
    [
        ({}, {}, "public"),
        ({}, {"permission": None}, "public"),
        ({"permission": "AGENTS"}, {}, "internal"),
        ({"permission": "AGENTS"}, {"permission": None}, "internal"),
        ({}, {"permission": "AGENTS"}, "internal"),
        ({"permission": "USERGROUPS"}, {}, "restricted"),
        ({}, {"status": "Draft"}, "internal"),
        ({"status": "Draft"}, {}, "public"),
    ],
    ids=str,
)
def test_a_translation_is_for_no_more_people_than_its_article(
    source: Source, above: Json, own: Json, visibility: str
) -> None:
    document = translation(source, above, **own)
    assert {document.visibility, *(part.visibility for part in document.parts)} == {visibility}


def test_a_translation_takes_from_its_article_what_it_lacks(source: Source) -> None:
    document = translation(source, category=None, author=None, departmentId=None, portalUrl=None, webUrl=None)
    assert document.title == "Was bedeutet kWp?"
    facts = ("language", "category", "author", "department_id")
    assert [document.metadata[fact] for fact in facts] == ["de", "Panels & cells", "Ines Kraft", "155000000000400001"]
    assert document.url == ARTICLE["portalUrl"]


def test_readers_are_sent_to_the_help_centre_and_agents_to_the_desk(source: Source) -> None:
    assert article(source).url == ARTICLE["portalUrl"]
    assert article(source, permission="AGENTS").url == ARTICLE["webUrl"]
    assert article(source, portalUrl=None).url == ARTICLE["webUrl"]
    assert article(source, portalUrl="javascript:alert(1)", webUrl=None).url is None


def test_reading_an_article_changes_nothing(source: Source) -> None:
    read = article(source, viewCount="42", likeCount="4")
    assert (read.content_hash, read.metadata_hash) == (article(source).content_hash, article(source).metadata_hash)


@pytest.mark.parametrize(
    "change",
    [{"permission": "AGENTS"}, {"status": "Draft"}, {"tags": []}, {"modifiedTime": "2026-11-09T09:00:00.000Z"}],
    ids=str,
)
def test_what_changes_beside_an_answer_computes_no_embedding(source: Source, change: Json) -> None:
    before, after = article(source), article(source, **change)
    assert after.content_hash == before.content_hash
    assert after.metadata_hash != before.metadata_hash


# Tickets


def test_a_tickets_texts(source: Source) -> None:
    document = ticket(source)
    assert document.title == "Inverter & app silent"
    assert document.url == TICKET["ticket"]["webUrl"]
    assert {part.path: part.text for part in document.parts} == {
        "header": "Ticket 107: Inverter & app silent\nRequester: Fraser Hume\nCreated: 2026-11-05",
        "description": "The inverter is silent.",
        "fields": "Kinds: a, b\nOn site: no\nSerial: HB4",
        "thread-155000000002000002": "Ines Kraft (agent), 2026-11-05 10:00 UTC:\nSince when?",
        "comment-155000000003000001": (
            "Ines Kraft (agent), 2026-11-05 10:30 UTC:\n@Jo Weber @Field Service Customer pays late."
        ),
        "thread-155000000002000003": "Fraser Hume (customer), 2026-11-05 11:00 UTC:\nSince Monday.",
        "thread-155000000002000005": "Ines Kraft (agent), 2026-11-05 13:00 UTC:\nDear supplier, see below.",
        "comment-155000000003000002": "Agent, 2026-11-05 14:00 UTC:\nA technician comes on Friday.",
        "resolution": "Replaced the fuse.",
        "attachments": "roof.jpg (900 bytes)",
        "attachments-internal": "invoice.pdf (12 bytes)",
    }
    assert [part.path[-1] for part in document.parts if part.role == "comment"][:5] == ["2", "1", "3", "5", "2"]


def test_private_comments_forwards_fields_and_resolution_are_internal(source: Source) -> None:
    document = ticket(source)
    assert {part.path for part in document.parts if part.visibility is Visibility.INTERNAL} == {
        "fields",
        "resolution",
        "comment-155000000003000001",
        "thread-155000000002000005",
        "attachments-internal",
    }


def test_unknown_visibility_of_a_thread_or_comment_is_internal(source: Source) -> None:
    payload = deepcopy(TICKET)
    del payload["threads"][0]["visibility"]
    payload["comments"][1]["isPublic"] = None
    parts = {part.path: part.visibility for part in ticket(source, payload).parts}
    assert parts["thread-155000000002000003"] is Visibility.INTERNAL
    assert parts["comment-155000000003000002"] is Visibility.INTERNAL


def test_drafts_never_reach_a_document(source: Source) -> None:
    assert "replace it for free" not in ticket(source).model_dump_json()
    payload = deepcopy(TICKET)
    payload["threads"][3] |= {"isDraft": None, "content": "<p>We will replace it for free</p>"}
    assert "replace it for free" not in ticket(source, payload).model_dump_json()


def test_a_tickets_metadata_hold_the_stable_status_and_nothing_internal(source: Source) -> None:
    assert ticket(source).metadata == {
        "platform": "zoho_desk",
        "doc_type": "ticket",
        "ticket_number": "107",
        "status": "on hold",
        "status_name": "Waiting for parts",
        "priority": "high",
        "channel": "email",
        "requester": "Fraser Hume",
        "agent": "Ines Kraft",
        "department": "Service",
        "created_at": "2026-11-05T09:00:00.000Z",
        "updated_at": "2026-11-05T14:00:00.000Z",
        "has_attachments": True,
        "attachment_count": 1,
        "conversation_count": 3,
    }
    assert ticket(source, changed(statusType=None)).metadata["status"] == "waiting for parts"


def test_no_mail_address_and_no_signed_link_is_kept(source: Source) -> None:
    document = ticket(source)
    # The graph keeps addresses for agents, to tell people from each other.
    relations = [relation for relation in document.relations if not relation.internal]
    kept = document.model_copy(update={"relations": relations}).model_dump_json()
    assert ".example" not in kept
    assert "token=" not in kept


def test_the_thread_that_is_the_description_comes_once(source: Source) -> None:
    described = deepcopy(TICKET)
    described["threads"][2] |= {"isDescriptionThread": False, "content": "<div>The inverter  is silent.</div>"}
    paths = [part.path for part in ticket(source, described).parts]
    assert "thread-155000000002000001" not in paths

    undescribed = deepcopy(TICKET)
    undescribed["ticket"]["description"] = None
    undescribed["threads"][2]["content"] = "<p>No light on the inverter.</p>"
    texts = {part.path: part.text for part in ticket(source, undescribed).parts}
    assert texts["description"] == "No light on the inverter."
    assert "thread-155000000002000001" not in texts


@pytest.mark.parametrize(
    "change",
    [
        {"status": "Closed", "statusType": "Closed"},
        {"priority": None},
        {"assignee": None},
        {"modifiedTime": "2026-11-09T00:00:00.000Z"},
        {"dueDate": "2026-11-09T00:00:00.000Z"},
    ],
    ids=str,
)
def test_what_changes_beside_a_tickets_text_computes_no_embedding(source: Source, change: Json) -> None:
    before, after = ticket(source), ticket(source, changed(**change))
    assert after.content_hash == before.content_hash
    assert after.metadata_hash != before.metadata_hash


def test_counts_that_every_reader_moves_change_nothing(source: Source) -> None:
    moved = ticket(source, changed(threadCount="9", commentCount="8"))
    assert (moved.content_hash, moved.metadata_hash) == (ticket(source).content_hash, ticket(source).metadata_hash)


# Any payload


@pytest.mark.parametrize(
    ("stream", "payload", "problem"),
    [
        ("articles", {"article": ARTICLE | {"title": 42}}, "article.title: Input should be a valid string"),
        ("articles", {"article": ARTICLE | {"status": None}}, "article.status"),
        ("articles", {}, "article: Field required"),
        ("tickets", changed(id=155000000002500001), "ticket.id: Input should be a valid string"),
        ("tickets", TICKET | {"threads": ["oops"]}, "threads.0"),
        ("tickets", "oops", "payload"),
    ],
    ids=["title", "status", "no article", "number", "thread", "string"],
)
def test_a_payload_that_cannot_be_read_says_where(source: Source, stream: str, payload: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        source.to_document(stream, Record(record_id="1", observed_at=NOON, payload=payload))
    assert "\n" not in str(caught.value)


ARTICLE_FIELDS = (
    "likeCount commentCount templateUsedUsersCount templateLastUpdatedTime modifierId viewCount feedbackCount "
    "translationState translationSource latestPublishedVersion owner templateUsageCount dislikeCount usageCount "
    "latestVersionModifierId availableLocaleTranslations portalUrl permission locale category latestVersion author "
    "isTemplate modifiedTime categoryId createdBy modifiedBy createdTime departmentId webUrl ownerId attachmentCount "
    "authorId creatorId title expiryDate permalink sourceLocale summary isTrashed rootCategoryId translationId "
    "latestVersionStatus latestVersionModifiedBy articleNumber position id status isLocked answer tags attachments"
)
TICKET_FIELDS = (
    "modifiedTime subCategory statusType subject dueDate departmentId channel onholdTime language source resolution "
    "sharedDepartments closedTime approvalCount isOverDue isTrashed createdTime id isResponseOverdue "
    "customerResponseTime productId contactId threadCount secondaryContacts priority classification commentCount "
    "taskCount accountId phone webUrl isSpam status entitySkills ticketNumber sentiment customFields isArchived "
    "description timeEntryCount channelRelatedInfo responseDueDate isDeleted modifiedBy followerCount email "
    "layoutDetails channelCode isFollowing cf slaId layoutId assigneeId createdBy teamId tagCount attachmentCount "
    "isEscalated category contact assignee department team"
)
THREAD_FIELDS = (
    "id channel direction content contentType summary responderId createdTime hasAttach attachmentCount "
    "fromEmailAddress to cc bcc replyTo isForward isContentTruncated fullContentURL plainText status isDraft "
    "isDescriptionThread visibility canReply author attachments channelRelatedInfo respondedIn readReceipts "
    "impersonatedUser source actions"
)
COMMENT_FIELDS = "commentedTime isPublic id contentType content commenterId mention commenter modifiedTime attachments"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
MARKUP = st.text() | st.sampled_from(["<p>x</p>", "a &lt; b", "zsu[@user:1]zsu", "> q\n\nOn 5 Nov 2026, A wrote:", ""])


def objects(sample: Json, names: str) -> st.SearchStrategy[Json]:
    """Objects of a sheet's fields: each as in the sample, absent, null, a text, or anything else, mostly as it is."""
    fields = names.split()

    def damaged(draw: st.DrawFn) -> Json:
        value = {name: sample.get(name) for name in fields}
        for name in draw(st.lists(st.sampled_from(fields), max_size=4)):
            if draw(st.booleans()):
                value.pop(name, None)
            else:
                value[name] = draw(st.none() | MARKUP | JSON)
        return value

    return st.composite(damaged)()


TICKET_PAYLOADS = st.fixed_dictionaries(
    {
        "ticket": objects(TICKET["ticket"], TICKET_FIELDS),
        "threads": st.lists(objects(THREADS[0], THREAD_FIELDS) | objects(THREADS[2], THREAD_FIELDS), max_size=3),
        "comments": st.lists(objects(COMMENTS[0], COMMENT_FIELDS), max_size=2),
    }
)
ARTICLE_PAYLOADS = st.fixed_dictionaries(
    {"article": objects(ARTICLE, ARTICLE_FIELDS)}, optional={"translation": objects(TRANSLATION, ARTICLE_FIELDS)}
)


@given(st.tuples(st.just("articles"), ARTICLE_PAYLOADS | JSON) | st.tuples(st.just("tickets"), TICKET_PAYLOADS | JSON))
def test_any_payload_gives_one_document_or_a_value_error(source: Source, case: tuple[str, Any]) -> None:
    stream, payload = case
    record = Record(record_id="article-1", observed_at=NOON, payload=payload)
    try:
        document = source.to_document(stream, record)
    except ValueError:
        return
    again = source.to_document(stream, record.model_copy(update={"payload": deepcopy(payload)}))
    assert document == again
    assert (document.content_hash, document.metadata_hash) == (again.content_hash, again.metadata_hash)
    assert all(part.text for part in document.parts)
    if stream == "articles" and {payload.get(key, ARTICLE).get("permission") for key in ("article", "translation")} - {
        "ALL",
        "REGISTEREDUSERS",
        None,
    }:
        assert Visibility.PUBLIC not in {document.visibility, *(part.visibility for part in document.parts)}
