"""The laws for chats: any history ends equal to a rebuild, at a bounded cost, and what can't be seen is not deleted.

The chats are the demo's simulators, asked over HTTP by the true sources. See `chats.py` for what people do there.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.demo.discord_limits import DiscordLimits
from sync_assets.demo.faults import Fault
from sync_assets.demo.server import DemoServers
from sync_assets.demo.slack_records import SCOPES
from sync_assets.demo.slack_workspace import SlackFault, SlackLimits
from sync_assets.errors import SourceError
from sync_assets.sources import LiveId
from sync_assets_tests.laws.chats import Chat, DiscordChat, SlackChat, SmallCompany
from sync_assets_tests.laws.world import (
    DAY,
    DAYS,
    EVERYTHING,
    RELAXED,
    START,
    WORD,
    Clock,
    Statuses,
    World,
    check_history,
    costs,
    histories,
)

EVERY_CHAT: list[type[Chat]] = [SlackChat, DiscordChat]


@pytest.fixture(scope="module")
def servers(clock: Clock) -> Iterator[DemoServers]:
    """The two chats; they answer as often as they are asked."""
    slack = SlackLimits(tier_2=EVERYTHING, tier_3=EVERYTHING, tier_4=EVERYTHING, page=10)
    discord = DiscordLimits(messages=EVERYTHING, others=EVERYTHING, per_second=EVERYTHING)
    with DemoServers(company=SmallCompany(), clock=clock, slack_limits=slack, discord_limits=discord) as servers:
        yield servers


NewWorld = Callable[..., World[Any]]


@pytest.mark.parametrize("kind", EVERY_CHAT)
@settings(max_examples=10, derandomize=True, deadline=None, suppress_health_check=RELAXED)
@given(st.data())
def test_any_history_of_a_chat_converges(new_world: NewWorld, kind: type[Chat], data: st.DataObject) -> None:
    check_history(new_world(kind, window_messages=4, window_overlap=1), data.draw(histories(kind.actions, 18)))


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_what_went_after_a_crash_is_gone_after_one_sweep(new_world: NewWorld, kind: type[Chat]) -> None:
    for number in range(8):
        world = new_world(kind)
        message = world.system.post(0)
        world.crashing(number, lambda world=world: world.sync(0, 0))
        world.system.remove(message)
        world.system.post(1)
        world.finish()
        world.assert_converged()


def test_a_day_that_broke_in_a_later_window_is_released_where_it_is_listed_in_its_own(new_world: NewWorld) -> None:
    world = new_world(SlackChat)
    place, _ = world.system.post(2)
    world.system.post(2)
    world.finish()
    world.system.lose(2)
    world.system.post(0)
    world.finish()
    assert [held.record_id for held in world.chain.services.ledger.quarantined(world.tenant)] == [
        f"private.{place}-{START:%Y-%m-%d}"
    ]
    world.system.mend()
    world.finish()
    world.assert_converged()


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERY_CHAT)
@pytest.mark.timeout(3600)
@settings(max_examples=300, deadline=None, suppress_health_check=RELAXED)
@given(st.data())
def test_any_long_history_of_a_chat_converges(new_world: NewWorld, kind: type[Chat], data: st.DataObject) -> None:
    check_history(new_world(kind, window_messages=4, window_overlap=1), data.draw(histories(kind.actions, 40)))


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_a_reply_embeds_at_most_two_windows_and_needs_no_sweep(new_world: NewWorld, kind: type[Chat]) -> None:
    world = new_world(kind)
    world.system.thread(0, 36)
    embedded, _ = costs(world.finish())
    assert embedded > 4, "the thread has hardly any window"
    for _ in range(4):
        world.system.reply(0, 1)
        embedded, _ = costs(world.sync())
        assert 1 <= embedded <= 2
    world.assert_converged()


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_an_edit_embeds_the_windows_that_hold_the_message(new_world: NewWorld, kind: type[Chat]) -> None:
    world = new_world(kind)
    messages = world.system.thread(0, 36)
    world.finish()
    for number, message in list(enumerate(messages, start=2))[1::9]:
        # Each message has had one text so far, but for those that were edited here, of which each came once.
        holding = [hit for hit in world.found(world.system.principals()) if f"w{number}w" in WORD.findall(hit.text)]
        world.system.change(message)
        embedded, _ = costs(world.finish())
        assert 1 <= embedded == len(holding) <= 2
    world.assert_converged()


@pytest.mark.parametrize("kind", EVERY_CHAT)
def test_a_deletion_amid_a_long_thread_embeds_at_most_four_windows(new_world: NewWorld, kind: type[Chat]) -> None:
    world = new_world(kind)
    messages = world.system.thread(0, 36)
    world.finish()
    for message in messages[1:-1:7]:
        world.system.remove(message)
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
        world.system.post(channel)
    world.system.thread(0, 5)
    if isinstance(world.system, DiscordChat):
        world.system.open_apart(1, 1)
    world.finish()
    before = world.stored()
    world.system.act(*action)
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
        world.system.post(channel)
    world.finish()
    before = world.stored()
    world.system.act(*action)
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
    chat = world.system
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
    _, *messages = (world.system.post(channel) for channel in ALL)
    world.finish()
    for channel in (1, 2):
        world.system.lose(channel)
    world.system.next_day()
    world.system.next_day()
    kept, services.settings = services.settings, services.settings.model_copy(update={"quarantine_max_attempts": 2})
    try:
        for _ in range(4):
            world.sync(2, 3, sweep=True)
            world.system.clock.tick()
        for message in messages:
            world.system.change(message)
        world.system.mend()
        world.sync(2, 3, sweep=True)
    finally:
        services.settings = kept
    world.assert_converged()


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
