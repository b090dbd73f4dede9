import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina

from sync_assets.documents import Document, Record, Visibility
from sync_assets.errors import SourceError
from sync_assets.sources import Hidden, LiveId
from sync_assets.sources.gitlab import STREAMS, Account, Source
from sync_assets.sources.gitlab_work import BEGINNING
from sync_assets_tests.sources.gitlab_fake import (
    ANNA,
    CREATED,
    FAR_AHEAD,
    NOW,
    THROTTLED,
    TOKEN,
    GitLab,
    at,
    diff_of,
    fill,
)


@pytest.fixture
def gitlab() -> GitLab:
    instance = GitLab()
    instance.project(7, "acme/phones")
    return instance


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


def source_of(instance: GitLab, **settings: Any) -> Source:
    account = Account(base_url="https://git.test", **{"token": TOKEN, "limits": {"page_size": 2}} | settings)
    transport = httpx.MockTransport(instance)
    return Source(f"acme-{uuid4()}", account, clock=lambda: NOW, transport=transport)


def extracted(
    source: Source, stream: str, since: datetime = BEGINNING, until: datetime = FAR_AHEAD
) -> dict[str, Record]:
    records = list(source.extract(stream, since, until))
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: record for record in records}


def document(source: Source, stream: str, record_id: str) -> Document:
    [record] = source.fetch(stream, [record_id])
    assert record.event == "live", record.problem
    return source.to_document(stream, record)


def event(source: Source, stream: str, record_id: str) -> str:
    [record] = source.fetch(stream, [record_id])
    return record.event


@pytest.mark.parametrize("stream", STREAMS)
def test_extract_fetch_and_the_listing_agree_on_every_record(gitlab: GitLab, stream: str):
    fill(gitlab)
    fill(gitlab, gitlab.project(8, "acme/wifi", visibility="public"))
    source = source_of(gitlab)
    found = extracted(source, stream)
    listed = {item.record_id: item for item in source.live_ids(stream) if isinstance(item, LiveId)}
    fetched = {record.record_id: record for record in source.fetch(stream, listed)}
    assert len(listed) == 10
    for record_id, item in listed.items():
        for record in (found[record_id], fetched[record_id]):
            assert (record.event, record.modified_at, record.cheap_version) == (
                "live",
                item.modified_at,
                item.cheap_version,
            )
        assert source.to_document(stream, found[record_id]) == source.to_document(stream, fetched[record_id])
    earliest, latest = source.span(stream) or (FAR_AHEAD, BEGINNING)
    assert all(earliest <= item.modified_at <= latest for item in listed.values())


def test_a_window_brings_only_what_changed_in_it(gitlab: GitLab):
    fill(gitlab)
    source = source_of(gitlab)
    since, until = datetime(2026, 11, 5, tzinfo=UTC), datetime(2026, 11, 6, tzinfo=UTC)
    assert set(extracted(source, "issues", since, until)) == {"issue-7-2"}
    assert len(extracted(source, "commits", since, until)) == 1
    assert set(extracted(source, "files", since, until)) == {"file-7-src/2.py"}
    assert extracted(source, "wikis", since, until) == {}


def test_a_late_note_brings_its_issue_again_and_system_notes_stay_out(gitlab: GitLab):
    gitlab.item(7, "issues", 1, "No dial tone", at("04 10:00"))
    number = gitlab.note(7, "issues", 1, "Replace the cable", at("10 09:00"))
    gitlab.note(7, "issues", 1, "changed title", at("10 09:01"), system=True)
    source = source_of(gitlab)
    found = extracted(source, "issues", datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC))
    read = source.to_document("issues", found["issue-7-1"])
    assert [(part.path, part.text) for part in read.parts] == [
        ("header", "Issue #1: No dial tone"),
        ("description", "No dial tone in detail, see #12"),
        (f"comment-{number}", "Anna Berg: Replace the cable"),
    ]


def test_internal_notes_and_confidential_issues_keep_their_visibility(gitlab: GitLab):
    gitlab.projects[7]["visibility"] = "public"
    gitlab.item(7, "issues", 1, "Open", at("04 10:00"))
    gitlab.note(7, "issues", 1, "Between us", at("04 11:00"), internal=True)
    gitlab.item(7, "issues", 2, "Leak", at("04 10:00"), confidential=True, assignees=[{"username": "ben"}])
    gitlab.note(7, "issues", 2, "Fixed", at("04 11:00"), internal=True)
    source = source_of(gitlab)
    shown = document(source, "issues", "issue-7-1")
    assert shown.visibility is Visibility.PUBLIC
    assert [part.visibility for part in shown.parts] == [*[Visibility.PUBLIC] * 2, Visibility.INTERNAL]
    secret = document(source, "issues", "issue-7-2")
    for item in (secret, *secret.parts):
        assert (item.visibility, item.principals) == (Visibility.RESTRICTED, ["user:anna", "user:ben"])


def test_a_feature_for_members_only_of_a_public_project_is_internal(gitlab: GitLab):
    gitlab.projects[7] |= {"visibility": "public", "repository_access_level": "private"}
    gitlab.item(7, "merge_requests", 1, "Open", at("04 10:00"))
    gitlab.diffs[7, "merge_requests/1"] = [diff_of("a.py"), diff_of("secret.min.js")]
    read = document(source_of(gitlab), "merge_requests", "merge_request-7-1")
    assert {part.role: part.visibility for part in read.parts} == {
        "header": Visibility.PUBLIC,
        "description": Visibility.PUBLIC,
        "diff": Visibility.INTERNAL,
    }
    assert "diffs_left_out" not in read.metadata


@pytest.mark.parametrize("stream", STREAMS)
def test_a_record_that_its_project_answers_404_for_is_deleted(gitlab: GitLab, stream: str):
    fill(gitlab)
    source = source_of(gitlab)
    names = [item.record_id for item in source.live_ids(stream) if isinstance(item, LiveId)]
    if stream != "wikis":
        gitlab.files[7].clear()
    for rows in (*gitlab.work.values(), gitlab.commits[7], gitlab.wikis[7]):
        rows.clear()
    assert {record.event for record in source.fetch(stream, names)} == {"deleted"}


def test_an_issue_that_may_have_become_confidential_is_not_taken_for_deleted(gitlab: GitLab):
    gitlab.projects[7]["permissions"] = {"project_access": {"access_level": 10}, "group_access": None}
    assert event(source_of(gitlab), "issues", "issue-7-1") == "malformed"


@pytest.mark.parametrize(
    ("stream", "feature", "status"),
    [
        ("issues", "issues", 403),
        ("merge_requests", "merge_requests", 403),
        ("commits", "repository", 404),
        ("files", "repository", 404),
        ("wikis", "wikis", 404),
    ],
)
def test_what_a_switched_off_feature_hides_is_not_deleted_and_others_go_on(
    gitlab: GitLab, stream: str, feature: str, status: int
):
    fill(gitlab)
    fill(gitlab, gitlab.project(8, "acme/wifi"))
    source = source_of(gitlab)
    names = [item.record_id for item in source.live_ids(stream) if isinstance(item, LiveId)]
    gitlab.off[7, feature] = status
    gitlab.projects[7][f"{feature.removesuffix('s') if feature == 'wikis' else feature}_access_level"] = "disabled"
    listing = list(source.live_ids(stream))
    [hidden] = [item for item in listing if isinstance(item, Hidden)]
    assert len(listing) == 6
    events = {record.record_id: record for record in source.fetch(stream, names)}
    for name in names:
        assert events[name].event == ("malformed" if name.startswith(hidden.prefix) else "live")
    assert len(extracted(source, stream)) == 5


def test_issues_for_members_only_are_read_by_members_and_hidden_from_others(gitlab: GitLab):
    fill(gitlab)
    gitlab.projects[7] |= {"visibility": "public", "issues_access_level": "private", "permissions": None}
    assert event(source_of(gitlab), "issues", "issue-7-1") == "live"
    gitlab.members.remove(7)
    gitlab.projects[7]["permissions"] = {"project_access": None, "group_access": None}
    gitlab.work[7, "issues"].clear()
    source = source_of(gitlab, projects=["7"])
    assert [type(item) for item in source.live_ids("issues")] == [Hidden]
    assert extracted(source, "issues") == {}
    assert event(source, "issues", "issue-7-1") == "malformed"


@pytest.mark.parametrize("stream", ["commits", "files"])
def test_an_empty_repository_hides_its_records_and_is_no_fault(gitlab: GitLab, stream: str):
    gitlab.projects[7]["empty_repo"] = True
    source = source_of(gitlab)
    assert source.span(stream) is None
    assert extracted(source, stream) == {}
    assert [item.prefix for item in source.live_ids(stream) if isinstance(item, Hidden)] == [f"{stream[:-1]}-7-"]
    assert event(source, stream, f"{stream[:-1]}-7-a") == "malformed"


def test_a_feature_that_is_refused_but_not_off_is_told(gitlab: GitLab):
    gitlab.off[7, "issues"] = 403
    source = source_of(gitlab)
    [record] = source.extract("issues", BEGINNING, FAR_AHEAD)
    assert (record.record_id, record.event) == ("issue-7", "malformed")
    assert event(source, "issues", "issue-7") == "malformed"
    del gitlab.off[7, "issues"]
    assert event(source, "issues", "issue-7") == "deleted"


def test_a_project_that_is_lost_hides_its_records(gitlab: GitLab):
    fill(gitlab)
    fill(gitlab, gitlab.project(8, "acme/wifi"))
    del gitlab.projects[7]
    gitlab.members.remove(7)
    source = source_of(gitlab, projects=["7", "acme/*"])
    assert [item.prefix for item in source.live_ids("issues") if isinstance(item, Hidden)] == ["issue-7-"]
    assert event(source, "issues", "issue-7-1") == "malformed"
    assert event(source_of(gitlab), "issues", "issue-7-1") == "malformed"
    assert event(source_of(gitlab, exclude_projects=["7"]), "issues", "issue-7-1") == "deleted"
    with pytest.raises(SourceError, match="does not show project 7") as error:
        source_of(gitlab, projects=["7", "acme/gone"]).check()
    assert "project acme/gone" in str(error.value)


def test_a_lost_project_is_asked_for_once_however_many_records_it_had(gitlab: GitLab):
    source = source_of(gitlab, limits={"max_concurrent_requests": 1})
    records = list(source.fetch("issues", [f"issue-99-{iid}" for iid in range(1, 30)]))
    assert {record.event for record in records} == {"malformed"}
    assert [request.url.path for request in gitlab.asked].count("/api/v4/projects/99") == 1


def test_issues_are_read_again_by_who_sees_more_of_their_project_than_before(gitlab: GitLab):
    fill(gitlab)
    versions: list[set[str]] = []
    for level in (10, 20):
        gitlab.projects[7]["permissions"] = {"project_access": {"access_level": level}}
        listed = source_of(gitlab).live_ids("issues")
        versions.append({item.cheap_version for item in listed if isinstance(item, LiveId)})
    assert versions[0].isdisjoint(versions[1])


@pytest.mark.parametrize("stream", ["issues", "merge_requests", "wikis"])
def test_another_default_branch_brings_only_code_again(gitlab: GitLab, stream: str):
    fill(gitlab)
    gitlab.work[7, "issues"][1]["assignees"] = [ANNA, {"username": "bo", "name": "Bo"}]
    before = list(source_of(gitlab).live_ids(stream))
    gitlab.projects[7]["default_branch"] = "trunk"
    gitlab.work[7, "issues"][1]["assignees"].reverse()
    assert list(source_of(gitlab).live_ids(stream)) == before


def test_projects_are_chosen_by_patterns(gitlab: GitLab):
    fill(gitlab)
    for number, path in ((8, "acme/deep/wifi"), (9, "other/public")):
        fill(gitlab, gitlab.project(number, path))
    gitlab.members.remove(9)

    def chosen(**settings: Any) -> set[str]:
        listing = source_of(gitlab, **settings).live_ids("issues")
        return {item.record_id.split("-")[1] for item in listing if isinstance(item, LiveId)}

    assert chosen() == {"7", "8"}
    assert chosen(projects=["acme/*"], exclude_projects=["acme/deep/*"]) == {"7"}
    assert chosen(projects=["other/public", "ACME/Phones"]) == {"7", "9"}
    assert event(source_of(gitlab, projects=["acme/deep/*"]), "issues", "issue-7-1") == "deleted"


def test_a_moved_project_is_followed_on_the_own_host_only(gitlab: GitLab):
    fill(gitlab)
    gitlab.members.clear()
    gitlab.moved["old/phones"] = "https://git.test/api/v4/projects/7"
    assert "1 projects" in source_of(gitlab, projects=["old/phones"]).check()
    gitlab.moved["old/phones"] = "https://evil.test/api/v4/projects/7"
    with pytest.raises(SourceError, match="redirects"):
        source_of(gitlab, projects=["old/phones"]).check()
    assert {request.url.host for request in gitlab.asked} == {"git.test"}


def test_listings_go_by_keyset_and_by_page_number_where_that_is_refused(gitlab: GitLab):
    fill(gitlab)
    assert len(list(source_of(gitlab).live_ids("files"))) == 5
    assert any("cursor" in request.url.params for request in gitlab.asked)
    gitlab.keyset = False
    assert len(list(source_of(gitlab).live_ids("files"))) == 5


@pytest.mark.parametrize("root", ["https://evil.test", "http://git.test", "https://git.test:444"])
def test_a_link_to_another_address_gets_no_token(gitlab: GitLab, root: str):
    fill(gitlab)
    gitlab.next_root = root
    with pytest.raises(SourceError, match="gets no token"):
        list(source_of(gitlab).live_ids("files"))
    assert {str(request.url.copy_with(raw_path=b"/")) for request in gitlab.asked} == {"https://git.test/"}


def test_a_listing_longer_than_page_numbers_go_is_an_error(gitlab: GitLab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sync_assets.sources.gitlab_web._LAST_OFFSET", 4)
    fill(gitlab)
    assert len(list(source_of(gitlab).live_ids("files"))) == 5
    gitlab.keyset = False
    with pytest.raises(SourceError, match="no more than 4 rows"):
        list(source_of(gitlab).live_ids("files"))
    assert len(list(source_of(gitlab).live_ids("commits"))) == 5


@pytest.mark.parametrize("stream", STREAMS)
def test_a_listing_that_breaks_off_is_an_error(gitlab: GitLab, stream: str):
    fill(gitlab)
    source = source_of(gitlab)
    place = {"issues": "issues", "merge_requests": "merge_requests", "wikis": "wikis"}.get(stream, "repository")
    gitlab.answers[f"/projects/7/{place}"] = [httpx.Response(502) for _ in range(2)]
    with pytest.raises(SourceError):
        list(source.live_ids(stream))


def test_many_issues_of_one_moment_are_all_listed(gitlab: GitLab):
    for iid in range(1, 8):
        gitlab.item(7, "issues", iid, "Imported", at("04 10:00"))
    assert len(extracted(source_of(gitlab), "issues")) == 7


def test_an_issue_that_changes_while_listed_shifts_no_other_out(gitlab: GitLab):
    fill(gitlab)
    listing = source_of(gitlab).live_ids("issues")
    seen = [next(listing), next(listing)]
    gitlab.work[7, "issues"][1]["updated_at"] = at("11 10:00")
    seen += listing
    assert {item.record_id for item in seen if isinstance(item, LiveId)} == {f"issue-7-{iid}" for iid in range(1, 6)}


def test_a_renamed_file_goes_at_its_old_path_and_lives_at_the_new_one(gitlab: GitLab):
    fill(gitlab)
    gitlab.files[7]["lib/one.py"] = gitlab.files[7].pop("src/1.py")
    del gitlab.files[7]["src/2.py"]
    moved = diff_of("lib/one.py", old_path="src/1.py", renamed_file=True, diff="")
    sha = gitlab.commit(7, "Move", at("10 10:00"), moved, diff_of("src/2.py", deleted_file=True))
    source = source_of(gitlab)
    found = extracted(source, "files", datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC))
    assert {name: record.event for name, record in found.items()} == {
        "file-7-src/1.py": "deleted",
        "file-7-lib/one.py": "live",
        "file-7-src/2.py": "deleted",
    }
    parts = document(source, "commits", f"commit-7-{sha}").parts
    assert parts[1].text == "rename from src/1.py\nrename to lib/one.py\n"


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_a_file_that_became_a_link_is_gone(gitlab: GitLab, mode: str):
    fill(gitlab)
    gitlab.files[7] |= {"docs/guide.md": b"../src/1.py", "docs/word.txt": b"word", "link.txt": b"src/1.py"}
    gitlab.modes |= {"docs/guide.md": mode, "link.txt": mode}
    gitlab.commit(7, "Link", at("10 10:00"), diff_of("docs/guide.md", b_mode=mode), diff_of("docs/word.txt"))
    source = source_of(gitlab)
    found = extracted(source, "files", datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC))
    assert {name: record.event for name, record in found.items()} == {
        "file-7-docs/guide.md": "deleted",
        "file-7-docs/word.txt": "live",
    }
    assert [event(source, "files", f"file-7-{path}") for path in ("link.txt", "docs/word.txt")] == ["deleted", "live"]
    assert "file-7-link.txt" not in extracted(source, "files")


@pytest.mark.parametrize("since", [1, 4])
def test_files_are_not_deleted_by_a_repository_that_is_lost_while_it_is_read(gitlab: GitLab, since: int):
    fill(gitlab)
    source = source_of(gitlab, limits={"page_size": 100, "max_concurrent_requests": 1})
    found = source.extract("files", datetime(2026, 11, since, tzinfo=UTC), FAR_AHEAD)
    first = next(found)
    gitlab.off[7, "repository"] = 404
    assert first.event == "live"
    assert {record.event for record in found} >= {"malformed"}
    assert "deleted" not in {record.event for record in found}


def test_a_push_between_two_pages_shifts_no_file_out(gitlab: GitLab):
    fill(gitlab)
    list(source_of(gitlab).live_ids("files"))
    asked = [request.url.params for request in gitlab.asked if request.url.path.endswith("/tree")]
    assert {params["ref"] for params in asked} == {gitlab.commits[7][0]["id"]}
    assert len(asked) == 3


def test_files_that_are_not_worth_reading_are_left_out(gitlab: GitLab):
    files = {
        "vendor/lib.py": b"x = 1\n",
        "web/node_modules/a.js": b"x\n",
        "poetry.lock": b"x\n",
        "app.min.js": b"x\n",
        "logo.png": b"x\n",
        "data.raw": b"ab\0cd",
        "model.weights": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        "api.go": b"// Code generated by protoc. DO NOT EDIT.\npackage api\n",
        "big.txt": b"many words " * 100,
        "one-line.js": b"a=1;" * 200,
        "app.py": b"x = 1\n",
    }
    gitlab.files[7] = files
    source = source_of(gitlab, files={"max_bytes": 1000})
    found = extracted(source, "files")
    kept = {name: source.to_document("files", record) for name, record in found.items()}
    assert {name: read.metadata.get("left_out") for name, read in kept.items()} == {
        "file-7-data.raw": "binary",
        "file-7-model.weights": "LFS pointer",
        "file-7-api.go": "generated",
        "file-7-big.txt": "too large",
        "file-7-one-line.js": None,
        "file-7-app.py": None,
    }
    assert [name for name, read in kept.items() if not read.parts] == [f"file-7-{name}" for name in list(files)[5:9]]
    assert found["file-7-data.raw"].payload["item"]["content"] == ""
    only = source_of(gitlab, files={"include": ["*.py"], "exclude": ["x*"]})
    assert set(extracted(only, "files")) == {"file-7-app.py"}
    assert event(only, "files", "file-7-big.txt") == "deleted"


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_file_that_is_too_large_is_known_and_not_read(gitlab: GitLab, tells_size: bool):
    gitlab.files[7] = {"large.json": b"[1, 2, 3]" * 1000, "huge.json": b"0" * (THROTTLED + 1), "small.json": b"[]"}
    gitlab.tells_size = tells_size
    source = source_of(gitlab, files={"max_bytes": 1000})
    listed = {item.record_id: item.cheap_version for item in source.live_ids("files") if isinstance(item, LiveId)}
    for records in (extracted(source, "files").values(), source.fetch("files", listed)):
        for record in records:
            assert record.cheap_version == listed[record.record_id]
            facts = source.to_document("files", record).metadata
            small = record.record_id == "file-7-small.json"
            assert (facts.get("left_out"), facts["size"] < 1000) == (None if small else "too large", small)


def test_files_are_read_in_their_encoding_and_by_their_kind(gitlab: GitLab):
    gitlab.files[7] = {
        "café.py": "# déjà vu, façade, garçon\r\nx = 1\r\n".encode("latin-1"),
        "docs/readme.md": b"\xef\xbb\xbf# Hello\n",
        "notes.txt": b"plain\n",
    }
    source = source_of(gitlab)
    read = {name: source.to_document("files", record) for name, record in extracted(source, "files").items()}
    [code] = read["file-7-café.py"].parts
    assert (code.role, code.text) == ("code", "# déjà vu, façade, garçon\nx = 1\n")
    assert code.metadata == {"language": "python", "path": "café.py"}
    assert read["file-7-café.py"].url == "https://git.test/acme/phones/-/blob/main/caf%C3%A9.py"
    assert [(part.role, part.text) for part in read["file-7-docs/readme.md"].parts] == [("page", "# Hello\n")]
    assert [part.role for part in read["file-7-notes.txt"].parts] == ["description"]


def test_a_wiki_edit_shows_in_the_listing_without_a_time(gitlab: GitLab):
    gitlab.page(7, "home", "One")
    source = source_of(gitlab)
    [before] = source.live_ids("wikis")
    gitlab.page(7, "home", "Two")
    [after] = source.live_ids("wikis")
    assert isinstance(before, LiveId)
    assert isinstance(after, LiveId)
    assert before.modified_at == after.modified_at == CREATED
    assert before.cheap_version != after.cheap_version
    assert [part.text for part in document(source, "wikis", "wiki-7-home").parts] == ["Home", "Two"]


def test_a_page_that_was_renamed_by_case_lives_under_its_new_name_only(gitlab: GitLab):
    gitlab.page(7, "Setup", "One")
    source = source_of(gitlab)
    gitlab.wikis[7] = {}
    gitlab.page(7, "setup", "One")
    assert [event(source, "wikis", f"wiki-7-{slug}") for slug in ("Setup", "setup")] == ["deleted", "live"]


def test_a_wiki_is_believed_to_be_empty_only_by_a_project_whose_code_can_be_read(gitlab: GitLab):
    fill(gitlab)
    source = source_of(gitlab)
    pages = gitlab.wikis[7]
    gitlab.wikis[7] = {}
    assert event(source, "wikis", "wiki-7-guide/part 1") == "deleted"
    assert list(source.live_ids("wikis")) == []
    gitlab.off[7, "repository"] = 404
    assert event(source, "wikis", "wiki-7-guide/part 1") == "malformed"
    assert [type(item) for item in source.live_ids("wikis")] == [Hidden]
    gitlab.wikis[7] = {"other": pages.popitem()[1] | {"slug": "other"}}
    assert event(source, "wikis", "wiki-7-guide/part 1") == "deleted"


def test_a_page_that_is_listed_and_not_shown_is_not_deleted(gitlab: GitLab):
    gitlab.page(7, "setup", "One")
    gitlab.answers["/projects/7/wikis/setup"] = [httpx.Response(404)]
    assert event(source_of(gitlab), "wikis", "wiki-7-setup") == "malformed"


def test_diffs_that_bring_no_text_are_noted(gitlab: GitLab):
    gitlab.item(7, "merge_requests", 1, "Big", at("04 10:00"))
    gitlab.diffs[7, "merge_requests/1"] = [
        diff_of("a.py"),
        diff_of("huge.sql", diff="", too_large=True),
        diff_of("long.py", diff="", collapsed=True),
        diff_of("api.pb.go", generated_file=True),
        diff_of("logo.bmp2", diff="Binary files a/x and b/x differ\n"),
        diff_of("link", b_mode="120000"),
        diff_of("module", a_mode="160000", b_mode="0"),
    ]
    read = document(source_of(gitlab), "merge_requests", "merge_request-7-1")
    assert [part.path for part in read.parts] == ["header", "description", "diff-a.py"]
    assert read.metadata["diffs_left_out"] == [
        "huge.sql (too large)",
        "long.py (collapsed)",
        "api.pb.go (generated)",
        "logo.bmp2 (binary)",
        "link (no file)",
        "module (no file)",
    ]


def test_a_merge_request_says_that_it_has_more_files_than_are_sent(gitlab: GitLab):
    gitlab.item(7, "merge_requests", 1, "Big", at("04 10:00"), changes_count="1000+")
    gitlab.diffs[7, "merge_requests/1"] = [diff_of("a.py")]
    source = source_of(gitlab)
    for record in [
        *source.fetch("merge_requests", ["merge_request-7-1"]),
        *extracted(source, "merge_requests").values(),
    ]:
        read = source.to_document("merge_requests", record)
        assert read.metadata["diffs_left_out"] == ["more files than GitLab sends"]


def test_a_commit_of_as_many_files_as_are_sent_may_have_more(gitlab: GitLab):
    shas = [gitlab.commit(7, f"{n} files", at("04 10:00"), *map(diff_of, map(str, range(n)))) for n in (999, 1000)]
    source = source_of(gitlab, limits={"page_size": 100})
    left_out = [document(source, "commits", f"commit-7-{sha}").metadata.get("diffs_left_out") for sha in shas]
    assert left_out == [None, ["more files than GitLab sends"]]


def test_a_commit_tells_its_author_and_no_address_and_merges_and_old_ones_stay_out(gitlab: GitLab):
    old = gitlab.commit(7, "Old", "2024-11-04T10:00:00.000Z")
    merge = gitlab.commit(7, "Merge branch", at("04 10:00"), parents=2)
    sha = gitlab.commit(7, "Fix dialing\n\nThe relay was late.", at("05 10:00"), diff_of("dial.py"))
    source = source_of(gitlab)
    assert set(extracted(source, "commits")) == {f"commit-7-{sha}"}
    read = document(source, "commits", f"commit-7-{sha}")
    assert [part.text for part in read.parts] == ["Fix dialing", "The relay was late.", "@@ -1 +1 @@\n-a\n+b\n"]
    assert read.metadata["author"] == "Anna Berg"
    assert "@acme" not in str([read.title, read.url, read.parts, read.metadata])
    assert {event(source, "commits", f"commit-7-{one}") for one in (old, merge)} == {"deleted"}


def test_a_commit_below_an_older_one_is_found_in_its_own_window(gitlab: GitLab):
    young = gitlab.commit(7, "By a right clock", at("10 00:01"), diff_of("a.py"))
    gitlab.files[7]["a.py"] = b"a = 1\n"
    for number in range(3):
        gitlab.commit(7, f"By a clock that is late {number}", at("09 23:58"))
    gitlab.commit(7, "By a clock that was reset", "2019-01-01T00:00:00.000Z")
    source = source_of(gitlab)
    since, until = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC)
    assert set(extracted(source, "commits", since, until)) == {f"commit-7-{young}"}
    assert set(extracted(source, "files", since, until)) == {"file-7-a.py"}
    assert len(list(source.live_ids("commits"))) == 4
    assert event(source, "commits", f"commit-7-{young}") == "live"


def test_a_commit_that_the_branch_has_no_more_is_deleted(gitlab: GitLab):
    fill(gitlab)
    lost = gitlab.commit(7, "Forced away", at("10 10:00"))
    source = source_of(gitlab)
    assert event(source, "commits", f"commit-7-{lost}") == "live"
    gitlab.commits[7].insert(1, gitlab.commits[7].pop(0))
    gitlab.lost.add(lost)
    assert event(source, "commits", f"commit-7-{lost}") == "deleted"


def test_a_window_of_a_long_history_is_not_read_to_its_beginning(gitlab: GitLab):
    for number in range(400):
        gitlab.commit(7, f"Old {number}", at("04 10:00"))
    new = gitlab.commit(7, "New", at("10 10:00"))
    source = source_of(gitlab, limits={"page_size": 50})
    found = extracted(source, "commits", datetime(2026, 11, 10, tzinfo=UTC), FAR_AHEAD)
    assert set(found) == {f"commit-7-{new}"}
    assert sum(request.url.path.endswith("/commits") for request in gitlab.asked) == 3


@pytest.mark.parametrize("body", [None, [], {"title": "another"}])
@pytest.mark.parametrize("stream", STREAMS)
def test_an_odd_answer_is_told_and_stops_no_other_record(gitlab: GitLab, stream: str, body: Any):
    fill(gitlab)
    source = source_of(gitlab, limits={"max_concurrent_requests": 1})
    names = [item.record_id for item in source.live_ids(stream) if isinstance(item, LiveId)]
    place = {
        "issues": "issues/1",
        "merge_requests": "merge_requests/1",
        "commits": f"repository/commits/{names[0].rpartition('-')[2]}",
        "files": "repository/files/src/1.py",
        "wikis": "wikis/guide/part 1",
    }
    gitlab.answers[f"/projects/7/{place[stream]}"] = [httpx.Response(200, content=json.dumps(body))]
    assert [record.event for record in source.fetch(stream, names)] == ["malformed", *["live"] * 4]


def test_one_bad_record_stops_no_other(gitlab: GitLab):
    fill(gitlab)
    gitlab.work[7, "issues"][2]["updated_at"] = None
    gitlab.answers["/projects/7/issues/3/notes"] = [httpx.Response(500) for _ in range(2)]
    gitlab.work[7, "issues"][4]["title"] = "half \ud83d pair"
    source = source_of(gitlab)
    found = extracted(source, "issues")
    assert {name for name, record in found.items() if record.event == "malformed"} == {"issue-7-2", "issue-7-3"}
    assert len(found) == 5
    del gitlab.work[7, "issues"][1]["title"]
    [broken] = source.fetch("issues", ["issue-7-1"])
    with pytest.raises(ValueError, match="title"):
        source.to_document("issues", broken)


def test_no_error_and_no_record_carries_the_token(gitlab: GitLab):
    fill(gitlab)
    gitlab.off[7, "issues"] = 403
    source = source_of(gitlab)
    texts = [repr(source), *map(repr, source.extract("issues", BEGINNING, FAR_AHEAD))]
    gitlab.answers["/projects"] = [httpx.Response(401)]
    with pytest.raises(SourceError) as error:
        source.check()
    assert TOKEN not in "".join([*texts, str(error.value)])
    assert ".gitlab.token" in str(error.value)
