import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina
from pydantic import ValidationError

from sync_assets.demo.faults import Fault
from sync_assets.demo.files import file_bytes
from sync_assets.demo.freshdesk import Desk
from sync_assets.demo.server import DemoServers
from sync_assets.documents import Record
from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources import Source as SourceContract
from sync_assets.sources import source_module
from sync_assets.sources.freshdesk import Account, Source

TENANT = "polder"
KEY = "key-that-nobody-may-see"
NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture(scope="module")
def servers() -> Iterator[DemoServers]:
    with DemoServers() as running:
        yield running


@pytest.fixture
def desk(servers: DemoServers) -> Iterator[Desk]:
    desk = servers.company.desks[TENANT]
    desk.reset()
    yield desk
    desk.reset()


@pytest.fixture
def source(servers: DemoServers, desk: Desk) -> Iterator[Source]:
    account = Account.model_validate(servers.tenants[TENANT]["freshdesk"])
    # The circuit breaker is shared by tenant and host.
    with Source(f"{TENANT}-{uuid4().hex[:8]}", account) as opened:
        yield opened


def whole(source: SourceContract, stream: str) -> dict[str, Record]:
    records = list(source.extract(stream, LONG_AGO, FAR_AHEAD))
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: record for record in records}


# Against the simulator


def test_every_live_ticket_comes_with_all_its_conversations(source: Source, servers: DemoServers) -> None:
    truth = dict(servers.company.records(TENANT, "tickets"))
    records = {key: record for key, record in whole(source, "tickets").items() if record.event == "live"}
    assert records.keys() == truth.keys()
    for record_id, record in records.items():
        ticket = {key: value for key, value in truth[record_id].items() if key not in ("conversations", "attachments")}
        assert {key: value for key, value in record.payload["ticket"].items() if key in ticket} == ticket
        assert without_addresses(record.payload["conversations"]) == without_addresses(
            truth[record_id]["conversations"]
        )


def without_addresses(conversations: list[Json]) -> list[Json]:
    """Conversations without the addresses of their files, which are signed anew each time."""
    return [
        row | {"attachments": [file | {"attachment_url": ""} for file in row["attachments"]]} for row in conversations
    ]


def test_a_file_is_had_by_its_locator_through_an_address_of_today(source: Source, servers: DemoServers) -> None:
    found = [
        (file, owner)
        for record_id, record in whole(source, "tickets").items()
        if record.event == "live"
        for file in source.to_document("tickets", record).attachments
        for owner in [record_id]
    ]
    assert {file.locator.split("/")[:2] == ["ticket", owner] for file, owner in found} == {True}
    for file, _ in found[:20]:
        data = source.read_file(file.locator, 1_000_000)
        assert (len(data), data) == (file.size, file_bytes(file.name))
    file, owner = found[0]
    with pytest.raises(FileUnavailable, match="max_bytes"):
        source.read_file(file.locator, 10)
    with pytest.raises(FileUnavailable, match="does not list it"):
        source.read_file(f"ticket/{owner}/1", 10)
    with pytest.raises(FileUnavailable, match="status 404"):
        source.read_file("ticket/999999/1", 10)


@pytest.mark.parametrize("stream", ["tickets", "articles"])
def test_span_extract_live_ids_and_fetch_agree(source: Source, servers: DemoServers, stream: str) -> None:
    extracted = whole(source, stream)
    live = {key: record for key, record in extracted.items() if record.event == "live"}
    span = source.span(stream)
    assert span is not None
    times = [record.modified_at for record in extracted.values() if record.modified_at]
    assert span == (min(times), max(times))
    assert {row.record_id: row.modified_at for row in source.live_ids(stream)} == {
        key: record.modified_at for key, record in live.items()
    }
    asked = list(live)[:12]
    fetched = list(source.fetch(stream, iter(asked)))
    assert [record.record_id for record in fetched] == asked
    for record in fetched:
        document, same = source.to_document(stream, record), source.to_document(stream, live[record.record_id])
        assert (document.content_hash, document.metadata_hash) == (same.content_hash, same.metadata_hash)
        assert record.modified_at == live[record.record_id].modified_at


def test_windows_are_half_open_and_miss_nothing(source: Source) -> None:
    modified = {key: record.modified_at for key, record in whole(source, "tickets").items()}
    span = source.span("tickets")
    assert span is not None
    middle = sorted(time for time in modified.values() if time)[len(modified) // 2]
    early = {record.record_id for record in source.extract("tickets", span[0], middle)}
    late = {record.record_id for record in source.extract("tickets", middle, span[1] + timedelta(seconds=1))}
    assert early | late == modified.keys()
    assert not early & late
    assert {key for key, time in modified.items() if time == middle} <= late


def test_an_idle_window_costs_three_requests(source: Source, desk: Desk) -> None:
    assert list(source.extract("tickets", FAR_AHEAD, FAR_AHEAD + timedelta(days=1))) == []
    assert dict(desk.requests) == {"GET /api/v2/tickets": 3}


def test_deleted_and_spam_tickets_come_as_deletions_and_restored_ones_live(
    source: Source, servers: DemoServers, desk: Desk
) -> None:
    deleted, spam, restored, purged = [key for key, _ in servers.company.records(TENANT, "tickets")][:4]
    api = httpx.Client(base_url=servers.base_url(TENANT), auth=(desk.data.api_key, "X"))
    for ticket_id in (deleted, restored):
        api.delete(f"/api/v2/tickets/{ticket_id}").raise_for_status()
    api.put(f"/api/v2/tickets/{restored}/restore").raise_for_status()
    api.post(f"/_demo/tickets/{spam}/spam").raise_for_status()
    api.post(f"/_demo/tickets/{purged}/purge").raise_for_status()
    events = {key: record.event for key, record in whole(source, "tickets").items()}
    assert (events[deleted], events[spam], events[restored]) == ("deleted", "deleted", "live")
    assert purged not in events
    assert [record.event for record in source.fetch("tickets", [deleted, spam, restored, purged])] == [
        "deleted",
        "deleted",
        "live",
        "deleted",
    ]
    assert {row.record_id for row in source.live_ids("tickets")} & {deleted, spam, purged} == set()


def test_a_ticket_that_vanishes_meanwhile_is_deleted(source: Source, servers: DemoServers, desk: Desk) -> None:
    ticket_id = next(key for key, _ in servers.company.records(TENANT, "tickets"))
    desk.faults.order(Fault(path=f"/tickets/{ticket_id}/conversations", status=404))
    assert whole(source, "tickets")[ticket_id].event == "deleted"


def test_a_ticket_that_is_deleted_after_it_was_listed_is_deleted() -> None:
    shelf = Shelf([listed(1, 0)])

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v2/tickets/1":
            return httpx.Response(200, json=listed(1, 9, deleted=True))
        return shelf(request)

    with mocked(handler) as source:
        assert whole(source, "tickets")["1"].event == "deleted"


@pytest.mark.parametrize("malformation", ["no_updated_at", "unreadable_updated_at", "no_id", "not_an_object"])
def test_a_malformed_ticket_is_set_apart_and_the_rest_goes_on(
    source: Source, servers: DemoServers, desk: Desk, malformation: str
) -> None:
    truth = {key for key, _ in servers.company.records(TENANT, "tickets")}
    broken = next(iter(truth))
    desk.faults.order(
        Fault.model_validate({"path": r"/tickets\?", "malformed": malformation, "record_id": int(broken)})
    )
    records = whole(source, "tickets")
    malformed = {key: record for key, record in records.items() if record.event == "malformed"}
    assert {key for key, record in records.items() if record.event == "live"} == truth - {broken}
    assert len(malformed) == 1
    record = next(iter(malformed.values()))
    assert record.problem
    assert record.payload is not None
    if malformation.endswith("updated_at"):
        assert record.record_id == broken
        assert broken in {row.record_id for row in source.live_ids("tickets")}
    else:
        assert re.fullmatch("malformed-[0-9a-f]{12}", record.record_id)
        assert [again.event for again in source.fetch("tickets", [record.record_id])] == ["malformed"]
        with pytest.raises(SourceError, match="id can't be read"):
            list(source.live_ids("tickets"))


def test_a_ticket_that_freshdesk_fails_on_stops_no_other(source: Source, servers: DemoServers, desk: Desk) -> None:
    truth = [key for key, _ in servers.company.records(TENANT, "tickets")]
    desk.faults.order(Fault(path=rf"/tickets/{truth[3]}/conversations", status=500))
    records = whole(source, "tickets")
    assert {key for key, record in records.items() if record.event == "malformed"} == {truth[3]}
    assert "status 500" in str(records[truth[3]].problem)
    assert {key for key, record in records.items() if record.event == "live"} == set(truth) - {truth[3]}

    assert [record.event for record in source.fetch("tickets", [truth[3], truth[4]])] == ["malformed", "live"]


def test_half_a_surrogate_pair_stops_no_page() -> None:
    shelf = Shelf([listed(1, 0, subject="half HALF"), listed(2, 1)])

    def handler(request: httpx.Request) -> httpx.Response:
        reply = shelf(request)
        return httpx.Response(reply.status_code, content=reply.content.replace(b"HALF", b"\\ud83d"))

    with mocked(handler) as source:
        assert [record.record_id for record in source.extract("tickets", LONG_AGO, FAR_AHEAD)] == ["1", "2"]


def test_articles_come_with_folder_category_and_language(servers: DemoServers) -> None:
    truth = dict(servers.company.records("acme", "articles"))
    with Source("acme", Account.model_validate(servers.tenants["acme"]["freshdesk"])) as source:
        live = {key: record for key, record in whole(source, "articles").items() if record.event == "live"}
    assert live.keys() == truth.keys()
    translation = next((key for key in live if key.endswith("-nl")), None)
    assert translation is not None
    payload = live[translation].payload
    assert payload["language"] == "nl"
    assert payload["article"] == truth[translation]
    assert payload["folder"]["id"] == payload["article"]["folder_id"]
    assert payload["category"]["id"] == payload["article"]["category_id"]


def test_drafts_and_deleted_articles_are_gone(source: Source, servers: DemoServers, desk: Desk) -> None:
    record_ids = [key for key, _ in servers.company.records(TENANT, "articles") if key.count("-") == 1]
    article_id = int(record_ids[0].removeprefix("article-"))
    api = httpx.Client(base_url=f"{servers.base_url(TENANT)}/api/v2", auth=(desk.data.api_key, "X"))
    api.put(f"/solutions/articles/{article_id}", json={"status": 1}).raise_for_status()
    assert whole(source, "articles")[record_ids[0]].event == "deleted"
    assert record_ids[0] not in {row.record_id for row in source.live_ids("articles")}
    assert [record.event for record in source.fetch("articles", [record_ids[0]])] == ["deleted"]
    api.delete(f"/solutions/articles/{article_id}").raise_for_status()
    assert record_ids[0] not in whole(source, "articles")
    assert [record.event for record in source.fetch("articles", [record_ids[0]])] == ["deleted"]


def test_a_folder_that_becomes_agents_only_moves_its_articles(source: Source, desk: Desk) -> None:
    before = whole(source, "articles")
    record = next(record for record in before.values() if record.event == "live")
    folder = desk.data.folders[record.payload["folder"]["id"]]
    folder.update(visibility=3, updated_at="2026-11-20T10:00:00Z")
    again = {row.record_id: row.modified_at for row in source.live_ids("articles")}
    assert again[record.record_id] == datetime(2026, 11, 20, 10, tzinfo=UTC)
    moved = next(source.fetch("articles", [record.record_id]))
    old, new = source.to_document("articles", record), source.to_document("articles", moved)
    assert (new.visibility, {part.visibility for part in new.parts}) == ("internal", {"internal"})
    assert new.content_hash == old.content_hash


@pytest.mark.parametrize("stream", ["tickets", "articles"])
def test_trouble_never_shortens_a_listing(source: Source, desk: Desk, stream: str) -> None:
    desk.faults.order(Fault(path=r"/tickets\?|/folders/\d+/articles", status=503))
    with pytest.raises(SourceError, match="status 503"):
        list(source.live_ids(stream))


def test_a_truncated_answer_is_asked_for_again(source: Source, servers: DemoServers, desk: Desk) -> None:
    desk.faults.order(Fault(path=r"/tickets\?", truncate=True, times=2))
    truth = {key for key, _ in servers.company.records(TENANT, "tickets")}
    assert {row.record_id for row in source.live_ids("tickets")} == truth


def test_check_names_the_account_and_its_limit(source: Source) -> None:
    assert re.fullmatch(r"127\.0\.0\.1:\d+, 5000 calls a minute", source.check())


def test_a_wrong_key_is_named_but_not_shown(servers: DemoServers) -> None:
    account = Account.model_validate({"base_url": servers.base_url(TENANT), "api_key": KEY})
    with Source(TENANT, account) as source, pytest.raises(SourceError) as caught:
        source.check()
    assert caught.value.remedy == "Wrong key: check tenants.polder.freshdesk.api_key."
    assert KEY not in f"{caught.value} {account!r}"


# Against answers that the simulator does not give


def mocked(handler: Callable[[httpx.Request], httpx.Response], **settings: Any) -> Source:
    account = Account.model_validate({"base_url": "https://acme.freshdesk.com/", "api_key": KEY} | settings)
    transport = httpx.MockTransport(handler)
    return Source(f"acme-{uuid4().hex[:8]}", account, clock=lambda: NOON, transport=transport)


def listed(ticket_id: int, second: int, **attributes: Any) -> Json:
    at = (NOON + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": ticket_id, "subject": f"Ticket {ticket_id}", "status": 2, "updated_at": at} | attributes


class Shelf:
    """`GET /tickets` over a list, with Freshdesk's order, lower bound and last page; all else is empty."""

    def __init__(self, tickets: list[Json]) -> None:
        self.tickets = tickets
        self.pages: list[tuple[str, int]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        if request.url.path != "/api/v2/tickets" or query.get("filter"):
            return httpx.Response(200, json={"attachments": []} if request.url.path[-1].isdigit() else [])
        page, size = int(query.get("page", 1)), int(query["per_page"])
        self.pages.append((query.get("updated_since", ""), page))
        if page > 300:
            return httpx.Response(400, json={"message": "You cannot access tickets beyond the 300th page."})
        rows = sorted(
            (row for row in self.tickets if row["updated_at"] >= query.get("updated_since", "")),
            key=lambda row: (row["updated_at"], row["id"]),
        )[(page - 1) * size :]
        link = {"Link": '<https://acme.freshdesk.com/next>; rel="next"'} if len(rows) > size else {}
        return httpx.Response(200, json=rows[:size], headers=link)


def test_no_page_is_ever_counted_past_the_end_of_a_second() -> None:
    shelf = Shelf([listed(number, number // 3) for number in range(300)])
    with mocked(shelf, limits={"page_size": 2}) as source:
        assert {row.record_id for row in source.live_ids("tickets")} == {str(number) for number in range(300)}
    assert max(page for _, page in shelf.pages) <= 3


def test_a_ticket_that_moves_while_the_list_is_read_hides_no_other() -> None:
    shelf = Shelf([listed(number, number) for number in range(10)])
    with mocked(shelf, limits={"page_size": 2}) as source:
        seen: list[str] = []
        for row in source.live_ids("tickets"):
            seen.append(row.record_id)
            if len(seen) == 2:
                shelf.tickets[0] = listed(0, 100)
    assert sorted(seen) == [str(number) for number in range(10)]


def test_more_tickets_in_one_second_than_freshdesk_lists_is_an_error() -> None:
    with mocked(Shelf([listed(number, 0) for number in range(302)]), limits={"page_size": 1}) as source:
        ids = source.live_ids("tickets")
        with pytest.raises(SourceError, match="more than 300 tickets were modified at 2026-10-05T12:00:00Z"):
            list(ids)


def test_what_is_listed_beyond_the_window_is_left_out_and_ends_the_listing() -> None:
    shelf = Shelf([listed(number, number) for number in range(100)])
    with mocked(shelf, limits={"page_size": 10}) as source:
        records = source.extract("tickets", NOON + timedelta(seconds=5), NOON + timedelta(seconds=12))
        assert [record.record_id for record in records] == ["5", "6", "7", "8", "9", "10", "11"]
    assert len(shelf.pages) == 1


def test_memory_follows_the_page() -> None:
    shelf = Shelf([listed(number, number) for number in range(1000)])
    with mocked(shelf, limits={"page_size": 10}) as source:
        records = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        for _ in range(5):
            next(records)
        assert len(shelf.pages) <= 3


@pytest.mark.parametrize("refused", ["/agents", "/groups", "/ticket_fields"])
def test_lists_that_the_agent_may_not_read_cost_names_only(refused: str) -> None:
    shelf = Shelf([listed(1, 0, group_id=7, responder_id=8, status=6, custom_fields={"cf_a": "x"})])
    lists: dict[str, list[Json]] = {
        "/agents": [{"id": 8, "contact": {"name": "Noor"}}],
        "/groups": [{"id": 7, "name": "R&amp;D"}],
        "/ticket_fields": [
            {"name": "status", "type": "default_status", "choices": {"6": ["Waiting on Customer", "x"]}},
            {"name": "cf_a", "label": "Model", "type": "custom_text"},
        ],
    }

    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2")
        if path.removeprefix("/admin") == refused:
            return httpx.Response(403)
        return httpx.Response(200, json=lists[path]) if path in lists else shelf(request)

    with mocked(handler) as source:
        (record,) = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        document = source.to_document("tickets", record)
    found = {
        "/agents": document.metadata.get("agent") == "Noor",
        "/groups": document.metadata.get("group") == "R&D",
        "/ticket_fields": document.metadata["status"] == "waiting on customer",
    }
    assert found == {name: name != refused for name in found}


def test_custom_statuses_are_read_from_the_admin_list_too() -> None:
    shelf = Shelf([listed(1, 0, status=9)])
    choices = [{"id": 9, "value": "Engineer On Site"}]

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v2/ticket_fields":
            return httpx.Response(403)
        if request.url.path == "/api/v2/admin/ticket_fields":
            return httpx.Response(200, json=[{"name": "status", "type": "default_status", "choices": choices}])
        return shelf(request)

    with mocked(handler) as source:
        (record,) = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        assert source.to_document("tickets", record).metadata["status"] == "engineer on site"


def test_description_attachments_can_be_left_out_to_save_requests() -> None:
    paths: list[str] = []
    shelf = Shelf([listed(1, 0)])

    def handler(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return shelf(request)

    with mocked(handler, description_attachments=False) as source:
        (record,) = source.extract("tickets", LONG_AGO, FAR_AHEAD)
    assert "attachments" not in record.payload
    assert "/api/v2/tickets/1" not in paths


def test_articles_of_a_folder_page_with_drafts_only_do_not_end_the_walk() -> None:
    def article(number: int, status: int) -> Json:
        return {"id": number, "title": "t", "status": status, "updated_at": "2026-10-05T12:00:00Z"}

    pages = {1: [article(1, 1), article(2, 1)], 2: [article(3, 2)]}

    def handler(request: httpx.Request) -> httpx.Response:
        match request.url.path.removeprefix("/api/v2/solutions"):
            case "/categories":
                return httpx.Response(200, json=[{"id": 1, "name": "c"}])
            case "/categories/1/folders":
                return httpx.Response(200, json=[{"id": 2, "name": "f", "visibility": 1, "sub_folders_count": 1}])
            case "/folders/2/subfolders":
                return httpx.Response(200, json=[{"id": 4, "name": "g", "visibility": 4, "company_ids": [9]}])
            case "/folders/2/articles":
                return httpx.Response(200, json=pages[int(request.url.params["page"])])
            case "/folders/4/articles":
                return httpx.Response(200, json=[article(5, 2)])
            case "/folders/2/articles/nl":
                return httpx.Response(200, json=[article(3, 2)])
            case "/folders/4/articles/nl" | "/folders/4/subfolders":
                return httpx.Response(404 if "nl" in request.url.path else 204)
        raise AssertionError(request.url.path)

    with mocked(handler, languages=["nl"], limits={"page_size": 2}) as source:
        assert {row.record_id for row in source.live_ids("articles")} == {"article-3", "article-3-nl", "article-5"}
        restricted = whole(source, "articles")["article-5"]
        document = source.to_document("articles", restricted)
    assert (document.visibility, document.principals) == ("restricted", ["company:9"])


def test_languages_that_the_key_may_not_read_are_asked_for() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v2")
        rows = [{"id": 1}] if path == "/solutions/categories" else [{"id": 2, "sub_folders_count": 0}]
        return httpx.Response(403) if path == "/settings/helpdesk" else httpx.Response(200, json=rows)

    with mocked(handler) as source, pytest.raises(SourceError, match=r"freshdesk\.languages \(\[\] for none\)"):
        list(source.live_ids("articles"))


def test_an_answer_that_is_not_freshdesks_is_an_error() -> None:
    with mocked(lambda _: httpx.Response(200, json={"hello": "world"})) as source:
        for stream in ("tickets", "articles"):
            with pytest.raises(SourceError, match="is the root of a Freshdesk account"):
                list(source.live_ids(stream))
        with pytest.raises(SourceError, match="is the root of a Freshdesk account"):
            source.check()


def test_a_ticket_whose_own_answer_is_nonsense_stops_no_other() -> None:
    shelf = Shelf([listed(1, 0), listed(2, 1)])

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json="oops") if request.url.path == "/api/v2/tickets/1" else shelf(request)

    with mocked(handler) as source:
        first, second = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        with pytest.raises(ValueError, match="attachments"):
            source.to_document("tickets", first)
        assert source.to_document("tickets", second).title == "Ticket 2"


def test_an_empty_account_has_no_span() -> None:
    with mocked(Shelf([])) as source:
        assert source.span("tickets") is None
        assert source.span("articles") is None
        assert source.check() == "acme.freshdesk.com"


def test_an_unknown_stream_is_named() -> None:
    with mocked(Shelf([])) as source, pytest.raises(SourceError, match="Streams are: tickets, articles"):
        source.span("contacts")


def test_the_module_is_a_source() -> None:
    module = source_module("freshdesk")
    opened: SourceContract = module.Source("acme", module.Account(base_url="https://acme.freshdesk.com", api_key="k"))
    opened.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "acme.freshdesk.com"},
        {"base_url": "ftp://acme.freshdesk.com"},
        {"base_url": "https://user:secret@acme.freshdesk.com"},
        {"api_key": ""},
        {"languages": ["../x"]},
        {"domain": "acme"},
    ],
)
def test_wrong_accounts_are_refused(settings: Json) -> None:
    with pytest.raises(ValidationError):
        Account.model_validate({"base_url": "https://acme.freshdesk.com", "api_key": KEY} | settings)


@pytest.mark.parametrize(
    "url", ["https://acme.freshdesk.com", "https://acme.freshdesk.com/", "https://acme.freshdesk.com/api/v2/"]
)
def test_the_base_url_is_the_root_of_the_account(url: str) -> None:
    assert Account.model_validate({"base_url": url, "api_key": KEY}).base_url == "https://acme.freshdesk.com"
