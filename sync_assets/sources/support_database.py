"""The knowledge base of a support database: the articles in a tenant's own schema of the installation's PostgreSQL.

What belongs here: which rows make which records, and the way from a row to a document. What does not: the tables, and
how JSON files get into them (`support_database/`).

An article lives while `is_active` is set and `deleted_at` is not. `updated_at` moves with every change of a row, so
windows see one that was switched off; a row that was removed is missing from the listing.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, ProgrammingError

from sync_assets.clock import utc_now
from sync_assets.documents import Document, Part, Record, Visibility, public_metadata
from sync_assets.errors import SourceError
from sync_assets.postgres import database_url
from sync_assets.relations import EdgeKind, NodeKind
from sync_assets.settings import load_settings
from sync_assets.sources import LiveId
from sync_assets.sources.entities import named, relate, told
from sync_assets.sources.payloads import Payload, read_payload
from sync_assets.support_database import SOURCE
from sync_assets.support_database.tables import kb_articles, schema_of

STREAM = "kb_articles"

_PAGE_ROWS = 200

# What a document is made of. Times are compared as numbers: their text depends on the session.
_CONTENT = ("title", "content", "category", "tags", "url", "quality_score")
_VERSION = sa.func.md5(
    sa.cast(
        sa.func.jsonb_build_array(
            *(kb_articles.c[name] for name in _CONTENT), sa.extract("epoch", kb_articles.c.created_at)
        ),
        sa.Text,
    )
).label("cheap_version")
_LIVES = (kb_articles.c.is_active == 1) & kb_articles.c.deleted_at.is_(None)


class Account(BaseModel):
    """One tenant's support database, as it stands in `tenants.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path | None = Field(
        default=None,
        description="JSON files of its tables, unless a load names other ones; relative to the tenants file",
    )


class _Article(Payload):
    id: str
    title: str
    content: str
    category: str | None = None
    tags: list[str] | None = None
    url: str | None = None
    quality_score: float | None = None
    created_at: str | None = None
    updated_at: str | None = None


class Source:
    """One tenant's knowledge base, opened for one run. See `sync_assets.sources.Source` for the contract.

    Args:
        clock: wall clock, for `observed_at`.
    """

    def __init__(self, tenant: str, account: Account, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._tenant = tenant
        self._schema = schema_of(tenant)
        self._clock = clock

    def check(self) -> str:
        with self._snapshot() as connection:
            active = connection.scalar(sa.select(sa.func.count()).select_from(kb_articles).where(_LIVES))
            return f"{connection.engine.url.database}, schema {self._schema}, {active} active articles"

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        _check_stream(stream)
        bounds = sa.select(sa.func.min(kb_articles.c.updated_at), sa.func.max(kb_articles.c.updated_at))
        with self._snapshot() as connection:
            earliest, latest = connection.execute(bounds).one()
        return (_utc(earliest), _utc(latest)) if earliest is not None else None

    def probe(self, stream: str) -> str:
        _check_stream(stream)
        latest = sa.select(sa.func.max(kb_articles.c.updated_at), sa.func.count()).select_from(kb_articles)
        with self._snapshot() as connection:
            updated_at, rows = connection.execute(latest).one()
        return f"{_utc(updated_at).isoformat() if updated_at is not None else ''} {rows}"

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        _check_stream(stream)
        column = kb_articles.c.updated_at
        yield from self._records(((column >= since) & (column < until),))

    def live_ids(self, stream: str) -> Iterator[LiveId]:
        _check_stream(stream)
        listing = sa.select(kb_articles.c.id, kb_articles.c.updated_at, _VERSION).where(_LIVES)
        with self._snapshot() as connection:
            for row in connection.execute(listing.order_by(kb_articles.c.id)):
                yield LiveId(record_id=str(row.id), modified_at=_utc(row.updated_at), cheap_version=row.cheap_version)

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        _check_stream(stream)
        remaining = iter(record_ids)
        while asked := list(islice(remaining, _PAGE_ROWS)):
            missing = dict.fromkeys(asked)
            observed_at = self._clock()
            ids = [UUID(record_id) for record_id in missing if _is_id(record_id)]
            for record in self._records((kb_articles.c.id.in_(ids),)):
                missing.pop(record.record_id)
                yield record
            for record_id in missing:
                yield Record(record_id=record_id, event="deleted", observed_at=observed_at)

    def to_document(self, stream: str, record: Record) -> Document:
        _check_stream(stream)
        article = read_payload(_Article, record.payload)
        parts = [
            Part(path="header", role="header", text=article.title, visibility=Visibility.PUBLIC),
            Part(path="content", role="section", text=article.content, visibility=Visibility.PUBLIC),
        ]
        document = Document(
            tenant=self._tenant,
            source=SOURCE,
            stream=STREAM,
            record_id=record.record_id,
            title=article.title,
            url=article.url,
            parts=[part for part in parts if part.text.strip()],
            visibility=Visibility.PUBLIC,
            metadata=public_metadata(
                {
                    "platform": SOURCE,
                    "doc_type": "article",
                    "category": article.category,
                    "tags": article.tags,
                    "quality_score": article.quality_score,
                    "created_at": article.created_at,
                    "updated_at": article.updated_at,
                }
            ),
        )
        category = relate(EdgeKind.BELONGS_TO, named(NodeKind.CATEGORY, article.category))
        return told(document, NodeKind.ARTICLE, category, scope=SOURCE)

    def close(self) -> None:
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @cached_property
    def _engine(self) -> sa.Engine:
        settings = load_settings()
        return sa.create_engine(
            sa.make_url(database_url(settings)).set(drivername="postgresql+psycopg"),
            isolation_level="REPEATABLE READ",
            connect_args={
                "connect_timeout": int(settings.lock_timeout) or 1,
                "options": f"-c timezone=UTC -c lock_timeout={int(settings.lock_timeout * 1000)}",
            },
        )

    @contextmanager
    def _snapshot(self) -> Iterator[sa.Connection]:
        """A transaction that sees one moment of the tenant's tables and fetches rows page by page.

        Raises:
            SourceError: the tables do not exist, or the database can't be reached.
        """
        options: dict[str, Any] = {
            "schema_translate_map": {None: self._schema},
            "postgresql_readonly": True,
            "yield_per": _PAGE_ROWS,
        }
        try:
            with self._engine.connect().execution_options(**options) as connection:
                yield connection
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) not in ("42P01", "3F000"):
                raise self._out_of_reach(error) from None
            raise SourceError(
                f"The support database of {self._tenant!r} has no tables yet.",
                f"Load it: sync-assets support-db load --tenant {self._tenant}.",
            ) from None
        except DBAPIError as error:
            raise self._out_of_reach(error) from None

    def _out_of_reach(self, error: DBAPIError) -> SourceError:
        line = str(error.orig).strip().splitlines()[0]
        return SourceError(
            f"The support database of {self._tenant!r} can't be read: {line}.", "Check SYNC_ASSETS_DATABASE_URL."
        )

    def _records(self, where: tuple[sa.ColumnElement[bool], ...]) -> Iterator[Record]:
        columns = [kb_articles.c[name] for name in ("id", *_CONTENT, "created_at", "updated_at")]
        query = sa.select(*columns, _VERSION, _LIVES.label("lives")).where(*where)
        observed_at = self._clock()
        with self._snapshot() as connection:
            for row in connection.execute(query.order_by(kb_articles.c.updated_at, kb_articles.c.id)):
                yield _record(row, observed_at)


def _record(row: sa.Row[Any], observed_at: datetime) -> Record:
    """A row as a record; one that is switched off or marked as deleted is gone."""
    modified_at = _utc(row.updated_at)
    if not row.lives:
        return Record(record_id=str(row.id), event="deleted", modified_at=modified_at, observed_at=observed_at)
    payload = {name: getattr(row, name) for name in _CONTENT}
    payload |= {
        "id": str(row.id),
        "quality_score": None if row.quality_score is None else float(row.quality_score),
        "created_at": _utc(row.created_at).isoformat(),
        "updated_at": modified_at.isoformat(),
    }
    return Record(
        record_id=str(row.id),
        modified_at=modified_at,
        cheap_version=row.cheap_version,
        observed_at=observed_at,
        payload=payload,
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _is_id(record_id: str) -> bool:
    """Whether it is an id as this source writes them."""
    try:
        return str(UUID(record_id)) == record_id
    except ValueError:
        return False


def _check_stream(stream: str) -> None:
    if stream != STREAM:
        raise SourceError(f"The support database has no stream {stream!r}.", f"Its stream is: {STREAM}.")
