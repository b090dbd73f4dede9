"""A system that people act in, and the chain that follows it into a store: what the laws of all systems share.

What belongs here: the clock, the form of a system, its world, and how a history of it is played. What does not: the
systems themselves (`chats.py`, `work.py`) and their laws. The systems are the demo's simulators, asked over HTTP by the
true sources.
"""

import itertools
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

import httpx
import numpy as np
from hypothesis import HealthCheck
from hypothesis import strategies as st

from sync_assets.batches import Partition
from sync_assets.chunking import chunk_document
from sync_assets.chunks import chunk_id
from sync_assets.demo.server import DemoServers
from sync_assets.documents import Visibility
from sync_assets.errors import SourceError
from sync_assets.hashing import text_hash
from sync_assets.services import Services
from sync_assets.sources import Source
from sync_assets.sources.http import Timer
from sync_assets.stages import Report, Stream
from sync_assets.vector_stores import Audience, Hit, StoredChunk
from sync_assets_tests.laws.upstream import AccountWithoutSettings, Chain, Crash, install

START = datetime(2026, 11, 2, tzinfo=UTC)
DAY = timedelta(days=1)
# How many days a history lasts at most.
DAYS = 4

STORE = "pgvector"
PEOPLE = ("ada", "ben", "cleo")
WORD = re.compile(r"w\d+w")
EVERYTHING = 100_000
RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

_ANYWHERE = np.eye(8, dtype=np.float32)[0]
_numbers = itertools.count()


class Clock:
    """The time that upstream, the source and the chain share; only actions and a source's own waits move it."""

    def __init__(self) -> None:
        self.now = START
        self._moving = Lock()

    def __call__(self) -> datetime:
        return self.now

    def tick(self, step: timedelta = timedelta(minutes=1)) -> datetime:
        with self._moving:
            self.now += step
            return self.now

    def seconds(self) -> float:
        return (self.now - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.tick(timedelta(seconds=seconds))

    @property
    def timer(self) -> Timer:
        return Timer(self.seconds, self.sleep)


class System(ABC):
    """An account in a system, from its start on. Every action takes two numbers, which choose a place, a thing or a
    person.

    Args:
        tenant: whose account it is in the simulators.

    Attributes:
        source, stream: what is followed.
        actions: names of the methods that a history is made of.
        settings: of the account in `tenants.yaml`, beside those that name it.
    """

    source: str
    stream: str
    actions: tuple[str, ...]

    def __init__(self, servers: DemoServers, clock: Clock, tenant: str) -> None:
        clock.now = START
        self.clock = clock
        self.settings: dict[str, Any] = {
            "limits": {"max_attempts": 1, "breaker_failures": 1000, "request_delay": 0, "page_size": 10}
        }
        self.account = servers.tenants[tenant][self.source]
        self._words = itertools.count(1)
        self._names = itertools.count(1)

    @abstractmethod
    def open(self, tenant: str, transport: httpx.BaseTransport) -> Source:
        """The true source, which asks the simulator over HTTP."""

    @abstractmethod
    def mend(self) -> None:
        """Everything can be seen again."""

    @abstractmethod
    def make_one(self) -> None:
        """Make something that lives upstream."""

    @abstractmethod
    def record_ids(self) -> list[str]:
        """The records that there are, by the simulator's own data."""

    @abstractmethod
    def principals(self) -> frozenset[str]:
        """All that there are."""

    @abstractmethod
    def readers(self) -> Iterator[tuple[Audience, set[str]]]:
        """Who searches, and the words that they may find, by the simulator's own data."""

    def act(self, name: str, first: int, second: int) -> None:
        """One action of a history, a minute after the one before."""
        self.clock.tick()
        getattr(self, name)(first, second)

    def next_day(self, *_: int) -> None:
        if self.clock.now < START + (DAYS - 1) * DAY:
            self.clock.now = datetime.combine(self.clock.now.date() + DAY, time(), UTC)

    def text(self) -> str:
        """A text with a word that no other text has."""
        return f"w{next(self._words)}w is what the pump says"

    def name(self) -> str:
        """A name that nothing has."""
        return f"name-{next(self._names)}"

    @staticmethod
    def of(items: Sequence[Any], number: int) -> Any:
        return items[number % len(items)]


AnySystem = TypeVar("AnySystem", bound=System)


def inside(*principals: str) -> Audience:
    """Somebody inside with these principals."""
    return Audience(visibility=Visibility.INTERNAL, principals=frozenset(principals))


class Shown(NamedTuple):
    """A chunk as a store shows it: what it says, and who finds it."""

    content_hash: str
    title: str
    visibility: Visibility
    readers: frozenset[str]


class _OneAccount:
    """Stands for `Tenants`: there is one account."""

    def __init__(self, system: System) -> None:
        self._system = system

    def open(self, source: str, tenant: str) -> Source:
        return self._system.open(tenant, _network())

    def account(self, source: str, tenant: str) -> AccountWithoutSettings:
        return AccountWithoutSettings()


def _network() -> httpx.HTTPTransport:
    """The network without certificates, whose loading takes longer than most syncs here."""
    return httpx.HTTPTransport(verify=False)


class World(Generic[AnySystem]):
    """A system, and a chain that follows it into a store.

    Args:
        opened: the store.
        cut: how the stream cuts its documents, see `Stream`.
    """

    def __init__(self, services: Services, opened: Any, system: AnySystem, **cut: Any) -> None:
        self.tenant = f"tenant{next(_numbers)}"
        self.system = system
        self.fuse = install(services, {}, {STORE: opened})
        services.__dict__["tenants"] = _OneAccount(system)
        collection = "_".join(["laws", *map(str, cut.values())])
        stream = Stream(system.source, system.stream, "day", (STORE,), collection, model="hash-8", **cut)
        self.chain = Chain(services, stream, system.clock)
        days = [START + number * DAY for number in range(DAYS)]
        self.windows = [Partition(self.tenant, f"{day:%Y-%m-%d}", day, day + DAY) for day in days]

    def sync(self, first: int = 0, last: int = DAYS - 1, sweep: bool = False) -> dict[str, Report]:
        return self.chain.sync(self.windows[first : last + 1], sweep=sweep)

    def finish(self) -> dict[str, Report]:
        """The sync that ends every history: all windows, with a sweep, a minute later."""
        self.system.clock.tick()
        return self.sync(sweep=True)

    def listed(self) -> list[StoredChunk]:
        """What the store lists, in the order of documents and chunks."""
        registered = self.chain.services.ledger.active_collection(STORE, self.chain.stream.collection)
        assert registered is not None
        scan = self.chain.services.store(STORE).scan(registered.collection, self.tenant)
        return sorted(scan, key=lambda chunk: (chunk.document_id, chunk.chunk_id))

    def stored(self) -> dict[str, Shown]:
        """What the store holds, by chunk id; of what nobody may find the title is not seen."""
        found = {hit.chunk_id: hit for hit in self.found(self.system.principals())}
        readers: dict[str, set[str]] = {key: set() for key in found}
        for principal in self.system.principals():
            for hit in self.found(frozenset({principal})):
                readers[hit.chunk_id] |= {principal} if hit.visibility is Visibility.RESTRICTED else set()
        return {
            chunk.chunk_id: Shown(chunk.content_hash, hit.title, hit.visibility, frozenset(readers[chunk.chunk_id]))
            if (hit := found.get(chunk.chunk_id))
            else Shown(chunk.content_hash, "", Visibility.RESTRICTED, frozenset())
            for chunk in self.listed()
        }

    def found(self, principals: frozenset[str] = frozenset()) -> list[Hit]:
        """All that somebody inside with these principals can find."""
        return self.found_by(inside(*principals))

    def found_by(self, audience: Audience) -> list[Hit]:
        registered = self.chain.services.ledger.active_collection(STORE, self.chain.stream.collection)
        assert registered is not None
        return self.chain.services.store(STORE).search(
            registered.collection, self.tenant, audience, _ANYWHERE, EVERYTHING
        )

    def rebuilt(self, record_ids: Sequence[str] | None = None) -> dict[str, Shown]:
        """What a rebuild from the system as it is now gives, by chunk id; of these records, or all."""
        stream = self.chain.stream
        embedder = self.chain.services.embedder(stream.model)
        chunks: dict[str, Shown] = {}
        with self.system.open(self.tenant, _network()) as account:
            wanted = self.system.record_ids() if record_ids is None else record_ids
            for record in account.fetch(stream.name, wanted):
                assert record.event == "live", record
                document = account.to_document(stream.name, record)
                for chunk in chunk_document(document, embedder.tokenizer, stream.limits(embedder.fingerprint)):
                    alone = chunk.visibility is Visibility.RESTRICTED and not chunk.principals
                    title = "" if alone else document.title
                    shown = Shown(text_hash(chunk.text), title, chunk.visibility, frozenset(chunk.principals))
                    chunks[chunk_id(document.document_id, chunk.path)] = shown
        return chunks

    def assert_converged(self) -> None:
        assert self.stored() == self.rebuilt()
        for audience, words in self.system.readers():
            said = {word for hit in self.found_by(audience) for word in WORD.findall(hit.text)}
            assert said == words, f"what {audience} finds"
        assert self.chain.services.ledger.quarantined(self.tenant) == []

    def crashing(self, writes: int | None, run: Callable[[], Any]) -> None:
        """Crash before the write of that number; a run with fewer writes, and one that upstream refuses, ends well."""
        self.fuse.left = writes
        with suppress(Crash, SourceError):
            run()
        self.fuse.left = None


def histories(actions: Sequence[str], longest: int) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    some, window = st.integers(0, 11), st.integers(0, DAYS - 1)
    return st.lists(
        st.one_of(
            st.tuples(st.sampled_from(actions), some, some),
            st.tuples(st.sampled_from(actions), some, some),
            st.tuples(st.sampled_from(actions), some, some),
            st.tuples(st.just("sync"), window, window, st.booleans(), st.none() | st.integers(0, 25)),
            st.tuples(st.just("replay"), window, st.none() | st.integers(0, 25)),
        ),
        max_size=longest,
    )


def play(world: World[Any], action: tuple[Any, ...]) -> None:
    """One step of a history. A sync may crash, or be refused because something can't be seen."""
    name = action[0]
    if name == "sync":
        first, last = sorted(action[1:3])
        world.system.clock.tick()
        world.crashing(action[4], lambda: world.sync(first, last, sweep=action[3]))
    elif name == "replay":
        with TemporaryDirectory() as folder_name:
            folder: Any = type("Folder", (), {"name": folder_name})
            batch = world.chain.stored_raw([world.windows[action[1]]], folder)
            if batch is not None:
                world.crashing(action[2], lambda: world.chain.replay(batch))
    else:
        world.system.act(*action)


def check_history(world: World[Any], history: list[tuple[Any, ...]]) -> None:
    for action in history:
        play(world, action)
    # What can't be seen stays in the store as it was: it is shown again first.
    world.system.mend()
    # An empty listing is no proof: a sweep would refuse to delete the last record.
    world.system.make_one()
    assert world.finish()["raw"].problems == []
    world.assert_converged()
    assert_idle(world.finish())


def assert_idle(reports: dict[str, Report]) -> None:
    """A sync that found nothing to do."""
    assert [reports["embeddings"].total("embedded"), reports["documents"].total("changed")] == [0, 0]
    assert [reports[STORE].total(name) for name in ("written", "payloads", "removed")] == [0, 0, 0]


def costs(reports: dict[str, Report]) -> tuple[int, int]:
    """How many texts a sync embedded, and how many chunks only got another payload."""
    return reports["embeddings"].total("embedded"), reports[STORE].total("payloads")


class Statuses(httpx.HTTPTransport):
    """The network, which remembers how each request was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[int] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.seen[response.status_code] += 1
        return response
