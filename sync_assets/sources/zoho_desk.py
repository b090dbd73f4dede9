"""Zoho Desk, API v1: knowledge-base articles with their translations, and tickets with threads and comments.

What belongs here: which requests bring which records. What does not: how a record becomes a document
(`zoho_desk_documents.py`), access tokens (`zoho_desk_token.py`), and retries and limits (`http.py`). Facts about the
API are from Zoho's description of it (desk.zoho.com/DeskAPIDocument) and from recorded answers.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Record
from sync_assets.errors import SourceError
from sync_assets.hashing import digest
from sync_assets.sources import LiveId
from sync_assets.sources.files import FileClient
from sync_assets.sources.http import ApiClient, ApiStatusError, BaseUrl, Limits
from sync_assets.sources.zoho_desk_documents import article_document, is_draft, ticket_document
from sync_assets.sources.zoho_desk_graph import with_graph
from sync_assets.sources.zoho_desk_token import TokenAuth

STREAMS = ("articles", "tickets")

Json = dict[str, Any]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]+$")]
ArticleStatus = Literal["Draft", "Published", "Review", "Expired", "Unpublished"]
DataCenter = Literal["us", "eu", "in", "au", "jp", "cn", "uk", "sa", "sg", "ae", "ca"]

# A token of one data centre is refused by all others. Canada's hosts are not below `zoho`.
_DOMAINS: dict[DataCenter, str] = {
    "us": "zoho.com",
    "eu": "zoho.eu",
    "in": "zoho.in",
    "au": "zoho.com.au",
    "jp": "zoho.jp",
    "cn": "zoho.com.cn",
    "uk": "zoho.uk",
    "sa": "zoho.sa",
    "sg": "zoho.sg",
    "ae": "zoho.ae",
    "ca": "zohocloud.ca",
}

_API = "/api/v1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Upstream's clock may be ahead of ours.
_CLOCK_SKEW = timedelta(days=1)
# "from" outside of 0-4999 is refused with 422, as is a "limit" above the list's largest.
_LAST_OFFSET = 4999
_LARGEST_PAGE = {"/articles": 50, "/tickets/search": 100}
_TICKET_PARTS = {"include": "contacts,assignee,departments,team"}
_GONE = (404, 410)
# This request does not suit this record.
_UNFIT = (400, 422)
_GONE_MARKS = ("isTrashed", "isDeleted", "isSpam", "isArchived")
_NO_ID = "malformed-"
_LOCALE = re.compile(r"[A-Za-z]{2,4}(?:[-_][A-Za-z]{2,4})?")

# What may change without the modification time moving, and stands in the listing and in the single record alike. No
# counters: each reader moves them.
_ARTICLE_FACTS = (
    "title",
    "status",
    "latestVersionStatus",
    "latestVersion",
    "latestPublishedVersion",
    "permission",
    "categoryId",
    "departmentId",
    "authorId",
    "locale",
    "webUrl",
    "portalUrl",
)
_PARENT_FACTS = ("permission", "categoryId", "departmentId")
_TRANSLATION_FACTS = ("modifiedTime", *_ARTICLE_FACTS)
_TICKET_FACTS = (
    "subject",
    "status",
    "priority",
    "category",
    "subCategory",
    "departmentId",
    "contactId",
    "assigneeId",
    "teamId",
    "productId",
    "threadCount",
    "commentCount",
    "customerResponseTime",
    "closedTime",
    "dueDate",
    "onholdTime",
)


class Account(BaseModel):
    """One tenant's Zoho Desk organisation, as it stands in `tenants.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_center: DataCenter = Field(description="Where the organisation lives, such as eu for desk.zoho.eu")
    org_id: Digits = Field(description="Id of the organisation, in quotes")
    client_id: str = Field(min_length=1, description="Id of the OAuth client")
    client_secret: SecretStr = Field(min_length=1, description="Secret of the OAuth client")
    refresh_token: SecretStr = Field(
        min_length=1,
        description="Refresh token with Desk.articles.READ, Desk.tickets.READ, Desk.search.READ, Desk.basic.READ",
    )
    statuses: list[ArticleStatus] = Field(
        default=["Published"], min_length=1, description="Articles of these statuses are kept; all others count as gone"
    )
    departments: list[Digits] | None = Field(
        default=None, min_length=1, description="Ids of the departments to sync, in quotes; default all"
    )
    base_url: BaseUrl | None = Field(
        default=None, description="Another root for the API and the accounts server, for a proxy or a simulator"
    )
    limits: Limits = Field(default_factory=Limits, description="How fast and how patiently the account is asked")

    @property
    def api_root(self) -> str:
        """Root of the API's host, without `/api/v1`."""
        return self.base_url or f"https://desk.{_DOMAINS[self.data_center]}"

    @property
    def accounts_root(self) -> str:
        """Root of the host that gives tokens."""
        return self.base_url or f"https://accounts.{_DOMAINS[self.data_center]}"


class Source:
    """One tenant's Zoho Desk, opened for one run. See `sync_assets.sources.Source` for the contract.

    The modification time is the record's `modifiedTime`; a translation has its article's, since articles are what can
    be listed by time. What moves none of them (a publication, a new comment) is seen in `cheap_version`.

    Args:
        clock: wall clock, for `observed_at` and the upper bound of listings.
        transport: takes the place of the network in tests.
    """

    def __init__(
        self,
        tenant: str,
        account: Account,
        *,
        clock: Callable[[], datetime] = utc_now,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tenant = tenant
        self._account = account
        self._clock = clock
        self._setting = f"tenants.{tenant}.zoho_desk"
        auth = TokenAuth(
            setting=self._setting,
            accounts_url=account.accounts_root,
            org_id=account.org_id,
            client_id=account.client_id,
            client_secret=account.client_secret.get_secret_value(),
            refresh_token=account.refresh_token.get_secret_value(),
        )
        self._api = ApiClient(
            tenant,
            account.api_root,
            setting=self._setting,
            limits=account.limits,
            auth=auth,
            credential="refresh_token",
            transport=transport,
        )
        self._files = FileClient(
            account.api_root,
            hosts=[],
            setting=self._setting,
            limits=account.limits,
            auth=auth,
            account=self._api,
            transport=transport,
        )

    def check(self) -> str:
        names = {
            str(row.get("id")): row.get("companyName")
            for row in self._rows("/organizations", {})
            if isinstance(row, dict)
        }
        if self._account.org_id not in names:
            raise SourceError(
                f"{self._tenant}: {self._api.host} has no organisation {self._account.org_id} for this refresh token.",
                f"Set {self._setting}.org_id to one of: {', '.join(sorted(names)) or 'none'}.",
            )
        name = names[self._account.org_id] or "without a name"
        return (
            f"{self._api.host}, organisation {self._account.org_id} ({name}), data centre {self._account.data_center}"
        )

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        path = self._path(stream)
        times = [
            time
            for order in ("modifiedTime", "-modifiedTime")
            for row in self._rows(path, self._listing(_EPOCH, self._clock() + _CLOCK_SKEW, order, 0, 1))
            if isinstance(row, dict) and (time := _moment(row.get("modifiedTime"))) is not None
        ]
        return (min(times), max(times)) if times else None

    def probe(self, stream: str) -> str:
        """The record that changed last. A publication may not change `modifiedTime`: sweeps find it."""
        rows = self._rows(self._path(stream), self._listing(_EPOCH, self._clock() + _CLOCK_SKEW, "-modifiedTime", 0, 1))
        return digest([[row.get("id"), row.get("modifiedTime")] for row in rows if isinstance(row, dict)])

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        listed = self._listed(self._path(stream), since, until)
        if stream == "tickets":
            yield from self._api.map(self._completed_ticket, listed)
        else:
            for records in self._api.map(self._completed_article, listed):
                yield from records

    def live_ids(self, stream: str) -> Iterator[LiveId]:
        listed = self._listed(self._path(stream), _EPOCH, self._clock() + _CLOCK_SKEW)
        groups = (
            ([record] for record in listed) if stream == "tickets" else self._api.map(self._with_translations, listed)
        )
        for records in groups:
            for record in records:
                if record.record_id.startswith(_NO_ID):
                    raise SourceError(
                        f"{self._tenant}: {self._api.host} lists a {stream} record whose id can't be read.",
                        "Nothing can be said to be deleted meanwhile; report it to Zoho if it stays so.",
                    )
                if record.event != "deleted":
                    yield LiveId(
                        record_id=record.record_id,
                        modified_at=record.modified_at or _EPOCH,
                        cheap_version=record.cheap_version,
                    )

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        self._path(stream)
        return self._api.map(self._ticket_now if stream == "tickets" else self._article_now, record_ids)

    def to_document(self, stream: str, record: Record) -> Document:
        self._path(stream)
        to_document = ticket_document if stream == "tickets" else article_document
        return with_graph(to_document(self._tenant, record.record_id, record.payload), record.payload)

    def read_file(self, locator: str, max_bytes: int) -> bytes:
        """See `sync_assets.sources.FileSource`.

        Args:
            locator: path within the API, such as `/api/v1/tickets/{id}/attachments/{attachment}/content`.
        """
        return self._files.read(f"{self._account.api_root}{locator}", max_bytes)

    def close(self) -> None:
        self._api.close()
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _path(self, stream: str) -> str:
        if stream not in STREAMS:
            raise SourceError(f"Zoho Desk has no stream {stream!r}.", f"Streams are: {', '.join(STREAMS)}.")
        return "/tickets/search" if stream == "tickets" else "/articles"

    # Listings

    def _listed(self, path: str, since: datetime, until: datetime) -> Iterator[Record]:
        """Records of a listing modified within [since, until), oldest first, each id once.

        Each page starts anew at the last modification time seen: a record that is changed meanwhile moves to the end of
        the list and would shift another one past a page boundary. So `from` counts within one second only, and its
        ceiling is met only where more records share a second. A page that is not in order is followed by its offset.
        """
        read = self._ticket_of if path == "/tickets/search" else self._article_of
        size = min(self._account.limits.page_size, _LARGEST_PAGE[path])
        bound = min(until, self._clock() + _CLOCK_SKEW)
        seen: set[str] = set()
        start, offset = _whole_second(since), 0
        while start < bound:
            rows = self._rows(path, self._listing(start, bound, "modifiedTime", offset, size))
            records = [read(row) for row in rows]
            for row, record in zip(rows, records, strict=True):
                in_window = record.modified_at is None or since <= record.modified_at < until
                if in_window and record.record_id not in seen and self._is_ours(row):
                    seen.add(record.record_id)
                    yield record
            if len(rows) < size:
                return
            times = [record.modified_at for record in records if record.modified_at is not None]
            newest = _whole_second(max(times, default=start))
            if newest > start and times == sorted(times):
                start, offset = newest, 0
            else:
                offset += len(rows)
            if offset > _LAST_OFFSET:
                raise SourceError(
                    f"{self._tenant}: {self._api.host}: {path} has {offset} or more records modified at "
                    f"{_wire(start)}, and Zoho lists no more of one second.",
                    "Touch some of these records, so that their times differ.",
                )

    def _listing(self, since: datetime, until: datetime, order: str, offset: int, size: int) -> dict[str, str | int]:
        return {
            "modifiedTimeRange": f"{_wire(since)},{_wire(until)}",
            "sortBy": order,
            "from": offset,
            "limit": size,
        }

    def _all_rows(self, path: str, **params: str) -> list[Any]:
        """All rows of a list that belongs to one record, each id once."""
        size = self._account.limits.page_size
        found: dict[str, Any] = {}
        offset = 0
        while True:
            rows = self._rows(path, {**params, "from": offset, "limit": size})
            found |= {
                str(row.get("id")) if isinstance(row, dict) else f"{offset + i}": row for i, row in enumerate(rows)
            }
            offset += len(rows)
            if len(rows) < size:
                return list(found.values())
            if offset > _LAST_OFFSET:
                raise ValueError(f"{path} has more than {offset} rows, and Zoho lists no more")

    def _rows(self, path: str, params: dict[str, str | int]) -> list[Any]:
        """One page. Without any row Zoho answers 204 and no body, or an empty list."""
        body = self._get(path, params)
        rows: Any = [] if body is None else body.get("data") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            raise SourceError(
                f"{self._tenant}: {self._api.host} answered {path} with something other than a list.",
                f"Check {self._setting}.data_center, and base_url where it is set.",
            )
        return rows

    def _get(self, path: str, params: dict[str, str | int] | None = None) -> Any:
        return self._api.get(f"{_API}{path}", params).body

    def _is_ours(self, row: Any) -> bool:
        """Whether a row is of a department that is synced; what can't be read is not left out."""
        departments = self._account.departments
        department = row.get("departmentId") if isinstance(row, dict) else None
        return departments is None or department is None or department in departments

    # Articles

    def _article_of(self, article: Any) -> Record:
        """An article as it stands in a list or alone, its text aside."""
        record = _record(article, "article-", self._clock())
        if record.event == "malformed":
            return record
        status = article.get("status")
        if not isinstance(status, str):
            return _malformed(record, "status is missing or not a text")
        lives = status in self._account.statuses and not _is_marked_gone(article) and self._is_ours(article)
        changes: Json = {
            "event": "live" if lives else "deleted",
            "cheap_version": _cheap_version(article, _ARTICLE_FACTS),
            "payload": {"article": article},
        }
        return record.model_copy(update=changes)

    def _completed_article(self, record: Record) -> list[Record]:
        """A listed article with its text, and its translations. Runs in the client's threads."""
        whole = self._article_now(record.record_id, record) if record.event == "live" else record
        return [whole, *self._translations(whole)]

    def _with_translations(self, record: Record) -> list[Record]:
        """A listed article, and its translations. Runs in the client's threads."""
        return [record, *self._translations(record)]

    def _article_now(self, record_id: str, listed: Record | None = None) -> Record:
        key = _ArticleKey.of(record_id)
        if key is None:
            return self._not_askable(record_id)
        path = f"/articles/{key.article_id}"
        try:
            article = self._get(path)
        except ApiStatusError as error:
            return self._gone_or_raise(record_id, error, listed)
        record = self._article_of(article).model_copy(update={"record_id": record_id})
        if record.event == "malformed":
            return record
        if key.locale:
            return self._translation(article, key.locale)
        if record.event != "live":
            return record
        try:
            return record.model_copy(update={"payload": {"article": self._as_published(path, article)}})
        except ApiStatusError as error:
            return _incomplete(record, error)
        except ValueError as error:
            return _malformed(record, str(error))

    def _as_published(self, path: str, article: Json) -> Json:
        """An article or a translation with the words that stand published, where newer ones are being written.

        Raises:
            ValueError: Zoho gives the words of another version.
        """
        published = article.get("latestPublishedVersion")
        shown = article.get("currentVersion", article.get("latestVersion"))
        if article["status"] != "Published" or not isinstance(published, str) or published in ("", shown):
            return article
        words = self._get(path, {"version": published})
        if not isinstance(words, dict) or words.get("currentVersion") != published:
            raise ValueError(f"version {published} stands published, and Zoho gives the words of another one")
        return {**article, "title": words.get("title"), "answer": words.get("answer")}

    def _translations(self, record: Record) -> list[Record]:
        if record.event == "malformed" or not isinstance(record.payload, dict) or "article" not in record.payload:
            return []
        article: Json = record.payload["article"]
        if _is_marked_gone(article):
            return []
        return [self._translation(article, locale) for locale in _other_locales(article)]

    def _translation(self, article: Json, locale: str) -> Record:
        record_id, path = f"article-{article['id']}-{locale}", f"/articles/{article['id']}/translations/{locale}"
        try:
            translation = self._get(path)
        except ApiStatusError as error:
            return self._gone_or_raise(record_id, error)
        record = Record(
            record_id=record_id,
            modified_at=_moment(article.get("modifiedTime")),
            observed_at=self._clock(),
            payload={"article": article, "translation": translation},
        )
        if not isinstance(translation, dict) or not isinstance(translation.get("status"), str):
            return _malformed(record, "status of the translation is missing or not a text")
        gone = _is_marked_gone(article) or _is_marked_gone(translation) or not self._is_ours(article)
        lives = translation["status"] in self._account.statuses and not gone
        changes: Json = {
            "event": "live" if lives else "deleted",
            "cheap_version": _cheap_version(translation, _TRANSLATION_FACTS, article, _PARENT_FACTS),
        }
        record = record.model_copy(update=changes)
        if not lives:
            return record
        try:
            words = self._as_published(path, translation)
        except ApiStatusError as error:
            return _incomplete(record, error)
        except ValueError as error:
            return _malformed(record, str(error))
        return record.model_copy(update={"payload": {"article": article, "translation": words}})

    # Tickets

    def _ticket_of(self, ticket: Any) -> Record:
        """A ticket as it stands in a list or alone."""
        record = _record(ticket, "", self._clock())
        if record.event == "malformed":
            return record
        lives = not _is_marked_gone(ticket) and self._is_ours(ticket)
        changes: Json = {
            "event": "live" if lives else "deleted",
            "cheap_version": _cheap_version(ticket, _TICKET_FACTS),
            "payload": {"ticket": ticket},
        }
        return record.model_copy(update=changes)

    def _completed_ticket(self, record: Record) -> Record:
        """A listed ticket with all that a document needs. Runs in the client's threads."""
        return self._ticket_now(record.record_id, record) if record.event == "live" else record

    def _ticket_now(self, record_id: str, listed: Record | None = None) -> Record:
        if not record_id.isascii() or not record_id.isdigit():
            return self._not_askable(record_id)
        try:
            ticket = self._get(f"/tickets/{record_id}", {**_TICKET_PARTS})
        except ApiStatusError as error:
            return self._gone_or_raise(record_id, error, listed)
        record = self._ticket_of(ticket).model_copy(update={"record_id": record_id})
        if record.event != "live":
            return record
        try:
            threads = self._threads(ticket)
            comments = self._all_rows(f"/tickets/{record_id}/comments", sortBy="commentedTime")
        except ApiStatusError as error:
            return _incomplete(record, error)
        except ValueError as error:
            return _malformed(record, str(error))
        return record.model_copy(update={"payload": {"ticket": ticket, "threads": threads, "comments": comments}})

    def _threads(self, ticket: Json) -> list[Any]:
        """The ticket's threads with their whole text; drafts, and what repeats the description, as they are listed."""
        path = f"/tickets/{ticket['id']}/threads"
        return [self._whole_thread(path, row, bool(ticket.get("description"))) for row in self._all_rows(path)]

    def _whole_thread(self, path: str, row: Any, described: bool) -> Any:
        """Raises:
        ValueError: its text can't be had whole.
        """
        if not isinstance(row, dict) or is_draft(row):
            return row
        if described and row.get("isDescriptionThread") is True and row.get("hasAttach") is not True:
            return row
        if not isinstance(row.get("id"), str) or not row["id"].isalnum():
            raise ValueError("a thread without a readable id")
        thread = self._get(f"{path}/{row['id']}", {"include": "plainText"})
        if isinstance(thread, dict) and thread.get("isContentTruncated") is True:
            return {**thread, "content": self._full_content(thread)}
        return thread

    def _full_content(self, thread: Json) -> str:
        """The whole text of a long mail. The token goes to no other host than the API's."""
        url, root = thread.get("fullContentURL"), self._account.api_root
        if not isinstance(url, str) or not url.startswith(f"{root}/"):
            raise ValueError(f"thread {thread.get('id')} is cut off, and its whole text is not at {root}")
        try:
            body = self._api.get(url.removeprefix(root)).body
        except SourceError as error:
            raise ValueError(f"thread {thread.get('id')} is cut off: {error}") from None
        content = body.get("content") if isinstance(body, dict) else None
        if not content or not isinstance(content, str):
            raise ValueError(f"thread {thread.get('id')} is cut off, and its whole text can't be read")
        return content

    # Both

    def _gone_or_raise(self, record_id: str, error: ApiStatusError, listed: Record | None = None) -> Record:
        """For a request for the record itself: only that can say that it is gone."""
        record = listed or Record(record_id=record_id, observed_at=self._clock())
        if error.status in _GONE:
            return record.model_copy(update={"event": "deleted", "observed_at": self._clock()})
        return _incomplete(record, error)

    def _not_askable(self, record_id: str) -> Record:
        record = Record(record_id=record_id, observed_at=self._clock())
        return _malformed(record, "Zoho Desk can't be asked for it: it came without a readable id")


@dataclass(frozen=True)
class _ArticleKey:
    """What a record id of the stream `articles` says."""

    article_id: str
    locale: str

    @classmethod
    def of(cls, record_id: str) -> Self | None:
        kind, _, rest = record_id.partition("-")
        number, dash, locale = rest.partition("-")
        readable = kind == "article" and number.isascii() and number.isdigit()
        return cls(number, locale) if readable and (not dash or _LOCALE.fullmatch(locale)) else None


def _record(row: Any, prefix: str, observed_at: datetime) -> Record:
    """A row of a list, malformed where its id or modification time can't be read."""
    row_id = row.get("id") if isinstance(row, dict) else None
    readable_id = isinstance(row_id, str) and row_id.isascii() and row_id.isdigit()
    modified_at = _moment(row.get("modifiedTime")) if isinstance(row, dict) else None
    problem = None
    if not isinstance(row, dict):
        problem = "it is not an object"
    elif not readable_id:
        problem = "id is missing or not a text of digits"
    elif modified_at is None:
        problem = "modifiedTime is missing or not a time"
    return Record(
        record_id=f"{prefix}{row_id}" if readable_id else f"{_NO_ID}{_digest(row)[:12]}",
        event="malformed" if problem else "live",
        modified_at=modified_at,
        observed_at=observed_at,
        payload=row,
        problem=problem,
    )


def _incomplete(record: Record, error: ApiStatusError) -> Record:
    """A record of which something can't be had.

    Raises:
        ApiStatusError: the account as a whole is refused.
    """
    if error.status < 500 and error.status not in (*_GONE, *_UNFIT):
        raise error
    # A fault of this record alone, as far as can be seen: where the service is down, the circuit breaker opens.
    return _malformed(record, str(error))


def _malformed(record: Record, problem: str) -> Record:
    return record.model_copy(update={"event": "malformed", "problem": problem})


def _is_marked_gone(row: Json) -> bool:
    return any(row.get(mark) is True for mark in _GONE_MARKS)


def _other_locales(article: Json) -> list[str]:
    """Locales of the article's translations, its own left out."""
    translations = article.get("availableLocaleTranslations")
    locales = {
        item["locale"]
        for item in (translations if isinstance(translations, list) else [])
        if isinstance(item, dict) and isinstance(item.get("locale"), str) and _LOCALE.fullmatch(item["locale"])
    }
    return sorted(locales - {article.get("locale")})


def _cheap_version(
    row: Json, facts: Iterable[str], parent: Json | None = None, parent_facts: Iterable[str] = ()
) -> str:
    """Digest of the facts, and of the names of category and author, which change without their ids."""
    above: Json = parent or {}
    values = [row.get(fact) for fact in facts] + [above.get(fact) for fact in parent_facts]
    return _digest([values, [_named(holder, key) for holder in (row, above) for key in ("category", "author")]])


def _named(row: Json, key: str) -> Any:
    value = row.get(key)
    return value.get("name") if isinstance(value, dict) else None


def _digest(value: Any) -> str:
    """As `digest`, also of halves of surrogate pairs and of numbers of any size."""
    return digest(json.dumps(value, sort_keys=True))


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _whole_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _wire(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
