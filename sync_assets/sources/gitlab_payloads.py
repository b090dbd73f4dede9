"""Forms of the payloads that `gitlab_work.py`, `gitlab_repository.py` and `gitlab_wikis.py` build.

What belongs here: the fields that documents read, and their types. What does not: what becomes of them
(`gitlab_documents.py`).
"""

from sync_assets.sources.payloads import Payload


class Project(Payload):
    id: int
    path: str
    web_url: str | None = None
    branch: str | None = None
    is_public: bool
    code_is_public: bool = False


class Person(Payload):
    name: str | None = None
    username: str | None = None


class Milestone(Payload):
    title: str | None = None


class Item(Payload):
    """What issues and merge requests share."""

    iid: int
    title: str
    description: str | None = None
    state: str
    labels: list[str] = []
    milestone: Milestone | None = None
    author: Person | None = None
    assignees: list[Person] | None = None
    created_at: str | None = None
    updated_at: str | None = None
    closed_at: str | None = None
    due_date: str | None = None
    web_url: str | None = None


class Issue(Item):
    confidential: bool = True
    issue_type: str | None = None


class MergeRequest(Item):
    source_branch: str | None = None
    target_branch: str | None = None
    draft: bool | None = None
    merged_at: str | None = None


class Note(Payload):
    id: int
    body: str | None = None
    author: Person | None = None
    created_at: str | None = None
    system: bool = False
    internal: bool | None = None
    confidential: bool | None = None


class Diff(Payload):
    old_path: str | None = None
    new_path: str
    a_mode: str | None = None
    b_mode: str | None = None
    diff: str | None = None
    renamed_file: bool | None = None
    collapsed: bool | None = None
    too_large: bool | None = None
    generated_file: bool | None = None


class Commit(Payload):
    id: str
    title: str | None = None
    message: str | None = None
    author_name: str | None = None
    authored_date: str | None = None
    committed_date: str | None = None
    web_url: str | None = None


class File(Payload):
    file_path: str
    content: str = ""
    size: int | None = None
    left_out: str | None = None


class Page(Payload):
    slug: str
    title: str
    content: str | None = None
    format: str | None = None


class IssuePayload(Payload):
    project: Project
    item: Issue
    notes: list[Note] = []


class MergeRequestPayload(Payload):
    project: Project
    item: MergeRequest
    notes: list[Note] = []
    diffs: list[Diff] = []
    changes_count: str | None = None


class CommitPayload(Payload):
    project: Project
    item: Commit
    diffs: list[Diff] = []


class FilePayload(Payload):
    project: Project
    item: File


class PagePayload(Payload):
    project: Project
    item: Page
