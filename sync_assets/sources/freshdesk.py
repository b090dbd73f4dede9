"""Freshdesk, API v2: tickets with their conversations, and solution articles with their translations.

What belongs here: which requests bring which records. What does not: how a record becomes a document
(`freshdesk_documents.py`), and retries and limits (`http.py`). Facts about the API are from Freshdesk's API
documentation (developers.freshdesk.com/api), whose section is named where one is used.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Record
from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.hashing import digest
from sync_assets.sources import LiveId
from sync_assets.sources.files import FileClient
from sync_assets.sources.freshdesk_documents import article_document, ticket_document
from sync_assets.sources.freshdesk_graph import with_graph
from sync_assets.sources.http import ApiClient, ApiStatusError, BaseUrl, Limits, RateLimit, Reply
from sync_assets.text import decode

STREAMS = ("tickets", "articles")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# "You cannot access tickets beyond the 300th page" ("List All Tickets").
_LAST_TICKET_PAGE = 300
_PUBLISHED = 2
_NO_ID = "malformed-"

Json = dict[str, Any]
Language = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})?$")]


class Account(BaseModel):
    """One tenant's Freshdesk account, as it stands in `tenants.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: BaseUrl = Field(description="Root of the account, such as https://acme.freshdesk.com")
    api_key: SecretStr = Field(min_length=1, description="API key of an agent who may see all that is to be synced")
    languages: list[Language] | None = Field(
        default=None,
        description="Languages of translated articles besides the primary one; default those the account names",
    )
    description_attachments: bool = Field(
        default=True,
        description="List the attachments of ticket descriptions: one more request for each changed ticket",
    )
    attachment_hosts: list[str] = Field(
        default=["*.freshdesk.com", "*.amazonaws.com"],
        description="Hosts that attachments are fetched from beside the account's own, patterns with *",
    )
    limits: Limits = Field(default_factory=Limits, description="How fast and how patiently the account is asked")

    @field_validator("base_url")
    @classmethod
    def _without_api(cls, value: str) -> str:
        return value.removesuffix("/api/v2")


class Source:
    """One tenant's Freshdesk account, opened for one run. See `sync_assets.sources.Source` for the contract.

    A ticket's modification time is its `updated_at`, which a reply or note moves too. An article's is the latest of
    its own, its folder's and its category's, since a folder's visibility says who may read an article that it leaves
    untouched.

    Args:
        clock: wall clock, for `observed_at`.
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
        self._setting = f"tenants.{tenant}.freshdesk"
        self._api = ApiClient(
            tenant,
            f"{account.base_url}/api/v2",
            setting=self._setting,
            limits=account.limits,
            auth=httpx.BasicAuth(account.api_key.get_secret_value(), "X"),
            transport=transport,
        )
        self._files = FileClient(
            account.base_url,
            hosts=account.attachment_hosts,
            setting=f"{self._setting}.attachment_hosts",
            limits=account.limits,
            account=self._api,
            transport=transport,
        )
        self._addresses: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._known_labels: _Labels | None = None
        self._known_languages: _Languages | None = None

    @property
    def rate_limit(self) -> RateLimit | None:
        """The account's own request limit, as its last answer gave it."""
        return self._api.rate_limit

    def check(self) -> str:
        self._rows("/tickets", {"per_page": 1})
        limit = self.rate_limit
        return f"{self._api.host}, {limit.total} calls a minute" if limit else self._api.host

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        times = list(self._article_times() if self._is_articles(stream) else self._ticket_times())
        return (min(times), max(times)) if times else None

    def probe(self, stream: str) -> str:
        """The ticket that changed last in each view; of articles, how many each folder holds.

        An edited article shows in its own folder's listing only, so the daily schedule finds it.
        """
        if self._is_articles(stream):
            folders = (place.folder for place in self._places())
            return digest(sorted([folder["id"], folder.get("articles_count")] for folder in folders))
        newest = [
            self._rows("/tickets", self._listing(_EPOCH, "desc", 1, view))[0] for view in (None, "deleted", "spam")
        ]
        return digest([[row.get("id"), row.get("updated_at")] for rows in newest for row in rows])

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        return self._articles(since, until) if self._is_articles(stream) else self._tickets(since, until)

    def live_ids(self, stream: str) -> Iterator[LiveId]:
        records = self._walked_articles() if self._is_articles(stream) else self._listed_tickets(_EPOCH)
        for record in records:
            if record.record_id.startswith(_NO_ID):
                raise SourceError(
                    f"{self._tenant}: {self._api.host} lists a {stream} record whose id can't be read.",
                    "Nothing can be said to be deleted meanwhile; report it to Freshdesk if it stays so.",
                )
            if record.event != "deleted":
                yield LiveId(record_id=record.record_id, modified_at=record.modified_at or _EPOCH)

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        if self._is_articles(stream):
            parents = _Parents(self._api)
            return self._api.map(lambda record_id: self._article_now(record_id, parents), record_ids)
        return self._api.map(self._ticket_now, record_ids)

    def to_document(self, stream: str, record: Record) -> Document:
        to_document = article_document if self._is_articles(stream) else ticket_document
        document = to_document(self._tenant, self._account.base_url, record.record_id, record.payload)
        return with_graph(document, self._account.base_url, record.payload)

    def read_file(self, locator: str, max_bytes: int) -> bytes:
        """See `sync_assets.sources.FileSource`. Addresses are signed for a short time, so they are asked for anew.

        Args:
            locator: `ticket/{id}/{attachment}` or `article/{id}[-{language}]/{attachment}`.
        """
        owner, _, file_id = locator.rpartition("/")
        if owner not in self._addresses:
            self._addresses[owner] = self._addresses_of(owner)
        if file_id not in self._addresses[owner]:
            raise FileUnavailable("Freshdesk does not list it any more.")
        return self._files.read(self._addresses[owner][file_id], max_bytes)

    def close(self) -> None:
        self._api.close()
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _is_articles(self, stream: str) -> bool:
        if stream not in STREAMS:
            raise SourceError(f"Freshdesk has no stream {stream!r}.", f"Streams are: {', '.join(STREAMS)}.")
        return stream == "articles"

    # Tickets

    def _tickets(self, since: datetime, until: datetime) -> Iterator[Record]:
        """Deletions are read first: a ticket seen live afterwards was restored, and counts as live."""
        gone = {
            record.record_id: record.model_copy(update={"event": "deleted"}) if record.event == "live" else record
            for view in ("deleted", "spam")
            for record in self._listed_tickets(since, until, view=view)
        }
        listed = self._listed_tickets(since, until, include="description,stats,requester")
        for record in self._api.map(self._completed, listed):
            gone.pop(record.record_id, None)
            yield record
        yield from gone.values()

    def _listed_tickets(
        self, since: datetime, until: datetime | None = None, *, view: str | None = None, include: str | None = None
    ) -> Iterator[Record]:
        """Rows of `GET /tickets` modified within [since, until), oldest first, each id once.

        Each page starts anew at the last modification time seen: a ticket that is changed meanwhile moves to the end of
        the list and would shift another one past a page boundary. Pages are counted only within one second, so page 300
        is the end of the road only where more tickets than that share a second ("List All Tickets").
        """
        seen: set[str] = set()
        start, page = _whole_second(since), 1
        while True:
            params = self._listing(start, "asc", self._account.limits.page_size, view) | {"page": page}
            if include:
                params["include"] = include
            rows, has_next = self._rows("/tickets", params)
            records = [_record(row, self._clock()) for row in rows]
            times = [record.modified_at for record in records if record.modified_at is not None]
            for record in records:
                too_early = record.modified_at is not None and record.modified_at < since
                too_late = record.modified_at is not None and until is not None and record.modified_at >= until
                if not (too_early or too_late or record.record_id in seen):
                    seen.add(record.record_id)
                    yield record
            newest = _whole_second(max(times, default=start))
            if not has_next or (until is not None and newest >= until):
                return
            if newest > start:
                start, page = newest, 1
            elif page < _LAST_TICKET_PAGE:
                page += 1
            else:
                raise SourceError(
                    f"{self._tenant}: {self._api.host}: more than {page * self._account.limits.page_size} tickets were "
                    f"modified at {_wire(start)}, and Freshdesk lists no more of one second.",
                    "Touch some of these tickets, so that their times differ.",
                )

    def _completed(self, record: Record) -> Record:
        """A listed ticket with all that a document needs. Runs in the client's threads."""
        if record.event != "live":
            return record
        ticket: Json = record.payload
        path = f"/tickets/{ticket['id']}"
        try:
            payload: Json = {"ticket": ticket, "conversations": list(self._pages(f"{path}/conversations"))}
            if self._account.description_attachments:
                whole = ticket if "attachments" in ticket else self._api.get(path).body
                if isinstance(whole, dict) and _is_marked_gone(whole):
                    return record.model_copy(update={"event": "deleted", "observed_at": self._clock()})
                payload["attachments"] = whole.get("attachments") or [] if isinstance(whole, dict) else whole
        except ApiStatusError as error:
            if error.status == 404:
                return record.model_copy(update={"event": "deleted", "observed_at": self._clock()})
            if error.status < 500:
                raise
            # A fault of this ticket alone, as far as can be seen: where the service is down, the circuit breaker opens.
            return record.model_copy(update={"event": "malformed", "problem": str(error)})
        payload["names"] = self._labels().names(payload)
        return record.model_copy(update={"payload": payload})

    def _ticket_now(self, record_id: str) -> Record:
        if not record_id.isascii() or not record_id.isdigit():
            return self._not_askable(record_id)
        try:
            reply = self._api.get(f"/tickets/{record_id}", {"include": "stats,requester"})
        except ApiStatusError as error:
            return self._gone_or_raise(record_id, error)
        record = _record(reply.body, self._clock()).model_copy(update={"record_id": record_id})
        return self._completed(record)

    def _ticket_times(self) -> Iterator[datetime]:
        for view in (None, "deleted", "spam"):
            for order in ("asc", "desc"):
                rows, _ = self._rows("/tickets", self._listing(_EPOCH, order, 1, view))
                yield from (time for row in rows if (time := _record(row, _EPOCH).modified_at) is not None)

    def _listing(self, since: datetime, order: str, size: int, view: str | None) -> dict[str, str | int]:
        params: dict[str, str | int] = {
            "updated_since": _wire(since),
            "order_by": "updated_at",
            "order_type": order,
            "per_page": size,
        }
        return params | {"filter": view} if view else params

    # Articles

    def _articles(self, since: datetime, until: datetime) -> Iterator[Record]:
        for record in self._walked_articles():
            if record.modified_at is None or since <= record.modified_at < until:
                yield record

    def _walked_articles(self) -> Iterator[Record]:
        """All articles with their translations, each id once; drafts as `deleted`. There is no flat list."""
        seen: set[str] = set()
        for records in self._api.map(self._articles_of, self._places()):
            for record in records:
                if record.record_id not in seen:
                    seen.add(record.record_id)
                    yield record

    def _places(self) -> Iterator["_Place"]:
        seen: set[int] = set()
        for category in self._pages("/solutions/categories"):
            waiting = [f"/solutions/categories/{self._id(category, 'category')}/folders"]
            while waiting:
                for folder in self._pages(waiting.pop()):
                    folder_id = self._id(folder, "folder")
                    if folder_id in seen:
                        continue
                    seen.add(folder_id)
                    yield _Place(category, folder)
                    if folder.get("sub_folders_count") != 0:
                        waiting.append(f"/solutions/folders/{folder_id}/subfolders")

    def _articles_of(self, place: "_Place") -> list[Record]:
        """The articles of one folder, in the primary language and then in each other one."""
        path = f"/solutions/folders/{place.folder['id']}/articles"
        languages = self._languages()
        records = [_article_record(row, place, languages.primary, "", self._clock()) for row in self._pages(path)]
        for language in languages.others:
            try:
                rows = list(self._pages(f"{path}/{language}"))
            except ApiStatusError as error:
                if error.status != 404:
                    raise
                rows = []
            records += [_article_record(row, place, language, f"-{language}", self._clock()) for row in rows]
        return records

    def _article_now(self, record_id: str, parents: "_Parents") -> Record:
        kind, _, rest = record_id.partition("-")
        number, _, language = rest.partition("-")
        if kind != "article" or not number.isascii() or not number.isdigit():
            return self._not_askable(record_id)
        path = f"/solutions/articles/{number}/{language}" if language else f"/solutions/articles/{number}"
        try:
            article = self._api.get(path).body
            place = parents.of(article)
        except ApiStatusError as error:
            return self._gone_or_raise(record_id, error)
        record = _article_record(article, place, language or self._languages().primary, "", self._clock())
        return record.model_copy(update={"record_id": record_id})

    def _addresses_of(self, owner: str) -> dict[str, str]:
        """Present addresses of the attachments of a ticket or an article, by id."""
        kind, _, number = owner.partition("/")
        try:
            if kind == "ticket":
                holders = [self._api.get(f"/tickets/{number}").body, *self._pages(f"/tickets/{number}/conversations")]
            else:
                holders = [self._api.get(f"/solutions/articles/{number.replace('-', '/', 1)}").body]
        except ApiStatusError as error:
            raise FileUnavailable(str(error)) from None
        files = [file for holder in holders if isinstance(holder, dict) for file in holder.get("attachments") or []]
        return {str(file.get("id")): str(file.get("attachment_url")) for file in files if isinstance(file, dict)}

    def _article_times(self) -> Iterator[datetime]:
        return (record.modified_at for record in self._walked_articles() if record.modified_at is not None)

    def _languages(self) -> "_Languages":
        with self._lock:
            if self._known_languages is None:
                self._known_languages = self._read_languages()
            return self._known_languages

    def _read_languages(self) -> "_Languages":
        if self._account.languages is not None:
            return _Languages(None, tuple(self._account.languages))
        try:
            settings = self._object("/settings/helpdesk")
        except ApiStatusError as error:
            if error.status == 404:
                return _Languages(None, ())
            raise SourceError(
                f"{self._tenant}: {self._api.host} does not tell this key which languages its articles have.",
                f"List them in {self._setting}.languages ([] for none).",
            ) from None
        primary = settings.get("primary_language")
        supported: list[Any] = settings.get("supported_languages") or []
        return _Languages(primary, tuple(str(language) for language in supported if language != primary))

    # Both

    def _labels(self) -> "_Labels":
        with self._lock:
            if self._known_labels is None:
                self._known_labels = self._read_labels()
            return self._known_labels

    def _read_labels(self) -> "_Labels":
        labels = _Labels()
        for row in self._readable_list("/ticket_fields") or self._readable_list("/admin/ticket_fields"):
            labels.add_field(row)
        for row in self._readable_list("/groups"):
            labels.groups[row.get("id")] = row.get("name")
        for row in self._readable_list("/agents"):
            contact = row.get("contact") or {}
            labels.agents[row.get("id")] = contact.get("name")
            labels.addresses[row.get("id")] = contact.get("email")
        return labels

    def _readable_list(self, path: str) -> list[Json]:
        """All rows of a list, or none where the key's agent may not read it: names are missing then."""
        try:
            return [row for row in self._pages(path) if isinstance(row, dict)]
        except ApiStatusError as error:
            if error.status in (403, 404):
                return []
            raise

    def _pages(self, path: str) -> Iterator[Any]:
        page, has_next = 1, True
        while has_next:
            rows, has_next = self._rows(path, {"per_page": self._account.limits.page_size, "page": page})
            yield from rows
            page += 1

    def _rows(self, path: str, params: dict[str, str | int]) -> tuple[list[Any], bool]:
        """One page, and whether there may be another: a full page counts as such even without a `Link` header."""
        reply: Reply = self._api.get(path, params)
        rows: Any = [] if reply.body is None else reply.body
        if not isinstance(rows, list):
            raise self._nonsense(path, "a list")
        return rows, reply.next_url is not None or len(rows) >= int(params["per_page"])

    def _object(self, path: str) -> Json:
        body = self._api.get(path).body
        if not isinstance(body, dict):
            raise self._nonsense(path, "an object")
        return body

    def _id(self, row: Any, kind: str) -> int:
        if not isinstance(row, dict) or type(row.get("id")) is not int:
            raise self._nonsense(f"the solution {kind} list", "objects with an id")
        return row["id"]

    def _nonsense(self, place: str, expected: str) -> SourceError:
        return SourceError(
            f"{self._tenant}: {self._api.host} answered {place} with something other than {expected}.",
            f"Check that {self._setting}.base_url is the root of a Freshdesk account.",
        )

    def _gone_or_raise(self, record_id: str, error: ApiStatusError) -> Record:
        if error.status == 404:
            return Record(record_id=record_id, event="deleted", observed_at=self._clock())
        if error.status < 500:
            raise error
        # As in `_completed`: one record that Freshdesk fails on stops no other.
        return Record(record_id=record_id, event="malformed", observed_at=self._clock(), problem=str(error))

    def _not_askable(self, record_id: str) -> Record:
        problem = "Freshdesk can't be asked for it: it came without a readable id"
        return Record(record_id=record_id, event="malformed", observed_at=self._clock(), problem=problem)


@dataclass(frozen=True)
class _Languages:
    primary: str | None
    others: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """Where an article stands."""

    category: Json
    folder: Json


class _Parents:
    """Folders and categories of single articles, each asked for once."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._known: dict[str, Json] = {}

    def of(self, article: Any) -> _Place:
        row: Json = article if isinstance(article, dict) else {}
        folder = self._get("folders", row.get("folder_id"))
        return _Place(self._get("categories", folder.get("category_id") or row.get("category_id")), folder)

    def _get(self, kind: str, item_id: Any) -> Json:
        if type(item_id) is not int:
            return {}
        path = f"/solutions/{kind}/{item_id}"
        if path not in self._known:
            body = self._api.get(path).body
            self._known[path] = body if isinstance(body, dict) else {}
        return self._known[path]


@dataclass
class _Labels:
    """From the account's own lists: names of custom statuses, custom fields, groups and agents; agents' addresses."""

    statuses: dict[str, Any] = field(default_factory=dict[str, Any])
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    groups: dict[Any, Any] = field(default_factory=dict[Any, Any])
    agents: dict[Any, Any] = field(default_factory=dict[Any, Any])
    addresses: dict[Any, Any] = field(default_factory=dict[Any, Any])

    def add_field(self, row: Json) -> None:
        """Take up one row of `/ticket_fields` ("Ticket Fields") or `/admin/ticket_fields`, whose choices are a list."""
        choices = row.get("choices")
        if row.get("type") == "default_status" and isinstance(choices, dict):
            self.statuses |= {
                key: names[0] if isinstance(names, list) and names else names for key, names in choices.items()
            }
        elif row.get("type") == "default_status" and isinstance(choices, list):
            self.statuses |= {
                str(item["id"]): item.get("value") for item in choices if isinstance(item, dict) and "id" in item
            }
        nested = row.get("nested_ticket_fields") or row.get("dependent_fields") or []
        for item in [row, *(item for item in nested if isinstance(item, dict))]:
            self.fields[str(item.get("name"))] = item.get("label")

    def names(self, payload: Json) -> Json:
        """The names that occur in one ticket's payload, so that its document needs no lists."""
        ticket: Json = payload["ticket"]
        requester = ticket.get("requester")
        authors = [row.get("user_id") for row in payload["conversations"] if isinstance(row, dict)]
        custom = ticket.get("custom_fields")
        return {
            "status": _name(self.statuses.get(str(ticket.get("status")))),
            "group": _name(_of(self.groups, ticket.get("group_id"))),
            "requester": _name(requester.get("name")) if isinstance(requester, dict) else None,
            "agents": {
                str(agent_id): name
                for agent_id in [ticket.get("responder_id"), *authors]
                if (name := _name(_of(self.agents, agent_id)))
            },
            "agent_email": _name(_of(self.addresses, ticket.get("responder_id"))),
            "fields": {
                key: label
                for key in (custom if isinstance(custom, dict) else {})
                if (label := _name(self.fields.get(key)))
            },
        }


def _name(value: Any) -> str | None:
    return decode(value) if isinstance(value, str) else None


def _of(names: dict[Any, Any], key: Any) -> Any:
    return names.get(key) if type(key) is int else None


def _record(row: Any, observed_at: datetime, prefix: str = "", suffix: str = "") -> Record:
    """A row of a list, malformed where its id or modification time can't be read."""
    readable_id = isinstance(row, dict) and type(row.get("id")) is int
    modified_at = _moment(row.get("updated_at")) if isinstance(row, dict) else None
    problem = None
    if not isinstance(row, dict):
        problem = "it is not an object"
    elif not readable_id:
        problem = "id is missing or not a number"
    elif modified_at is None:
        problem = "updated_at is missing or not a time"
    return Record(
        record_id=f"{prefix}{row['id']}{suffix}" if readable_id else f"{_NO_ID}{digest(row)[:12]}",
        event="malformed" if problem else "deleted" if _is_marked_gone(row) else "live",
        modified_at=modified_at,
        observed_at=observed_at,
        payload=row,
        problem=problem,
    )


def _is_marked_gone(row: Json) -> bool:
    return row.get("deleted") is True or row.get("spam") is True


def _article_record(row: Any, place: _Place, language: str | None, suffix: str, observed_at: datetime) -> Record:
    record = _record(row, observed_at, "article-", suffix)
    if record.event == "malformed" or record.modified_at is None:
        return record
    if type(row.get("status")) is not int:
        return record.model_copy(update={"event": "malformed", "problem": "status is missing or not a number"})
    times = [_moment(parent.get("updated_at")) for parent in (place.folder, place.category)]
    changes: Json = {
        "event": "live" if row["status"] == _PUBLISHED else "deleted",
        "modified_at": max([record.modified_at, *(time for time in times if time is not None)]),
        "payload": {"article": row, "folder": place.folder, "category": place.category, "language": language},
    }
    return record.model_copy(update=changes)


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _whole_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _wire(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
