"""Projects, issues, merge requests, notes and wiki pages as GitLab's API sends them."""

from datetime import UTC, datetime

from sync_assets.demo.gitlab_data import GitLabData, Issue, MergeRequest, Note, Noteable, Project, WikiPage
from sync_assets.demo.gitlab_repository import FileDiff
from sync_assets.demo.records import Json


def timestamp(moment: datetime | None) -> str | None:
    """A time as GitLab writes it: UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def sent_user(data: GitLabData, username: str) -> Json:
    return dict(data.users[username])


def sent_project(data: GitLabData, project: Project) -> Json:
    """A project with the features that it has and the rights of the token's user."""
    group, _, path = project.path.rpartition("/")
    url, level = f"{data.url}/{project.path}", data.access.get(project.id)
    on = {feature: feature not in project.off for feature in ("issues", "merge_requests", "wiki")}
    repository = "repository" not in project.off
    return {
        "id": project.id,
        "description": project.description,
        "name": project.name,
        "name_with_namespace": f"{group.capitalize()} / {project.name}",
        "path": path,
        "path_with_namespace": project.path,
        "created_at": timestamp(project.created_at),
        "updated_at": timestamp(project.last_activity_at),
        "last_activity_at": timestamp(project.last_activity_at),
        "default_branch": project.repository.default,
        "tag_list": [],
        "topics": [],
        "http_url_to_repo": f"{url}.git",
        "web_url": url,
        "readme_url": f"{url}/-/blob/{project.repository.default}/README.md",
        "avatar_url": None,
        "forks_count": 0,
        "star_count": 0,
        "namespace": {"id": 9, "name": group.capitalize(), "path": group, "kind": "group", "full_path": group},
        "visibility": project.visibility,
        "archived": project.archived,
        "empty_repo": not project.repository.branches,
        **{f"{feature}_enabled": is_on for feature, is_on in on.items()},
        **{f"{feature}_access_level": "enabled" if is_on else "disabled" for feature, is_on in on.items()},
        "repository_access_level": "enabled" if repository else "disabled",
        "open_issues_count": sum(issue.state == "opened" for issue in project.issues.values()),
        "permissions": {
            "project_access": {"access_level": level, "notification_level": 3} if level else None,
            "group_access": None,
        },
    }


def sent_issue(data: GitLabData, project: Project, issue: Issue) -> Json:
    return _sent(data, project, issue, "issues", "#") | {
        "type": issue.kind.upper(),
        "issue_type": issue.kind,
        "merge_requests_count": 0,
        "confidential": issue.confidential,
        "due_date": issue.due_date,
        "severity": "UNKNOWN",
        "has_tasks": False,
        "moved_to_id": None,
        "service_desk_reply_to": None,
    }


def sent_merge_request(data: GitLabData, project: Project, request: MergeRequest) -> Json:
    merged_by = sent_user(data, request.merged_by) if request.merged_by else None
    open_ = request.state == "opened"
    return _sent(data, project, request, "merge_requests", "!") | {
        "title": f"Draft: {request.title}" if request.draft else request.title,
        "merged_by": merged_by,
        "merge_user": merged_by,
        "merged_at": timestamp(request.merged_at),
        "target_branch": request.target_branch,
        "source_branch": request.source_branch,
        "reviewers": [sent_user(data, user) for user in request.reviewers],
        "source_project_id": project.id,
        "target_project_id": project.id,
        "draft": request.draft,
        "work_in_progress": request.draft,
        "merge_status": "can_be_merged" if open_ else "checking",
        "detailed_merge_status": ("draft_status" if request.draft else "mergeable") if open_ else "not_open",
        "sha": request.head_sha,
        "merge_commit_sha": request.merge_commit_sha,
        "squash_commit_sha": None,
        "prepared_at": timestamp(request.created_at),
        "reference": f"!{request.iid}",
        "has_conflicts": False,
        "blocking_discussions_resolved": True,
        "squash": False,
    }


def sent_whole_merge_request(data: GitLabData, project: Project, request: MergeRequest) -> Json:
    """A merge request as its own request sends it: with its commits and how many files it changes."""
    refs = {"base_sha": request.base_sha, "head_sha": request.head_sha, "start_sha": request.base_sha}
    changed = project.repository.diff(request.base_sha, request.head_sha)
    return sent_merge_request(data, project, request) | {"diff_refs": refs, "changes_count": str(len(changed))}


def _sent(data: GitLabData, project: Project, item: Noteable, kind: str, mark: str) -> Json:
    assignees = [sent_user(data, user) for user in item.assignees]
    return {
        "id": item.id,
        "iid": item.iid,
        "project_id": project.id,
        "title": item.title,
        "description": item.description,
        "state": item.state,
        "created_at": timestamp(item.created_at),
        "updated_at": timestamp(item.updated_at),
        "closed_at": timestamp(item.closed_at),
        "closed_by": sent_user(data, item.closed_by) if item.closed_by else None,
        "labels": sorted(item.labels),
        "milestone": None,
        "assignees": assignees,
        "assignee": assignees[0] if assignees else None,
        "author": sent_user(data, item.author),
        "user_notes_count": sum(not note.system for note in item.notes),
        "upvotes": 0,
        "downvotes": 0,
        "discussion_locked": None,
        "web_url": f"{data.url}/{project.path}/-/{kind}/{item.iid}",
        "time_stats": {"time_estimate": 0, "total_time_spent": 0},
        "task_completion_status": {"count": 0, "completed_count": 0},
        "references": {
            "short": f"{mark}{item.iid}",
            "relative": f"{mark}{item.iid}",
            "full": f"{project.path}{mark}{item.iid}",
        },
        "imported": False,
        "imported_from": "none",
    }


def sent_note(data: GitLabData, project: Project, item: Noteable, note: Note) -> Json:
    sent: Json = {
        "id": note.id,
        "type": "DiffNote" if note.position else None,
        "body": note.body,
        "author": sent_user(data, note.author),
        "created_at": timestamp(note.created_at),
        "updated_at": timestamp(note.updated_at),
        "system": note.system,
        "noteable_id": item.id,
        "noteable_type": "Issue" if isinstance(item, Issue) else "MergeRequest",
        "project_id": project.id,
        "resolvable": note.position is not None,
        "confidential": note.internal,
        "internal": note.internal,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": item.iid,
        "commands_changes": {},
    }
    if note.position and isinstance(item, MergeRequest):
        refs = {"base_sha": item.base_sha, "start_sha": item.base_sha, "head_sha": item.head_sha}
        sent["position"] = {"position_type": "text", **refs, "old_path": note.position["new_path"], **note.position}
    return sent


def sent_commit(data: GitLabData, project: Project, sha: str, changes: list[FileDiff] | None = None) -> Json:
    """A commit, with its `stats` where its changes are given."""
    commit = project.repository.commit_of(sha)
    message = commit.message.decode()
    name, _, address = commit.author.decode().rstrip(">").partition(" <")
    written = datetime.fromtimestamp(commit.commit_time, UTC).isoformat(timespec="milliseconds")
    sent: Json = {
        "id": sha,
        "short_id": sha[:8],
        "created_at": written,
        "parent_ids": [parent.decode() for parent in commit.parents],
        "title": message.partition("\n")[0],
        "message": message,
        "author_name": name,
        "author_email": address,
        "authored_date": written,
        "committer_name": name,
        "committer_email": address,
        "committed_date": written,
        "trailers": {},
        "extended_trailers": {},
        "web_url": f"{data.url}/{project.path}/-/commit/{sha}",
    }
    if changes is not None:
        added, removed = (sum(getattr(change, side) for change in changes) for side in ("additions", "deletions"))
        sent["stats"] = {"additions": added, "deletions": removed, "total": added + removed}
    return sent


def sent_wiki_page(page: WikiPage, with_content: bool) -> Json:
    sent: Json = {"format": "markdown", "slug": page.slug, "title": page.title.rpartition("/")[2]}
    return sent | {"content": page.content, "encoding": "UTF-8", "front_matter": {}} if with_content else sent
