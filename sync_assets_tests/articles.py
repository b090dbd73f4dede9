"""A help centre in memory, and an installation that syncs it into pgvector, for tests of keywords and adoption."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sync_assets.batches import Partition
from sync_assets.documents import Document, Part, Record, Visibility
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.enrichment.summaries import Summaries
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.sources import LiveId
from sync_assets.stages import Report, Stream
from sync_assets_tests.laws.upstream import AccountWithoutSettings, Chain

START = datetime(2026, 11, 2, tzinfo=UTC)
TENANT = "solara"
WINDOW = Partition(TENANT, "2026-11-02", START, START + timedelta(days=1))


@dataclass
class Article:
    """What the help centre holds of one article; `note` is a part that only its staff may read."""

    title: str
    answer: str
    modified_at: datetime = START
    category: str = "Batteries"
    visibility: Visibility = Visibility.PUBLIC
    note: str = ""


@dataclass
class HelpCentre:
    """Articles by number; the record id of number 7 is `article-7`. Time goes on with every answer."""

    articles: dict[str, Article] = field(default_factory=dict)
    has_headers: bool = True
    now: datetime = START
    fetched: list[str] = field(default_factory=list)
    listings: int = 0

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Source:
    """`sync_assets.sources.Source` over a help centre."""

    def __init__(self, tenant: str, centre: HelpCentre) -> None:
        self._tenant = tenant
        self._centre = centre

    def check(self) -> str:
        return "fine"

    def span(self, stream: str) -> tuple[datetime, datetime] | None:
        return START, self._centre.now

    def extract(self, stream: str, since: datetime, until: datetime) -> Iterator[Record]:
        self._centre.listings += 1
        for number, article in self._centre.articles.items():
            if since <= article.modified_at < until:
                yield self._record(f"article-{number}")

    def live_ids(self, stream: str) -> Iterator[LiveId]:
        for number, article in self._centre.articles.items():
            yield LiveId(record_id=f"article-{number}", modified_at=article.modified_at)

    def fetch(self, stream: str, record_ids: Iterable[str]) -> Iterator[Record]:
        for record_id in record_ids:
            self._centre.fetched.append(record_id)
            yield self._record(record_id)

    def to_document(self, stream: str, record: Record) -> Document:
        article = Article(**record.payload)
        parts = [Part(path="answer", role="answer", text=article.answer, visibility=article.visibility)]
        if self._centre.has_headers:
            header = Part(path="header", role="header", text=article.title, visibility=article.visibility)
            parts.insert(0, header)
        if article.note:
            parts.append(Part(path="note", role="comment", text=article.note, visibility=Visibility.INTERNAL))
        return Document(
            tenant=self._tenant,
            source="freshdesk",
            stream=stream,
            record_id=record.record_id,
            title=article.title,
            url=f"https://help.example/{record.record_id}",
            parts=parts,
            metadata={"category": article.category, "language": "en"},
            visibility=article.visibility,
        )

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None: ...

    def _record(self, record_id: str) -> Record:
        article = self._centre.articles.get(record_id.removeprefix("article-"))
        if article is None:
            return Record(record_id=record_id, event="deleted", observed_at=self._centre.tick())
        payload = {**vars(article), "modified_at": article.modified_at.isoformat()}
        return Record(
            record_id=record_id, modified_at=article.modified_at, observed_at=self._centre.tick(), payload=payload
        )


class _Tenants:
    def __init__(self, centre: HelpCentre) -> None:
        self._centre = centre

    def open(self, source: str, tenant: str) -> Source:
        return Source(tenant, self._centre)

    def account(self, source: str, tenant: str) -> AccountWithoutSettings:
        return AccountWithoutSettings()


class World:
    """One installation with a help centre of tenant `solara`, in a database of its own.

    Attributes:
        embedder: counts what it is asked.
    """

    def __init__(
        self,
        home: Path,
        database_url: str,
        *,
        keywords: bool = False,
        summaries: Summaries | None = None,
        **settings: Any,
    ) -> None:
        self.database_url = database_url
        self.centre = HelpCentre()
        self.services = Services(Settings(home=home, database_url=database_url, **settings))  # pyright: ignore[reportArgumentType]
        self.services.__dict__["tenants"] = _Tenants(self.centre)
        self.embedder = HashEmbedder(32)
        self.services.embedder = lambda model: self.embedder
        self.stream = Stream(
            "freshdesk",
            "articles",
            "day",
            ("pgvector",),
            "help",
            model="hash-32",
            keywords=keywords,
            summaries=summaries,
        )
        self.chain = Chain(self.services, self.stream, self.centre.tick)

    def sync(self, sweep: bool = False) -> dict[str, Report]:
        return self.chain.sync([WINDOW], sweep=sweep)

    def close(self) -> None:
        self.services.close()
