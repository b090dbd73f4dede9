"""Files of Slack's messages: which ones a document names as attachments, and how their bytes are had."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina

from sync_assets.documents import Attachment, Document, Visibility
from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources import LiveId
from sync_assets.sources.http import Timer
from sync_assets.sources.slack import Account, Source
from sync_assets_tests.sources.slack_fake import NOON, TOKEN, FakeSlack, ts

ADDRESS = "https://files.slack.com/files-pri/T1-F1/download/steps.txt"
LOGIN = b"<!DOCTYPE html><html><body>Sign in to Acme</body></html>"
DAY = "C1-2026-11-05"


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


class FakeFiles(FakeSlack):
    """A workspace with files.

    Attributes:
        infos: what `files.info` says, by file.
        downloads: what their addresses give.
        taken: requests for addresses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.user("U1", "ada", display_name="Ada")
        self.channel("C1", "support")
        self.infos: dict[str, Any] = {"F1": file()}
        self.downloads: dict[str, httpx.Response] = {ADDRESS: httpx.Response(200, content=b"1. Ring")}
        self.taken: list[httpx.Request] = []

    def transport(self) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            if not request.url.path.endswith("/api/files.info"):
                if "/api/" in request.url.path:
                    return self._answer(request)
                self.taken.append(request)
                return self.downloads[str(request.url)]
            self.calls["files.info"] += 1
            body = self.refusals.get("files.info") or {"file": self.infos[request.url.params["file"]]}
            return httpx.Response(200, json={"ok": "error" not in body, **body})

        return httpx.MockTransport(answer)


def file(file_id: str = "F1", name: str = "steps.txt", **more: Any) -> dict[str, Any]:
    return {
        "id": file_id,
        "name": name,
        "title": name,
        "mimetype": "text/plain",
        "mode": "hosted",
        "is_external": False,
        "size": 7,
        "url_private_download": ADDRESS,
        **more,
    }


@pytest.fixture
def slack() -> FakeFiles:
    return FakeFiles()


def opened(slack: FakeSlack, **changes: Any) -> Source:
    account = Account.model_validate({"token": TOKEN} | changes)
    timer = Timer(lambda: 0.0, lambda seconds: None)
    return Source(f"acme-{uuid4().hex[:8]}", account, clock=lambda: NOON, timer=timer, transport=slack.transport())


def document(source: Source, record_id: str = DAY) -> Document:
    (record,) = source.fetch("messages", [record_id])
    return source.to_document("messages", record)


def attachments(slack: FakeSlack, *files: Any) -> list[Attachment]:
    """What a document attaches whose one message shares these files."""
    slack.post("C1", ts(5), "Look:", files=list(files))
    return document(opened(slack)).attachments


def read(slack: FakeFiles, max_bytes: int = 1000, **changes: Any) -> bytes:
    with opened(slack, **changes) as source:
        return source.read_file("F1/7", max_bytes)


# Which files


def test_an_uploaded_file_is_attached_with_what_its_message_tells_of_it(slack: FakeFiles) -> None:
    assert attachments(slack, file(name="a &amp; b.txt")) == [
        Attachment(
            locator="F1/7",
            path="attachment-F1",
            name="a & b.txt",
            content_type="text/plain",
            size=7,
            visibility=Visibility.INTERNAL,
        )
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"mode": "tombstone"},
        {"mode": "hidden_by_limit"},
        {"mode": "external", "is_external": True, "url_private": "https://docs.example/d/1"},
        {"is_external": True},
        {"mode": "space"},
        {"mode": "quip"},
        {"id": None},
        {"id": "F1/../F2"},
    ],
)
def test_what_slack_does_not_hold_as_it_was_uploaded_is_only_named(slack: FakeFiles, other: Any) -> None:
    assert attachments(slack, file(**other)) == []


def test_a_file_of_another_workspace_of_which_only_the_id_is_told_is_asked_for(slack: FakeFiles) -> None:
    unknown = {"id": "F1", "mode": "file_access", "file_access": "check_file_info"}
    (found,) = attachments(slack, unknown)
    assert (found.locator, found.name, found.size) == ("F1", "F1", None)


def test_a_file_that_was_shared_twice_is_attached_once_and_in_the_order_of_messages(slack: FakeFiles) -> None:
    slack.post("C1", ts(5, 9), "First:", files=[file("F2"), file("F1")])
    slack.post("C1", ts(5, 10), "Again:", files=[file("F1")], user="U1")
    slack.post("C1", ts(5, 11), "An older one:", file=file("F3"))
    found = document(opened(slack)).attachments
    assert [one.path for one in found] == ["attachment-F2", "attachment-F1", "attachment-F3"]


def test_files_of_a_private_channel_are_for_its_members(slack: FakeFiles) -> None:
    slack.channel("G1", "board", "U1", "U2", private=True)
    slack.post("G1", ts(5), "Secret:", files=[file()])
    (found,) = document(opened(slack, private=True), "private.G1-2026-11-05").attachments
    assert (found.visibility, found.principals) == (Visibility.RESTRICTED, ["user:U1", "user:U2"])


def test_an_archive_only_names_files(slack: FakeFiles, tmp_path: Path) -> None:
    slack.post("C1", ts(5), "Look:", files=[file()])
    exported = Source("acme", Account(export=slack.archive(tmp_path / "export.zip")), clock=lambda: NOON)
    of_archive, of_web = document(exported), document(opened(slack))
    assert of_archive.attachments == []
    assert [part.text for part in of_archive.parts] == ["Ada: Look:\n\nFile: steps.txt"]
    assert of_archive.content_hash == of_web.content_hash
    with pytest.raises(FileUnavailable, match="token"):
        exported.read_file("F1/7", 1000)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([{"id": "F1", "mode": "tombstone"}], id="deleted"),
        pytest.param([], id="taken out"),
        pytest.param([file("F9")], id="another of its name"),
        pytest.param([file(size=8)], id="edited"),
    ],
)
def test_another_set_of_files_moves_the_cheap_version_and_not_the_time(slack: FakeFiles, after: Any) -> None:
    slack.post("C1", ts(5), "Look:", files=[file()])
    (before,) = opened(slack).live_ids("messages")
    slack.post("C1", ts(5), "Look:", files=after)

    source = opened(slack)
    (swept,) = source.live_ids("messages")
    (fetched,) = source.fetch("messages", [DAY])

    assert isinstance(before, LiveId)
    assert isinstance(swept, LiveId)
    assert swept.modified_at == before.modified_at == fetched.modified_at
    assert swept.cheap_version == fetched.cheap_version != before.cheap_version


# Bytes


def test_a_file_is_read_with_the_token_from_the_address_that_it_has_now(slack: FakeFiles) -> None:
    moved = "https://files.slack.com/files-pri/T1-F1/moved"
    slack.infos["F1"] = file(url_private_download=moved)
    slack.downloads = {moved: httpx.Response(200, content=b"1. Ring")}
    assert read(slack) == b"1. Ring"
    assert [request.headers["Authorization"] for request in slack.taken] == [f"Bearer {TOKEN}"]


def test_with_a_root_of_ones_own_files_are_read_from_there_alone(slack: FakeFiles) -> None:
    inside = "https://proxy.example/slack/files-pri/T1-F1/steps.txt"
    slack.downloads[inside] = httpx.Response(200, content=b"inside")
    with pytest.raises(FileUnavailable, match=r"files\.slack\.com, which .*base_url does not name"):
        read(slack, base_url="https://proxy.example/slack")
    slack.infos["F1"] = file(url_private_download=inside)
    assert read(slack, base_url="https://proxy.example/slack") == b"inside"
    assert [str(request.url) for request in slack.taken] == [inside]


@pytest.mark.parametrize(
    "address", ["https://evil.example/f", "http://files.slack.com/f", "https://a.slack.com/f", "f"]
)
def test_no_other_host_is_asked(slack: FakeFiles, address: str) -> None:
    slack.infos["F1"] = file(url_private_download=address)
    with pytest.raises(FileUnavailable):
        read(slack)
    assert slack.taken == []


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=LOGIN),
        httpx.Response(200, content=b"\xef\xbb\xbf\n<!-- page --> <HTML lang='en'>"),
        httpx.Response(302, headers={"Location": "https://acme.slack.com/?redir=%2Ffiles-pri"}),
        httpx.Response(403),
    ],
)
def test_a_page_to_log_in_is_never_taken_for_the_file(slack: FakeFiles, answer: httpx.Response) -> None:
    slack.downloads[ADDRESS] = answer
    with pytest.raises(FileUnavailable, match="files:read") as caught:
        read(slack)
    assert TOKEN not in str(caught.value)
    assert len(slack.taken) == 1


def test_a_page_that_was_uploaded_is_a_file(slack: FakeFiles) -> None:
    slack.infos["F1"] = file(name="page.html", size=len(LOGIN))
    slack.downloads[ADDRESS] = httpx.Response(200, content=LOGIN)
    assert read(slack) == LOGIN


@pytest.mark.parametrize("info", [file(size=1001), file(size=None)])
def test_a_file_that_is_too_long_is_not_read(slack: FakeFiles, info: Any) -> None:
    slack.infos["F1"] = info
    slack.downloads[ADDRESS] = httpx.Response(200, content=b"x" * 1001)
    with pytest.raises(FileUnavailable, match="max_bytes=1000"):
        read(slack)


@pytest.mark.parametrize(
    "info", [{"id": "F1", "mode": "tombstone"}, file(is_external=True), file(url_private_download=None), None]
)
def test_a_file_that_slack_holds_no_more_is_a_matter_of_that_file(slack: FakeFiles, info: Any) -> None:
    slack.infos["F1"] = info
    with pytest.raises(FileUnavailable):
        read(slack)
    assert slack.taken == []


@pytest.mark.parametrize("code", ["file_not_found", "file_deleted", "access_denied"])
def test_a_refused_file_is_a_matter_of_that_file(slack: FakeFiles, code: str) -> None:
    slack.refusals["files.info"] = {"error": code}
    with pytest.raises(FileUnavailable, match=code):
        read(slack)


def test_the_scope_that_is_missing_is_named(slack: FakeFiles) -> None:
    slack.refusals["files.info"] = {"error": "missing_scope", "needed": "files:read", "provided": "users:read"}
    with pytest.raises(FileUnavailable, match="Give the app the scope files:read"):
        read(slack)


def test_a_wrong_token_is_no_matter_of_one_file(slack: FakeFiles) -> None:
    slack.refusals["files.info"] = {"error": "token_revoked"}
    with pytest.raises(SourceError, match=r"slack\.token"):
        read(slack)
