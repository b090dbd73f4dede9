"""The demo company's GitLab: its protocol over the wire, its limits and faults, what people do there, its content."""

import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import gitlab
import httpx
import pytest
import uvicorn
from gitlab.exceptions import GitlabAuthenticationError, GitlabGetError, GitlabHttpError, GitlabListError
from gitlab.v4.objects import Project
from starlette.applications import Starlette
from starlette.routing import Mount

from sync_assets.demo.gitlab import create_app
from sync_assets.demo.gitlab_content import build_instance, read_profile
from sync_assets.demo.gitlab_data import Feature
from sync_assets.demo.gitlab_instance import GitLabInstance
from sync_assets.demo.gitlab_limits import GitLabLimits

TOKEN = "glpat-demo-acme"
FIRMWARE, GUIDES, PAYROLL = 7101, 7102, 7103
# A limit of each kind that the content reaches; no test but those of limits comes near to them.
LIMITS = GitLabLimits(requests=200, project_requests=20, max_offset=40, counted_rows=50)
START = datetime(2026, 11, 13, 12, tzinfo=UTC)

Json = dict[str, Any]


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment


class Server:
    """The instance behind a prefix, as the demo company serves it, with a client that knows nothing but HTTP."""

    def __init__(self, root: str, instance: GitLabInstance) -> None:
        self.root = root
        self.instance = instance
        self.client = httpx.Client(base_url=f"{root}/api/v4", headers={"PRIVATE-TOKEN": TOKEN})

    def get(self, path: str, /, **params: Any) -> Any:
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, /, **params: Any) -> list[list[Any]]:
        """All pages of a listing, where each tells the address of the next."""
        answer = self.client.get(path, params=params)
        pages = [answer.json()]
        while "next" in answer.links:
            answer = self.client.get(answer.links["next"]["url"])
            assert answer.status_code == 200, answer.text
            pages.append(answer.json())
        return pages

    def refusal(self, path: str, /, **params: Any) -> tuple[int, Any]:
        answer = self.client.get(path, params=params)
        return answer.status_code, answer.json()

    def order(self, act: str, **body: Any) -> Any:
        answer = httpx.post(f"{self.root}/_demo/{act}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@pytest.fixture(scope="module")
def running_clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(running_clock: Clock) -> Iterator[Server]:
    instance = GitLabInstance(build_instance(read_profile("acme")))
    app = Starlette(routes=[Mount("/acme/gitlab", create_app(instance, running_clock, LIMITS))])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}/acme/gitlab", instance)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def clock(running_clock: Clock) -> Clock:
    running_clock.moment = START
    return running_clock


@pytest.fixture
def server(running: Server, clock: Clock) -> Server:
    """The instance at its start."""
    running.instance.reset()
    return running


@pytest.fixture
def client(server: Server) -> gitlab.Gitlab:
    """The community's client, which waits for no limit and tries nothing again."""
    return gitlab.Gitlab(server.root, private_token=TOKEN, per_page=7, keep_base_url=True)


@pytest.fixture
def firmware(client: gitlab.Gitlab) -> Project:
    return client.projects.get("acme/desk-phone-firmware")


class TestReadByPythonGitlab:
    def test_it_says_who_reads_and_which_version_answers(self, client: gitlab.Gitlab) -> None:
        client.auth()
        assert client.user is not None
        assert client.user.username == "knowledge-sync"
        assert client.version()[0].startswith("18.")

    def test_the_users_projects_are_listed_by_key_to_the_end(self, client: gitlab.Gitlab) -> None:
        found = client.projects.list(
            membership=True, order_by="id", sort="asc", pagination="keyset", per_page=1, iterator=True
        )
        assert [project.path_with_namespace for project in found] == ["acme/desk-phone-firmware", "acme/field-guides"]

    def test_every_issue_comes_once_by_page_numbers_and_by_keys(self, firmware: Project) -> None:
        by_number = firmware.issues.list(order_by="updated_at", sort="asc", iterator=True)
        by_key = firmware.issues.list(order_by="updated_at", sort="asc", pagination="keyset", iterator=True)
        numbers = [issue.iid for issue in by_number]
        assert sorted(numbers) == list(range(1, 21))
        assert [issue.iid for issue in by_key] == numbers

    def test_notes_of_an_issue_tell_the_system_ones_and_the_internal_ones_apart(self, firmware: Project) -> None:
        notes = firmware.issues.get(1).notes.list(sort="asc", get_all=True)
        assert [note.system for note in notes] == [True, False, False, True]
        internal = [note.internal for note in firmware.issues.get(9).notes.list(sort="asc", get_all=True)]
        assert internal == [False, True]

    def test_a_merge_request_has_its_diffs_and_discussions(self, firmware: Project) -> None:
        request = firmware.mergerequests.get(1)
        assert (request.state, request.changes_count) == ("merged", "1")
        diffs = firmware.manager.gitlab.http_list(f"/projects/{FIRMWARE}/merge_requests/1/diffs", get_all=True)
        (diff,) = diffs
        assert diff["new_path"] == "src/audio/jitter_buffer.c"
        assert diff["diff"].startswith("@@ -")
        assert "+    if (buffer->frames[sequence % MAX_FRAMES] == NULL) {\n" in diff["diff"]
        threads = request.discussions.list(get_all=True)
        asked = next(thread for thread in threads if len(thread.attributes["notes"]) == 2)
        assert asked.attributes["notes"][0]["position"]["new_line"] == 38
        assert asked.attributes["notes"][0]["position"]["head_sha"] == request.sha

    def test_files_are_what_the_tree_says_they_are(self, firmware: Project) -> None:
        tree = firmware.repository_tree(recursive=True, pagination="keyset", per_page=4, iterator=True)
        blobs = {entry["path"]: entry["id"] for entry in tree if entry["type"] == "blob"}
        assert len(blobs) == 25
        for path, blob_id in blobs.items():
            file = firmware.files.get(path, ref="HEAD")
            content = file.decode()
            assert file.blob_id == blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            assert file.content_sha256 == hashlib.sha256(content).hexdigest()
            assert firmware.files.raw(path, ref="main") == content

    def test_a_commit_tells_its_stats_and_its_diff(self, firmware: Project) -> None:
        commit = firmware.commits.list(get_all=True)[-1]
        assert commit.title == "Import the Relay 20 firmware tree"
        assert firmware.commits.get(commit.id).stats["deletions"] == 0
        assert {change["new_file"] for change in commit.diff(get_all=True)} == {True}

    def test_a_comparison_tells_renamed_and_deleted_files(self, firmware: Project) -> None:
        first = firmware.commits.list(get_all=True)[-2]
        found = firmware.repository_compare(first.id, "main")
        assert isinstance(found, dict)
        moved = [(diff["old_path"], diff["new_path"]) for diff in found["diffs"] if diff["renamed_file"]]
        assert moved == [("tools/make_config.py", "tools/provision.py")]
        assert [diff["old_path"] for diff in found["diffs"] if diff["deleted_file"]] == ["tools/serial_flash.py"]
        assert found["commits"][-1]["id"] == found["commit"]["id"] == firmware.commits.list(get_all=True)[0].id

    def test_wiki_pages_come_with_their_content_and_by_slug(self, firmware: Project) -> None:
        pages = firmware.wikis.list(with_content=True, get_all=True)
        assert [page.slug for page in pages] == ["Debug/Capture-on-the-phone", "Home", "Lab-network", "Release-process"]
        assert firmware.wikis.get("Debug/Capture-on-the-phone").content == pages[0].content

    def test_a_wrong_token_is_refused(self, server: Server) -> None:
        with pytest.raises(GitlabAuthenticationError):
            gitlab.Gitlab(server.root, private_token="glpat-wrong").auth()

    def test_what_is_not_there_is_not_found(self, client: gitlab.Gitlab, firmware: Project) -> None:
        for ask in (
            lambda: client.projects.get(PAYROLL),
            lambda: firmware.issues.get(99),
            lambda: firmware.files.get("README", ref="main"),
            lambda: firmware.files.get("README.md", ref="no-branch"),
            lambda: firmware.wikis.get("Nowhere"),
            lambda: firmware.commits.get("0" * 40),
        ):
            with pytest.raises(GitlabGetError) as refusal:
                ask()
            assert refusal.value.response_code == 404

    def test_a_feature_that_is_switched_off_is_forbidden(self, server: Server, firmware: Project) -> None:
        asks: dict[Feature, Callable[..., Any]] = {
            "wiki": firmware.wikis.list,
            "merge_requests": firmware.mergerequests.list,
            "repository": firmware.commits.list,
        }
        for feature, ask in asks.items():
            server.instance.switch_feature(FIRMWARE, feature, False)
            with pytest.raises(GitlabListError) as refusal:
                ask(get_all=True)
            assert refusal.value.response_code == 403
            server.instance.switch_feature(FIRMWARE, feature, True)
            assert ask(get_all=True)

    def test_issues_that_are_switched_off_look_like_none(self, server: Server, firmware: Project) -> None:
        server.instance.switch_feature(FIRMWARE, "issues", False)
        assert firmware.issues.list(get_all=True) == []
        with pytest.raises(GitlabGetError) as refusal:
            firmware.issues.get(1)
        assert refusal.value.response_code == 404

    def test_a_commit_is_its_own_merge_base_with_the_branch_it_leads_to(
        self, server: Server, firmware: Project
    ) -> None:
        path = f"/projects/{FIRMWARE}/repository/merge_base"
        commit = firmware.commits.list(get_all=False)[3].id
        aside = firmware.commits.list(ref_name="echo-tail", get_all=False)[0].id
        assert server.get(path, **{"refs[]": [commit, "main"]})["id"] == commit
        assert server.get(path, **{"refs[]": [aside, "main"]})["id"] not in (aside, commit)
        assert server.refusal(path, **{"refs[]": ["nowhere", "main"]})[0] == 400

    def test_a_spent_limit_is_told_as_plain_text(self, server: Server, client: gitlab.Gitlab) -> None:
        server.order("faults", status=429, retry_after=3)
        with pytest.raises(GitlabHttpError) as refusal:
            client.http_get("/version", obey_rate_limit=False)
        assert (refusal.value.response_code, refusal.value.error_message) == (429, "Retry later\n")


class TestPaging:
    def test_headers_tell_the_pages_and_the_total(self, server: Server) -> None:
        answer = server.client.get(f"/projects/{FIRMWARE}/issues", params={"per_page": 9, "page": 2})
        told = {name: answer.headers[name] for name in ("x-page", "x-next-page", "x-prev-page", "x-total")}
        assert told == {"x-page": "2", "x-next-page": "3", "x-prev-page": "1", "x-total": "20"}
        last = server.client.get(f"/projects/{FIRMWARE}/issues", params={"per_page": 9, "page": 3})
        assert (last.headers["x-next-page"], len(last.json())) == ("", 2)
        assert "next" not in last.links

    def test_a_page_has_no_more_rows_than_the_instance_allows(self, server: Server) -> None:
        answer = server.client.get(f"/projects/{FIRMWARE}/issues", params={"per_page": 500})
        assert answer.headers["x-per-page"] == "100"

    def test_commits_come_without_a_total(self, server: Server) -> None:
        answer = server.client.get(f"/projects/{FIRMWARE}/repository/commits", params={"per_page": 5})
        assert answer.headers["x-next-page"] == "2"
        assert "x-total" not in answer.headers

    def test_links_keep_the_query_and_the_encoded_path(self, server: Server) -> None:
        path = "/projects/acme%2Fdesk-phone-firmware/issues"
        pages = server.pages(path, state="closed", per_page=3)
        assert [len(page) for page in pages] == [3, 3, 3]
        assert {issue["state"] for page in pages for issue in page} == {"closed"}
        assert server.instance.requests == {"GET /api/v4/projects/:id/issues": 3}

    @pytest.mark.parametrize("sort", ["asc", "desc"])
    def test_a_listing_by_key_loses_nothing_where_rows_go_meanwhile(self, server: Server, sort: str) -> None:
        path, params = f"/projects/{FIRMWARE}/issues", {"pagination": "keyset", "order_by": "created_at", "sort": sort}
        first = server.client.get(path, params={**params, "per_page": 10})
        server.instance.delete(FIRMWARE, f"#{first.json()[2]['iid']}")
        rest = server.client.get(first.links["next"]["url"])
        iids = [issue["iid"] for issue in [*first.json(), *rest.json()]]
        assert sorted(iids) == list(range(1, 21))
        assert "next" not in rest.links
        assert "x-page" not in first.headers

    @pytest.mark.parametrize("path", ["issues/1/notes", "merge_requests", "repository/commits"])
    def test_a_listing_without_keys_is_refused_in_gitlabs_words(self, server: Server, path: str) -> None:
        assert server.refusal(f"/projects/{FIRMWARE}/{path}", pagination="keyset") == (
            405,
            {"error": "Keyset pagination is not yet available for this type of request"},
        )

    def test_projects_have_keys_by_id_only_and_page_numbers_to_a_limit(self, server: Server) -> None:
        assert server.refusal("/projects", pagination="keyset", order_by="name")[0] == 405
        status, body = server.refusal("/projects", page=3, per_page=40)
        assert status == 405
        assert "maximum allowed offset of 40" in body["error"]


class TestListings:
    def test_issues_are_filtered_by_when_they_changed_both_ends_inclusive(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/issues"
        moment = server.get(f"{path}/9")["updated_at"]
        found = server.get(path, updated_after=moment, updated_before=moment)
        assert [issue["iid"] for issue in found] == [9]
        assert server.refusal(path, updated_after="2026-11-03T09:00:00 01:00") == (
            400,
            {"error": "updated_after is invalid"},
        )

    def test_projects_are_filtered_by_when_something_happened_in_them(self, server: Server) -> None:
        params = {"membership": True, "order_by": "last_activity_at", "sort": "desc"}
        found = server.get("/projects", **params, last_activity_after="2026-11-13T00:00:00Z")
        assert [project["id"] for project in found] == [FIRMWARE]
        server.order("write_wiki_page", project=GUIDES, title="Torch", content="Warm light.")
        server.order("comment", project=GUIDES, reference="#7", user="joel", body="Seen in Ghent too.")
        assert [project["id"] for project in server.get("/projects", **params)] == [GUIDES, FIRMWARE]

    def test_issues_are_filtered_by_who_has_to_do_with_them(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/issues"
        server.order("open_issue", project=FIRMWARE, user="knowledge-sync", title="Mine")
        server.order("edit", project=FIRMWARE, reference="#3", user="bjorn", assignees=["knowledge-sync"])
        assert [issue["iid"] for issue in server.get(path, scope="created_by_me")] == [21]
        assert [issue["iid"] for issue in server.get(path, scope="assigned_to_me")] == [3]

    def test_a_reply_stands_in_the_discussion_of_what_it_answers(self, server: Server) -> None:
        found = server.get(f"/projects/{FIRMWARE}/issues/1/discussions")
        assert [len(discussion["notes"]) for discussion in found] == [1, 2, 1]
        assert [discussion["individual_note"] for discussion in found] == [True, False, True]

    def test_a_long_listing_comes_without_its_total(self, server: Server) -> None:
        for number in range(LIMITS.counted_rows - 19):
            server.instance.open_issue(FIRMWARE, "tomas", f"Alarm {number}", at=START)
        answer = server.client.get(f"/projects/{FIRMWARE}/issues")
        assert "x-total" not in answer.headers
        assert answer.headers["x-next-page"] == "2"

    def test_chosen_issues_are_listed_by_number(self, server: Server) -> None:
        found = server.get(f"/projects/{FIRMWARE}/issues", **{"iids[]": [3, 5]})
        assert [issue["iid"] for issue in found] == [5, 3]

    def test_merge_requests_are_filtered_by_state(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/merge_requests"
        found = {state: len(server.get(path, state=state)) for state in ("merged", "opened", "closed", "all")}
        assert found == {"merged": 4, "opened": 3, "closed": 1, "all": 8}
        assert server.refusal(path, state="done")[0] == 400

    def test_commits_are_filtered_by_time_and_branch(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/repository/commits"
        day = server.get(path, since="2026-11-05T00:00:00Z", until="2026-11-05T23:59:59Z")
        assert [commit["title"] for commit in day] == [
            "Explain flash failures in decode_crash",
            "Merge branch 'lldp-wait' into 'main'",
            "Remove the flasher of the old test jig",
        ]
        on_branch = server.get(path, ref_name="echo-tail", with_stats=True)[0]
        assert (on_branch["title"], on_branch["stats"]) == (
            "Try a longer echo tail",
            {"additions": 1, "deletions": 1, "total": 2},
        )
        everything = {commit["id"] for commit in server.get(path, all=True, per_page=100)}
        assert on_branch["id"] in everything
        assert on_branch["id"] not in {commit["id"] for commit in server.get(path, per_page=100)}

    def test_commits_below_an_older_one_are_not_found_by_since(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/repository/commits"
        young = datetime(2026, 11, 13, 11, tzinfo=UTC)
        shas = [
            server.instance.push(FIRMWARE, "tomas", title, write={"a.py": title}, at=moment)
            for title, moment in (("Young", young), ("Old", young - timedelta(days=400)), ("New", young))
        ]
        asked = {"since": "2026-11-13T00:00:00Z", "per_page": 1}
        assert [row["id"] for page in server.pages(path, **asked) for row in page] == [shas[2]]
        assert {row["id"] for row in server.get(path, until="2026-11-13T23:00:00Z")} >= set(shas)

    def test_an_empty_repository_names_a_branch_and_shows_no_tree(self, server: Server) -> None:
        server.instance.data.projects[FIRMWARE].repository.branches.clear()
        project = server.get(f"/projects/{FIRMWARE}")
        assert (project["default_branch"], project["empty_repo"]) == ("main", True)
        assert server.refusal(f"/projects/{FIRMWARE}/repository/tree", ref="main")[0] == 404

    def test_a_folder_is_listed_without_what_is_deeper(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/repository/tree"
        assert [(row["path"], row["type"]) for row in server.get(path, path="web")] == [
            ("web/src", "tree"),
            ("web/package.json", "blob"),
        ]
        assert server.refusal(path, path="nowhere")[0] == 404
        (script,) = server.get(path, path="scripts")
        assert script["mode"] == "100755"

    def test_what_is_large_binary_or_generated_is_told_by_the_diff(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/repository/commits"
        added = server.get(path, path="data/tone_levels.csv")[0]["id"]
        (large,) = server.get(f"{path}/{added}/diff")
        assert (large["too_large"], large["diff"]) == (True, "")
        first = server.get(path, per_page=100)[-1]["id"]
        diffs = {diff["new_path"]: diff for diff in server.get(f"{path}/{first}/diff", per_page=100)}
        assert diffs["assets/boot-logo.png"]["diff"] == "Binary files /dev/null and b/assets/boot-logo.png differ\n"
        generated = [name for name, diff in diffs.items() if diff["generated_file"]]
        assert generated == ["src/generated/settings.pb.h"]

    def test_encodings_and_line_ends_stay_as_they_were_pushed(self, server: Server) -> None:
        def content(path: str) -> bytes:
            encoded = path.replace("/", "%2F")
            file = server.get(f"/projects/{FIRMWARE}/repository/files/{encoded}", ref="main")
            return base64.b64decode(file["content"])

        assert "Glöckchen".encode("latin-1") in content("config/ringtones.txt")
        assert content("config/legacy_keys.ini").count(b"\r\n") == 6
        assert content("assets/boot-logo.png").startswith(b"\x89PNG")
        assert len(content("data/tone_levels.csv")) > 1_000_000

    def test_headers_tell_the_size_of_a_file_without_its_content(self, server: Server) -> None:
        path, ref = f"/projects/{FIRMWARE}/repository/files/README.md", {"ref": "main"}
        file = server.get(path, **ref)
        answer = server.client.head(path, params=ref)
        assert answer.content == b""
        told = [answer.headers[f"X-Gitlab-{name}"] for name in ("Size", "Blob-Id", "File-Path")]
        assert told == [str(file["size"]), file["blob_id"], "README.md"]

    def test_the_last_commit_of_a_file_is_the_one_that_changed_it(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}/repository"
        file = server.get(f"{path}/files/tools%2Fprovision.py")
        assert server.get(f"{path}/commits/{file['last_commit_id']}")["title"] == "Rename make_config to provision"

    def test_a_comparison_starts_where_both_parted_unless_it_is_straight(self, server: Server) -> None:
        path, sides = f"/projects/{FIRMWARE}/repository/compare", {"from": "main", "to": "echo-tail"}
        assert [diff["new_path"] for diff in server.get(path, **sides)["diffs"]] == ["config/defaults.yaml"]
        assert len(server.get(path, **sides, straight=True)["diffs"]) > 1
        assert server.refusal(path, to="main") == (400, {"error": "from is missing"})


class TestRights:
    def test_a_bearer_token_is_as_good_as_the_private_one(self, server: Server) -> None:
        answer = httpx.get(f"{server.root}/api/v4/user", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.json()["username"] == "knowledge-sync"
        assert httpx.get(f"{server.root}/api/v4/user").json() == {"message": "401 Unauthorized"}

    def test_a_project_of_others_looks_like_one_that_is_not_there(self, server: Server) -> None:
        missing = (404, {"message": "404 Project Not Found"})
        assert server.refusal(f"/projects/{PAYROLL}") == server.refusal("/projects/1") == missing
        assert server.refusal(f"/projects/{PAYROLL}/issues") == missing

    def test_a_private_project_taken_away_is_gone_and_comes_back(self, server: Server) -> None:
        server.order("set_access", project="acme/desk-phone-firmware", level=None)
        assert server.refusal(f"/projects/{FIRMWARE}/issues")[0] == 404
        assert [project["id"] for project in server.get("/projects", membership=True)] == [GUIDES]
        server.order("set_access", project=FIRMWARE, level=20)
        assert len(server.get("/projects", membership=True)) == 2

    def test_who_asks_for_a_moved_project_is_sent_to_its_id(self, server: Server, client: gitlab.Gitlab) -> None:
        server.order("move_project", project=GUIDES, path="acme/guides")
        answer = server.client.get("/projects/acme%2Ffield-guides/issues", params={"per_page": 2})
        assert answer.status_code == 301
        assert answer.headers["location"] == f"{server.root}/api/v4/projects/{GUIDES}/issues?per_page=2"
        assert client.projects.get("acme/field-guides").path_with_namespace == "acme/guides"

    def test_a_guest_finds_nothing_confidential_or_internal_and_no_code(self, server: Server) -> None:
        server.instance.set_access(FIRMWARE, 10)
        path = f"/projects/{FIRMWARE}"
        assert 6 not in [issue["iid"] for issue in server.get(f"{path}/issues", per_page=100)]
        assert server.refusal(f"{path}/issues/6") == (404, {"message": "404 Not found"})
        assert len(server.get(f"{path}/issues/9/notes")) == 1
        assert server.refusal(f"{path}/repository/tree") == (403, {"message": "403 Forbidden"})


class TestLimits:
    def test_headers_count_down_and_the_next_window_starts_anew(self, server: Server, clock: Clock) -> None:
        for used in (1, 2):
            headers = server.client.get("/version").headers
            assert (headers["ratelimit-observed"], headers["ratelimit-remaining"]) == (str(used), str(200 - used))
        for _ in range(198):
            server.get("/version")
        refused = server.client.get("/version")
        assert (refused.status_code, refused.text) == (429, "Retry later\n")
        assert refused.headers["content-type"].startswith("text/plain")
        assert refused.headers["retry-after"] == "60"
        assert int(refused.headers["ratelimit-reset"]) == int(START.timestamp()) + 60
        clock.moment += timedelta(seconds=60)
        assert server.client.get("/version").headers["ratelimit-remaining"] == "199"

    def test_the_limit_of_one_endpoint_stands_in_no_header(self, server: Server) -> None:
        for _ in range(LIMITS.project_requests):
            server.get(f"/projects/{FIRMWARE}")
        refused = server.client.get(f"/projects/{FIRMWARE}")
        assert refused.status_code == 429
        assert "retry-after" not in refused.headers
        assert int(refused.headers["ratelimit-remaining"]) > 100
        assert server.get(f"/projects/{FIRMWARE}/issues")


class TestWhatPeopleDo:
    def test_an_issue_lives_from_opening_to_deletion(self, server: Server, clock: Clock) -> None:
        made = server.order("open_issue", project=FIRMWARE, user="tomas", title="No tone", labels=["audio"])
        path, about = (
            f"/projects/{FIRMWARE}/issues/{made['iid']}",
            {"project": FIRMWARE, "reference": f"#{made['iid']}"},
        )
        assert made["iid"] == 21
        clock.moment += timedelta(minutes=1)
        server.order("edit", **about, user="bjorn", title="No dial tone", description="Since 4.0.4")
        server.order("label", **about, user="bjorn", labels=["audio", "urgent"])
        server.order("make_confidential", **about, user="bjorn")
        server.order("close", **about, user="bjorn")
        issue = server.get(path)
        assert (issue["title"], issue["state"], issue["labels"]) == ("No dial tone", "closed", ["audio", "urgent"])
        assert (issue["confidential"], issue["updated_at"]) == (True, "2026-11-13T12:01:00.000Z")
        assert issue["user_notes_count"] == 0
        assert [note["body"] for note in server.get(f"{path}/notes", sort="asc")] == [
            "changed title from **No tone** to **No dial tone**",
            "changed the description",
            "made the issue confidential",
        ]
        assert server.get(f"{path}/notes", activity_filter="only_comments") == []
        server.order("reopen", **about)
        assert (server.get(path)["state"], server.get(path)["closed_at"]) == ("opened", None)
        server.order("delete", **about)
        assert server.refusal(path)[0] == 404
        assert server.order("open_issue", project=FIRMWARE, user="tomas", title="Next")["iid"] == 22

    def test_a_deleted_comment_lowers_the_count_and_changes_no_time(self, server: Server, clock: Clock) -> None:
        path, about = f"/projects/{FIRMWARE}/issues/13", {"project": FIRMWARE, "reference": "#13"}
        note = server.order("comment", **about, user="tomas", body="Any news?")
        clock.moment += timedelta(minutes=1)
        server.order("edit_note", **about, note_id=note["id"], body="Any news today?")
        edited = server.get(path)
        assert (edited["updated_at"], edited["user_notes_count"]) == ("2026-11-13T12:01:00.000Z", 2)
        assert server.get(f"{path}/notes")[0]["body"] == "Any news today?"
        clock.moment += timedelta(minutes=1)
        server.order("delete_note", **about, note_id=note["id"])
        assert server.get(path) == edited | {"user_notes_count": 1}

    def test_a_push_changes_the_branch_and_its_open_merge_request(self, server: Server) -> None:
        request = server.get(f"/projects/{FIRMWARE}/merge_requests/7")
        pushed = server.order(
            "push",
            project=FIRMWARE,
            user="wendela",
            message="Document option 132",
            branch="dhcp-vlan",
            write={"docs/vlan.md": "# Voice VLAN\n"},
        )
        after = server.get(f"/projects/{FIRMWARE}/merge_requests/7")
        assert (after["sha"], after["changes_count"], request["changes_count"]) == (pushed["sha"], "2", "1")
        diffs = server.get(f"/projects/{FIRMWARE}/merge_requests/7/diffs")
        assert [diff["new_path"] for diff in diffs] == ["docs/vlan.md", "src/net/dhcp_vlan.c"]
        assert server.refusal(f"/projects/{FIRMWARE}/repository/files/docs%2Fvlan.md")[0] == 404

    def test_a_merge_brings_the_branch_in_and_keeps_what_main_has(self, server: Server) -> None:
        merged = server.order("merge", project=FIRMWARE, reference="!7", user="bjorn")
        request = server.get(f"/projects/{FIRMWARE}/merge_requests/7")
        assert (request["state"], request["merge_commit_sha"]) == ("merged", merged["sha"])
        commit = server.get(f"/projects/{FIRMWARE}/repository/commits/HEAD")
        assert (commit["id"], len(commit["parent_ids"])) == (merged["sha"], 2)
        assert server.get(f"/projects/{FIRMWARE}/repository/files/src%2Fnet%2Fdhcp_vlan.c")["ref"] == "HEAD"
        regions = server.client.get(f"/projects/{FIRMWARE}/repository/files/config%2Fregions.yaml/raw").text
        assert "IE:" in regions

    def test_a_moved_and_edited_file_is_one_renamed_file(self, server: Server) -> None:
        before = server.get(f"/projects/{GUIDES}/repository/commits/HEAD")["id"]
        text = server.client.get(f"/projects/{GUIDES}/repository/files/guides%2Fpoe-budget.md/raw").text
        server.order(
            "push",
            project=GUIDES,
            user="joel",
            message="Move",
            rename={"guides/poe-budget.md": "guides/power.md"},
            write={"guides/power.md": text + "\nMeasure, don't guess.\n"},
            delete=["guides/cable-tester.md"],
        )
        diffs = server.get(f"/projects/{GUIDES}/repository/compare", **{"from": before, "to": "main"})["diffs"]
        told = {(diff["old_path"], diff["new_path"], diff["renamed_file"], diff["deleted_file"]) for diff in diffs}
        assert told == {
            ("guides/poe-budget.md", "guides/power.md", True, False),
            ("guides/cable-tester.md", "guides/cable-tester.md", False, True),
        }

    def test_a_wiki_page_is_written_moved_and_deleted(self, server: Server) -> None:
        path = f"/projects/{GUIDES}/wikis"
        page = server.order("write_wiki_page", project=GUIDES, title="Tools/Torch", content="Warm light.")
        assert server.get(f"{path}/Tools%2FTorch")["content"] == "Warm light."
        assert server.get(f"{path}/tools%2Ftorch")["slug"] == "Tools/Torch"
        moved = server.order("move_wiki_page", project=GUIDES, slug=page["slug"], title="Torch")
        assert server.refusal(f"{path}/Tools%2FTorch")[0] == 404
        assert server.get(f"{path}/Torch")["title"] == "Torch"
        server.order("delete_wiki_page", project=GUIDES, slug=moved["slug"])
        assert server.refusal(f"{path}/Torch") == (404, {"message": "404 Wiki Page Not Found"})

    def test_what_is_unknown_to_the_control_routes_is_refused(self, server: Server) -> None:
        for body in ({"reference": "#99", "user": "tomas"}, {"reference": "#1", "user": "nobody"}):
            answer = httpx.post(f"{server.root}/_demo/close", json={"project": FIRMWARE, **body})
            assert answer.status_code == 404

    def test_a_reset_brings_back_the_start(self, server: Server) -> None:
        path = f"/projects/{FIRMWARE}"
        start = [server.get(f"{path}{below}") for below in ("/issues", "/wikis", "/repository/commits", "")]
        pushed = server.order("push", project=FIRMWARE, user="kofi", message="More", write={"x": "y"})["sha"]
        server.order("delete", project=FIRMWARE, reference="#1")
        server.order("delete_wiki_page", project=FIRMWARE, slug="Home")
        server.order("faults", status=500)
        server.order("reset")
        assert [server.get(f"{path}{below}") for below in ("/issues", "/wikis", "/repository/commits", "")] == start
        assert server.refusal(f"{path}/repository/commits/{pushed}")[0] == 404


class TestFaults:
    def test_ordered_faults_strike_and_are_used_up(self, server: Server) -> None:
        server.order("faults", path="/issues", status=502, times=1)
        assert server.client.get(f"/projects/{FIRMWARE}/issues").status_code == 502
        assert server.client.get(f"/projects/{FIRMWARE}/issues").status_code == 200

    def test_a_cut_answer_and_a_broken_record(self, server: Server) -> None:
        issue = server.get(f"/projects/{FIRMWARE}/issues/2")
        server.order("faults", path="/issues", malformed="unreadable_updated_at", record_id=issue["id"])
        listed = {row["iid"]: row["updated_at"] for row in server.get(f"/projects/{FIRMWARE}/issues", per_page=100)}
        assert [iid for iid, moment in listed.items() if moment.startswith("yesterday")] == [2]
        server.order("faults", truncate=True)
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            server.client.get(f"/projects/{FIRMWARE}/issues").json()


def test_every_build_has_the_same_commits(server: Server) -> None:
    again = build_instance(read_profile("acme"))
    now = server.instance.data
    assert {project.path: project.repository.branches for project in again.projects.values()} == {
        project.path: project.repository.branches for project in now.projects.values()
    }
    # What it was on the day when it was written; an edit of the history's data changes it.
    assert now.project(FIRMWARE).repository.resolve("HEAD") == "a300927305c3b6edf89746e5c093a9a4c7c153f8"


def test_everything_happens_in_the_demo_companys_weeks(server: Server) -> None:
    moments = [
        moment
        for project in server.instance.data.projects.values()
        for item in [*project.issues.values(), *project.merge_requests.values()]
        for moment in (item.created_at, item.updated_at)
    ]
    assert len(moments) == 2 * (30 + 12)
    assert min(moments) >= datetime(2026, 11, 2, tzinfo=UTC)
    assert max(moments) < datetime(2026, 11, 14, tzinfo=UTC)
