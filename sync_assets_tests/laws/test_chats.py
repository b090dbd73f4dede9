"""The laws for chats: any history ends equal to a rebuild, at a bounded cost, and what can't be seen is not deleted.

The chats are the demo's simulators, asked over HTTP by the true sources. See `chats.py` for what people do there.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.batches import Partition
from sync_assets.chunking import chunk_document
from sync_assets.chunks import chunk_id
from sync_assets.demo.discord_limits import DiscordLimits
from sync_assets.demo.faults import Fault
from sync_assets.demo.server import DemoServers
from sync_assets.demo.slack_records import SCOPES
from sync_assets.demo.slack_workspace import SlackFault, SlackLimits
from sync_assets.documents import Visibility
from sync_assets.errors import SourceError
from sync_assets.hashing import text_hash
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.sources import LiveId, Source
from sync_assets.stages import Report, Stream
from sync_assets.vector_stores import Audience, StoredChunk
from sync_assets_tests.laws.chats import DAY, DAYS, START, WORD, Chat, Clock, DiscordChat, SlackChat, SmallCompany
from sync_assets_tests.laws.upstream import Chain, Crash, install
from sync_assets_tests.stores import STORES

STORE = "pgvector"
EVERY_CHAT: list[type[Chat]] = [SlackChat, DiscordChat]
_EVERYTHING = 100_000
_ANYWHERE = np.eye(8, dtype=np.float32)[0]
_numbers = itertools.count()


class Shown(NamedTuple):
    """A chunk as a store shows it: what it says, and who finds it."""

    content_hash: str
    title: str
    visibility: Visibility
    readers: frozenset[str]


class OneChat:
    """Stands for `Tenants`: there is one account."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def open(self, source: str, tenant: str) -> Source:
        return self._chat.open(tenant)


class World:
    """A chat, and a chain that follows it into a store."""

    def __init__(self, services: Services, opened: Any, chat: Chat, longest: int, overlap: int) -> None:
        self.tenant = f"chat{next(_numbers)}"
        self.chat = chat
        self.fuse = install(services, {}, {STORE: opened})
        services.__dict__["tenants"] = OneChat(chat)
        stream = Stream(
            *(chat.source, "messages", "day", (STORE,), f"windows_of_{longest}"),
            model="hash-8",
            window_messages=longest,
            window_overlap=overlap,
        )
        self.chain = Chain(services, stream, chat.clock)
        days = [START + number * DAY for number in range(DAYS)]
        self.windows = [Partition(self.tenant, f"{day:%Y-%m-%d}", day, day + DAY) for day in days]

    def sync(self, first: int = 0, last: int = DAYS - 1, sweep: bool = False) -> dict[str, Report]:
        return self.chain.sync(self.windows[first : last + 1], sweep=sweep)

    def finish(self) -> dict[str, Report]:
        """The sync that ends every history: all windows, with a sweep, a minute later."""
        self.chat.clock.tick()
        return self.sync(sweep=True)

    def listed(self) -> list[StoredChunk]:
        """What the store lists, in the order of documents and chunks."""
        registered = self.chain.services.ledger.active_collection(STORE, self.chain.stream.collection)
        assert registered is not None
        scan = self.chain.services.store(STORE).scan(registered.collection, self.tenant)
        return sorted(scan, key=lambda chunk: (chunk.document_id, chunk.chunk_id))

    def stored(self) -> dict[str, Shown]:
        """What the store holds, by chunk id; of what nobody may find the title is not seen."""
        found = {hit.chunk_id: hit for hit in self.found(self.chat.principals())}
        readers: dict[str, set[str]] = {key: set() for key in found}
        for principal in self.chat.principals():
            for hit in self.found(frozenset({principal})):
                readers[hit.chunk_id] |= {principal} if hit.visibility is Visibility.RESTRICTED else set()
        return {
            chunk.chunk_id: Shown(chunk.content_hash, hit.title, hit.visibility, frozenset(readers[chunk.chunk_id]))
            if (hit := found.get(chunk.chunk_id))
            else Shown(chunk.content_hash, "", Visibility.RESTRICTED, frozenset())
            for chunk in self.listed()
        }

    def found(self, principals: frozenset[str]) -> list[Any]:
        """All that somebody inside with these principals can find."""
        registered = self.chain.services.ledger.active_collection(STORE, self.chain.stream.collection)
        assert registered is not None
        audience = Audience(visibility=Visibility.INTERNAL, principals=principals)
        return self.chain.services.store(STORE).search(
            registered.collection, self.tenant, audience, _ANYWHERE, _EVERYTHING
        )

    def rebuilt(self) -> dict[str, Shown]:
        """What a rebuild from the chat as it is now gives, by chunk id."""
        stream = self.chain.stream
        embedder = self.chain.services.embedder(stream.model)
        chunks: dict[str, Shown] = {}
        with self.chat.open(self.tenant) as account:
            for record in account.fetch(stream.name, self.chat.record_ids()):
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
        for principals, words in self.chat.readers():
            said = {word for hit in self.found(principals) for word in WORD.findall(hit.text)}
            assert said == words, f"what {sorted(principals)} find"
        assert self.chain.services.ledger.quarantined(self.tenant) == []


@pytest.fixture(scope="module")
def services(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home: Path = tmp_path_factory.mktemp("chats")
    services = Services(
        Settings(home=home, database_url=postgres_url, sweep_max_delete_share=1.0, quarantine_max_attempts=1000)  # pyright: ignore
    )
    ledger = services.ledger
    yield services
    ledger.close()


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = STORES[STORE](request, tmp_path_factory.mktemp(STORE))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def servers(clock: Clock) -> Iterator[DemoServers]:
    """The two chats; they answer as often as they are asked."""
    slack = SlackLimits(tier_2=_EVERYTHING, tier_3=_EVERYTHING, tier_4=_EVERYTHING, page=10)
    discord = DiscordLimits(messages=_EVERYTHING, others=_EVERYTHING, per_second=_EVERYTHING)
    with DemoServers(company=SmallCompany(), clock=clock, slack_limits=slack, discord_limits=discord) as servers:
        yield servers


NewWorld = Callable[..., World]


@pytest.fixture
def new_world(services: Services, store: Any, servers: DemoServers, clock: Clock) -> Iterator[NewWorld]:
    """Makes worlds: a chat at its start, and a tenant that has not synced it yet."""
    kept = {name: getattr(services, name) for name in ("tenants", "ledger", "storage", "cache")}

    def make(kind: type[Chat], longest: int = 10, overlap: int = 2) -> World:
        services.__dict__.update(kept)
        return World(services, store, kind(servers, clock), longest, overlap)

    yield make
    services.__dict__.update(kept)


def histories(kind: type[Chat], longest: int) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    some, window = st.integers(0, 11), st.integers(0, DAYS - 1)
    return st.lists(
        st.one_of(
            st.tuples(st.sampled_from(kind.actions), some, some),
            st.tuples(st.sampled_from(kind.actions), some, some),
            st.tuples(st.sampled_from(kind.actions), some, some),
            st.tuples(st.just("sync"), window, window, st.booleans(), st.none() | st.integers(0, 25)),
            st.tuples(st.just("replay"), window, st.none() | st.integers(0, 25)),
        ),
        max_size=longest,
    )


def play(world: World, action: tuple[Any, ...]) -> None:
    """One step of a history. A sync may crash, or be refused because the app was shut out."""
    name = action[0]
    if name == "sync":
        first, last = sorted(action[1:3])
        world.chat.clock.tick()
        _with_crash(world, action[4], lambda: world.sync(first, last, sweep=action[3]))
    elif name == "replay":
        with TemporaryDirectory() as folder_name:
            folder: Any = type("Folder", (), {"name": folder_name})
            batch = world.chain.stored_raw([world.windows[action[1]]], folder)
            if batch is not None:
                _with_crash(world, action[2], lambda: world.chain.replay(batch))
    else:
        world.chat.act(*action)


def _with_crash(world: World, writes: int | None, run: Callable[[], Any]) -> None:
    """Crash before the write of that number; a run with fewer writes ends well."""
    world.fuse.left = writes
    with suppress(Crash, SourceError):
        run()
    world.fuse.left = None


def check_history(world: World, history: list[tuple[Any, ...]]) -> None:
    for action in history:
        play(world, action)
    # What the app can't see stays in the store as it was: it is let in again first.
    world.chat.mend()
    # An empty listing is no proof: a sweep would refuse to delete the last conversation.
    world.chat.post(0)
    assert world.finish()["raw"].problems == []
    world.assert_converged()
    reports = world.finish()
    assert [reports["embeddings"].total("embedded"), reports["documents"].total("changed")] == [0, 0]
    assert [reports[STORE].total(name) for name in ("written", "payloads", "removed")] == [0, 0, 0]


_relaxed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.parametrize("kind", EVERY_CHAT)
@settings(max_examples=10, derandomize=True, deadline=None, suppress_health_check=_relaxed)
@given(st.data())
def test_any_history_of_a_chat_converges(new_world: NewWorld, kind: type[Chat], data: st.DataObject) -> None:
    check_history(new_world(kind, longest=4, overlap=1), data.draw(histories(kind, 18)))


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_what_went_after_a_crash_is_gone_after_one_sweep(new_world: NewWorld, kind: type[Chat]) -> None:
    for number in range(8):
        world = new_world(kind)
        message = world.chat.post(0)
        _with_crash(world, number, lambda world=world: world.sync(0, 0))
        world.chat.remove(message)
        world.chat.post(1)
        world.finish()
        world.assert_converged()


def test_a_day_that_broke_in_a_later_window_is_released_where_it_is_listed_in_its_own(new_world: NewWorld) -> None:
    world = new_world(SlackChat)
    place, _ = world.chat.post(2)
    world.chat.post(2)
    world.finish()
    world.chat.lose(2)
    world.chat.post(0)
    world.finish()
    assert [held.record_id for held in world.chain.services.ledger.quarantined(world.tenant)] == [
        f"private.{place}-{START:%Y-%m-%d}"
    ]
    world.chat.mend()
    world.finish()
    world.assert_converged()


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERY_CHAT)
@pytest.mark.timeout(3600)
@settings(max_examples=300, deadline=None, suppress_health_check=_relaxed)
@given(st.data())
def test_any_long_history_of_a_chat_converges(new_world: NewWorld, kind: type[Chat], data: st.DataObject) -> None:
    check_history(new_world(kind, longest=4, overlap=1), data.draw(histories(kind, 40)))


def costs(reports: dict[str, Report]) -> tuple[int, int]:
    """How many texts a sync embedded, and how many chunks only got another payload."""
    return reports["embeddings"].total("embedded"), reports[STORE].total("payloads")


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_a_reply_embeds_at_most_two_windows_and_needs_no_sweep(new_world: NewWorld, kind: type[Chat]) -> None:
    world = new_world(kind)
    world.chat.thread(0, 36)
    embedded, _ = costs(world.finish())
    assert embedded > 4, "the thread has hardly any window"
    for _ in range(4):
        world.chat.reply(0, 1)
        embedded, _ = costs(world.sync())
        assert 1 <= embedded <= 2
    world.assert_converged()


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_an_edit_embeds_the_windows_that_hold_the_message(new_world: NewWorld, kind: type[Chat]) -> None:
    world = new_world(kind)
    messages = world.chat.thread(0, 36)
    world.finish()
    for number, message in list(enumerate(messages, start=2))[1::9]:
        # Each message has had one text so far, but for those that were edited here, of which each came once.
        holding = [hit for hit in world.found(world.chat.principals()) if f"w{number}w" in WORD.findall(hit.text)]
        world.chat.change(message)
        embedded, _ = costs(world.finish())
        assert 1 <= embedded == len(holding) <= 2
    world.assert_converged()


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_a_deletion_amid_a_long_thread_embeds_at_most_four_windows(new_world: NewWorld, kind: type[Chat]) -> None:
    world = new_world(kind)
    messages = world.chat.thread(0, 36)
    world.finish()
    for message in messages[1:-1:7]:
        world.chat.remove(message)
        embedded, _ = costs(world.finish())
        assert embedded <= 4
    world.assert_converged()


READERS: dict[type[Chat], list[tuple[str, int, int]]] = {
    SlackChat: [("join", 2, 2), ("leave", 2, 1), ("rename_channel", 0, 0)],
    DiscordChat: [
        *(("admit", 1, 0), ("expel", 1, 1), ("rename_channel", 0, 0)),
        *(("rename_channel", 3, 0), ("join_thread", 2, 2), ("leave_thread", 2, 1)),
    ],
}
# A channel that opens or closes gives its conversations other ids.
DOORS: dict[type[Chat], list[tuple[str, int, int]]] = {
    SlackChat: [("turn", 0, 0), ("turn", 2, 0)],
    DiscordChat: [("hide", 0, 0), ("show", 1, 0)],
}


@pytest.mark.parametrize(
    ("kind", "action"),
    [pytest.param(kind, action, id=f"{kind.source}-{action}") for kind in READERS for action in READERS[kind]],
)
def test_who_may_read_and_what_a_channel_is_called_changes_payloads_and_embeds_nothing(
    new_world: NewWorld, kind: type[Chat], action: tuple[str, int, int]
) -> None:
    world = new_world(kind)
    for channel in (0, 1, 2):
        world.chat.post(channel)
    world.chat.thread(0, 5)
    if isinstance(world.chat, DiscordChat):
        world.chat.open_apart(1, 1)
    world.finish()
    before = world.stored()
    world.chat.act(*action)
    embedded, payloads = costs(world.finish())
    after = world.stored()
    assert embedded == 0
    assert after.keys() == before.keys()
    assert payloads >= sum(before[key] != after[key] for key in after) > 0
    world.assert_converged()


@pytest.mark.parametrize(
    ("kind", "action"),
    [pytest.param(kind, action, id=f"{kind.source}-{action}") for kind in DOORS for action in DOORS[kind]],
)
def test_a_channel_that_opens_or_closes_leaves_nothing_where_it_was_and_embeds_nothing(
    new_world: NewWorld, kind: type[Chat], action: tuple[str, int, int]
) -> None:
    world = new_world(kind)
    for channel in (0, 1, 2):
        world.chat.post(channel)
    world.finish()
    before = world.stored()
    world.chat.act(*action)
    embedded, _ = costs(world.finish())
    assert embedded == 0
    assert len(before.keys() - world.stored().keys()) == 1
    world.assert_converged()


class Trouble(NamedTuple):
    """Why something can't be seen for a while.

    Attributes:
        begin: what happens.
        end: how it is mended, beside `mend`.
        channels: the channels that can't be seen, by number; the others are followed all the while.
        told: how the run says so: `problem` of the report, `quarantine`, or `error`, which ends it; nothing where there
            is nothing to be done.
    """

    kind: type[Chat]
    begin: Callable[[Any], object]
    channels: tuple[int, ...]
    told: str
    end: Callable[[Any], object] = lambda _: None


def _scope(chat: SlackChat, name: str) -> None:
    chat.workspace.data.scopes.remove(name)


def _scopes_back(chat: SlackChat) -> None:
    chat.workspace.data.scopes = list(SCOPES)


def _slack_fault(path: str, **fault: Any) -> Callable[[SlackChat], object]:
    return lambda chat: chat.workspace.faults.order(SlackFault(path=path, **fault))


def _discord_fault(path: str, **fault: Any) -> Callable[[DiscordChat], object]:
    return lambda chat: chat.guild.faults.order(Fault(path=path, **fault))


def _slack_clear(chat: SlackChat) -> None:
    chat.workspace.faults.clear()


def _discord_clear(chat: DiscordChat) -> None:
    chat.guild.faults.clear()


ALL = (0, 1, 2)
_MORE = {"has_more": True, "response_metadata": {"next_cursor": ""}}
TROUBLES: dict[str, Trouble] = {
    "slack: the app leaves a channel": Trouble(SlackChat, lambda chat: chat.lose(0), (0,), "problem"),
    "slack: the app leaves a private channel": Trouble(SlackChat, lambda chat: chat.lose(2), (2,), "quarantine"),
    "slack: a channel is archived": Trouble(SlackChat, lambda chat: chat.archive(0), (0,), ""),
    "slack: a private channel is archived": Trouble(SlackChat, lambda chat: chat.archive(2), (2,), "quarantine"),
    "slack: the scope for histories is lost": Trouble(
        SlackChat, lambda chat: _scope(chat, "channels:history"), ALL, "error", _scopes_back
    ),
    "slack: the scope for channels is lost": Trouble(
        SlackChat, lambda chat: _scope(chat, "channels:read"), ALL, "error", _scopes_back
    ),
    "slack: the scope for private histories is lost": Trouble(
        SlackChat, lambda chat: _scope(chat, "groups:history"), ALL, "error", _scopes_back
    ),
    "slack: the scope for private channels is lost": Trouble(
        SlackChat, lambda chat: _scope(chat, "groups:read"), ALL, "error", _scopes_back
    ),
    "slack: a history breaks off": Trouble(
        SlackChat, _slack_fault("history.*C0OPS.*cursor", status=500), ALL, "error", _slack_clear
    ),
    "slack: a thread breaks off": Trouble(
        SlackChat, _slack_fault("replies.*C0HELP", truncate=True), ALL, "error", _slack_clear
    ),
    "slack: the list of channels breaks off": Trouble(
        SlackChat, _slack_fault("conversations.list", error="fatal_error"), ALL, "error", _slack_clear
    ),
    "slack: a page says that there is more and not where": Trouble(
        SlackChat, _slack_fault("history.*C0HELP", answer=_MORE), ALL, "error", _slack_clear
    ),
    "slack: older messages are hidden by the plan": Trouble(
        SlackChat, _slack_fault("history", answer={"is_limited": True}, rows=0), ALL, "", _slack_clear
    ),
    "discord: the bot may not view a channel": Trouble(DiscordChat, lambda chat: chat.lose(0, 0), (0,), "problem"),
    "discord: the bot may not read a history": Trouble(DiscordChat, lambda chat: chat.lose(1, 1), (1,), "problem"),
    "discord: the bot may not view a forum": Trouble(DiscordChat, lambda chat: chat.lose(2, 0), (2,), "problem"),
    "discord: the intent is off": Trouble(DiscordChat, lambda chat: chat.blind(), ALL, "error"),
    "discord: a history breaks off": Trouble(
        DiscordChat, _discord_fault("messages.*after=[1-9]", status=500), ALL, "error", _discord_clear
    ),
    "discord: the list of threads breaks off": Trouble(
        DiscordChat, _discord_fault("threads/archived", truncate=True), ALL, "error", _discord_clear
    ),
    "discord: the list of channels is refused": Trouble(
        DiscordChat, _discord_fault("guilds/[0-9]+/channels", status=403), ALL, "error", _discord_clear
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_cannot_be_seen_stays_as_it_was_and_is_mended_when_it_shows_again(new_world: NewWorld, name: str) -> None:
    trouble = TROUBLES[name]
    world = new_world(trouble.kind)
    chat = world.chat
    messages = [[chat.post(channel, number) for number in range(12)] for channel in ALL]
    messages.append(chat.thread(0, 12))
    world.finish()
    hidden = tuple(
        f"{world.tenant}_{chat.source}_{kind}{chat.channels[channel]}-"
        for channel in trouble.channels
        for kind in ("", "private.")
    )
    before = [chunk for chunk in world.listed() if chunk.document_id.startswith(hidden)]
    assert before
    trouble.begin(chat)
    for first, second, *_ in messages:
        chat.change(first)
        chat.remove(second)
    told = "error"
    with suppress(SourceError):
        reports = world.finish()
        held = world.chain.services.ledger.quarantined(world.tenant)
        told = "problem" if reports["raw"].problems else "quarantine" if held else ""
    assert told == trouble.told
    assert [chunk for chunk in world.listed() if chunk.document_id.startswith(hidden)] == before
    if trouble.channels != ALL:
        followed = {chunk.chunk_id for chunk in world.listed()} - {chunk.chunk_id for chunk in before}
        assert followed == world.rebuilt().keys()
    trouble.end(chat)
    chat.mend()
    assert world.finish()["raw"].problems == []
    world.assert_converged()


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_what_could_not_be_seen_for_long_is_mended_by_the_next_sweep(new_world: NewWorld, kind: type[Chat]) -> None:
    world = new_world(kind)
    services = world.chain.services
    _, *messages = (world.chat.post(channel) for channel in ALL)
    world.finish()
    for channel in (1, 2):
        world.chat.lose(channel)
    world.chat.next_day()
    world.chat.next_day()
    kept, services.settings = services.settings, services.settings.model_copy(update={"quarantine_max_attempts": 2})
    try:
        for _ in range(4):
            world.sync(2, 3, sweep=True)
            world.chat.clock.tick()
        for message in messages:
            world.chat.change(message)
        world.chat.mend()
        world.sync(2, 3, sweep=True)
    finally:
        services.settings = kept
    world.assert_converged()


class Statuses(httpx.HTTPTransport):
    """The network, which remembers how each request was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[int] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.seen[response.status_code] += 1
        return response


def shortest_and_longest(chat: Chat) -> tuple[float, float]:
    """Between how many seconds the requests must have taken that a chat has answered."""
    if isinstance(chat, SlackChat):
        minutes = max(chat.workspace.requests.values()) / SlackLimits.tier_3
        return (minutes - 1) * 60, (minutes + 1) * 60
    assert isinstance(chat, DiscordChat)
    requests = chat.guild.requests.total()
    # The channel with most messages has 9 pages, each listing of it fills its bucket once; every thread has its own.
    return DiscordLimits.window, 0.2 * requests


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_the_vendors_limits_are_kept_without_a_single_refusal(kind: type[Chat]) -> None:
    clock, statuses = Clock(), Statuses()
    with DemoServers(company=SmallCompany(), clock=clock) as servers:
        chat = kind(servers, clock)
        chat.account.pop("history_per_minute", None)
        chat.settings = {"limits": {"max_attempts": 1}}
        for number in range(130):
            chat.thread(number % 2, 1)
        for _ in range(700):
            chat.post(0)
        chat.clock.tick(DAY)
        began = clock.seconds()
        with chat.open("limits", statuses) as account:
            extracted = {record.record_id for record in account.extract("messages", START, START + DAYS * DAY)}
            listed = {item.record_id for item in account.live_ids("messages") if isinstance(item, LiveId)}
        took = clock.seconds() - began
        assert listed == set(chat.record_ids())
        assert extracted >= listed
        assert set(statuses.seen) == {200}
        least, most = shortest_and_longest(chat)
        assert least <= took <= most, f"{statuses.seen[200]} requests took {took} s"
