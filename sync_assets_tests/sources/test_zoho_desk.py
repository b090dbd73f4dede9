import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import stamina
from pydantic import ValidationError

from sync_assets.demo.faults import Fault
from sync_assets.demo.files import file_bytes
from sync_assets.demo.server import DemoServers
from sync_assets.demo.zoho_desk import ZohoDesk
from sync_assets.documents import Record
from sync_assets.errors import FileUnavailable, SourceError
from sync_assets.sources import Source as SourceContract
from sync_assets.sources import live_record_ids, source_module, zoho_desk_token
from sync_assets.sources.zoho_desk import Account, Source
from sync_assets.sources.zoho_desk_token import TokenAuth

TENANT = "solara"
SECRET, REFRESH, ACCESS = "client-secret-nobody-sees", "refresh-token-nobody-sees", "access-token-nobody-sees"
NOON = datetime(2026, 11, 5, 12, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
Json = dict[str, Any]
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def whole(source: SourceContract, stream: str) -> dict[str, Record]:
    records = list(source.extract(stream, LONG_AGO, FAR_AHEAD))
    assert len({record.record_id for record in records}) == len(records)
    return {record.record_id: record for record in records}


def ids(source: SourceContract, stream: str) -> set[str]:
    return set(live_record_ids(source, stream))


# Against answers made up here


def settings(**changes: Any) -> Json:
    """An account whose token and circuit breaker no other test has seen."""
    return {
        "data_center": "eu",
        "org_id": "20064",
        "client_id": f"1000.{uuid4().hex}",
        "client_secret": SECRET,
        "refresh_token": REFRESH,
    } | changes


def mocked(handler: Handler, **changes: Any) -> Source:
    account = Account.model_validate(settings(**changes))
    transport = httpx.MockTransport(handler)
    return Source(f"solara-{uuid4().hex[:8]}", account, clock=lambda: NOON, transport=transport)


def at(second: int) -> str:
    return (NOON - timedelta(days=1) + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def listed_article(number: int, second: int = 0, **attributes: Any) -> Json:
    return {
        "id": str(155_000_000_000_000_000 + number),
        "title": "How long does a battery last?",
        "status": "Published",
        "permission": "ALL",
        "locale": "en",
        "latestVersion": "1.0",
        "latestPublishedVersion": "1.0",
        "latestVersionStatus": "Published",
        "categoryId": "7",
        "category": {"id": "7", "name": "Batteries"},
        "availableLocaleTranslations": [{"locale": "en", "href": "https://evil.example/translations/en"}],
        "isTrashed": False,
        "viewCount": "4",
        "modifiedTime": at(second),
    } | attributes


def listed_ticket(number: int, second: int = 0, **attributes: Any) -> Json:
    return {
        "id": str(155_000_000_000_000_000 + number),
        "ticketNumber": str(number),
        "subject": f"Ticket {number}",
        "description": "<p>It hums.</p>",
        "status": "Open",
        "threadCount": "0",
        "commentCount": "0",
        "isSpam": False,
        "modifiedTime": at(second),
    } | attributes


class Desk:
    """Zoho Desk over a few records: token, lists by time with their ceiling, single records; all else is 204.

    Attributes:
        details: what single requests bring besides the listed fields, by path.
    """

    def __init__(self, articles: list[Json] | None = None, tickets: list[Json] | None = None) -> None:
        self.rows = {"/articles": articles or [], "/tickets/search": tickets or []}
        self.details: dict[str, Any] = {}
        self.requests: list[httpx.Request] = []
        self.tokens: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path == "/oauth/v2/token":
            self.tokens.append(f"{ACCESS}-{len(self.tokens)}")
            return httpx.Response(200, json={"access_token": self.tokens[-1], "expires_in": 3600})
        if request.headers.get("Authorization") != f"Zoho-oauthtoken {self.tokens[-1]}":
            return httpx.Response(401, json={"errorCode": "INVALID_OAUTH"})
        path = request.url.path.removeprefix("/api/v1")
        if path in self.rows:
            return self._list(path, request.url.params)
        if path in self.details and isinstance(self.details[path], httpx.Response):
            return self.details[path]
        for row in (row for rows in self.rows.values() for row in rows):
            if path in (f"/articles/{row['id']}", f"/tickets/{row['id']}"):
                return httpx.Response(200, json={"answer": "Ten years &amp; more", **row, **self.details.get(path, {})})
        if path in self.details:
            return httpx.Response(200, json=self.details[path])
        return httpx.Response(204)

    def paths(self) -> Counter[str]:
        return Counter(request.url.path.removeprefix("/api/v1") for request in self.requests)

    def _list(self, path: str, query: httpx.QueryParams) -> httpx.Response:
        offset, size = int(query["from"]), int(query["limit"])
        if offset > 4999 or size > (50 if path == "/articles" else 100):
            return httpx.Response(422, json={"errorCode": "UNPROCESSABLE_ENTITY"})
        first, last = query["modifiedTimeRange"].split(",")
        rows = sorted(
            (row for row in self.rows[path] if first <= str(row.get("modifiedTime", first)) <= last),
            key=lambda row: (str(row.get("modifiedTime")), str(row.get("id"))),
            reverse=query["sortBy"].startswith("-"),
        )[offset : offset + size]
        return httpx.Response(200, json={"data": rows}) if rows else httpx.Response(204)


def key(number: int, suffix: str = "") -> str:
    return f"article-{155_000_000_000_000_000 + number}{suffix}"


# Tokens


def test_one_token_serves_many_threads_and_all_sources_with_the_same_credentials() -> None:
    gate, together = threading.Barrier(4), threading.Barrier(2)
    desk = Desk([listed_article(1)])
    account = Account.model_validate(settings())

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/v2/token":
            with suppress(threading.BrokenBarrierError):
                together.wait(0.3)
        return desk(request)

    def read(number: int) -> int:
        tenant = f"solara-{uuid4().hex[:8]}-{number}"
        with Source(tenant, account, clock=lambda: NOON, transport=httpx.MockTransport(handler)) as source:
            gate.wait(5)
            return len(list(source.live_ids("articles")))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [1, 1, 1, 1]
    assert len(desk.tokens) == 1


def test_a_token_is_renewed_before_its_end_and_once_after_it_was_refused() -> None:
    now = 0.0
    desk = Desk()
    auth = TokenAuth(
        setting="tenants.solara.zoho_desk",
        accounts_url="https://accounts.zoho.eu",
        org_id="20064",
        client_id=uuid4().hex,
        client_secret=SECRET,
        refresh_token=REFRESH,
        clock=lambda: now,
    )
    with httpx.Client(auth=auth, transport=httpx.MockTransport(desk)) as client:
        for moment, tokens in ((0.0, 1), (3500.0, 1), (3541.0, 2), (3600.0, 2)):
            now = moment
            assert client.get("https://desk.zoho.eu/api/v1/tickets/1").status_code == 204
            assert len(desk.tokens) == tokens
        desk.tokens.append("another program's")
        assert client.get("https://desk.zoho.eu/api/v1/tickets/1").status_code == 204
        assert len(desk.tokens) == 4


def test_a_token_that_is_refused_at_once_is_asked_for_twice_only() -> None:
    desk = Desk()

    def handler(request: httpx.Request) -> httpx.Response:
        answer = desk(request)
        return httpx.Response(401) if request.url.path != "/oauth/v2/token" else answer

    with mocked(handler) as source, pytest.raises(SourceError, match=r"desk\.zoho\.eu refuses the token") as caught:
        source.check()
    assert "data_center" in caught.value.remedy
    assert len(desk.tokens) == 2


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("invalid_client", "client_id and client_secret, and that data_center"),
        ("invalid_code", "refresh_token is wrong, revoked or of another data centre"),
        ("Access Denied", "wait ten minutes"),
        ("general_error", "Check client_id, client_secret, refresh_token and data_center"),
        (REFRESH * 9, "Check client_id"),
    ],
)
def test_token_errors_come_with_any_status_and_name_setting_and_remedy(status: int, error: str, remedy: str) -> None:
    calls: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(status, json={"error": error})

    with mocked(handler) as source, pytest.raises(SourceError, match="gave no access token") as caught:
        source.check()
    assert re.search(r"tenants\.solara-\w+\.zoho_desk", caught.value.message)
    assert remedy in caught.value.remedy
    assert REFRESH not in str(caught.value)
    assert calls == ["/oauth/v2/token"]


def test_passing_trouble_of_the_accounts_server_is_retried() -> None:
    desk = Desk([listed_article(1)])
    trouble = [httpx.Response(503), httpx.Response(429)]

    def handler(request: httpx.Request) -> httpx.Response:
        return trouble.pop() if trouble else desk(request)

    with mocked(handler) as source:
        assert ids(source, "articles") == {key(1)}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"access_token": 5}'])
def test_an_answer_that_is_no_token_is_an_error(body: bytes) -> None:
    with mocked(lambda _: httpx.Response(200, content=body)) as source, pytest.raises(SourceError) as caught:
        source.check()
    assert "accounts.zoho.eu" in caught.value.message


def test_secrets_are_in_no_error_log_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    desk = Desk()
    account = Account.model_validate(settings())
    down = httpx.MockTransport(lambda request: desk(request) if "token" in str(request.url) else httpx.Response(500))
    told: list[object] = [account, account.model_dump(), zoho_desk_token._TOKENS]
    with Source("solara", account, transport=down) as source:
        for ask in (source.check, lambda: list(source.live_ids("tickets"))):
            with pytest.raises(SourceError) as caught:
                ask()
            told += [caught.value, caught.value.__cause__, caught.value.remedy]
        told += [source, vars(source), list(zoho_desk_token._TOKENS.values())]
    text = f"{told!r} {caplog.text}"
    assert "status 500" in text
    assert not [secret for secret in (SECRET, REFRESH, ACCESS) if secret in text]


@pytest.mark.parametrize(
    ("data_center", "domain"),
    [
        ("us", "zoho.com"),
        ("eu", "zoho.eu"),
        ("in", "zoho.in"),
        ("au", "zoho.com.au"),
        ("jp", "zoho.jp"),
        ("cn", "zoho.com.cn"),
        ("uk", "zoho.uk"),
        ("sa", "zoho.sa"),
        ("sg", "zoho.sg"),
        ("ae", "zoho.ae"),
        ("ca", "zohocloud.ca"),
    ],
)
def test_each_data_centre_has_its_own_hosts(data_center: str, domain: str) -> None:
    desk = Desk()
    desk.details["/organizations"] = {"data": [{"id": "20064", "companyName": "Solara"}]}
    with mocked(desk, data_center=data_center) as source:
        assert source.check() == f"desk.{domain}, organisation 20064 (Solara), data centre {data_center}"
    assert [request.url.host for request in desk.requests] == [f"accounts.{domain}", f"desk.{domain}"]


def test_the_organisation_stands_on_all_requests_but_the_list_of_organisations() -> None:
    desk = Desk([listed_article(1)])
    desk.details["/organizations"] = {"data": [{"id": "20064"}, {"id": "99"}]}
    with mocked(desk) as source:
        source.check()
        list(source.live_ids("articles"))
    sent = {request.url.path: request.headers.get("orgId") for request in desk.requests}
    assert sent == {"/oauth/v2/token": None, "/api/v1/organizations": None, "/api/v1/articles": "20064"}
    with mocked(desk, org_id="5") as source, pytest.raises(SourceError, match="no organisation 5") as caught:
        source.check()
    assert "one of: 20064, 99" in caught.value.remedy


# Listings


def test_a_listing_ends_with_204_an_empty_list_or_a_short_page() -> None:
    desk = Desk()
    with mocked(desk) as source:
        assert source.span("articles") is None
        assert ids(source, "tickets") == set()
        assert list(source.extract("articles", LONG_AGO, FAR_AHEAD)) == []
    desk.rows["/articles"] = [listed_article(number, number) for number in range(4)]
    with mocked(desk, limits={"page_size": 2}) as source:
        assert len(ids(source, "articles")) == 4
    answers = Desk()
    answers.details["/articles"] = httpx.Response(200, json={"data": []})
    del answers.rows["/articles"]
    with mocked(answers) as source:
        assert ids(source, "articles") == set()


@pytest.mark.parametrize(("stream", "largest"), [("articles", 50), ("tickets", 100)])
def test_offsets_begin_at_zero_and_no_page_is_larger_than_zoho_sends(stream: str, largest: int) -> None:
    desk = Desk([listed_article(number, number) for number in range(120)])
    desk.rows["/tickets/search"] = [listed_ticket(number, number) for number in range(120)]
    with mocked(desk) as source:
        assert len(ids(source, stream)) == 120
    asked = [request.url.params for request in desk.requests if "from" in request.url.params]
    assert {int(params["limit"]) for params in asked} == {largest}
    assert asked[0]["from"] == "0"


def test_more_records_than_the_ceiling_are_all_listed() -> None:
    desk = Desk(tickets=[listed_ticket(number, number // 70) for number in range(5300)])
    with mocked(desk) as source:
        assert len(ids(source, "tickets")) == 5300


def test_more_records_in_one_second_than_zoho_lists_is_an_error() -> None:
    desk = Desk(tickets=[listed_ticket(number) for number in range(5000)])
    with mocked(desk) as source, pytest.raises(SourceError, match="5000 or more records modified at 2026-11-04T12"):
        ids(source, "tickets")
    desk.rows["/tickets/search"].pop()
    with mocked(desk) as source:
        assert len(ids(source, "tickets")) == 4999


def test_a_record_that_moves_while_the_list_is_read_hides_no_other() -> None:
    desk = Desk(tickets=[listed_ticket(number, number) for number in range(10)])
    with mocked(desk, limits={"page_size": 2}) as source:
        seen: list[str] = []
        for row in source.live_ids("tickets"):
            seen.append(row.record_id)
            if len(seen) == 2:
                desk.rows["/tickets/search"][0] = listed_ticket(0, 100)
    assert sorted(seen) == sorted(row["id"] for row in desk.rows["/tickets/search"])


def test_a_list_that_is_not_in_order_is_read_to_its_end() -> None:
    rows = [listed_article(number, (number * 7) % 10) for number in range(10)]

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/v1/articles":
            return desk(request)
        query = request.url.params
        chosen = [row for row in rows if row["modifiedTime"] >= query["modifiedTimeRange"].split(",")[0]]
        offset, size = int(query["from"]), int(query["limit"])
        return httpx.Response(200, json={"data": chosen[offset : offset + size]})

    desk = Desk()
    with mocked(handler, limits={"page_size": 3}) as source:
        assert len(ids(source, "articles")) == 10


def test_windows_are_half_open_and_their_upper_bound_is_fixed_before_paging() -> None:
    desk = Desk(tickets=[listed_ticket(number, number) for number in range(20)])
    begin = NOON - timedelta(days=1)
    with mocked(desk, limits={"page_size": 3}) as source:
        found = list(source.extract("tickets", begin + timedelta(seconds=5), begin + timedelta(seconds=12)))
        assert [record.payload["ticket"]["ticketNumber"] for record in found] == [str(n) for n in range(5, 12)]
        desk.requests.clear()
        assert len(list(source.extract("tickets", LONG_AGO, FAR_AHEAD))) == 20
    bounds = {
        request.url.params["modifiedTimeRange"].split(",")[1]
        for request in desk.requests
        if "modifiedTimeRange" in request.url.params
    }
    assert bounds == {"2026-11-06T12:00:00.000Z"}


def test_memory_follows_the_page() -> None:
    desk = Desk([listed_article(number, number) for number in range(1000)])
    with mocked(desk, limits={"page_size": 10}) as source:
        records = source.extract("articles", LONG_AGO, FAR_AHEAD)
        for _ in range(5):
            next(records)
        assert desk.paths()["/articles"] <= 3


@pytest.mark.parametrize("stream", ["articles", "tickets"])
@pytest.mark.parametrize("answer", [{"hello": "world"}, {"data": "x"}, []])
def test_an_answer_that_is_no_list_is_an_error(stream: str, answer: Any) -> None:
    desk = Desk()
    desk.rows = {}
    desk.details = {path: httpx.Response(200, json=answer) for path in ("/articles", "/tickets/search")}
    with mocked(desk) as source, pytest.raises(SourceError, match="something other than a list"):
        ids(source, stream)


@pytest.mark.parametrize("stream", ["articles", "tickets"])
def test_a_record_without_a_readable_id_drives_no_deletion(stream: str) -> None:
    number: Json = {"id": 155000000000000001}
    desk = Desk([listed_article(1), listed_article(2) | number], [listed_ticket(1), listed_ticket(2) | number])
    with mocked(desk) as source:
        events = Counter(record.event for record in whole(source, stream).values())
        assert events == {"live": 1, "malformed": 1}
        with pytest.raises(SourceError, match="id can't be read"):
            ids(source, stream)


def test_a_refusal_for_lack_of_permission_stops_the_run() -> None:
    desk = Desk(tickets=[listed_ticket(1)])
    desk.details[FIRST] = httpx.Response(403)
    with mocked(desk) as source, pytest.raises(SourceError, match="status 403") as caught:
        whole(source, "tickets")
    assert "refresh_token lacks permission" in caught.value.remedy


def test_departments_limit_what_is_synced() -> None:
    desk = Desk([listed_article(1, departmentId="7"), listed_article(2, departmentId="8")])
    with mocked(desk, departments=["7"]) as source:
        assert ids(source, "articles") == {key(1)}
        assert whole(source, "articles").keys() == {key(1)}
        assert [record.event for record in source.fetch("articles", [key(1), key(2)])] == ["live", "deleted"]


# Articles


def test_a_publication_that_does_not_move_the_modification_time_is_seen_by_the_sweep() -> None:
    desk = Desk([listed_article(1, status="Draft"), listed_article(2, status="Draft")])
    with mocked(desk, statuses=["Published", "Draft"]) as source:
        drafts = {row.record_id: row for row in source.live_ids("articles")}
        desk.rows["/articles"][0] |= {"status": "Published"}
        published = {row.record_id: row for row in source.live_ids("articles")}
        assert published[key(1)].modified_at == drafts[key(1)].modified_at
        assert published[key(1)].cheap_version != drafts[key(1)].cheap_version
        assert published[key(2)] == drafts[key(2)]
    with mocked(desk) as source:
        assert ids(source, "articles") == {key(1)}
        assert next(source.fetch("articles", [key(1)])).event == "live"


@pytest.mark.parametrize("status", ["Draft", "Review", "Expired", "Unpublished"])
def test_what_is_not_published_comes_as_deleted_with_its_payload(status: str) -> None:
    desk = Desk([listed_article(1, status=status), listed_article(2), listed_article(3, isTrashed=True)])
    with mocked(desk) as source:
        records = whole(source, "articles")
        assert {name: record.event for name, record in records.items()} == {
            key(1): "deleted",
            key(2): "live",
            key(3): "deleted",
        }
        assert records[key(1)].payload["article"]["title"] == "How long does a battery last?"
        assert ids(source, "articles") == {key(2)}
        assert [record.event for record in source.fetch("articles", [key(1), key(2), key(3)])] == [
            "deleted",
            "live",
            "deleted",
        ]
    assert desk.paths()[f"/articles/{155_000_000_000_000_001}"] == 1


def test_readers_and_what_only_the_single_article_tells_move_no_cheap_version() -> None:
    desk = Desk([listed_article(1)])
    desk.details[f"/articles/{155_000_000_000_000_001}"] = {"tags": ["x"], "summary": "y", "currentVersion": "1.0"}
    with mocked(desk) as source:
        (row,) = source.live_ids("articles")
        (record,) = source.extract("articles", LONG_AGO, FAR_AHEAD)
        desk.rows["/articles"][0] |= {"viewCount": "99", "likeCount": "5"}
        (again,) = source.live_ids("articles")
    assert record.cheap_version == row.cheap_version == again.cheap_version != ""
    assert record.modified_at == row.modified_at


@pytest.mark.parametrize(
    "change",
    [
        {"permission": "AGENTS"},
        {"title": "Another"},
        {"latestPublishedVersion": "2.0"},
        {"category": {"id": "7", "name": "Storage"}},
        {"author": {"name": "Ines"}},
    ],
    ids=str,
)
def test_what_changes_without_the_modification_time_moves_the_cheap_version(change: Json) -> None:
    desk = Desk([listed_article(1)])
    with mocked(desk) as source:
        (before,) = source.live_ids("articles")
        desk.rows["/articles"][0] |= change
        (after,) = source.live_ids("articles")
    assert after.modified_at == before.modified_at
    assert after.cheap_version != before.cheap_version


def test_the_words_of_an_unpublished_version_are_never_taken() -> None:
    desk = Desk([listed_article(1, latestVersion="2.0", latestVersionStatus="Draft")])
    path = f"/articles/{155_000_000_000_000_001}"

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path != f"/api/v1{path}":
            return desk(request)
        return httpx.Response(200, json=desk.rows["/articles"][0] | two_versions(request))

    with mocked(handler) as source:
        (record,) = source.extract("articles", LONG_AGO, FAR_AHEAD)
        document = source.to_document("articles", record)
    assert {part.text for part in document.parts} == {"published"}


def two_versions(request: httpx.Request) -> Json:
    """What differs between version 2.0, a draft, and version 1.0."""
    version = request.url.params.get("version", "2.0")
    words = "published" if version == "1.0" else "draft"
    return {"title": words, "answer": words, "currentVersion": version}


def test_the_words_of_an_unpublished_version_of_a_translation_are_never_taken() -> None:
    desk = Desk([translated(1, "de")])
    german = listed_article(1, locale="de", latestVersion="2.0", latestVersionStatus="Draft")

    def handler(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/translations/de"):
            return desk(request)
        return httpx.Response(200, json=german | two_versions(request))

    with mocked(handler) as source:
        record = whole(source, "articles")[key(1, "-de")]
        (fetched,) = source.fetch("articles", [key(1, "-de")])
        (row,) = (row for row in source.live_ids("articles") if row.record_id == key(1, "-de"))
        document = source.to_document("articles", record)
    assert {part.text for part in document.parts} == {"published"}
    assert fetched.payload == record.payload
    assert record.cheap_version == fetched.cheap_version == row.cheap_version


@pytest.mark.parametrize("answer", [{"currentVersion": "2.0"}, {}, httpx.Response(404)], ids=["other", "none", "404"])
@pytest.mark.parametrize("suffix", ["", "-de"])
def test_published_words_that_cannot_be_had_are_neither_guessed_nor_deleted(
    suffix: str, answer: Json | httpx.Response
) -> None:
    drafted: Json = {"latestVersion": "2.0"}
    desk = Desk([translated(1, "de") | ({} if suffix else drafted)])
    german = listed_article(1, locale="de") | (drafted if suffix else {})

    def handler(request: httpx.Request) -> httpx.Response:
        if "version" in request.url.params:
            return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=german | answer)
        if request.url.path.endswith("/translations/de"):
            return httpx.Response(200, json=german)
        return desk(request)

    with mocked(handler) as source:
        records = whole(source, "articles")
        assert records[key(1, suffix)].event == "malformed"
        assert "deleted" not in {record.event for record in records.values()}
        assert ids(source, "articles") == {key(1), key(1, "-de")}


def translated(number: int, *locales: str, **attributes: Any) -> Json:
    translations = [{"locale": locale, "href": "https://evil.example/x"} for locale in ("en", *locales)]
    return listed_article(number, availableLocaleTranslations=translations, **attributes)


def test_translations_are_records_of_their_own() -> None:
    desk = Desk([translated(1, "de", "pt-br")])
    path = f"/articles/{155_000_000_000_000_001}/translations"
    desk.details = {
        f"{path}/de": listed_article(1, locale="de", title="Wie lange?", answer="Zehn Jahre", permission=None),
        f"{path}/pt-br": listed_article(1, locale="pt-br", status="Draft"),
    }
    with mocked(desk) as source:
        records = whole(source, "articles")
        assert {name: record.event for name, record in records.items()} == {
            key(1): "live",
            key(1, "-de"): "live",
            key(1, "-pt-br"): "deleted",
        }
        german = source.to_document("articles", records[key(1, "-de")])
        assert (german.title, german.metadata["language"], german.visibility) == ("Wie lange?", "de", "public")
        rows = {row.record_id: row for row in source.live_ids("articles")}
        assert rows.keys() == {key(1), key(1, "-de")}
        for name, row in rows.items():
            (fetched,) = source.fetch("articles", [name])
            assert (fetched.modified_at, fetched.cheap_version) == (row.modified_at, row.cheap_version)
            assert (records[name].modified_at, records[name].cheap_version) == (row.modified_at, row.cheap_version)
        desk.details[f"{path}/de"] |= {"modifiedTime": at(50)}
        changed = {row.record_id: row for row in source.live_ids("articles")}
        assert changed[key(1)] == rows[key(1)]
        assert changed[key(1, "-de")].cheap_version != rows[key(1, "-de")].cheap_version
        desk.details[f"{path}/de"] = httpx.Response(404)
        assert [record.event for record in source.fetch("articles", [key(1, "-de")])] == ["deleted"]
    assert {request.url.host for request in desk.requests} == {"accounts.zoho.eu", "desk.zoho.eu"}


def test_a_translation_that_zoho_fails_on_is_not_taken_for_deleted() -> None:
    desk = Desk([translated(1, "de")])
    desk.details[f"/articles/{155_000_000_000_000_001}/translations/de"] = httpx.Response(500)
    with mocked(desk) as source:
        events = {name: record.event for name, record in whole(source, "articles").items()}
        assert events == {key(1): "live", key(1, "-de"): "malformed"}
        assert ids(source, "articles") == {key(1), key(1, "-de")}


def test_an_article_that_zoho_fails_on_stops_no_other() -> None:
    desk = Desk([listed_article(1), listed_article(2)])
    desk.details[f"/articles/{155_000_000_000_000_001}"] = httpx.Response(500)
    with mocked(desk) as source:
        records = whole(source, "articles")
        assert {name: record.event for name, record in records.items()} == {key(1): "malformed", key(2): "live"}
        assert "status 500" in str(records[key(1)].problem)
        assert ids(source, "articles") == {key(1), key(2)}


@pytest.mark.parametrize("record_id", ["7", "article-", "article-7x", "article-7-../..", "malformed-abc"])
def test_an_id_that_zoho_cannot_be_asked_for_makes_no_request(record_id: str) -> None:
    desk = Desk()
    with mocked(desk) as source:
        assert [record.event for record in source.fetch("articles", [record_id])] == ["malformed"]
    assert desk.requests == []


# Tickets

FIRST = f"/tickets/{155_000_000_000_000_001}"


def thread(number: int, **attributes: Any) -> Json:
    return {
        "id": f"15500000000200000{number}",
        "direction": "in",
        "status": "SUCCESS",
        "visibility": "public",
        "summary": "cut",
        "createdTime": at(number),
    } | attributes


def test_a_ticket_comes_with_whole_threads_and_comments_and_drafts_are_not_read() -> None:
    desk = Desk(tickets=[listed_ticket(1)])
    threads = [thread(1), thread(2, isDraft=True), thread(3, isDescriptionThread=True)]
    desk.details = {
        f"{FIRST}/threads": {"data": threads},
        f"{FIRST}/threads/155000000002000001": thread(1, content="<p>It hums loudly.</p>", contentType="html"),
        f"{FIRST}/comments": {"data": [{"id": "1", "content": "Call him", "commentedTime": at(9), "isPublic": False}]},
    }
    with mocked(desk) as source:
        (record,) = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        texts = {part.path: part.text for part in source.to_document("tickets", record).parts}
    assert texts["description"] == "It hums."
    assert texts["thread-155000000002000001"].endswith("It hums loudly.")
    assert texts["comment-1"].endswith("Call him")
    assert {path for path in texts if path.startswith("thread-")} == {"thread-155000000002000001"}
    assert [path for path in desk.paths() if "/threads/" in path] == [f"{FIRST}/threads/155000000002000001"]


def test_a_long_mail_is_read_whole_and_the_token_goes_to_no_other_host() -> None:
    desk = Desk(tickets=[listed_ticket(1)])
    cut = thread(1, content="<p>Begin", contentType="html", isContentTruncated=True)
    desk.details = {
        f"{FIRST}/threads": {"data": [thread(1)]},
        f"{FIRST}/threads/155000000002000001": cut | {"fullContentURL": "https://desk.zoho.eu/api/v1/full/1?part=all"},
        "/full/1": {"content": "<p>Begin and end</p>"},
    }
    with mocked(desk) as source:
        (record,) = source.fetch("tickets", ["155000000000000001"])
        assert record.payload["threads"][0]["content"] == "<p>Begin and end</p>"
        for elsewhere in ("https://evil.example/api/v1/full/1", "https://desk.zoho.eu.evil.example/full/1", None):
            desk.details[f"{FIRST}/threads/155000000002000001"] = cut | {"fullContentURL": elsewhere}
            (record,) = source.fetch("tickets", ["155000000000000001"])
            assert record.event == "malformed"
            assert "is cut off" in str(record.problem)
    assert {request.url.host for request in desk.requests} == {"accounts.zoho.eu", "desk.zoho.eu"}


def test_new_threads_and_comments_move_the_cheap_version() -> None:
    desk = Desk(tickets=[listed_ticket(1)])
    with mocked(desk) as source:
        (before,) = source.live_ids("tickets")
        for change in (
            {"threadCount": "1"},
            {"commentCount": "1"},
            {"customerResponseTime": at(3)},
            {"status": "Done"},
        ):
            desk.rows["/tickets/search"][0] |= change
            (after,) = source.live_ids("tickets")
            assert after.modified_at == before.modified_at
            assert after.cheap_version != before.cheap_version
            (record,) = source.fetch("tickets", [after.record_id])
            assert record.cheap_version == after.cheap_version
            before = after


@pytest.mark.parametrize("mark", ["isTrashed", "isDeleted", "isSpam", "isArchived"])
def test_tickets_that_are_marked_gone_are_deleted(mark: str) -> None:
    desk = Desk(tickets=[listed_ticket(1)])
    desk.details[FIRST] = {mark: True}
    with mocked(desk) as source:
        assert [record.event for record in whole(source, "tickets").values()] == ["deleted"]
        desk.rows["/tickets/search"][0][mark] = True
        assert ids(source, "tickets") == set()


@pytest.mark.parametrize("status", [404, 410])
def test_a_ticket_that_vanishes_meanwhile_is_deleted(status: int) -> None:
    desk = Desk(tickets=[listed_ticket(1)])
    desk.details[FIRST] = httpx.Response(status)
    with mocked(desk) as source:
        assert [record.event for record in whole(source, "tickets").values()] == ["deleted"]


@pytest.mark.parametrize("path", [f"{FIRST}/threads", f"{FIRST}/threads/155000000002000001", f"{FIRST}/comments"])
def test_a_part_that_is_not_found_does_not_make_its_ticket_deleted(path: str) -> None:
    desk = Desk(tickets=[listed_ticket(1), listed_ticket(2)])
    desk.details = {f"{FIRST}/threads": {"data": [thread(1)]}, path: httpx.Response(404)}
    with mocked(desk) as source:
        events = {
            record.payload["ticket"]["ticketNumber"]: record.event for record in whole(source, "tickets").values()
        }
    assert events == {"1": "malformed", "2": "live"}


@pytest.mark.parametrize("status", [500, 422])
@pytest.mark.parametrize("path", [FIRST, f"{FIRST}/threads", f"{FIRST}/comments"])
def test_a_ticket_that_zoho_fails_on_stops_no_other(path: str, status: int) -> None:
    desk = Desk(tickets=[listed_ticket(1), listed_ticket(2)])
    desk.details[path] = httpx.Response(status)
    with mocked(desk) as source:
        events = {
            record.payload["ticket"]["ticketNumber"]: record.event for record in whole(source, "tickets").values()
        }
    assert events == {"1": "malformed", "2": "live"}


# The account


def test_the_module_is_a_source() -> None:
    module = source_module("zoho_desk")
    opened: SourceContract = module.Source("solara", module.Account(**settings()))
    opened.close()


def test_an_unknown_stream_is_named() -> None:
    with mocked(Desk()) as source, pytest.raises(SourceError, match="Streams are: articles, tickets"):
        source.span("contacts")


@pytest.mark.parametrize(
    "wrong",
    [
        {"data_center": "zoho.eu"},
        {"data_center": None},
        {"org_id": "solara"},
        {"org_id": ""},
        {"client_id": ""},
        {"client_secret": ""},
        {"refresh_token": ""},
        {"statuses": []},
        {"statuses": ["published"]},
        {"departments": ["Service"]},
        {"departments": []},
        {"base_url": "desk.zoho.eu"},
        {"base_url": "https://user:secret@desk.zoho.eu"},
        {"host": "desk.zoho.eu"},
    ],
    ids=str,
)
def test_wrong_accounts_are_refused_and_the_setting_is_named(wrong: Json) -> None:
    with pytest.raises(ValidationError) as caught:
        Account.model_validate(settings(**wrong))
    assert caught.value.errors()[0]["loc"][0] == next(iter(wrong))


# Against the simulator


@pytest.fixture(scope="module")
def servers() -> Iterator[DemoServers]:
    with DemoServers() as running:
        yield running


@pytest.fixture
def zoho(servers: DemoServers) -> Iterator[ZohoDesk]:
    zoho = servers.company.zoho[TENANT]
    zoho.reset()
    # Tokens outlive a reset no more than the simulator's memory of them.
    zoho_desk_token._TOKENS.clear()
    yield zoho
    zoho.reset()


@pytest.fixture
def source(servers: DemoServers, zoho: ZohoDesk) -> Iterator[Source]:
    account = Account.model_validate(servers.tenants[TENANT]["zoho_desk"])
    # The circuit breaker is shared by tenant and host.
    with Source(f"{TENANT}-{uuid4().hex[:8]}", account) as opened:
        yield opened


@pytest.mark.parametrize("stream", ["tickets", "articles"])
def test_span_extract_live_ids_and_fetch_agree_with_the_simulator(
    source: Source, servers: DemoServers, stream: str
) -> None:
    extracted = whole(source, stream)
    live = {name: record for name, record in extracted.items() if record.event == "live"}
    assert live.keys() == set(servers.company.record_ids(TENANT, "zoho_desk", stream))
    span = source.span(stream)
    times = [record.modified_at for record in extracted.values() if record.modified_at]
    assert span == (min(times), max(times))
    assert {row.record_id: (row.modified_at, row.cheap_version) for row in source.live_ids(stream)} == {
        name: (record.modified_at, record.cheap_version) for name, record in live.items()
    }
    asked = list(live)[:12]
    fetched = list(source.fetch(stream, iter(asked)))
    assert [record.record_id for record in fetched] == asked
    for record in fetched:
        document, same = source.to_document(stream, record), source.to_document(stream, live[record.record_id])
        assert (document.content_hash, document.metadata_hash) == (same.content_hash, same.metadata_hash)
        listed = live[record.record_id]
        assert (record.modified_at, record.cheap_version) == (listed.modified_at, listed.cheap_version)


def test_only_what_customers_may_read_is_public(source: Source, servers: DemoServers) -> None:
    permissions: Counter[tuple[str, str]] = Counter()
    for record in whole(source, "articles").values():
        if record.event == "live":
            document = source.to_document("articles", record)
            permissions[(document.metadata["permission"], document.visibility)] += 1
    assert permissions.keys() == {
        ("ALL", "public"),
        ("REGISTEREDUSERS", "public"),
        ("AGENTS", "internal"),
        ("USERGROUPS", "restricted"),
    }


def test_a_sweep_sees_publication_trash_and_purge(source: Source, servers: DemoServers, zoho: ZohoDesk) -> None:
    before = {row.record_id: row for row in source.live_ids("articles")}
    api = httpx.Client(base_url=f"{servers.base_url(TENANT)}/_demo/zoho")
    draft = next(key for key, article in zoho.data.articles.items() if article["en"]["status"] == "Draft")
    trashed, purged, hidden = (name.removeprefix("article-") for name in list(before)[:3])
    api.patch(f"/articles/{draft}", json={"status": "Published"}).raise_for_status()
    api.patch(f"/articles/{trashed}", json={"isTrashed": True}).raise_for_status()
    api.delete(f"/articles/{purged}").raise_for_status()
    api.patch(f"/articles/{hidden}", json={"permission": "AGENTS"}).raise_for_status()
    after = {row.record_id: row for row in source.live_ids("articles")}
    assert after.keys() - before.keys() == {f"article-{draft}"}
    assert {f"article-{trashed}", f"article-{purged}"} <= before.keys() - after.keys()
    moved = after[f"article-{hidden}"]
    assert moved.modified_at == before[moved.record_id].modified_at
    assert moved.cheap_version != before[moved.record_id].cheap_version
    asked = [f"article-{name}" for name in (draft, trashed, purged, hidden)]
    assert [record.event for record in source.fetch("articles", asked)] == ["live", "deleted", "deleted", "live"]


def test_tokens_that_end_meanwhile_are_renewed_once(source: Source, servers: DemoServers, zoho: ZohoDesk) -> None:
    list(source.live_ids("articles"))
    httpx.delete(f"{servers.base_url(TENANT)}/_demo/zoho/tokens").raise_for_status()
    list(source.extract("articles", LONG_AGO, FAR_AHEAD))
    assert zoho.requests["POST /oauth/v2/token"] == 2


@pytest.mark.parametrize("stream", ["tickets", "articles"])
def test_trouble_never_shortens_a_listing(source: Source, zoho: ZohoDesk, stream: str) -> None:
    zoho.faults.order(Fault(path=r"/(tickets/search|articles)\?", status=503))
    with pytest.raises(SourceError, match="status 503"):
        list(source.live_ids(stream))


def test_the_simulator_names_what_is_wrong_with_an_account(servers: DemoServers, zoho: ZohoDesk) -> None:
    right = servers.tenants[TENANT]["zoho_desk"]
    for wrong, remedy in (("client_secret", "client_secret"), ("refresh_token", "refresh_token"), ("org_id", "20064")):
        account = Account.model_validate({**right, wrong: "77" if wrong == "org_id" else SECRET})
        with Source(TENANT, account) as source, pytest.raises(SourceError) as caught:
            source.check()
        assert remedy in caught.value.remedy
        assert SECRET not in f"{caught.value} {account!r}"


def test_a_file_of_a_thread_is_had_by_its_locator(source: Source) -> None:
    files = [
        file
        for record in whole(source, "tickets").values()
        if record.event == "live"
        for file in source.to_document("tickets", record).attachments
    ]
    assert files
    for file in files:
        data = source.read_file(file.locator, 1_000_000)
        assert (len(data), data) == (file.size, file_bytes(file.name))
    with pytest.raises(FileUnavailable, match="404"):
        source.read_file(f"{files[0].locator.rpartition('/attachments/')[0]}/attachments/1/content", 10)


def test_a_file_elsewhere_is_not_among_the_documents_files() -> None:
    desk = Desk(tickets=[listed_ticket(1)])
    elsewhere = {"id": "1", "name": "offer.pdf", "href": "https://evil.example/content"}
    within = {"id": "2", "name": "offer.pdf", "href": f"https://desk.zoho.eu/api/v1{FIRST}/attachments/2/content"}
    climbing = {
        "id": "3",
        "name": "offer.pdf",
        "href": f"https://desk.zoho.eu/api/v1{FIRST}/../../x/attachments/2/content",
    }
    attached = thread(1, hasAttach=True, attachments=[elsewhere, within, climbing])
    desk.details = {f"{FIRST}/threads": {"data": [attached]}, f"{FIRST}/threads/{attached['id']}": attached}
    with mocked(desk) as source:
        (record,) = source.extract("tickets", LONG_AGO, FAR_AHEAD)
        files = source.to_document("tickets", record).attachments
    assert [file.locator for file in files] == [f"/api/v1{FIRST}/attachments/2/content"]
