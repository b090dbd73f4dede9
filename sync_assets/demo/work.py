"""Which records the companies' GitLab and Backlog hold: the truth that synced stores are compared with.

Read from what the simulators hold, not over their protocols: what a person finds there.
"""

from collections.abc import Iterator

from sync_assets.demo.backlog_records import SpaceData
from sync_assets.demo.gitlab_data import GitLabData
from sync_assets.demo.gitlab_repository import is_folder
from sync_assets.sources.gitlab_files import why_not_by_name


def gitlab_records(data: GitLabData, stream: str) -> Iterator[str]:
    """Record ids of a stream in the projects that the token's user is a member of.

    Commits are those that no merge made; of files, what a name tells to be vendored, generated or binary is left out.
    """
    for project in data.projects.values():
        if project.id not in data.access:
            continue
        sees_all, repository = data.is_insider(project), project.repository
        head = repository.resolve("HEAD")
        found: dict[str, Iterator[object]] = {
            "issues": (iid for iid, issue in project.issues.items() if sees_all or not issue.confidential),
            "merge_requests": iter(project.merge_requests),
            "commits": (sha for sha in repository.log([head]) if len(repository.commit_of(sha).parents) < 2),
            "files": (
                path
                for entry in repository.tree(head, "", recursive=True)
                if not is_folder(entry) and why_not_by_name(path := (entry.path or b"").decode()) is None
            ),
            "wikis": iter(project.wiki),
        }
        yield from (f"{_KINDS[stream]}-{project.id}-{key}" for key in found[stream])


def backlog_records(data: SpaceData, stream: str) -> Iterator[str]:
    """Record ids of a stream in the projects that the key's user is a member of and that are not archived."""
    shown = {
        project_id
        for project_id, project in data.projects.items()
        if not project["archived"] and data.reader in data.members[project_id]
    }
    held = {"issues": data.issues, "wikis": data.wikis, "documents": data.documents}[stream]
    for record_id, record in held.items():
        if record["projectId"] in shown:
            yield f"{_KINDS[stream]}-{record_id}"


_KINDS = {
    "issues": "issue",
    "merge_requests": "merge_request",
    "commits": "commit",
    "files": "file",
    "wikis": "wiki",
    "documents": "document",
}
