import json
import unicodedata
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from sync_assets.documents import Document, Record, Visibility
from sync_assets.sources.backlog import Account, Source

Json = dict[str, Any]

ISSUE: Json = {
    "id": 1001,
    "projectId": 1,
    "issueKey": "POL-1",
    "keyId": 1,
    "issueType": {"id": 1, "name": "バグ"},
    "summary": "電源が入らない\u3000(至急)",
    "description": "* 概要\n''電源''が入らない",
    "resolution": {"id": 0, "name": "対応済み"},
    "priority": {"id": 2, "name": "高"},
    "status": {"id": 77, "name": "検証待ち"},
    "assignee": {"id": 6, "name": "山田 太郎", "nulabAccount": None},
    "category": [{"id": 1, "name": "電装"}],
    "versions": [{"id": 2, "name": "1.0"}],
    "milestone": [{"id": 3, "name": "11月"}],
    "startDate": None,
    "dueDate": "2026-11-13T00:00:00Z",
    "estimatedHours": 3,
    "actualHours": 1.5,
    "createdUser": {"id": 5, "name": "佐藤 花子", "mailAddress": "sato@polder.example"},
    "created": "2026-11-02T00:00:00Z",
    "updated": "2026-11-05T15:00:00Z",
    "customFields": [],
    "attachments": [{"id": 8, "name": "波形.png", "size": 2048}],
    "sharedFiles": [{"id": 9, "dir": "/図面/", "name": "配線図.pdf", "size": None}],
}


def document(stream: str, payload: Any, record_id: str = "x-1") -> Document:
    account = Account.model_validate({"base_url": "https://polder.backlog.com/", "api_key": "k"})
    record = Record(record_id=record_id, observed_at=datetime(2026, 11, 12, tzinfo=UTC), payload=payload)
    with Source("polder", account, transport=httpx.MockTransport(lambda request: httpx.Response(500))) as source:
        return source.to_document(stream, record)


def issue(comments: list[Json] | None = None, rule: str | None = "backlog", **changes: Any) -> Document:
    project = {"key": "POL", "name": "ヒートポンプ", "rule": rule}
    return document("issues", {"project": project, "issue": ISSUE | changes, "comments": comments or []}, "issue-1001")


def page(stream: str, rule: str = "backlog", **row: Any) -> Document:
    project = {"key": "POL", "name": "ヒートポンプ", "rule": rule}
    return document(stream, {"project": project, stream[:-1]: row})


def texts(found: Document) -> dict[str, str]:
    return {part.path: part.text for part in found.parts}


def test_an_issue_has_its_texts_in_parts_and_all_else_in_metadata() -> None:
    found = issue(
        [
            {"id": 3, "content": "''確認''します", "createdUser": {"name": "田中"}, "created": "2026-11-03T01:00:00Z"},
            {"id": 2, "content": None, "createdUser": {"name": "田中"}, "changeLog": [{"field": "status"}]},
            {"id": 1, "content": " \n", "createdUser": {"name": "田中"}},
        ]
    )
    assert texts(found) == {
        "header": "電源が入らない\u3000(至急)",
        "description": "# 概要\n**電源**が入らない",
        "comment-3": "田中: **確認**します",
        "attachments": "波形.png (2048 bytes)\n配線図.pdf",
    }
    assert [part.role for part in found.parts] == ["header", "description", "comment", "attachments"]
    assert found.parts[2].metadata == {
        "author": "田中",
        "created_at": "2026-11-03T01:00:00Z",
        "link": "https://polder.backlog.com/view/POL-1#comment-3",
    }
    assert (found.title, found.url) == ("電源が入らない\u3000(至急)", "https://polder.backlog.com/view/POL-1")
    assert found.metadata == {
        "platform": "backlog",
        "doc_type": "issue",
        "project": "POL",
        "project_name": "ヒートポンプ",
        "issue_key": "POL-1",
        "issue_type": "バグ",
        "status": "検証待ち",
        "priority": "高",
        "resolution": "対応済み",
        "category": ["電装"],
        "versions": ["1.0"],
        "milestone": ["11月"],
        "assignee": "山田 太郎",
        "created_by": "佐藤 花子",
        "created_at": "2026-11-02T00:00:00Z",
        "updated_at": "2026-11-05T15:00:00Z",
        "due_by": "2026-11-13T00:00:00Z",
        "estimated_hours": 3,
        "actual_hours": 1.5,
        "comment_count": 1,
        "has_attachments": True,
        "attachment_count": 2,
    }


def test_everything_is_internal() -> None:
    found = issue([{"id": 3, "content": "x"}])
    assert {found.visibility, *(part.visibility for part in found.parts)} == {Visibility.INTERNAL}


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"id": 4, "name": "完了"}},
        {"priority": {"id": 4, "name": "低"}},
        {"assignee": None},
        {"category": []},
        {"milestone": None},
        {"resolution": None},
        {"issueKey": "FW-9"},
        {"customFields": [{"id": 1, "name": "機種", "value": "HP-9"}]},
        {"updated": "2026-11-06T00:00:00Z"},
    ],
)
def test_a_change_of_facts_changes_no_text(change: Json) -> None:
    before, after = issue(), issue(**change)
    assert before.content_hash == after.content_hash
    assert before.metadata_hash != after.metadata_hash


def test_a_comment_that_only_tells_changes_changes_nothing() -> None:
    assert issue([{"id": 7, "content": None, "changeLog": []}]) == issue()


def test_comments_stand_in_the_order_in_which_they_were_made() -> None:
    found = issue([{"id": number, "content": "x"} for number in (30, 4, 11)])
    assert [part.path for part in found.parts if part.role == "comment"] == ["comment-4", "comment-11", "comment-30"]


def test_one_edited_comment_changes_that_part_alone() -> None:
    comments = [{"id": number, "content": f"意見 {number}", "createdUser": {"name": "田中"}} for number in (1, 2)]
    before, after = texts(issue(comments)), texts(issue([comments[0], comments[1] | {"content": "訂正"}]))
    assert {path for path in before if before[path] != after[path]} == {"comment-2"}


@pytest.mark.parametrize(
    ("person", "opening"),
    [
        ({"name": "田中", "nulabAccount": None}, "田中: "),
        ({"name": "田中"}, "田中: "),
        ("田中", "田中: "),
        ({"name": "tanaka@polder.example"}, ""),
        ({"name": None}, ""),
        (None, ""),
    ],
)
def test_a_person_may_come_in_every_form(person: Any, opening: str) -> None:
    found = issue([{"id": 1, "content": "はい", "createdUser": person}], assignee=person)
    assert texts(found)["comment-1"] == f"{opening}はい"
    assert found.metadata.get("assignee") == (opening.removesuffix(": ") or None)


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ({"value": "HP-9\u3000改"}, "HP-9\u3000改"),
        ({"value": "一行目\n二行目"}, "一行目\n二行目"),
        ({"value": 12.5}, 12.5),
        ({"value": 0}, 0),
        ({"value": "2026-11-05T00:00:00Z"}, "2026-11-05T00:00:00Z"),
        ({"value": {"id": 1, "name": "東京", "displayOrder": 0}}, "東京"),
        ({"value": [{"id": 1, "name": "東京"}, {"id": 2, "name": "大阪"}]}, ["東京", "大阪"]),
        ({"value": ["東京", None, ""]}, ["東京"]),
        ({"value": {"id": 9, "name": "その他"}, "otherValue": "札幌"}, "その他: 札幌"),
        ({"value": [{"id": 1, "name": "東京"}], "otherValue": "札幌"}, ["東京", "札幌"]),
        ({"value": None, "otherValue": "札幌"}, "札幌"),
        ({"value": None}, None),
        ({"value": []}, None),
        ({"value": ""}, None),
        ({}, None),
    ],
)
def test_a_custom_field_of_every_shape_is_named_by_its_project(field: Json, shown: Any) -> None:
    found = issue(customFields=[{"id": 1, "fieldTypeId": 5, "name": "設置 場所", **field}])
    assert found.metadata.get("custom_fields") == ({"設置 場所": shown} if shown is not None else None)


@pytest.mark.parametrize("rule", ["markdown", None])
def test_a_project_with_the_markdown_rule_keeps_its_texts_as_they_are(rule: str | None) -> None:
    written = "* 箇条書き\n''引用符''\n![図][図.png] KEY-1 <b>&amp;</b>"
    found = issue([{"id": 1, "content": written, "createdUser": "田中"}], rule, description=written)
    assert texts(found)["description"] == written
    assert texts(found)["comment-1"] == f"田中: {written}"


def test_japanese_comes_through_whole() -> None:
    written = "が\u30ab\u3099 ﾊﾝｶｸ ＡＢＣ ①㈱ 髙﨑 𠮷野家 \u3000全角 〜ー・「」"
    assert unicodedata.normalize("NFC", written) != written
    for rule in ("backlog", "markdown"):
        found = issue(
            [{"id": 1, "content": written, "createdUser": written}], rule, summary=written, description=written
        )
        assert texts(found)["header"] == texts(found)["description"] == found.title == written
        assert texts(found)["comment-1"] == f"{written}: {written}"
        assert texts(page("wikis", rule, id=1, name=written, content=written)) == {"header": written, "body": written}
        assert texts(page("documents", id="0a", title=written, plain=written)) == {"header": written, "body": written}


def test_a_wiki_has_its_name_and_its_body() -> None:
    found = page(
        "wikis",
        id=2001,
        name="設計/ポンプ",
        content="* 概要\n|品|数|h\n|弁|2|",
        tags=[{"id": 1, "name": "設計"}],
        createdUser={"name": "佐藤"},
        updatedUser="田中",
        created="2026-11-02T00:00:00Z",
        updated="2026-11-03T00:00:00Z",
        attachments=[{"id": 1, "name": "図.png", "size": 5}],
    )
    assert texts(found) == {
        "header": "設計/ポンプ",
        "body": "# 概要\n\n| 品 | 数 |\n| --- | --- |\n| 弁 | 2 |",
        "attachments": "図.png (5 bytes)",
    }
    assert found.url == "https://polder.backlog.com/alias/wiki/2001"
    assert found.metadata == {
        "platform": "backlog",
        "doc_type": "wiki",
        "project": "POL",
        "project_name": "ヒートポンプ",
        "tags": ["設計"],
        "created_by": "佐藤",
        "updated_by": "田中",
        "created_at": "2026-11-02T00:00:00Z",
        "updated_at": "2026-11-03T00:00:00Z",
        "has_attachments": True,
        "attachment_count": 1,
    }


PROSE = {
    "type": "doc",
    "content": [
        {"type": "heading", "content": [{"type": "text", "text": "手順"}]},
        {
            "type": "bulletList",
            "content": [
                {
                    "type": "listItem",
                    "content": [
                        {
                            "type": "paragraph",
                            "content": [
                                {"type": "text", "text": "電源を"},
                                {"type": "text", "text": "切る", "marks": [{"type": "bold"}]},
                                {"type": "hardBreak"},
                                {"type": "text", "text": "待つ"},
                            ],
                        }
                    ],
                }
            ],
        },
        {"type": "paragraph"},
        None,
        {"type": "paragraph", "content": [{"type": "text", "text": "終わり"}]},
    ],
}


@pytest.mark.parametrize("value", [PROSE, json.dumps(PROSE)])
@pytest.mark.parametrize("plain", [None, "", "  "])
def test_a_document_without_plain_text_has_the_texts_of_its_json(value: Any, plain: str | None) -> None:
    found = page("documents", id="0193af", title="交換", plain=plain, json=value)
    assert texts(found) == {"header": "交換", "body": "手順\n電源を切る\n待つ\n終わり"}
    assert found.url == "https://polder.backlog.com/document/POL/0193af"


def test_a_document_has_its_comments_and_their_replies() -> None:
    project = {"key": "POL", "name": "ヒートポンプ", "rule": "markdown"}
    comments: list[Json] = [
        {
            "id": "0c1",
            "plain": "何ですか",
            "createdUser": {"name": "田中"},
            "created": "2026-11-03T01:00:00Z",
            "replies": [{"id": "0c2", "commentId": "0c1", "plain": "手順です", "createdUser": {"name": "佐藤"}}],
        },
        {"id": "0c3", "plain": None, "content": json.dumps(PROSE), "replies": None},
        {"id": "0c4", "plain": " ", "content": "{}"},
    ]
    row = {"id": "0193af", "title": "交換", "plain": "本文"}
    found = document("documents", {"project": project, "document": row, "comments": comments})
    assert texts(found) == {
        "header": "交換",
        "body": "本文",
        "comment-0c1": "田中: 何ですか",
        "comment-0c2": "佐藤: 手順です",
        "comment-0c3": "手順\n電源を切る\n待つ\n終わり",
    }
    assert [part.role for part in found.parts] == ["header", "body", "comment", "comment", "comment"]
    assert found.parts[2].metadata == {"author": "田中", "created_at": "2026-11-03T01:00:00Z"}
    assert found.metadata["comment_count"] == 3


def test_a_document_that_nests_without_end_is_read() -> None:
    node: Json = {"type": "text", "text": "底"}
    for _ in range(50_000):
        node = {"type": "blockquote", "content": [node]}
    assert texts(page("documents", id="0a", title="x", json=node))["body"] == "底"


def test_plain_text_goes_before_json_that_can_not_be_read() -> None:
    assert texts(page("documents", id="0a", title="x", plain="本文", json="{"))["body"] == "本文"
    with pytest.raises(ValueError, match=r"document\.json"):
        page("documents", id="0a", title="x", plain="", json="{")


@pytest.mark.parametrize("value", [None, "", "{}", "[]", "null", {}])
def test_an_empty_document_has_its_title_alone(value: Any) -> None:
    assert texts(page("documents", id="0a", title="空", plain=None, json=value)) == {"header": "空"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"summary": None}, "issue.summary"),
        ({"issueKey": 5}, "issue.issueKey"),
        ({"description": ["x"]}, "issue.description"),
        ({"status": "open"}, "issue.status"),
        ({"customFields": [{"value": 1}]}, "issue.customFields.0.name"),
    ],
)
def test_a_payload_of_another_form_is_told_with_its_place(change: Json, place: str) -> None:
    with pytest.raises(ValueError, match=f"^{place.replace('.', '[.]')}"):
        issue(**change)


@pytest.mark.parametrize("row_id", ["../1", "a/b", "", "é"])
def test_a_document_whose_id_would_lead_elsewhere_is_refused(row_id: str) -> None:
    with pytest.raises(ValueError, match=r"document\.id"):
        page("documents", id=row_id, title="x")
