"""What a portal's payloads become: texts, visibility and metadata, spelt out; and what no payload may do."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.documents import Document, Visibility
from sync_assets.embedding import open_embedder
from sync_assets.sources.ticket_portal_documents import article_document, item_document, ticket_document

Json = dict[str, Any]

COMMENTS: list[Json] = [
    {
        "comment_id": 11,
        "comment": "<p>Welke versie?</p><p>Zie <a href='https://hulp.example/x'>hulp</a>.</p>",
        "is_internal": False,
        "created_at": "2026-11-02T09:12:00Z",
        "author": {"user_id": 2, "first_name": "Noor", "last_name": "Smit", "role": "agent"},
    },
    {
        "comment_id": 12,
        "comment": "Garantie is verlopen.",
        "is_internal": True,
        "created_at": "2026-11-02T11:13:00+02:00",
        "author": {"user_id": 2, "first_name": "Noor", "last_name": "Smit", "role": "agent"},
    },
    {
        "comment_id": 13,
        "comment": "Na <enter> gebeurt er niets, ook niet als a < b.",
        "is_internal": False,
        "created_at": None,
        "author": {"user_id": 5, "first_name": "José", "last_name": None, "role": "user"},
    },
    {"comment_id": 14, "comment": "Wie ben ik?", "is_internal": None, "created_at": None, "author": None},
    {"comment_id": 15, "comment": " <p>&nbsp;</p> ", "is_internal": False, "created_at": None, "author": None},
]
FIELDS: list[Json] = [
    {
        "value_id": 1,
        "field_id": 7,
        "field_name": "affected_services",
        "field_label": "Diensten",
        "field_type": "checkbox",
        "field_order": 1,
        "field_value": '["VPN", "Wi-Fi", "Financi\\u00ebn"]',
    },
    {
        "value_id": 2,
        "field_id": 8,
        "field_name": "hardware_brand",
        "field_label": None,
        "field_type": "select",
        "field_order": 2,
        "field_value": "HP",
    },
    {
        "value_id": 3,
        "field_id": 9,
        "field_name": "error_message",
        "field_label": "Foutmelding",
        "field_type": "textarea",
        "field_order": 3,
        "field_value": "0x80070005\n&quot;Toegang geweigerd&quot;",
    },
    {
        "value_id": 4,
        "field_id": 10,
        "field_name": "port_number",
        "field_label": "Poort",
        "field_type": "number",
        "field_order": 4,
        "field_value": "  ",
    },
    {
        "value_id": 5,
        "field_id": 3,
        "field_name": None,
        "field_label": None,
        "field_type": None,
        "field_order": None,
        "field_value": "oud",
    },
]
TICKET: Json = {
    "ticket": {
        "ticket_id": 77,
        "ticket_number": "KK-2025-0001",
        "title": "Scherm &amp; dock  dood",
        "description": "Het scherm blijft zwart.\n\n1. stekker eruit\n2. R&amp;D bellen",
        "priority": "high",
        "ticket_type": "incident",
        "status": "in_progress",
        "source": "web",
        "created_at": "2026-11-01T08:00:00Z",
        "updated_at": "2026-11-02T10:00:00Z",
        "resolved_at": None,
        "resolution": "<p>Kabel <b>vervangen</b>.</p>",
        "satisfaction_rating": 4,
    },
    "category": {"category_id": 1, "name": "Hardware"},
    "requester": {"user_id": 5, "first_name": "José", "last_name": "Vos", "department": "Inkoop"},
    "agent": {"user_id": 2, "first_name": "Noor", "last_name": "Smit"},
    "comments": COMMENTS,
    "fields": FIELDS,
    "attachments": [
        {
            "attachment_id": 1,
            "filename": "foto.png",
            "filepath": "uploads/1 &amp; 2/foto.png",
            "filesize": 9,
            "uploaded_at": "2026-11-01T08:00:00Z",
        },
        {
            "attachment_id": 2,
            "filename": "log &amp; dump.txt",
            "filepath": None,
            "filesize": 8,
            "uploaded_at": None,
        },
    ],
    "related_cis": [
        {
            "relation_id": 1,
            "relation_type": "affects",
            "ci_id": 5,
            "ci_number": "CI-2025-001",
            "name": "Dell U2724",
            "type": "Hardware",
        },
        {
            "relation_id": 2,
            "relation_type": "affects",
            "ci_id": 6,
            "ci_number": None,
            "name": None,
            "type": None,
        },
    ],
}
ARTICLE: Json = {
    "article": {
        "kb_id": 12,
        "title": "Wachtwoord wijzigen",
        "content": "# Wachtwoord wijzigen\n\nDruk op <enter>.\n\n## Eisen\n\n- veertien tekens<br>of meer\n",
        "tags": "wachtwoord, aanmelden,,R&amp;D",
        "is_published": True,
        "created_at": "2026-11-01T08:00:00Z",
        "updated_at": "2026-11-02T10:00:00Z",
    },
    "category": {"category_id": 4, "name": "Account"},
    "author": {"user_id": 2, "first_name": "Noor", "last_name": "Smit"},
}
ITEM: Json = {
    "item": {
        "ci_id": 5,
        "ci_number": "CI-2025-001",
        "type": "Hardware",
        "category": "Monitor",
        "brand": "Dell",
        "model": "U2724",
        "name": "Scherm balie",
        "serial_number": "SN-1",
        "asset_tag": None,
        "status": "In gebruik",
        "department": "Inkoop",
        "location": "Hengelo, receptie",
        "purchase_date": "2025-01-31",
        "supplier": "Datarijk BV",
        "warranty_expiry": None,
        "notes": "Voet is **los**.\n\n- schroef M4",
        "created_at": "2026-11-01T08:00:00Z",
        "updated_at": "2026-11-02T10:00:00Z",
    },
    "owner": {"user_id": 5, "first_name": "José", "last_name": "Vos"},
}


def ticket(payload: Any = None) -> Document:
    return ticket_document("acme", "77", payload or TICKET)


def article(payload: Any = None) -> Document:
    return article_document("acme", "kb-12", payload or ARTICLE)


def item(payload: Any = None) -> Document:
    return item_document("acme", "ci-5", payload or ITEM)


def texts(document: Document) -> dict[str, str]:
    return {part.path: part.text for part in document.parts}


def changed(payload: Json, part: str, **values: Any) -> Json:
    return payload | {part: payload[part] | values}


def with_field(**values: Any) -> Json:
    """The ticket with one field only."""
    return TICKET | {"fields": [FIELDS[1] | values]}


def test_a_tickets_texts() -> None:
    document = ticket()
    assert document.document_id == "acme_ticket%5Fportal_77"
    assert (document.stream, document.title, document.url) == ("tickets", "Scherm & dock dood", None)
    assert texts(document) == {
        "header": "Ticket KK-2025-0001: Scherm & dock dood\nCategory: Hardware\nRequester: José Vos",
        "description": "Het scherm blijft zwart.\n\n1. stekker eruit\n2. R&D bellen",
        "fields": "Diensten: VPN, Wi-Fi, Financiën\nhardware_brand: HP\n"
        'Foutmelding: 0x80070005 "Toegang geweigerd"\nfield 3: oud',
        "comment-11": "Noor Smit (agent), 2026-11-02 09:12 UTC:\nWelke versie?\n\nZie [hulp](https://hulp.example/x).",
        "comment-12": "Noor Smit (agent), 2026-11-02 09:13 UTC:\nGarantie is verlopen.",
        "comment-13": "José (user):\nNa <enter> gebeurt er niets, ook niet als a < b.",
        "comment-14": "Comment:\nWie ben ik?",
        "resolution": "Kabel **vervangen**.",
        "attachments": "foto.png\nlog & dump.txt",
        "related_cis": "CI-2025-001: Dell U2724 (Hardware)",
    }
    roles = [part.role for part in document.parts]
    assert roles == ["header", "description", "fields", *["comment"] * 4, "resolution", "attachments", "related_cis"]


def test_a_tickets_files_are_those_with_a_path_which_stays_as_it_is() -> None:
    (file,) = ticket().attachments
    assert (file.path, file.name, file.size, file.visibility) == ("attachment-1", "foto.png", 9, Visibility.PUBLIC)
    assert file.locator == "1 2026-11-01T08:00:00Z 9 uploads/1 &amp; 2/foto.png"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"filename": None, "uploaded_at": None, "filesize": None}, "foto.png"),
        ({"filename": "verslag"}, "verslag"),
        ({"filepath": ""}, None),
        ({"filepath": "a\0.png"}, None),
    ],
)
def test_a_file_is_named_where_its_row_lacks_something(change: Json, name: str | None) -> None:
    attachment: Json = TICKET["attachments"][0] | change
    files = ticket(TICKET | {"attachments": [attachment]}).attachments
    assert [file.name for file in files] == ([name] if name else [])


def test_internal_comments_and_related_items_are_internal() -> None:
    document = ticket()
    internal = {part.path for part in document.parts if part.visibility is Visibility.INTERNAL}
    assert internal == {"comment-12", "comment-14", "related_cis"}
    assert {part.visibility for part in document.parts} == {Visibility.INTERNAL, Visibility.PUBLIC}
    assert document.visibility is Visibility.PUBLIC


def test_a_tickets_metadata() -> None:
    document = ticket()
    assert document.metadata == {
        "platform": "ticket_portal",
        "doc_type": "ticket",
        "ticket_id": 77,
        "ticket_number": "KK-2025-0001",
        "status": "in_progress",
        "priority": "high",
        "type": "incident",
        "category": "Hardware",
        "channel": "web",
        "requester": "José Vos",
        "department": "Inkoop",
        "agent": "Noor Smit",
        "created_at": "2026-11-01T08:00:00Z",
        "updated_at": "2026-11-02T10:00:00Z",
        "satisfaction_rating": 4,
        "comment_count": 3,
        "has_attachments": True,
        "attachment_count": 2,
    }
    assert {part.path: part.metadata for part in document.parts if part.metadata} == {
        "fields": {
            "fields": {
                "affected_services": ["VPN", "Wi-Fi", "Financiën"],
                "hardware_brand": "HP",
                "error_message": '0x80070005 "Toegang geweigerd"',
                "field 3": "oud",
            }
        },
        "comment-11": {"author": "Noor Smit", "created_at": "2026-11-02T09:12:00Z", "comment_id": 11},
        "comment-12": {"author": "Noor Smit", "created_at": "2026-11-02T11:13:00+02:00", "comment_id": 12},
        "comment-13": {"author": "José", "comment_id": 13},
        "comment-14": {"comment_id": 14},
        "related_cis": {"ci_ids": ["ci-5", "ci-6"], "ci_numbers": ["CI-2025-001"]},
    }


def test_what_is_told_beside_public_texts_holds_nothing_internal() -> None:
    bare = ticket(TICKET | {"comments": [COMMENTS[0], COMMENTS[2], COMMENTS[4]], "related_cis": []})
    full = ticket()
    assert bare.metadata == full.metadata
    assert [part for part in full.parts if part.visibility is Visibility.PUBLIC] == bare.parts


def test_a_ticket_with_nothing_in_it() -> None:
    empty: Json = {"comments": [], "fields": [], "attachments": [], "related_cis": []}
    payload = {"ticket": {"ticket_id": 1, "description": ""}, "category": None, "requester": None, **empty}
    document = ticket(payload)
    assert (document.title, texts(document)) == ("Ticket 1", {"header": "Ticket 1"})
    assert document.metadata == {
        "platform": "ticket_portal",
        "doc_type": "ticket",
        "ticket_id": 1,
        "comment_count": 0,
        "has_attachments": False,
        "attachment_count": 0,
    }


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ({"field_type": "checkbox", "field_value": "[]"}, None),
        ({"field_type": "checkbox", "field_value": '["", null, 3]'}, "hardware_brand: 3"),
        ({"field_type": "checkbox", "field_value": "no list"}, "hardware_brand: no list"),
        ({"field_type": "checkbox", "field_value": '["Financi\\u00c3\\u00abn"]'}, "hardware_brand: Financiën"),
        ({"field_type": "checkbox", "field_value": "[" * 100_000}, f"hardware_brand: {'[' * 100_000}"),
        ({"field_type": None, "field_value": '["a", "b"]'}, "hardware_brand: a, b"),
        ({"field_type": "text", "field_value": '["a", "b"]'}, 'hardware_brand: ["a", "b"]'),
        ({"field_type": "hologram", "field_value": "x"}, "hardware_brand: x"),
        ({"field_type": "textarea", "field_value": "a <b>\nc"}, "hardware_brand: a <b> c"),
        ({"field_type": "textarea", "field_value": "<p>a</p>\n<p>b</p>"}, "hardware_brand: a b"),
        ({"field_value": None}, None),
        ({"field_label": "Merk &amp; model"}, "Merk & model: HP"),
    ],
    ids=str,
)
def test_a_fields_line(field: Json, line: str | None) -> None:
    assert texts(ticket(with_field(**field))).get("fields") == line


def test_a_mailed_tickets_quotes_and_signatures_go() -> None:
    mail = (
        "Het werkt niet.\n\nMet vriendelijke groet,\nJan\n\nOp 5 okt. 2026 om 09:12 schreef Noor <n@x.example>:\n> oud"
    )
    markup = "<div>Nog steeds niet.</div><blockquote type='cite'>oud</blockquote>"
    payload = changed(TICKET, "ticket", description=mail) | {"comments": [COMMENTS[0] | {"comment": markup}]}
    assert "> oud" in texts(ticket(payload))["description"]
    assert "oud" in texts(ticket(payload))["comment-11"]
    mailed = texts(ticket(changed(payload, "ticket", source="email")))
    assert mailed["description"] == "Het werkt niet."
    assert mailed["comment-11"].endswith("UTC:\nNog steeds niet.")


def test_an_article() -> None:
    document = article()
    assert (document.stream, document.title, document.url) == ("knowledge_base", "Wachtwoord wijzigen", None)
    assert texts(document) == {
        "header": "Wachtwoord wijzigen",
        "body": "# Wachtwoord wijzigen\n\nDruk op <enter>.\n\n## Eisen\n\n- veertien tekens<br>of meer",
    }
    assert {document.visibility, *(part.visibility for part in document.parts)} == {Visibility.PUBLIC}
    assert document.metadata == {
        "platform": "ticket_portal",
        "doc_type": "kb_article",
        "kb_id": 12,
        "category": "Account",
        "author": "Noor Smit",
        "tags": ["wachtwoord", "aanmelden", "R&D"],
        "created_at": "2026-11-01T08:00:00Z",
        "updated_at": "2026-11-02T10:00:00Z",
    }


def test_an_article_in_html_becomes_markdown() -> None:
    markup = "<h2>Eisen</h2>\n<ul><li>veertien tekens</li><li>R&amp;D</li></ul>"
    assert texts(article(changed(ARTICLE, "article", content=markup)))["body"] == "## Eisen\n\n- veertien tekens\n- R&D"


@pytest.mark.parametrize("published", [False, None])
def test_an_article_that_is_not_published_is_internal(published: bool | None) -> None:
    document = article(changed(ARTICLE, "article", is_published=published))
    assert {document.visibility, *(part.visibility for part in document.parts)} == {Visibility.INTERNAL}


def test_a_configuration_item() -> None:
    document = item()
    assert (document.stream, document.title, document.url) == ("configuration_items", "Scherm balie", None)
    assert texts(document) == {
        "specification": "CI: CI-2025-001\nType: Hardware\nName: Scherm balie\nBrand: Dell\nModel: U2724\n"
        "Serial number: SN-1\nCategory: Monitor\nDepartment: Inkoop\nLocation: Hengelo, receptie\n"
        "Supplier: Datarijk BV",
        "notes": "Voet is **los**.\n\n- schroef M4",
    }
    assert [part.role for part in document.parts] == ["ci_item", "notes"]
    assert {document.visibility, *(part.visibility for part in document.parts)} == {Visibility.INTERNAL}
    assert document.metadata == {
        "platform": "ticket_portal",
        "doc_type": "ci_item",
        "ci_id": 5,
        "ci_number": "CI-2025-001",
        "type": "Hardware",
        "name": "Scherm balie",
        "brand": "Dell",
        "model": "U2724",
        "status": "In gebruik",
        "owner": "José Vos",
        "purchase_date": "2025-01-31",
        "created_at": "2026-11-01T08:00:00Z",
        "updated_at": "2026-11-02T10:00:00Z",
    }
    assert item({"item": {"ci_id": 5}, "owner": None}).title == "CI 5"


@pytest.mark.parametrize(
    "change",
    [
        {"ticket": TICKET["ticket"] | {"status": "closed"}},
        {"ticket": TICKET["ticket"] | {"status": "waiting_for_parts"}},
        {"ticket": TICKET["ticket"] | {"priority": "low"}},
        {"ticket": TICKET["ticket"] | {"ticket_type": "change_request"}},
        {"ticket": TICKET["ticket"] | {"updated_at": "2026-12-01T00:00:00Z"}},
        {"ticket": TICKET["ticket"] | {"resolved_at": "2026-12-01T00:00:00Z"}},
        {"ticket": TICKET["ticket"] | {"satisfaction_rating": None}},
        {"agent": None},
        {"comments": [COMMENTS[0] | {"is_internal": True}, *COMMENTS[1:]]},
        {"comments": [COMMENTS[0], COMMENTS[1] | {"is_internal": False}, *COMMENTS[2:]]},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_changes_beside_a_tickets_text_computes_no_embedding(change: Json) -> None:
    before, after = ticket(), ticket(TICKET | change)
    assert after.content_hash == before.content_hash
    assert after.metadata_hash != before.metadata_hash


def test_what_changes_beside_the_text_of_articles_and_items_computes_no_embedding() -> None:
    for before, after in (
        (article(), article(changed(ARTICLE, "article", tags="other"))),
        (article(), article(changed(ARTICLE, "article", is_published=False))),
        (item(), item(changed(ITEM, "item", status="Defect"))),
        (item(), item(ITEM | {"owner": None})),
    ):
        assert after.content_hash == before.content_hash
        assert after.metadata_hash != before.metadata_hash


@given(st.permutations(COMMENTS), st.permutations(FIELDS), st.permutations(TICKET["related_cis"]))
def test_the_order_of_rows_in_the_payload_changes_nothing(
    comments: list[Json], fields: list[Json], related: list[Json]
) -> None:
    shuffled = TICKET | {"comments": comments, "fields": fields, "related_cis": related}
    assert ticket(shuffled) == ticket()


def test_every_text_is_repaired() -> None:
    def damage(value: Any) -> Any:
        match value:
            case str():
                return value.encode().decode("cp1252") + "\x00"
            case dict():
                as_stored = ("_at", "_date", "filepath")
                return {key: item if key.endswith(as_stored) else damage(item) for key, item in value.items()}
            case list():
                return [damage(item) for item in value]
            case _:
                return value

    accented = changed(TICKET, "ticket", title="Één scherm", description="Vóór ‘twaalf’ uur 🙂")
    assert ticket(damage(accented)) == ticket(accented)
    assert article(damage(changed(ARTICLE, "article", content="coördinator"))).parts[1].text == "coördinator"
    assert item(damage(ITEM)) == item()


def test_long_texts_are_cut_where_their_role_says() -> None:
    tokenizer, limits = open_embedder("hash-64").tokenizer, ChunkLimits(max_tokens=30)
    sentence = "Het scherm blijft zwart na het aanzetten van de computer. "
    document = ticket(
        changed(TICKET, "ticket", description=sentence * 9) | {"comments": [COMMENTS[0] | {"comment": sentence * 9}]}
    )
    chunks = chunk_document(document, tokenizer, limits)
    pieces = {role: [chunk for chunk in chunks if chunk.role == role] for role in ("description", "comment")}
    assert all(len(found) > 2 for found in pieces.values())
    assert " ".join(chunk.text for chunk in pieces["description"]).split() == (sentence * 9).split()
    assert pieces["comment"][0].text.startswith("Noor Smit (agent), 2026-11-02 09:12 UTC:")
    assert len({chunk.path for chunk in chunks}) == len(chunks)
    assert max(chunk.tokens for chunk in chunks) <= 30

    sections = [chunk for chunk in chunk_document(article(), tokenizer, limits) if chunk.role == "section"]
    assert [chunk.path for chunk in sections] == ["body/wachtwoord-wijzigen", "body/wachtwoord-wijzigen/eisen"]
    assert sections[1].text == "Wachtwoord wijzigen > Eisen\n- veertien tekens<br>of meer"

    notes = "\n\n".join(f"## Onderhoud {number}\n\n{sentence * 2}" for number in range(3))
    of_item = chunk_document(item(changed(ITEM, "item", notes=notes)), tokenizer, limits)
    assert [chunk.role for chunk in of_item] == ["ci_item", "notes", "notes", "notes"]
    assert {chunk.visibility for chunk in of_item} == {Visibility.INTERNAL}


@pytest.mark.parametrize(
    ("read", "payload", "problem"),
    [
        (ticket, changed(TICKET, "ticket", title=42), "ticket.title: Input should be a valid string"),
        (ticket, changed(TICKET, "ticket", ticket_id="77"), "ticket.ticket_id: Input should be a valid integer"),
        (ticket, TICKET | {"comments": ["oops"]}, "comments.0: "),
        (ticket, TICKET | {"comments": [COMMENTS[0] | {"is_internal": "no"}]}, "comments.0.is_internal: "),
        (ticket, {key: value for key, value in TICKET.items() if key != "fields"}, "fields: Field required"),
        (ticket, "oops", "payload: "),
        (article, {"category": None}, "article: Field required"),
        (item, changed(ITEM, "item", ci_id=None), "item.ci_id: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_payload_that_cannot_be_read_says_where(read: Callable[[Any], Document], payload: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}") as caught:
        read(payload)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text() | st.text("<>/pb& ;#\n*`é[]", max_size=30)


@st.composite
def damaged(draw: st.DrawFn, payload: Json) -> Json:
    """The payload with some values, anywhere in it, replaced by any JSON, texts often by texts, which stay valid."""
    value: Any = deepcopy(payload)
    for _ in range(draw(st.integers(1, 5))):
        place: Any = value
        while True:
            keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 4)):
                place = place[key]
                continue
            place[key] = draw(TEXTS if isinstance(place[key], str) and draw(st.booleans()) else JSON)
            break
    return value


@given(JSON | damaged(TICKET), JSON | damaged(ARTICLE), JSON | damaged(ITEM))
def test_any_payload_gives_a_document_or_a_value_error(
    ticket_payload: Any, article_payload: Any, item_payload: Any
) -> None:
    reads = (ticket_document, article_document, item_document)
    for read, payload in zip(reads, (ticket_payload, article_payload, item_payload), strict=True):
        try:
            document = read("acme", "1", payload)
        except ValueError:
            continue
        assert document.content_hash
        assert document.metadata_hash
        assert all(part.text for part in document.parts)
