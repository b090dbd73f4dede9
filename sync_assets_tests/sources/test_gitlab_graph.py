"""What GitLab's records tell of the knowledge graph."""

from typing import Any

from sync_assets.documents import Document
from sync_assets.sources.gitlab_documents import DOCUMENTS
from sync_assets.sources.gitlab_graph import with_graph
from sync_assets_tests.sources.graph import check_odd_fields, edges

Json = dict[str, Any]
SHA = "0123456789abcdef0123456789abcdef01234567"
PROJECT: Json = {
    "id": 4,
    "path": "acme/relay",
    "web_url": "https://git.test/acme/relay",
    "branch": "main",
    "is_public": True,
    "code_is_public": True,
}
ADA: Json = {"id": 1, "name": "Ada Vos", "username": "ada"}
BEN: Json = {"id": 2, "name": "Ben Lee", "username": "ben"}
ISSUE: Json = {
    "iid": 12,
    "title": "Calls drop",
    "state": "closed",
    "confidential": False,
    "author": ADA,
    "assignees": [BEN, BEN],
    "closed_by": BEN,
    "web_url": "https://git.test/acme/relay/-/issues/12",
    "_links": {"closed_as_duplicate_of": "https://git.test/api/v4/projects/4/issues/3"},
}
REQUEST: Json = {"iid": 34, "title": "Keep calls", "state": "merged", "author": BEN, "assignees": []}
COMMIT: Json = {"id": SHA, "message": "Keep calls", "author_name": "Ben Lee", "author_email": "ben@acme.example"}
FILE: Json = {"file_path": "README.md", "content": "IyBSZWxheQ=="}
ITEMS: dict[str, Json] = {
    "issues": ISSUE,
    "merge_requests": REQUEST,
    "commits": COMMIT,
    "files": FILE,
    "wikis": {"slug": "home", "title": "Home", "content": "Words"},
}
OF_PROJECT = ("BELONGS_TO", "project:gitlab/4")


def payload_of(stream: str, **changes: Any) -> Json:
    return {"project": PROJECT, "item": ITEMS[stream] | changes}


def document(stream: str, payload: Any) -> Document:
    return with_graph(DOCUMENTS[stream]("acme", "x-4-1", payload), payload)


def test_an_issue_names_its_people_its_original_and_its_project() -> None:
    found = document("issues", payload_of("issues"))
    assert found.entity is not None
    assert found.entity.kind == "ticket"
    assert found.entity.aliases == ("#12", "acme/relay#12")
    assert found.entity.scope == "gitlab/acme/relay"
    assert found.entity.facts == {"url": "https://git.test/acme/relay/-/issues/12", "state": "resolved"}
    assert edges(found) == [
        ("CREATED_BY", "person:gitlab/1"),
        ("ASSIGNED_TO", "person:gitlab/2"),
        ("RESOLVED_BY", "person:gitlab/2"),
        ("DUPLICATE_OF", "ticket:acme_gitlab_issue-4-3", "internal"),
        OF_PROJECT,
    ]
    author, project = found.relations[0].target, found.relations[-1].target
    assert (author.name, author.aliases) == ("Ada Vos", ("@ada",))
    assert (project.name, project.facts) == ("acme/relay", {"url": "https://git.test/acme/relay"})


def test_an_open_issue_was_resolved_by_nobody() -> None:
    found = document("issues", payload_of("issues", state="opened", _links={}))
    assert found.entity is not None
    assert found.entity.facts["state"] == "open"
    assert not {"RESOLVED_BY", "DUPLICATE_OF"} & {relation.kind.value for relation in found.relations}


def test_a_merge_request_is_named_by_its_mark() -> None:
    found = document("merge_requests", payload_of("merge_requests"))
    assert found.entity is not None
    assert (found.entity.kind, found.entity.aliases) == ("merge_request", ("!34", "acme/relay!34"))
    assert edges(found) == [("CREATED_BY", "person:gitlab/2"), OF_PROJECT]


def test_a_commit_is_named_by_its_hash_and_its_authors_address_is_for_agents() -> None:
    found = document("commits", payload_of("commits"))
    assert found.entity is not None
    assert (found.entity.kind, found.entity.aliases) == ("commit", ("01234567", SHA))
    assert edges(found) == [
        ("CREATED_BY", "person:ben lee"),
        ("CREATED_BY", "person:ben lee", "internal"),
        OF_PROJECT,
    ]
    assert [relation.target.facts for relation in found.relations[:2]] == [{}, {"email": "ben@acme.example"}]


def test_an_address_in_place_of_a_name_makes_no_person() -> None:
    assert edges(document("commits", payload_of("commits", author_name="ben@acme.example"))) == [OF_PROJECT]


def test_files_and_pages_are_articles_of_their_project() -> None:
    for stream in ("files", "wikis"):
        found = document(stream, payload_of(stream))
        assert found.entity is not None
        assert (found.entity.kind, found.entity.scope) == ("article", "gitlab/acme/relay")
        assert edges(found) == [OF_PROJECT]


def test_no_odd_field_spoils_a_document() -> None:
    for stream in ITEMS:
        check_odd_fields(
            payload_of(stream),
            lambda payload, stream=stream: DOCUMENTS[stream]("acme", "x-4-1", payload),
            lambda payload, stream=stream: document(stream, payload),
        )
