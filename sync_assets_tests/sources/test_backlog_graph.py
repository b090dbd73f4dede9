"""What Backlog's issues and pages tell of the knowledge graph."""

from typing import Any

import pytest

from sync_assets.documents import Document
from sync_assets.sources.backlog_documents import document_document, issue_document, wiki_document
from sync_assets.sources.backlog_graph import with_graph
from sync_assets_tests.sources.graph import check_odd_fields, edges

URL = "https://polder.backlog.com"
Json = dict[str, Any]
PROJECT: Json = {"key": "PUMP", "name": "Heat pumps", "rule": "markdown"}
SATO: Json = {"id": 5, "name": "佐藤 花子", "mailAddress": "sato@polder.example"}
ISSUE: Json = {
    "id": 1001,
    "projectId": 1,
    "issueKey": "PUMP-7",
    "summary": "No power",
    "status": {"id": 2, "name": "In Progress"},
    "assignee": {"id": 6, "name": "Taro Yamada"},
    "category": [{"id": 1, "name": "Control"}, {"id": 2, "name": "Valve"}],
    "parentIssueId": 1000,
    "createdUser": SATO,
}
MAKE = {"issues": issue_document, "wikis": wiki_document, "documents": document_document}


def plain(stream: str, payload: Any) -> Document:
    return MAKE[stream]("polder", f"{stream[:-1]}-1001", URL, payload)


def document(stream: str, payload: Any) -> Document:
    return with_graph(plain(stream, payload), URL, payload)


def issue(**changes: Any) -> Document:
    return document("issues", {"project": PROJECT, "issue": ISSUE | changes, "comments": []})


def test_an_issue_names_its_people_project_categories_and_parent() -> None:
    found = issue()
    assert found.entity is not None
    assert (found.entity.kind, found.entity.aliases, found.entity.scope) == ("ticket", ("PUMP-7",), "backlog")
    assert found.entity.facts == {"url": f"{URL}/view/PUMP-7", "state": "open"}
    assert edges(found) == [
        ("CREATED_BY", "person:backlog/5"),
        ("CREATED_BY", "person:backlog/5", "internal"),
        ("ASSIGNED_TO", "person:backlog/6"),
        ("BELONGS_TO", "project:backlog/1"),
        ("BELONGS_TO", "category:backlog/1"),
        ("BELONGS_TO", "category:backlog/2"),
        ("BELONGS_TO", "ticket:polder_backlog_issue-1000"),
    ]
    assert found.relations[1].target.facts == {"email": "sato@polder.example"}
    project = found.relations[3].target
    assert (project.name, project.facts) == ("Heat pumps", {"url": f"{URL}/projects/PUMP"})


@pytest.mark.parametrize(("status", "state"), [(1, "open"), (3, "resolved"), (4, "resolved"), (77, "open")])
def test_only_statuses_of_backlogs_own_tell_that_an_issue_is_resolved(status: int, state: str) -> None:
    entity = issue(status={"id": status, "name": "Whatever"}).entity
    assert entity is not None
    assert entity.facts["state"] == state


def test_a_person_may_be_a_name_alone_and_an_address_is_none() -> None:
    assert edges(issue(assignee="Taro  Yamada", createdUser="sato@polder.example"))[0] == (
        "ASSIGNED_TO",
        "person:taro yamada",
    )


def test_pages_are_articles_of_their_project() -> None:
    row = {
        "projectId": 1,
        "name": "Valves",
        "title": "Valves",
        "content": "Words",
        "plain": "Words",
        "createdUser": SATO,
    }
    for stream, page_id in (("wikis", 3), ("documents", "0a1b")):
        found = document(stream, {"project": PROJECT, stream[:-1]: row | {"id": page_id}})
        assert found.entity is not None
        assert (found.entity.kind, found.entity.facts) == ("article", {"url": found.url})
        assert [edge for edge in edges(found) if "internal" not in edge] == [
            ("CREATED_BY", "person:backlog/5"),
            ("BELONGS_TO", "project:backlog/1"),
        ]


def test_no_odd_field_spoils_a_document() -> None:
    check_odd_fields(
        {"project": PROJECT, "issue": ISSUE, "comments": []},
        lambda payload: plain("issues", payload),
        lambda payload: document("issues", payload),
    )
