"""From what GitLab sends to documents: which texts there are, who may find them, and what stands beside them.

What belongs here: pure functions of a payload as `gitlab_work.py`, `gitlab_repository.py` and `gitlab_wikis.py` build
it. Embedded texts hold nothing that changes without the words changing (state, labels, visibility), and metadata no
mail address. Descriptions are Markdown as it stands; references (`#12`, `!34`, `@user`) stay text.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from sync_assets.documents import Document, Part, Visibility, public_metadata
from sync_assets.sources.gitlab_files import NO_FILE, decoded, language_of, why_not_by_name
from sync_assets.sources.gitlab_payloads import (
    CommitPayload,
    Diff,
    FilePayload,
    IssuePayload,
    Item,
    MergeRequestPayload,
    Note,
    PagePayload,
    Person,
    Project,
)
from sync_assets.sources.payloads import read_payload

PLATFORM = "gitlab"

# GitLab sends the differences of no more files of a commit; of a merge request it says so itself.
_MOST_DIFFS = 1000
_MORE = "more files than GitLab sends"


class _Audience(NamedTuple):
    visibility: Visibility
    principals: list[str]


def issue_document(tenant: str, record_id: str, payload: Any) -> Document:
    """An issue with its comments. A confidential one is for its author and assignees: GitLab also shows it to members
    of the project from Planner on, whom the issue does not name.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(IssuePayload, payload)
    issue = read.item
    audience = _audience(read.project.is_public)
    if issue.confidential:
        people = [issue.author, *(issue.assignees or [])]
        audience = _Audience(
            Visibility.RESTRICTED,
            sorted({f"user:{person.username}" for person in people if person and person.username}),
        )
    parts = [
        _part("header", "header", f"Issue #{issue.iid}: {_line(issue.title)}", audience),
        _part("description", "description", _text(issue.description), audience),
        *_comments(read.notes, issue.web_url, audience),
    ]
    metadata = {"doc_type": "issue", "issue_type": issue.issue_type, "confidential": issue.confidential}
    return _document(tenant, "issues", record_id, _line(issue.title), issue.web_url, parts, audience).model_copy(
        update={"metadata": public_metadata(_item_metadata(read.project, issue) | metadata)}
    )


def merge_request_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A merge request with its comments, and one part for each changed file.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(MergeRequestPayload, payload)
    request = read.item
    audience = _audience(read.project.is_public)
    of_code = _audience(read.project.is_public and read.project.code_is_public)
    diffs, left_out = _diffs(read.diffs, of_code)
    if str(read.changes_count).endswith("+"):
        left_out.append(_MORE)
    parts = [
        _part("header", "header", f"Merge request !{request.iid}: {_line(request.title)}", audience),
        _part("description", "description", _text(request.description), audience),
        *_comments(read.notes, request.web_url, audience),
        *diffs,
    ]
    metadata = {
        "doc_type": "merge_request",
        "source_branch": request.source_branch,
        "target_branch": request.target_branch,
        "draft": request.draft,
        "merged_at": request.merged_at,
        # Names of files are for those who see the files.
        "diffs_left_out": left_out if of_code == audience else [],
    }
    return _document(
        tenant, "merge_requests", record_id, _line(request.title), request.web_url, parts, audience
    ).model_copy(update={"metadata": public_metadata(_item_metadata(read.project, request) | metadata)})


def commit_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A commit: its title, the rest of its message, and one part for each changed file.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(CommitPayload, payload)
    commit, audience = read.item, _audience(read.project.is_public)
    first, _, rest = _text(commit.message).partition("\n")
    title = _line(first or commit.title or "") or f"Commit {commit.id[:8]}"
    diffs, left_out = _diffs(read.diffs, audience)
    if len(read.diffs) >= _MOST_DIFFS:
        left_out.append(_MORE)
    parts = [
        _part("header", "header", title, audience),
        _part("description", "description", rest.strip(), audience),
        *diffs,
    ]
    metadata = {
        "doc_type": "commit",
        "sha": commit.id,
        "author": _name_only(commit.author_name),
        "branch": read.project.branch,
        "created_at": commit.authored_date,
        "updated_at": commit.committed_date,
        "diffs_left_out": left_out,
    }
    return _document(tenant, "commits", record_id, title, commit.web_url, parts, audience).model_copy(
        update={"metadata": public_metadata(_project_metadata(read.project) | metadata)}
    )


def file_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A file of the default branch; without a part where it is left out for what it holds.

    Raises:
        ValueError: the payload lacks something that a document needs, or the file is in no encoding that can be told.
    """
    read = read_payload(FilePayload, payload)
    project, file, audience = read.project, read.item, _audience(read.project.is_public)
    language = language_of(file.file_path)
    text = "" if file.left_out else decoded(base64.b64decode(file.content))
    # A page is cut by its headings and does not repeat the title, which is the path here: moving embeds nothing.
    role = "page" if language == "markdown" else "code" if language else "description"
    facts = public_metadata({"language": language, "path": file.file_path})
    part = Part(path=role, role=role, text=text, **audience._asdict(), metadata=facts if role == "code" else {})
    url = f"{project.web_url}/-/blob/{quote(f'{project.branch}/{file.file_path}')}" if project.web_url else None
    metadata = {
        "doc_type": "file",
        "path": file.file_path,
        "language": language,
        "branch": project.branch,
        "size": file.size,
        "left_out": file.left_out,
    }
    return _document(tenant, "files", record_id, file.file_path, url, [part], audience).model_copy(
        update={"metadata": public_metadata(_project_metadata(project) | metadata)}
    )


def wiki_document(tenant: str, record_id: str, payload: Any) -> Document:
    """A wiki page.

    Raises:
        ValueError: the payload lacks something that a document needs, or has it in another form.
    """
    read = read_payload(PagePayload, payload)
    project, page, audience = read.project, read.item, _audience(read.project.is_public)
    title = _line(page.title) or page.slug
    url = f"{project.web_url}/-/wikis/{quote(page.slug)}" if project.web_url else None
    parts = [
        _part("header", "header", title, audience),
        _part("body", "body", _text(page.content), audience),
    ]
    metadata = {"doc_type": "wiki", "slug": page.slug, "format": page.format}
    return _document(tenant, "wikis", record_id, title, url, parts, audience).model_copy(
        update={"metadata": public_metadata(_project_metadata(project) | metadata)}
    )


DOCUMENTS: dict[str, Callable[[str, str, Any], Document]] = {
    "issues": issue_document,
    "merge_requests": merge_request_document,
    "commits": commit_document,
    "files": file_document,
    "wikis": wiki_document,
}


def _document(
    tenant: str, stream: str, record_id: str, title: str, url: str | None, parts: Sequence[Part], audience: _Audience
) -> Document:
    return Document(
        tenant=tenant,
        source=PLATFORM,
        stream=stream,
        record_id=record_id,
        title=title,
        url=url if url and url.startswith(("https://", "http://")) else None,
        parts=[part for part in parts if part.text.strip()],
        **audience._asdict(),
    )


def _audience(is_public: bool) -> _Audience:
    return _Audience(Visibility.PUBLIC if is_public else Visibility.INTERNAL, [])


def _part(path: str, role: str, text: str, audience: _Audience) -> Part:
    return Part(path=path, role=role, text=text, **audience._asdict())


def _comments(notes: Sequence[Note], url: str | None, audience: _Audience) -> list[Part]:
    """What people said, oldest first. An internal note is for the project's members, of a confidential issue for no
    more people than the issue."""
    parts: list[Part] = []
    for note in sorted(notes, key=lambda note: (note.created_at or "", note.id)):
        text = _text(note.body)
        if note.system or not text:
            continue
        is_internal = note.internal is True or note.confidential is True
        shown_to = _audience(False) if is_internal and audience.visibility is Visibility.PUBLIC else audience
        author = _name(note.author)
        parts.append(
            Part(
                path=f"comment-{note.id}",
                role="comment",
                text=f"{author}: {text}" if author else text,
                **shown_to._asdict(),
                metadata=public_metadata(
                    {
                        "author": author,
                        "created_at": note.created_at,
                        "comment_id": note.id,
                        "link": f"{url}#note_{note.id}" if url else None,
                    }
                ),
            )
        )
    return parts


def _diffs(diffs: Sequence[Diff], audience: _Audience) -> tuple[list[Part], list[str]]:
    """One part for each changed file, and what was left out, with the reason."""
    texts: dict[str, str] = {}
    left_out: list[str] = []
    for diff in diffs:
        why_not = _why_not(diff)
        if why_not is None:
            texts[diff.new_path] = texts.get(diff.new_path, "") + _diff_text(diff)
        else:
            left_out.append(f"{diff.new_path} ({why_not})")
    parts = [
        Part(path=f"diff-{path}", role="diff", text=text, **audience._asdict(), metadata={"path": path})
        for path, text in texts.items()
    ]
    return parts, left_out


def _why_not(diff: Diff) -> str | None:
    if diff.a_mode in NO_FILE or diff.b_mode in NO_FILE:
        return "no file"
    if diff.too_large:
        return "too large"
    if diff.generated_file:
        return "generated"
    if (why_not := why_not_by_name(diff.new_path)) is not None:
        return why_not
    if diff.collapsed:
        return "collapsed"
    text = diff.diff or ""
    if text.startswith("Binary files "):
        return "binary"
    return None if text or diff.renamed_file else "no text"


def _diff_text(diff: Diff) -> str:
    # Line ends of the file itself would differ between lines that were kept and lines that were changed.
    text = (diff.diff or "").replace("\r\n", "\n")
    renamed = diff.renamed_file and diff.old_path and diff.old_path != diff.new_path
    return f"rename from {diff.old_path}\nrename to {diff.new_path}\n{text}" if renamed else text


def _item_metadata(project: Project, item: Item) -> dict[str, Any]:
    return _project_metadata(project) | {
        "iid": item.iid,
        "state": item.state,
        "labels": sorted(item.labels),
        "milestone": item.milestone.title if item.milestone else None,
        "author": _name(item.author),
        "assignees": [name for name in map(_name, item.assignees or []) if name],
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "closed_at": item.closed_at,
        "due_by": item.due_date,
    }


def _project_metadata(project: Project) -> dict[str, Any]:
    return {"platform": PLATFORM, "project": project.path, "project_id": project.id}


def _name(person: Person | None) -> str | None:
    return _name_only(person.name or person.username) if person else None


def _name_only(name: str | None) -> str | None:
    """A person's name; a mail address is none."""
    name = _line(name or "")
    return name if name and "@" not in name else None


def _line(text: str) -> str:
    return " ".join(text.split())


def _text(text: str | None) -> str:
    return (text or "").replace("\r\n", "\n").replace("\r", "\n").strip()
