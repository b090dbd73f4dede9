"""GitLab's issues and merge requests, with their notes and diffs.

What belongs here: which requests make one record. What does not: its document (`gitlab_documents.py`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sync_assets.documents import Record
from sync_assets.sources import LiveId
from sync_assets.sources.gitlab_web import (
    Json,
    Project,
    Web,
    is_of,
    live,
    malformed,
    moment_of,
    odd,
    version_of,
)
from sync_assets.sources.http import ApiStatusError

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
# How far ahead upstream's clock may be.
AHEAD = timedelta(days=1)

# What the listing and the single record both carry, and what documents hold of it.
_FACTS = (
    "title",
    "description",
    "state",
    "labels",
    "confidential",
    "user_notes_count",
    "due_date",
    "closed_at",
    "merged_at",
    "issue_type",
    "draft",
    "source_branch",
    "target_branch",
    "sha",
    "web_url",
)


class Work:
    """Issues or merge requests. Each brings its notes, since these have no listing by time of their own.

    A new or edited note moves the parent's `updated_at` unless that was moved less than a minute before. A new or
    removed one also changes the count of notes, which is in `cheap_version`; an edit within that minute, and another
    name of who wrote a note, show once the parent changes again.
    """

    def __init__(self, web: Web, name: str, feature: str) -> None:
        self.name, self.feature = name, feature
        self._web = web

    def probe(self, project: Project) -> None:
        """Raises `ApiStatusError` where the project does not show its records."""
        self._web.page(self._path(project), {"per_page": 1})

    def span(self, project: Project) -> list[datetime]:
        rows = [
            row
            for sort in ("asc", "desc")
            for row in self._web.page(
                self._path(project),
                {"scope": "all", "state": "all", "order_by": "updated_at", "sort": sort, "per_page": 1},
            )
        ]
        return [moment for row in rows if (moment := moment_of(row, "updated_at")) is not None]

    def newest(self, project: Project) -> Any:
        """The item that changed last."""
        order = {"scope": "all", "state": "all", "order_by": "updated_at", "sort": "desc", "per_page": 1}
        rows = self._web.page(self._path(project), order)
        return [[row.get("iid"), row.get("updated_at")] for row in rows if isinstance(row, dict)]

    def changed(self, project: Project, since: datetime, until: datetime) -> Iterator[Record]:
        listed = self._web.changed_rows(self._path(project), {}, max(since, BEGINNING), max(until, BEGINNING))
        return self._web.map(lambda found: self._whole(project, found[0]), listed)

    def listed(self, project: Project) -> Iterator[LiveId]:
        bound = self._web.clock() + AHEAD
        for row, moment in self._web.changed_rows(self._path(project), {}, BEGINNING, bound):
            if not isinstance(row, dict) or not isinstance(row.get("iid"), int):
                raise self._web.unreadable(self._path(project))
            yield LiveId(
                record_id=self._id(project, row["iid"]),
                modified_at=moment or BEGINNING,
                cheap_version=self._version(project, row),
            )

    def now(self, project: Project, rest: str) -> Record:
        row = self._web.get(f"{self._path(project)}/{int(rest)}")
        if not is_of(row, "iid", int(rest)):
            return odd(self._id(project, rest), self._web.clock(), row)
        return self._completed(project, row, row)

    def explain_absence(self, project: Project) -> str | None:
        """Why a record that answers 404 may still be there; None where it is gone."""
        if self.name != "issue" or project.sees_confidential:
            return None
        return (
            f"{project.path_with_namespace} does not show it, and it may have become confidential: give the token's "
            "user the role Planner or a higher one"
        )

    def _path(self, project: Project) -> str:
        return f"/projects/{project.id}/{self.feature}"

    def _id(self, project: Project, iid: Any) -> str:
        return f"{self.name}-{project.id}-{iid}"

    def _version(self, project: Project, row: Json) -> str:
        assignees = row.get("assignees")
        # GitLab lists them in no order that holds.
        people = [_named(row.get("author")), *sorted(map(_named, assignees if isinstance(assignees, list) else []))]
        milestone = row.get("milestone")
        title = milestone.get("title") if isinstance(milestone, dict) else None
        # Who sees more of a project than before, sees more notes of what has not changed.
        facts = [project.facts(self.feature), project.sees_confidential]
        return version_of(facts, [row.get(fact) for fact in _FACTS], people, title)

    def _whole(self, project: Project, row: Any) -> Record:
        """A listed row with the rest of its record. Runs in the client's threads."""
        now = self._web.clock()
        if not isinstance(row, dict) or not isinstance(row.get("iid"), int):
            return malformed(f"malformed-{version_of(row)}", "its iid is missing or not a number", now, row)
        try:
            whole = row
            if self.name == "merge_request":
                whole = self._web.get(f"{self._path(project)}/{row['iid']}")
            return self._completed(project, row, whole)
        except ApiStatusError as error:
            return malformed(self._id(project, row["iid"]), error.message, now, row)

    def _completed(self, project: Project, row: Json, whole: Any) -> Record:
        """A record from its row and, for a merge request, its own answer, which alone counts the changed files."""
        path = f"{self._path(project)}/{row['iid']}"
        payload: Json = {"project": project.facts(self.feature), "item": row}
        payload["notes"] = list(self._web.rows(f"{path}/notes", {"order_by": "created_at", "sort": "asc"}))
        if self.name == "merge_request":
            payload["changes_count"] = whole.get("changes_count") if isinstance(whole, dict) else None
            payload["diffs"] = list(self._web.rows(f"{path}/diffs"))
        return live(
            self._id(project, row["iid"]),
            moment_of(row, "updated_at"),
            self._version(project, row),
            payload,
            self._web.clock(),
        )


def _named(person: Any) -> list[str]:
    """What documents say of a person."""
    return [str(person.get("username")), str(person.get("name"))] if isinstance(person, dict) else []
