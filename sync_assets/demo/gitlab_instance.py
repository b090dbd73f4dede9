"""One GitLab instance: what it holds now, and what people do in it.

Projects are given by id or full path, people by user name, and issues and merge requests as people write them: `#12`
and `!3`. What is not there raises `KeyError`.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

from sync_assets.demo.faults import Faults
from sync_assets.demo.freshdesk import now
from sync_assets.demo.gitlab_data import (
    FEATURES,
    Feature,
    GitLabData,
    Issue,
    MergeRequest,
    Note,
    Noteable,
    WikiPage,
)
from sync_assets.demo.gitlab_limits import Throttle
from sync_assets.demo.records import Json

_ISSUE_FACTS = ("labels", "assignees", "confidential", "kind", "due_date")
_REQUEST_FACTS = ("labels", "assignees", "reviewers", "draft")


class GitLabInstance:
    """One instance: what it holds, the faults ordered for its API, and the log of requests.

    Attributes:
        data: what the instance holds now.
        throttle: the requests that count towards its API's limits.
        requests: answered requests by method and path template, such as `GET /api/v4/projects/:id/issues`.
    """

    def __init__(self, start: GitLabData) -> None:
        self._start = deepcopy(start)
        self.reset()

    def reset(self) -> None:
        """Back to the starting state: content, faults, limits and counts."""
        self.data = deepcopy(self._start)
        self.faults = Faults()
        self.throttle = Throttle()
        self.requests: Counter[str] = Counter()

    def noteable(self, project: int | str, reference: str) -> Issue | MergeRequest:
        """The issue `#12` or the merge request `!3` of a project."""
        kept, number = self.data.project(project), int(reference[1:])
        return kept.issues[number] if reference[0] == "#" else kept.merge_requests[number]

    def open_issue(
        self,
        project: int | str,
        user: str,
        title: str,
        description: str | None = None,
        at: datetime | None = None,
        **facts: Any,
    ) -> Issue:
        """Open an issue; `facts` are `labels`, `assignees`, `confidential`, `kind` and `due_date`."""
        kept, moment = self.data.project(project), at or now()
        _known(facts, _ISSUE_FACTS)
        kept.last_issue += 1
        author = self._user(user)
        issue = Issue(self.data.new_id(), kept.last_issue, title, description, author, moment, moment, **facts)
        kept.issues[issue.iid] = issue
        kept.last_activity_at = moment
        return issue

    def edit(
        self, project: int | str, reference: str, user: str, at: datetime | None = None, **changes: Any
    ) -> Issue | MergeRequest:
        """Change an issue's or merge request's `title`, `description`, `labels`, `assignees` or other facts.

        GitLab notes by itself where the title or the description changes.
        """
        item, moment = self.noteable(project, reference), at or now()
        allowed = _ISSUE_FACTS if isinstance(item, Issue) else _REQUEST_FACTS
        _known(changes, ("title", "description", *allowed))
        if changes.get("title", item.title) != item.title:
            self._note(item, user, f"changed title from **{item.title}** to **{changes['title']}**", moment)
        if changes.get("description", item.description) != item.description:
            self._note(item, user, "changed the description", moment)
        for name, value in changes.items():
            setattr(item, name, value)
        item.updated_at = self.data.project(project).last_activity_at = moment
        return item

    def label(
        self, project: int | str, reference: str, user: str, labels: Sequence[str], at: datetime | None = None
    ) -> None:
        """Give an issue or a merge request these labels, and take away others."""
        self.edit(project, reference, user, at, labels=list(labels))

    def make_confidential(
        self, project: int | str, reference: str, user: str, on: bool = True, at: datetime | None = None
    ) -> None:
        """Hide an issue from all but the project's members, or show it to everybody again."""
        item, moment = self.noteable(project, reference), at or now()
        shown = "confidential" if on else "visible to everyone"
        self._note(item, user, f"made the issue {shown}", moment)
        self.edit(project, reference, user, moment, confidential=on)

    def close(self, project: int | str, reference: str, user: str, at: datetime | None = None) -> None:
        """Close an issue or a merge request."""
        item, moment = self.noteable(project, reference), at or now()
        item.state, item.closed_at, item.closed_by = "closed", moment, self._user(user)
        item.updated_at = moment

    def reopen(self, project: int | str, reference: str, at: datetime | None = None) -> None:
        """Open a closed issue or merge request again."""
        item = self.noteable(project, reference)
        item.state, item.closed_at, item.closed_by, item.updated_at = "opened", None, None, at or now()

    def delete(self, project: int | str, reference: str) -> None:
        """Delete an issue or a merge request for good; its number is never given again."""
        item, kept = self.noteable(project, reference), self.data.project(project)
        del (kept.issues if isinstance(item, Issue) else kept.merge_requests)[item.iid]

    def comment(
        self,
        project: int | str,
        reference: str,
        user: str,
        body: str,
        at: datetime | None = None,
        *,
        internal: bool = False,
        system: bool = False,
        reply_to: int | None = None,
        position: Json | None = None,
    ) -> Note:
        """Comment on an issue or a merge request.

        Args:
            internal: for the project's members only.
            system: what GitLab notes by itself.
            reply_to: the comment whose discussion is continued.
            position: `new_path` and `new_line` of a comment on a difference.
        """
        item, moment = self.noteable(project, reference), at or now()
        note = self._note(item, user, body, moment, system)
        note.internal, note.position = internal, position
        if reply_to is not None:
            note.discussion = _note_of(item, reply_to).discussion
        item.updated_at = self.data.project(project).last_activity_at = moment
        return note

    def edit_note(
        self, project: int | str, reference: str, note_id: int, body: str, at: datetime | None = None
    ) -> None:
        """Change what a comment says."""
        item, moment = self.noteable(project, reference), at or now()
        note = _note_of(item, note_id)
        note.body, note.updated_at, item.updated_at = body, moment, moment

    def delete_note(self, project: int | str, reference: str, note_id: int) -> None:
        """Delete a comment, which changes no time of its issue or merge request."""
        item = self.noteable(project, reference)
        item.notes.remove(_note_of(item, note_id))

    def push(
        self,
        project: int | str,
        user: str,
        message: str,
        *,
        write: Mapping[str, bytes | str] | None = None,
        rename: Mapping[str, str] | None = None,
        delete: Sequence[str] = (),
        executable: Sequence[str] = (),
        branch: str | None = None,
        start: str | None = None,
        at: datetime | None = None,
    ) -> str:
        """Push one commit; the open merge request of its branch takes it up.

        Args:
            write: new content of files by path, text or bytes; `rename`, `delete` and `executable` as in git.
            branch: the default branch where it is not given; a new one starts from `start`.

        Returns:
            The commit's id.
        """
        kept, moment = self.data.project(project), at or now()
        content = {path: text.encode() if isinstance(text, str) else text for path, text in (write or {}).items()}
        pushed_to = branch or kept.repository.default
        sha = kept.repository.commit(
            pushed_to,
            self._signature(user),
            moment,
            message,
            write=content,
            rename=rename,
            delete=delete,
            executable=executable,
            start=start,
        )
        for request in kept.merge_requests.values():
            if request.state == "opened" and request.source_branch == pushed_to:
                request.head_sha, request.updated_at = sha, moment
                title = message.splitlines()[0]
                self._note(request, user, f"added 1 commit\n\n<ul><li>{sha[:8]} - {title}</li></ul>", moment)
        kept.last_activity_at = moment
        return sha

    def open_merge_request(
        self,
        project: int | str,
        user: str,
        source_branch: str,
        title: str,
        description: str | None = None,
        at: datetime | None = None,
        **facts: Any,
    ) -> MergeRequest:
        """Ask to merge a branch into the default one; `facts` are `labels`, `assignees`, `reviewers` and `draft`."""
        kept, moment = self.data.project(project), at or now()
        _known(facts, _REQUEST_FACTS)
        head = kept.repository.branches[source_branch].decode()
        kept.last_merge_request += 1
        request = MergeRequest(
            self.data.new_id(),
            kept.last_merge_request,
            title,
            description,
            self._user(user),
            moment,
            moment,
            source_branch=source_branch,
            target_branch=kept.repository.default,
            base_sha=kept.repository.merge_base(kept.repository.resolve("HEAD"), head),
            head_sha=head,
            **facts,
        )
        kept.merge_requests[request.iid] = request
        kept.last_activity_at = moment
        return request

    def merge(self, project: int | str, reference: str, user: str, at: datetime | None = None) -> str:
        """Merge a merge request; returns the merge commit's id."""
        kept, moment = self.data.project(project), at or now()
        request = kept.merge_requests[int(reference[1:])]
        message = f"Merge branch '{request.source_branch}' into '{request.target_branch}'\n\n{request.title}"
        message += f"\n\nSee merge request {kept.path}!{request.iid}"
        sha = kept.repository.merge(request.head_sha, request.target_branch, self._signature(user), moment, message)
        request.state, request.merged_by, request.merged_at = "merged", self._user(user), moment
        request.merge_commit_sha, request.updated_at, kept.last_activity_at = sha, moment, moment
        return sha

    def write_wiki_page(self, project: int | str, title: str, content: str) -> WikiPage:
        """Write a page of the wiki, new or over what it was; folders stand in the title, `Field/Grounding`."""
        page = WikiPage(title, content)
        self.data.project(project).wiki[page.slug] = page
        return page

    def move_wiki_page(self, project: int | str, slug: str, title: str) -> WikiPage:
        """Give a page another title, and so another slug."""
        content = self.data.project(project).wiki[slug].content
        self.delete_wiki_page(project, slug)
        return self.write_wiki_page(project, title, content)

    def delete_wiki_page(self, project: int | str, slug: str) -> None:
        """Delete a page of the wiki."""
        del self.data.project(project).wiki[slug]

    def switch_feature(self, project: int | str, feature: Feature, on: bool) -> None:
        """Switch the project's `issues`, `merge_requests`, `wiki` or `repository` on or off; nothing is deleted."""
        if feature not in FEATURES:
            raise KeyError(feature)
        off = self.data.project(project).off
        (off.discard if on else off.add)(feature)

    def move_project(self, project: int | str, path: str) -> None:
        """Give a project another full path; the API sends who asks for the old one to the project's id."""
        kept = self.data.project(project)
        self.data.moved[kept.path] = kept.id
        kept.path = path

    def set_access(self, project: int | str, level: int | None) -> None:
        """Give the token's user an access level in a project (10 guest, 20 reporter), or take the project away."""
        project_id = self.data.project(project).id
        if level is None:
            self.data.access.pop(project_id, None)
        else:
            self.data.access[project_id] = level

    def _user(self, user: str) -> str:
        return self.data.users[user]["username"]

    def _signature(self, user: str) -> str:
        return f"{self.data.users[user]['name']} <{user}@{self.data.domain}>"

    def _note(self, item: Noteable, user: str, body: str, moment: datetime, system: bool = True) -> Note:
        number = self.data.new_id()
        discussion = hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()
        note = Note(number, body, self._user(user), moment, moment, discussion, system)
        item.notes.append(note)
        return note


def _note_of(item: Noteable, note_id: int) -> Note:
    for note in item.notes:
        if note.id == note_id:
            return note
    raise KeyError(note_id)


def _known(facts: Mapping[str, Any], names: Sequence[str]) -> None:
    if unknown := set(facts) - set(names):
        raise KeyError(", ".join(sorted(unknown)))
