"""GitLab's wiki pages.

What belongs here: which requests make one page, and when it is taken for gone. What does not: its document
(`gitlab_documents.py`).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sync_assets.documents import Record
from sync_assets.sources import LiveId
from sync_assets.sources.gitlab_web import (
    NOT_SHOWN,
    Json,
    Project,
    Web,
    deleted,
    is_of,
    live,
    malformed,
    odd,
    version_of,
)
from sync_assets.sources.http import ApiStatusError

_EMPTY = "its wiki is empty and the project shows no code, which an outage of GitLab's repositories looks like too"


class Wikis:
    """Wiki pages, which have no times: each has its project's creation as modification time, and what it says decides
    (`cheap_version`). So the window that holds that creation brings them all, and the sweep finds every later change.

    Where GitLab can't reach its repositories, a wiki looks empty and a page not there. So a page is gone only where
    the listing has others, or where the project's code, which lies at the same place, is there to be read.
    """

    name, feature = "wiki", "wiki"

    def __init__(self, web: Web) -> None:
        self._web = web

    def probe(self, project: Project) -> None:
        """Raises `ApiStatusError` where the project does not show its records."""
        self._web.page(self._path(project), {"per_page": 1})

    def span(self, project: Project) -> list[datetime]:
        return [project.created_at] if self._web.page(self._path(project), {"per_page": 1}) else []

    def newest(self, project: Project) -> Any:
        """All pages: nothing else tells that one was edited."""
        return [
            [row.get("slug"), row.get("title"), row.get("content")]
            for row in self._rows(project)
            if isinstance(row, dict)
        ]

    def changed(self, project: Project, since: datetime, until: datetime) -> Iterator[Record]:
        if not since <= project.created_at < until:
            return
        for row in self._rows(project):
            if isinstance(row, dict) and isinstance(row.get("slug"), str):
                yield self._record(project, row)
            else:
                problem = "its slug is missing or not a text"
                yield malformed(f"malformed-{version_of(row)}", problem, self._web.clock(), row)

    def listed(self, project: Project) -> Iterator[LiveId]:
        rows = self._rows(project)
        if not rows and not self._has_code(project):
            raise ApiStatusError(f"{self._web.tenant}: {self._web.host}: {_EMPTY}.", "Try again later.", 404)
        for row in rows:
            if not isinstance(row, dict) or not isinstance(row.get("slug"), str):
                raise self._web.unreadable(self._path(project))
            record = self._record(project, row)
            yield LiveId(record_id=record.record_id, modified_at=project.created_at, cheap_version=record.cheap_version)

    def now(self, project: Project, rest: str) -> Record:
        """A page as it is now. GitLab also finds pages by other ways to write their slug, which are other records."""
        record_id = f"wiki-{project.id}-{rest}"
        try:
            row = self._web.get(f"{self._path(project)}/{quote(rest, safe='')}")
        except ApiStatusError as error:
            if error.status != 404:
                raise
            row = None
        if is_of(row, "slug", rest):
            return self._record(project, row)
        if row is not None and not (isinstance(row, dict) and isinstance(row.get("slug"), str)):
            return odd(record_id, self._web.clock(), row)
        slugs = self._slugs(project)
        if rest in slugs:
            return malformed(record_id, "GitLab lists the page and does not show it", self._web.clock())
        if not slugs and not self._has_code(project):
            return malformed(record_id, _EMPTY, self._web.clock())
        return deleted(record_id, self._web.clock())

    def explain_absence(self, project: Project) -> str | None:
        return None

    def _slugs(self, project: Project) -> set[str]:
        """The slugs of all pages."""
        rows = self._web.rows(self._path(project), {"with_content": 0})
        return {row["slug"] for row in rows if isinstance(row, dict) and isinstance(row.get("slug"), str)}

    def _has_code(self, project: Project) -> bool:
        """Whether the project's code can be read, so that an empty wiki is believed."""
        try:
            return bool(self._web.page(f"/projects/{project.id}/repository/tree", {"per_page": 1}))
        except ApiStatusError as error:
            if error.status not in NOT_SHOWN:
                raise
            return False

    def _rows(self, project: Project) -> list[Any]:
        return list(self._web.rows(self._path(project), {"with_content": 1}))

    def _record(self, project: Project, row: Json) -> Record:
        facts = project.facts(self.feature)
        version = version_of(facts, [row.get(key) for key in ("slug", "title", "format", "content")])
        payload = {"project": facts, "item": row}
        return live(f"wiki-{project.id}-{row['slug']}", project.created_at, version, payload, self._web.clock())

    def _path(self, project: Project) -> str:
        return f"/projects/{project.id}/wikis"
