"""The laws for GitLab and Backlog: any history ends equal to a rebuild, at a bounded cost; what can't be seen stays.

The two are the demo's simulators, asked over HTTP by the true sources. See `gitlab_work.py` and `backlog_work.py` for
what people do there.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.demo.backlog_limits import BacklogLimits
from sync_assets.demo.faults import Fault
from sync_assets.demo.gitlab_limits import GitLabLimits
from sync_assets.demo.server import DemoServers
from sync_assets.documents import document_id
from sync_assets.errors import SourceError
from sync_assets.sources import LiveId
from sync_assets_tests.laws.backlog_work import BacklogDocuments, BacklogIssues, BacklogWikis, BacklogWork
from sync_assets_tests.laws.gitlab_work import (
    GitLabCommits,
    GitLabFiles,
    GitLabIssues,
    GitLabMergeRequests,
    GitLabWikis,
    GitLabWork,
)
from sync_assets_tests.laws.work import Work, WorkCompany
from sync_assets_tests.laws.world import (
    DAY,
    DAYS,
    EVERYTHING,
    RELAXED,
    START,
    Clock,
    Statuses,
    World,
    assert_idle,
    check_history,
    costs,
    histories,
    inside,
)

GITLAB: list[type[GitLabWork]] = [GitLabIssues, GitLabMergeRequests, GitLabCommits, GitLabFiles, GitLabWikis]
BACKLOG: list[type[BacklogWork]] = [BacklogIssues, BacklogWikis, BacklogDocuments]
EVERY_STREAM: list[type[Work]] = [*GITLAB, *BACKLOG]


@pytest.fixture(scope="module")
def servers(clock: Clock) -> Iterator[DemoServers]:
    """The two; they answer as often as they are asked."""
    gitlab = GitLabLimits(requests=EVERYTHING, project_requests=EVERYTHING)
    backlog = BacklogLimits(read=EVERYTHING, search=EVERYTHING)
    with DemoServers(company=WorkCompany(), clock=clock, gitlab_limits=gitlab, backlog_limits=backlog) as servers:
        yield servers


NewWorld = Callable[[type[Work]], World[Any]]


@pytest.mark.parametrize("kind", EVERY_STREAM)
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=RELAXED)
@given(st.data())
def test_any_history_of_work_converges(new_world: NewWorld, kind: type[Work], data: st.DataObject) -> None:
    check_history(new_world(kind), data.draw(histories(kind.actions, 18)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERY_STREAM)
@pytest.mark.timeout(3600)
@settings(max_examples=150, deadline=None, suppress_health_check=RELAXED)
@given(st.data())
def test_any_long_history_of_work_converges(new_world: NewWorld, kind: type[Work], data: st.DataObject) -> None:
    check_history(new_world(kind), data.draw(histories(kind.actions, 40)))


@pytest.mark.parametrize("kind", EVERY_STREAM)
def test_what_went_after_a_crash_is_gone_after_one_sweep(new_world: NewWorld, kind: type[Work]) -> None:
    for number in range(6):
        world = new_world(kind)
        record_id = world.system.make(0)
        world.crashing(number, lambda world=world: world.sync(0, 0))
        world.system.remove(record_id)
        world.system.make_one()
        world.finish()
        world.assert_converged()


@pytest.mark.parametrize("kind", EVERY_STREAM)
def test_what_is_deleted_goes_with_the_next_sweep(new_world: NewWorld, kind: type[Work]) -> None:
    world = new_world(kind)
    kept, removed = (world.system.make(0) for _ in range(2))
    world.finish()
    assert documents(world) >= {kept, removed}
    world.system.remove(removed)
    world.finish()
    assert documents(world) & {kept, removed} == {kept}
    world.assert_converged()


@pytest.mark.parametrize("kind", [BacklogIssues, BacklogWikis, GitLabFiles])
def test_what_upstream_tells_to_be_deleted_goes_without_a_sweep(new_world: NewWorld, kind: type[Work]) -> None:
    world = new_world(kind)
    kept, removed = (world.system.make(0) for _ in range(2))
    world.finish()
    world.system.clock.tick()
    world.system.remove(removed)
    world.system.clock.tick()
    world.sync()
    assert documents(world) & {kept, removed} == {kept}
    world.assert_converged()


# Costs


@pytest.mark.parametrize("sweep", [False, True])
def test_an_edit_in_one_function_embeds_that_function(new_world: NewWorld, sweep: bool) -> None:
    world = new_world(GitLabFiles)
    path = world.system.push(0, 0)
    world.finish()
    before = world.stored()
    number = world.system.record_ids().index(f"file-71-{path}")
    for word in range(4):
        world.system.clock.tick()
        world.system.edit_file(number, word)
        world.system.clock.tick()
        reports = world.sync(sweep=sweep)
        after = world.stored()
        assert costs(reports)[0] == 1
        assert after.keys() == before.keys()
        assert sum(before[key].content_hash != after[key].content_hash for key in after) == 1
        before = after
    world.assert_converged()


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["python", "markdown", "text"])
def test_a_file_that_moves_embeds_nothing_and_is_found_where_it_is(new_world: NewWorld, kind: int, sweep: bool) -> None:
    world = new_world(GitLabFiles)
    path = world.system.push(0, kind)
    world.finish()
    before, others = documents(world), documents(world) - {f"file-71-{path}"}
    world.system.clock.tick()
    world.system.rename_file(world.system.record_ids().index(f"file-71-{path}"))
    world.system.clock.tick()
    embedded, _ = costs(world.sync(sweep=sweep))
    (moved,) = documents(world) - others
    assert embedded == 0
    assert moved not in before
    assert moved.startswith("file-71-moved/")
    world.assert_converged()


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("kind", [GitLabIssues, GitLabMergeRequests, BacklogIssues])
def test_a_comment_embeds_its_own_chunk(new_world: NewWorld, kind: type[Any], sweep: bool) -> None:
    world = new_world(kind)
    world.system.make(0)
    for number in range(3):
        world.system.comment(0, number)
    world.finish()
    for number in range(3):
        world.system.act("comment", 0, number)
        world.system.clock.tick()
        embedded, _ = costs(world.sync(sweep=sweep))
        assert embedded == 1
    world.assert_converged()


def test_one_more_file_of_a_merge_request_embeds_its_own_difference(new_world: NewWorld) -> None:
    world = new_world(GitLabMergeRequests)
    world.system.make(0)
    world.finish()
    world.system.act("push_more", 0, 0)
    embedded, _ = costs(world.finish())
    assert embedded == 1
    world.assert_converged()


OF_PROJECTS = [("rename_project", 0, 0)]
FACTS: dict[type[Work], list[tuple[str, int, int]]] = {
    GitLabIssues: [("label", 0, 0), ("assign", 0, 1), ("close", 0, 1), ("confide", 0, 1), ("turn", 0, 0), *OF_PROJECTS],
    GitLabMergeRequests: [("label", 0, 0), ("assign", 0, 1), ("close", 0, 1), ("merge", 0, 1), ("turn", 0, 0)],
    GitLabCommits: [("turn", 0, 0), *OF_PROJECTS],
    GitLabFiles: [("turn", 0, 0), ("turn", 1, 0), *OF_PROJECTS],
    GitLabWikis: [("turn", 0, 0), ("turn", 1, 0), *OF_PROJECTS],
    BacklogIssues: [*(("only_change", 0, which) for which in range(4)), ("assign", 0, 1), ("move", 0, 1), *OF_PROJECTS],
    BacklogWikis: OF_PROJECTS,
    BacklogDocuments: OF_PROJECTS,
}


@pytest.mark.parametrize(
    ("kind", "action"),
    [pytest.param(kind, action, id=f"{kind.__name__}-{action}") for kind in FACTS for action in FACTS[kind]],
)
def test_facts_and_readers_change_payloads_and_embed_nothing(
    new_world: NewWorld, kind: type[Work], action: tuple[str, int, int]
) -> None:
    world = new_world(kind)
    for project in (0, 0, 1):
        world.system.make(project)
    world.finish()
    before = world.stored()
    world.system.act(*action)
    embedded, payloads = costs(world.finish())
    after = world.stored()
    assert embedded == 0
    assert after.keys() == before.keys()
    assert payloads > 0
    world.assert_converged()


def test_a_confidential_issue_is_found_by_its_author_and_assignees_only(new_world: NewWorld) -> None:
    world = new_world(GitLabIssues)
    world.system.make(1, person=0)
    world.system.act("confide", 0, 0)
    world.system.act("assign", 0, 1)
    world.finish()
    found = {name: bool(world.found_by(inside(f"user:{name}"))) for name in ("ada", "ben", "cleo")}
    assert found == {"ada": True, "ben": True, "cleo": False}
    world.assert_converged()


# What can't be seen


class Trouble(NamedTuple):
    """Why something can't be seen for a while.

    Attributes:
        begin: what happens.
        projects: those that can't be seen, by number; the others are followed all the while.
        told: how the run says so: `problem` of the report, `quarantine`, or `error`, which ends it; nothing where there
            is nothing to be done.
        end: how it is mended, beside `mend`.
        acts: whether people go on meanwhile; not where what they do is told by other means.
    """

    kind: type[Work]
    begin: Callable[[Any], object]
    projects: tuple[int, ...]
    told: str
    end: Callable[[Any], object] = lambda _: None
    acts: bool = True


def _lose(project: int, way: int = 0) -> Callable[[Work], None]:
    return lambda work: work.lose(project, way)


def _in_gitlab(path: str, **fault: Any) -> Callable[[GitLabWork], object]:
    return lambda work: work.instance.faults.order(Fault(path=path, **fault))


def _in_backlog(path: str, **fault: Any) -> Callable[[BacklogWork], object]:
    return lambda work: work.space.faults.order(Fault(path=path, **fault))


def _gitlab_clear(work: GitLabWork) -> None:
    work.instance.faults.clear()


def _backlog_clear(work: BacklogWork) -> None:
    work.space.faults.clear()


def _use_wiki(on: bool) -> Callable[[BacklogWork], object]:
    return lambda work: work.project(0).update(useWiki=on)


ALL = (0, 1)
# Requests a minute of the small GitLab: the vendor's 2,000 would take long to use up.
_GITLAB_LIMIT = 120
_LISTING = {
    GitLabIssues: r"projects/71/issues\?",
    GitLabMergeRequests: r"projects/71/merge_requests\?",
    GitLabCommits: r"projects/71/repository/commits\?",
    GitLabFiles: r"projects/71/repository/",
    GitLabWikis: r"projects/71/wikis\?",
}
_OF_PUMP = r"/(issues|wikis|documents)\?projectId(\[\]|OrKey)=71"


def _of_gitlab(kind: type[GitLabWork]) -> dict[str, Trouble]:
    refused, not_found = (_in_gitlab(_LISTING[kind], status=status) for status in (403, 404))
    troubles = {
        "a private project is out of sight": Trouble(kind, _lose(0), (0,), "quarantine"),
        "a public project lost its member": Trouble(kind, _lose(1), (1,), "quarantine"),
        "the feature is switched off": Trouble(kind, _lose(0, 2), (0,), "problem"),
        "the listing is refused": Trouble(kind, refused, (0,), "problem", _gitlab_clear),
        "the listing is not found": Trouble(kind, not_found, (0,), "problem", _gitlab_clear),
    }
    return {f"gitlab {kind.stream}: {name}": trouble for name, trouble in troubles.items()}


def _of_backlog(kind: type[BacklogWork]) -> dict[str, Trouble]:
    refused, broken = _in_backlog(_OF_PUMP, status=403), _in_backlog("/projects$", truncate=True)
    troubles = {
        "a project is out of sight": Trouble(kind, _lose(0), (0,), "problem"),
        "the listing is refused": Trouble(kind, refused, (0,), "problem", _backlog_clear),
        "the list of projects breaks off": Trouble(kind, broken, ALL, "error", _backlog_clear),
    }
    return {f"backlog {kind.stream}: {name}": trouble for name, trouble in troubles.items()}


TROUBLES: dict[str, Trouble] = {
    **{name: trouble for kind in GITLAB for name, trouble in _of_gitlab(kind).items()},
    **{name: trouble for kind in BACKLOG for name, trouble in _of_backlog(kind).items()},
    "gitlab: a guest sees no repository": Trouble(GitLabFiles, _lose(0, 1), (0,), "problem"),
    "gitlab issues: a window breaks off": Trouble(
        GitLabIssues, _in_gitlab(r"71/issues\?.*updated_after=2026", truncate=True), ALL, "error", _gitlab_clear
    ),
    "gitlab merge requests: a window breaks off": Trouble(
        GitLabMergeRequests, _in_gitlab(r"71/merge_requests\?.*after=2026", status=500), ALL, "error", _gitlab_clear
    ),
    "gitlab issues: the sweep breaks off": Trouble(
        GitLabIssues, _in_gitlab(r"71/issues\?.*after=2000", truncate=True), ALL, "problem", _gitlab_clear, acts=False
    ),
    "gitlab commits: a listing breaks off": Trouble(
        GitLabCommits, _in_gitlab(r"71/repository/commits\?.*[?&]page=2", truncate=True), ALL, "error", _gitlab_clear
    ),
    "gitlab files: the sweep breaks off": Trouble(
        GitLabFiles,
        _in_gitlab(r"71/repository/tree\?.*page_token", status=500),
        ALL,
        "problem",
        _gitlab_clear,
        acts=False,
    ),
    "gitlab: the list of projects breaks off": Trouble(
        GitLabIssues, _in_gitlab(r"/projects\?", status=500), ALL, "error", _gitlab_clear
    ),
    "gitlab: the list of projects is empty": Trouble(
        GitLabIssues, _in_gitlab(r"/projects\?", rows=0), ALL, "problem", _gitlab_clear
    ),
    "gitlab: a listing tells too little": Trouble(
        GitLabFiles, _in_gitlab(r"repository/tree", rows=3), ALL, "", _gitlab_clear, acts=False
    ),
    "backlog: a listing breaks off": Trouble(
        BacklogIssues, _in_backlog(r"/issues\?.*offset=9", status=500), ALL, "error", _backlog_clear
    ),
    "backlog: a listing tells less than it counts": Trouble(
        BacklogIssues, _in_backlog(r"/issues\?.*sort=created", rows=3), ALL, "problem", _backlog_clear, acts=False
    ),
    "backlog: a project's wikis are switched off": Trouble(
        BacklogWikis, _use_wiki(False), (0,), "quarantine", _use_wiki(True), acts=False
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_cannot_be_seen_stays_as_it_was_and_is_mended_when_it_shows_again(new_world: NewWorld, name: str) -> None:
    trouble = TROUBLES[name]
    world = new_world(trouble.kind)
    work = world.system
    made = [[work.make(project, number) for number in range(12) if work.clock.tick()] for project in ALL]
    world.finish()
    homes = {record_id: work.home(record_id) for record_id in work.record_ids()}
    hidden = {record_id for record_id, home in homes.items() if home in trouble.projects}
    before = chunks_of(world, hidden)
    assert before
    trouble.begin(work)
    for first, *_, last in made if trouble.acts else []:
        work.clock.tick()
        work.change(first)
        work.remove(last)
    told = "error"
    with suppress(SourceError):
        reports = world.finish()
        held = world.chain.services.ledger.quarantined(world.tenant)
        told = "problem" if reports["raw"].problems else "quarantine" if held else ""
    assert told == trouble.told
    assert chunks_of(world, hidden) == before
    if trouble.projects != ALL:
        followed = world.rebuilt([record_id for record_id in work.record_ids() if record_id not in hidden])
        assert followed.items() <= world.stored().items()
    trouble.end(work)
    work.mend()
    assert world.finish()["raw"].problems == []
    world.assert_converged()
    assert_idle(world.finish())


def test_a_confidential_issue_that_a_guest_does_not_see_is_not_deleted(new_world: NewWorld) -> None:
    world = new_world(GitLabIssues)
    record_id = world.system.make(1)
    world.system.make(1)
    world.system.act("confide", 0, 0)
    world.finish()
    before = chunks_of(world, {record_id})
    world.system.lose(1, 1)
    world.finish()
    assert chunks_of(world, {record_id}) == before
    world.system.mend()
    world.finish()
    world.assert_converged()


# Limits


@pytest.mark.parametrize("kind", [GitLabIssues, BacklogIssues])
def test_the_vendors_limits_are_kept_without_a_single_refusal(kind: type[Work]) -> None:
    clock, statuses = Clock(), Statuses()
    with DemoServers(company=WorkCompany(), clock=clock, gitlab_limits=GitLabLimits(requests=_GITLAB_LIMIT)) as servers:
        work = kind(servers, clock)
        work.settings = {"limits": {"max_attempts": 1, "page_size": 2}}
        for number in range(200):
            clock.tick()
            work.make(number % 2)
        clock.tick()
        began = clock.seconds()
        with work.open("limits", statuses) as account:
            extracted = {record.record_id for record in account.extract("issues", START, START + DAYS * DAY)}
            listed = {item.record_id for item in account.live_ids("issues") if isinstance(item, LiveId)}
        minutes = (clock.seconds() - began) / 60
        assert extracted == listed == set(work.record_ids())
        assert set(statuses.seen) == {200}
        least = _fewest_minutes(work)
        # Who has used up a minute's requests waits for the next minute.
        assert least - 1 <= minutes <= ceil(least * 1.2) + 1, f"{statuses.seen[200]} requests took {minutes} minutes"
        assert least > 2


def _fewest_minutes(work: Work) -> float:
    """In how many minutes the requests may be made that were answered."""
    if isinstance(work, GitLabWork):
        return work.instance.requests.total() / _GITLAB_LIMIT
    assert isinstance(work, BacklogWork)
    asked, limits = work.space.requests, BacklogLimits()
    searches = sum(asked[f"GET /api/v2/{path}"] for path in ("issues", "issues/count"))
    return max(searches / limits.search, (asked.total() - searches) / limits.read)


def documents(world: World[Any]) -> set[str]:
    """The ids of records that the store has chunks of."""
    begin = document_id(world.tenant, world.system.source, "")
    return {unquote(chunk.document_id.removeprefix(begin)) for chunk in world.listed()}


def chunks_of(world: World[Any], record_ids: set[str]) -> dict[str, Any]:
    """What the store shows of these records."""
    ids = {document_id(world.tenant, world.system.source, record_id) for record_id in record_ids}
    stored = world.stored()
    return {chunk.chunk_id: stored[chunk.chunk_id] for chunk in world.listed() if chunk.document_id in ids}
