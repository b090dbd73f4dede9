"""The endpoints for projects, issues, merge requests, notes and wikis; those of the repository stand beside this."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sync_assets.demo.gitlab_data import Issue, MergeRequest, Note, Noteable, Project
from sync_assets.demo.gitlab_limits import GitLabRefusal, no_keyset, refused
from sync_assets.demo.gitlab_protocol import GitLabCall, keyset_page, offset_page
from sync_assets.demo.gitlab_records import (
    sent_issue,
    sent_merge_request,
    sent_note,
    sent_project,
    sent_user,
    sent_whole_merge_request,
    sent_wiki_page,
    timestamp,
)
from sync_assets.demo.records import Json

Item = TypeVar("Item", Issue, MergeRequest)

_SORTS = ("desc", "asc")
_SCOPES = ("all", "created_by_me", "assigned_to_me")


def version(call: GitLabCall) -> Json:
    return {"version": "18.5.1-ee", "revision": "8d7ad1f5c2b", "enterprise": True}


def me(call: GitLabCall) -> Json:
    return sent_user(call.data, call.data.user) | {"is_admin": False, "bot": False}


def list_projects(call: GitLabCall) -> list[Json]:
    """The projects that the user may know of, or with `membership` is a member of."""
    data = call.data
    since = call.moment("last_activity_after")
    shown = [
        project
        for project in data.projects.values()
        if data.may_read(project)
        and (project.id in data.access or not call.flag("membership"))
        and (not call.get("archived") or call.flag("archived") == project.archived)
        and (since is None or project.last_activity_at >= since)
    ]
    order = call.choice(
        "order_by", "created_at", ("id", "name", "path", "created_at", "updated_at", "last_activity_at")
    )
    down = call.choice("sort", "desc", _SORTS) == "desc"
    if call.get("pagination") == "keyset":
        if order != "id":
            raise no_keyset()
        shown.sort(key=lambda project: project.id, reverse=down)
        page = keyset_page(call, shown, lambda project: project.id, "id_before" if down else "id_after", down)
    else:
        if (call.number("page", 1) - 1) * call.per_page > call.limits.max_offset:
            raise _too_far(call.limits.max_offset)
        field = "last_activity_at" if order == "updated_at" else order
        shown.sort(key=lambda project: (getattr(project, field), project.id), reverse=down)
        page = offset_page(call, shown)
    return [sent_project(data, project) for project in page]


def get_project(call: GitLabCall) -> Json:
    return sent_project(call.data, call.project)


def list_issues(call: GitLabCall) -> list[Json]:
    """The issues that the user may see; none where they are switched off, without a word."""
    project = call.project
    insider, is_on = call.data.is_insider(project), "issues" not in project.off
    shown = [issue for issue in project.issues.values() if is_on and (insider or not issue.confidential)]
    call.choice("state", "all", ("all", "opened", "closed"))
    page = _page_of(call, shown, keyset=True)
    return [sent_issue(call.data, project, issue) for issue in page]


def get_issue(call: GitLabCall) -> Json:
    return sent_issue(call.data, call.project, call.issue)


def list_merge_requests(call: GitLabCall) -> list[Json]:
    project = call.with_feature("merge_requests")
    call.choice("state", "all", ("all", "opened", "closed", "locked", "merged"))
    page = _page_of(call, list(project.merge_requests.values()), keyset=False)
    return [sent_merge_request(call.data, project, request) for request in page]


def get_merge_request(call: GitLabCall) -> Json:
    return sent_whole_merge_request(call.data, call.project, call.merge_request)


def list_diffs(call: GitLabCall) -> list[Json]:
    request = call.merge_request
    changes = call.project.repository.diff(request.base_sha, request.head_sha)
    return [change.sent for change in offset_page(call, changes)]


def list_issue_notes(call: GitLabCall) -> list[Json]:
    return _notes(call, call.issue)


def list_merge_request_notes(call: GitLabCall) -> list[Json]:
    return _notes(call, call.merge_request)


def list_issue_discussions(call: GitLabCall) -> list[Json]:
    return _discussions(call, call.issue)


def list_merge_request_discussions(call: GitLabCall) -> list[Json]:
    return _discussions(call, call.merge_request)


def list_wiki_pages(call: GitLabCall) -> list[Json]:
    """All pages at once; GitLab divides them into no pages."""
    wiki = call.with_feature("wiki").wiki
    return [sent_wiki_page(wiki[slug], call.flag("with_content")) for slug in sorted(wiki)]


def get_wiki_page(call: GitLabCall) -> Json:
    """One page; its slug may be written with blanks and in any case."""
    asked = call.path["slug"].replace(" ", "-").lower()
    for slug, page in call.with_feature("wiki").wiki.items():
        if slug.lower() == asked:
            return sent_wiki_page(page, True)
    raise refused(404, "Wiki Page Not Found")


def _page_of(call: GitLabCall, items: list[Item], keyset: bool) -> Sequence[Item]:
    """The asked page of a project's issues or merge requests, with the filters and orders that both have."""
    after, before = call.moment("updated_after"), call.moment("updated_before")
    iids = [int(value) for name, value in call.query if name == "iids[]" and value.isdigit()]
    scope, state = call.choice("scope", "all", _SCOPES), call.get("state", "all")
    shown = [
        item
        for item in items
        if state in ("all", item.state)
        and (after is None or item.updated_at >= after)
        and (before is None or item.updated_at <= before)
        and (not iids or item.iid in iids)
        and _is_in_scope(call, item, scope)
    ]
    order = call.choice("order_by", "created_at", ("created_at", "updated_at", "title"))
    down = call.choice("sort", "desc", _SORTS) == "desc"

    def key(item: Item) -> list[Any]:
        value = getattr(item, order)
        return [timestamp(value) if isinstance(value, datetime) else value, item.id]

    shown.sort(key=key, reverse=down)
    if keyset and call.get("pagination") == "keyset":
        return keyset_page(call, shown, key, "cursor", down)
    return offset_page(call, shown)


def _is_in_scope(call: GitLabCall, item: Noteable, scope: str) -> bool:
    mine = {"all": True, "created_by_me": item.author == call.data.user}
    return mine.get(scope, call.data.user in item.assignees)


def _shown_notes(call: GitLabCall, item: Noteable) -> list[Note]:
    project = call.project
    return [note for note in item.notes if not note.internal or call.data.is_insider(project)]


def _notes(call: GitLabCall, item: Noteable) -> list[Json]:
    wanted = call.choice("activity_filter", "all_notes", ("all_notes", "only_comments", "only_activity"))
    kinds = {"all_notes": (True, False), "only_comments": (False,), "only_activity": (True,)}[wanted]
    notes = [note for note in _shown_notes(call, item) if note.system in kinds]
    order = call.choice("order_by", "created_at", ("created_at", "updated_at"))
    down = call.choice("sort", "desc", _SORTS) == "desc"
    notes.sort(key=lambda note: (getattr(note, order), note.id), reverse=down)
    return [sent_note(call.data, call.project, item, note) for note in offset_page(call, notes)]


def _discussions(call: GitLabCall, item: Noteable) -> list[Json]:
    groups: dict[str, list[Note]] = {}
    for note in _shown_notes(call, item):
        groups.setdefault(note.discussion, []).append(note)
    project: Project = call.project
    return [
        {
            "id": discussion,
            "individual_note": len(groups[discussion]) == 1 and groups[discussion][0].position is None,
            "notes": [sent_note(call.data, project, item, note) for note in groups[discussion]],
        }
        for discussion in offset_page(call, list(groups))
    ]


def _too_far(most: int) -> GitLabRefusal:
    message = (
        f"Offset pagination has a maximum allowed offset of {most} for requests that return objects of type Project. "
        "Remaining records can be retrieved using keyset pagination."
    )
    return GitLabRefusal(405, {"error": message})
