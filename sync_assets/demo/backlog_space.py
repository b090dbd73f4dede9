"""One Backlog space as it is served, with what people do there; its faults, limits and log."""

from collections import Counter
from copy import deepcopy
from datetime import datetime
from typing import Any

from sync_assets.demo import backlog_records as records
from sync_assets.demo.backlog_fields import activity_changes, attached, change
from sync_assets.demo.backlog_limits import Windows
from sync_assets.demo.backlog_records import SpaceData, timestamp
from sync_assets.demo.faults import Faults
from sync_assets.demo.freshdesk import now
from sync_assets.demo.records import Json


class BacklogSpace:
    """One space: what it holds now, and what people do there.

    Every action takes `at`, its moment; the present one where it is not given. People are named by their `userId`,
    projects by their key and issues by id or key. What nothing has is a `KeyError`.

    Attributes:
        data: the present records.
        requests: answered requests by method and path, such as `GET /api/v2/issues/{issue}`.
    """

    def __init__(self, start: SpaceData) -> None:
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Back to the starting state: records, memberships, faults, counts and limits."""
        self.data = deepcopy(self._start)
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self.windows = Windows()

    def issue(self, id_or_key: int | str) -> Json:
        """An issue as it is sent."""
        for issue in self.data.issues.values():
            if str(id_or_key) in (str(issue["id"]), issue["issueKey"]):
                return issue
        raise KeyError(id_or_key)

    def add_issue(self, project: str, user: str, summary: str, at: datetime | None = None, **fields: Any) -> Json:
        """Add an issue; `fields` as `backlog_fields.change` takes them. Returns it as it is sent."""
        data, about, moment = self.data, self.data.project(project), at or now()
        kind = f"issue of {about['id']}"
        issue = records.new_issue(
            data.settings[about["id"]], about, data.next_id(kind), data.user(user), summary, moment
        )
        change(data, issue, fields)
        data.issues[issue["id"]] = issue
        data.comments[issue["id"]] = []
        told = {"description": issue["description"], "attachments": [], "shared_files": []}
        self._log(issue["projectId"], records.ISSUE_CREATED, user, moment, _of_issue(issue) | told)
        return issue

    def comment(
        self, issue: int | str, user: str, content: str | None, at: datetime | None = None, **changes: Any
    ) -> Json:
        """Add a comment and change fields with it; without `content` the entry only has the changes.

        Returns:
            The comment as it is sent.
        """
        about, moment = self.issue(issue), at or now()
        return self._entry(about, user, content, moment, change(self.data, about, changes))

    def update_issue(self, issue: int | str, user: str, at: datetime | None = None, **changes: Any) -> Json:
        """Change fields of an issue, its summary and description too; returns the entry that says so."""
        return self.comment(issue, user, None, at, **changes)

    def set_status(self, issue: int | str, user: str, status: str, at: datetime | None = None) -> Json:
        """Give an issue another status, by its name; returns the entry that says so."""
        return self.update_issue(issue, user, at, status=status)

    def edit_comment(self, issue: int | str, comment: int, content: str, at: datetime | None = None) -> None:
        """Give a comment another text. The issue's own `updated` stays, and no activity tells of it."""
        self._comment(issue, comment).update(content=content, updated=timestamp(at or now()))

    def delete_comment(self, issue: int | str, comment: int) -> None:
        """Delete a comment, which leaves no trace."""
        self.data.comments[self.issue(issue)["id"]].remove(self._comment(issue, comment))

    def attach(self, issue: int | str, user: str, name: str, content: bytes, at: datetime | None = None) -> Json:
        """Put a file to an issue; returns the attachment as it is sent."""
        about, moment = self.issue(issue), at or now()
        attachment = self._attachment(about, user, name, content, moment)
        self._entry(about, user, None, moment, [attached(attachment)])
        return attachment

    def delete_issue(self, issue: int | str, user: str, at: datetime | None = None) -> None:
        """An issue with its comments and files is gone for good; an activity tells of it."""
        about = self.issue(issue)
        del self.data.issues[about["id"]], self.data.comments[about["id"]]
        self._forget_files(about)
        told = {"id": about["id"], "key_id": about["keyId"]}
        self._log(about["projectId"], records.ISSUE_DELETED, user, at or now(), told)

    def move_issue(self, issue: int | str, user: str, project: str, at: datetime | None = None) -> Json:
        """Move an issue to another project: it keeps its id and gets another key, the new project's first issue type
        and status, and no categories, versions or custom fields. Returns it as it is sent."""
        data, about, moment = self.data, self.issue(issue), at or now()
        target = data.project(project)
        number = data.next_id(f"issue of {target['id']}")
        bare = records.new_issue(data.settings[target["id"]], target, number, data.user(user), "", moment)
        taken = ("projectId", "issueKey", "keyId", "issueType", "status", "category", "versions", "milestone")
        about.update({name: bare[name] for name in (*taken, "customFields", "updatedUser", "updated")})
        for comment in data.comments[about["id"]]:
            comment["projectId"] = target["id"]
        return about

    def add_wiki(self, project: str, user: str, name: str, content: str, at: datetime | None = None) -> Json:
        """Add a wiki page, whose name may have `/`; returns it as it is sent."""
        data, project_id, moment = self.data, self.data.project(project)["id"], at or now()
        wiki_id = data.next_id("wiki")
        page = records.new_wiki(wiki_id, project_id, data.user(user), name, content, moment)
        data.wikis[wiki_id] = page
        self._log(project_id, records.WIKI_CREATED, user, moment, _of_wiki(page))
        return page

    def update_wiki(self, wiki: int, user: str, at: datetime | None = None, **changes: str) -> None:
        """Give a wiki page another `name` or `content`."""
        page, moment = self.data.wikis[wiki], at or now()
        page.update(changes, updatedUser=self.data.user(user), updated=timestamp(moment))
        self._log(page["projectId"], records.WIKI_UPDATED, user, moment, _of_wiki(page))

    def attach_to_wiki(self, wiki: int, user: str, name: str, content: bytes, at: datetime | None = None) -> Json:
        """Put a file to a wiki page; returns the attachment as it is sent."""
        moment = at or now()
        attachment = self._attachment(self.data.wikis[wiki], user, name, content, moment)
        self.update_wiki(wiki, user, moment)
        return attachment

    def delete_wiki(self, wiki: int, user: str, at: datetime | None = None) -> None:
        """A wiki page is gone for good; an activity tells of it."""
        page = self.data.wikis.pop(wiki)
        self._forget_files(page)
        told = {"id": wiki, "name": page["name"]}
        self._log(page["projectId"], records.WIKI_DELETED, user, at or now(), told)

    def add_document(self, project: str, user: str, title: str, text: str, at: datetime | None = None) -> Json:
        """Add a document; `text` as `backlog_records.rich_text` takes it. Returns it as it is sent."""
        about = self.data.project(project)
        document = records.new_document(about["id"], self.data.user(user), title, text, at or now())
        self.data.documents[document["id"]] = document
        self.data.document_comments[document["id"]] = []
        return document

    def update_document(
        self, document: str, user: str, title: str | None = None, text: str | None = None, at: datetime | None = None
    ) -> None:
        """Give a document another title or text; no activity tells of it."""
        page = self.data.documents[document]
        page.update(updatedUser=self.data.user(user), updated=timestamp(at or now()))
        page.update({} if title is None else {"title": title}, **({} if text is None else records.rich_text(text)))

    def comment_document(self, document: str, user: str, text: str, at: datetime | None = None) -> Json:
        """Add a comment to a document, whose own `updated` stays; returns the comment as it is sent."""
        author, moment = self.data.user(user), timestamp(at or now())
        words = records.rich_text(text)
        comment = {
            "id": f"{document[:13]}{self.data.next_id('comment'):019x}",
            "documentId": document,
            "statusId": 0,
            "content": words["json"],
            "plain": words["plain"],
            "commentType": "comment",
            "createdUserId": author["id"],
            "created": moment,
            "updatedUserId": author["id"],
            "updated": moment,
            "createdUser": author,
            "replies": [],
        }
        self.data.document_comments[document].append(comment)
        return comment

    def delete_document(self, document: str) -> None:
        """Throw a document away, which no activity tells of: its project's trash holds it, and it can't be read."""
        self.data.trash[document] = self.data.documents.pop(document)

    def archive(self, project: str, archived: bool = True) -> None:
        """Archive a project, which can still be read, or bring it back."""
        self.data.project(project)["archived"] = archived

    def leave(self, project: str) -> None:
        """Take the user that the key belongs to out of a project."""
        self.data.members[self.data.project(project)["id"]].remove(self.data.reader)

    def join(self, project: str) -> None:
        """Put the user that the key belongs to into a project."""
        self.data.members[self.data.project(project)["id"]].append(self.data.reader)

    def _comment(self, issue: int | str, comment: int) -> Json:
        return {each["id"]: each for each in self.data.comments[self.issue(issue)["id"]]}[comment]

    def _entry(self, issue: Json, user: str, content: str | None, moment: datetime, log: list[Json]) -> Json:
        """Put a comment or an entry of changes to an issue."""
        author = self.data.user(user)
        entry = records.new_comment(self.data.next_id("comment"), issue, author, content, log, moment)
        self.data.comments[issue["id"]].append(entry)
        issue.update(updatedUser=author, updated=timestamp(moment))
        told = {
            "description": issue["description"],
            "comment": {"id": entry["id"], "content": content or ""},
            "changes": activity_changes(log),
            "attachments": [each["attachmentInfo"] for each in log if each["attachmentInfo"]],
            "shared_files": [],
        }
        kind = records.ISSUE_COMMENTED if content else records.ISSUE_UPDATED
        self._log(issue["projectId"], kind, user, moment, _of_issue(issue) | told)
        return entry

    def _attachment(self, owner: Json, user: str, name: str, content: bytes, moment: datetime) -> Json:
        number = self.data.next_id("attachment")
        attachment = records.new_attachment(number, self.data.user(user), name, content, moment)
        owner["attachments"].append(attachment)
        self.data.files[number] = content
        return attachment

    def _forget_files(self, owner: Json) -> None:
        for attachment in owner["attachments"]:
            del self.data.files[attachment["id"]]

    def _log(self, project_id: int, kind: int, user: str, moment: datetime, content: Json) -> None:
        activity = {
            "id": self.data.next_id("activity"),
            "project": self.data.projects[project_id],
            "type": kind,
            "content": content,
            "notifications": [],
            "createdUser": self.data.user(user),
            "created": timestamp(moment),
        }
        self.data.activities[project_id].append(activity)


def _of_issue(issue: Json) -> Json:
    return {"id": issue["id"], "key_id": issue["keyId"], "summary": issue["summary"]}


def _of_wiki(page: Json) -> Json:
    told = {"diff": "", "version": 1, "attachments": [], "shared_files": []}
    return {"id": page["id"], "name": page["name"], "content": page["content"]} | told
