"""GitLab and Backlog from their servers to what a search finds, and what is told where something can't be had."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from sync_assets.demo.backlog_limits import BacklogLimits
from sync_assets.demo.backlog_space import BacklogSpace
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets.demo.gitlab_limits import GitLabLimits
from sync_assets.demo.server import DemoServers
from sync_assets.settings import PREFIX
from sync_assets_tests.attachments import files
from sync_assets_tests.command_line import YESTERDAY, Installation
from sync_assets_tests.end_to_end.small_work import MEMBERS_ONLY, PUMP, PUMP_PATH, VENT, small_work_company
from sync_assets_tests.laws.work import WORK
from sync_assets_tests.postgres import fresh_database

STREAMS = [
    *(("gitlab", stream) for stream in ("issues", "merge_requests", "commits", "files", "wikis")),
    *(("backlog", stream) for stream in ("issues", "wikis", "documents")),
]
PUMP_URL = "https://gitlab.small.example/small/pump"
# One window: a sweep costs little with it.
SWEEP = ("--from", f"{YESTERDAY:%Y-%m-%d}", "--to", f"{YESTERDAY:%Y-%m-%d}", "--sweep")
ALL_MAY_GO = {f"{PREFIX}SWEEP_MAX_DELETE_SHARE": "1"}
GITLAB_ISSUES = ("--source", "gitlab", "--stream", "issues")
BACKLOG_ISSUES = ("--source", "backlog", "--stream", "issues")
ENTITY_BOMB = '<!DOCTYPE w [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>'
FILM = b"\0\0\0\x18ftypmp42" + bytes(40)


class Work(Installation):
    """An installation whose only tenant has a small GitLab and a small Backlog, synced once.

    What a test changes for good, no other test asks for.

    Attributes:
        first: counts of that sync.
        at_first: how many records upstream had then.
    """

    def __init__(self, *place: Any) -> None:
        super().__init__(*place)
        self.first = self.sync("--all")
        of_streams = [self.servers.company.record_ids(WORK, *stream) for stream in STREAMS]
        self.at_first = sum(map(len, of_streams))

    @property
    def gitlab(self) -> GitLabInstance:
        return self.servers.company.gitlab[WORK]

    @property
    def backlog(self) -> BacklogSpace:
        return self.servers.company.backlog[WORK]

    def environment(self, **more: str) -> dict[str, str]:
        """As of every installation, with a small model that knows words: searches are asked in words."""
        return super().environment(**{f"{PREFIX}MODEL": "wordllama-256", **more})

    def found(self, text: str, *options: str, audience: str = "internal") -> list[dict[str, Any]]:
        chosen = ("--tenant", WORK, "--audience", audience, "--top-k", "100", "--json", *options)
        outcome = self.run("search", text, *chosen)
        assert outcome.code == 0, outcome
        return outcome.json

    def issues(self, source: str, *options: str, audience: str = "internal") -> set[str]:
        """Ids of the issues that somebody may find."""
        chosen = ("--filter", f"source={source}", "--filter", "stream=issues", *options)
        hits = self.found("anything", *chosen, audience=audience)
        assert len(hits) < 100, "a search lists no more"
        return {hit["record_id"] for hit in hits}

    def quarantined(self) -> dict[str, str]:
        """Reasons by record."""
        return {row["record_id"]: row["reason"] for row in self.run("quarantine", "list", "--json").json}


def embedded(synced: dict[str, Any]) -> dict[str, int]:
    """How many texts were embedded by stream, where there were any."""
    counts = {row["stream"]: row.get("embedded", 0) for row in synced["stages"] if row["stage"] == "embeddings"}
    return {stream: count for stream, count in counts.items() if count}


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Work]:
    many = 100_000
    servers = DemoServers(
        company=small_work_company(),
        gitlab_limits=GitLabLimits(requests=many, project_requests=many),
        backlog_limits=BacklogLimits(read=many, search=many),
    )
    with servers, fresh_database(postgres_url) as url:
        yield Work(tmp_path_factory.mktemp("work"), url, servers)


@pytest.fixture
def new_issue(work: Work) -> Iterator[int]:
    """A new issue of Backlog, which is deleted in the end, and so nothing of it is in quarantine."""
    issue = work.backlog.add_issue("PUMP", "ben", "Less heat in the mountains")["id"]
    yield issue
    work.backlog.delete_issue(issue, "ben")
    synced = work.sync(*BACKLOG_ISSUES)
    assert (synced["failures"], synced["quarantined"]) == ([], 0)


def test_the_accounts_are_checked_and_a_second_sync_does_nothing(work: Work) -> None:
    checked = work.run("tenants", "check", "--json")
    assert checked.code == 0, checked
    details = {row["source"]: row["detail"] for row in checked.json}
    assert details["gitlab"].endswith("user reader, 2 projects to sync")
    assert details["backlog"].endswith("space Small, 2 projects to sync")
    assert (work.first["failures"], work.first["quarantined"]) == ([], 0)
    assert work.first["documents"] == work.at_first
    again = work.sync("--stream", "issues", "--stream", "files", "--all")
    assert (again["embedded"], again["written"], again["payloads"], again["deleted"]) == (0, 0, 0, 0)


def test_a_function_is_found_by_its_name_and_a_merge_request_by_its_diff(work: Work) -> None:
    function = work.found("bool pressure_is_low", "--filter", "stream=files")[0]
    assert function["record_id"] == f"file-{PUMP}-{PUMP_PATH}"
    assert "bool pressure_is_low(" in function["text"]
    assert "pressure_put" not in function["text"]
    assert function["url"] == f"{PUMP_URL}/-/blob/main/{PUMP_PATH}"
    diff = work.found("count > SETTLING_READINGS", "--filter", "doc_type=merge_request")[0]
    assert (diff["record_id"], diff["role"]) == (f"merge_request-{PUMP}-1", "diff")
    assert "SETTLING_READINGS" in diff["text"]
    assert diff["metadata"]["part_path"] == PUMP_PATH
    assert diff["url"] == f"{PUMP_URL}/-/merge_requests/1"


def test_a_japanese_issue_and_the_text_of_its_file_are_found_in_japanese(work: Work) -> None:
    record_id = f"issue-{work.backlog.issue('PUMP-1')['id']}"
    address = f"{work.servers.base_url(WORK)}/backlog/view/PUMP-1"
    comment = work.found("シールドを両端接地すると悪化する")[0]
    assert comment["record_id"] == record_id
    assert "循環電流で悪化" in comment["text"]
    assert comment["url"].startswith(f"{address}#comment-")
    row = work.found("異常コード E5 圧縮機過電流", "--filter", "role=sheet")[0]
    assert (row["record_id"], row["url"]) == (record_id, address)
    assert row["metadata"]["part_attachment"] == "異常履歴.csv"
    assert "圧縮機過電流" in row["text"]


def test_everybody_finds_what_is_theirs_to_see(work: Work) -> None:
    in_private, in_public, confidential = f"issue-{PUMP}-1", f"issue-{VENT}-1", f"issue-{VENT}-2"
    assert work.issues("gitlab", "--principal", "user:ada") == {in_private, in_public, confidential}
    assert work.issues("gitlab", "--principal", "user:ben") == {in_private, in_public}
    assert work.issues("gitlab", audience="public") == {in_public}
    assert work.issues("backlog", audience="public") == set()
    assert any(MEMBERS_ONLY in hit["text"] for hit in work.found(MEMBERS_ONLY))
    assert not any(MEMBERS_ONLY in hit["text"] for hit in work.found(MEMBERS_ONLY, audience="public"))


def test_an_edited_function_embeds_itself_and_the_commit(work: Work) -> None:
    repository = work.gitlab.data.project(PUMP).repository
    before = repository.file(repository.resolve("HEAD"), PUMP_PATH)[1].decode()
    after = before.replace("mean->count++;", "mean->count++;\n    mean->marmalade++;")
    sha = work.gitlab.push(PUMP, "ada", "Count what was taken", write={PUMP_PATH: after})
    synced = work.sync("--source", "gitlab", "--stream", "files", "--stream", "commits")
    # Of the commit its title and its one hunk.
    assert embedded(synced) == {"files": 1, "commits": 2}
    found = {hit["record_id"]: hit["text"] for hit in work.found("marmalade") if "marmalade" in hit["text"]}
    assert found.keys() == {f"file-{PUMP}-{PUMP_PATH}", f"commit-{PUMP}-{sha}"}
    assert "pressure_put(" in found[f"file-{PUMP}-{PUMP_PATH}"]
    assert "+    mean->marmalade++;" in found[f"commit-{PUMP}-{sha}"]


def test_a_deleted_backlog_issue_goes_without_a_sweep(work: Work) -> None:
    before = work.issues("backlog")
    record_id = f"issue-{work.backlog.issue('VENT-1')['id']}"
    work.backlog.delete_issue("VENT-1", "cleo")
    synced = work.sync(*BACKLOG_ISSUES, "--no-sweep")
    assert (synced["failures"], synced["deleted"], synced["embedded"]) == ([], 1, 0)
    assert before - work.issues("backlog") == {record_id}


@pytest.mark.parametrize(("source", "record_id"), [("gitlab", f"issue-{PUMP}-999"), ("backlog", "PUMP-2")])
def test_a_mistyped_record_is_told_and_leaves_no_trace(work: Work, source: str, record_id: str) -> None:
    outcome = work.run("sync", "--tenant", WORK, "--source", source, "--stream", "issues", "--record", record_id)
    assert outcome.code == 1, outcome
    assert f"{source}/issues has no record '{record_id}'" in words(outcome.out + outcome.err)
    assert work.quarantined() == {}


@pytest.mark.parametrize(("source", "setting"), [("gitlab", "token"), ("backlog", "api_key")])
def test_a_wrong_credential_is_told_with_its_setting(work: Work, source: str, setting: str) -> None:
    work.change_account(WORK, source, **{setting: "not-the-right-one"})
    try:
        outcomes = [work.run("sync", "--source", source), work.run("tenants", "check")]
    finally:
        work.write_tenants()
    for outcome in outcomes:
        told = words(outcome.out + outcome.err)
        assert outcome.code == 1, outcome
        assert f"tenants.{WORK}.{source}.{setting}" in told.replace(" ", "")
        assert "not-the-right-one" not in told


def test_a_gitlab_project_that_is_hidden_for_a_while_stays_and_is_told(work: Work) -> None:
    stored = work.issues("gitlab")
    work.gitlab.set_access(PUMP, None)
    try:
        # Though it may delete however many are missing, it asks for each, and none is gone.
        asked = work.sync(*GITLAB_ISSUES, *SWEEP, code=3, **ALL_MAY_GO)
    finally:
        work.gitlab.set_access(PUMP, 20)
    assert asked["deleted"] == 0
    held = work.quarantined()
    assert held.keys() == {f"issue-{PUMP}-1"}
    assert f"does not show project {PUMP}" in held[f"issue-{PUMP}-1"]
    assert work.issues("gitlab") == stored
    back = work.sync(*GITLAB_ISSUES, *SWEEP)
    assert (back["quarantined"], back["embedded"], back["written"]) == (0, 0, 0)


def test_a_backlog_project_that_was_left_stays_and_is_told(work: Work) -> None:
    stored = work.issues("backlog")
    work.backlog.leave("PUMP")
    try:
        swept = work.sync(*BACKLOG_ISSUES, *SWEEP, code=1)
    finally:
        work.backlog.join("PUMP")
    assert "project PUMP can't be read" in swept["failures"][0]
    assert f"tenants.{WORK}.backlog.projects" in swept["failures"][0]
    assert work.issues("backlog") == stored


def test_files_that_cant_be_read_are_told_and_their_issue_is_stored(work: Work, new_issue: int) -> None:
    record_id = f"issue-{new_issue}"
    for name, content in {
        "bomb.docx": files.word(prolog=ENTITY_BOMB),
        "broken.pdf": b"%PDF-1.7\nnothing follows",
        "film.mp4": FILM,
        "altitude.txt": b"The kumquat valve opens at 1200 m.\n",
    }.items():
        work.backlog.attach(new_issue, "ben", name, content)
    synced = work.sync(*BACKLOG_ISSUES, code=3)
    assert (synced["failures"], synced["quarantined"]) == ([], 1)
    held = work.quarantined()
    assert held.keys() == {record_id}
    assert "bomb.docx: declares XML entities, which may be a bomb." in held[record_id]
    assert "broken.pdf: " in held[record_id]
    assert "film.mp4" not in held[record_id]
    read = work.found("kumquat valve", "--filter", f"record_id={record_id}")[0]
    assert "kumquat" in read["text"]
    assert read["metadata"]["part_attachment"] == "altitude.txt"
    with work.instance() as instance:
        materialized = instance.get_latest_materialization_event(dg.AssetKey(["backlog", "issues", "documents"]))
    assert materialized is not None
    assert materialized.asset_materialization is not None
    notes = materialized.asset_materialization.metadata["notes"].value
    assert "film.mp4: is of no kind that can be read." in str(notes)
