"""The demo company's Zoho Desk: its protocol over the wire, its limits and faults, and its content."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import httpx
import pytest

from sync_assets.demo.company import QUESTIONS, DemoCompany
from sync_assets.demo.records import plain_text
from sync_assets.demo.server import DemoServers
from sync_assets.demo.zoho_desk_account import ZohoLimits

EVER = "1970-01-01T00:00:00.000Z,2027-01-01T00:00:00.000Z"
ARTICLE = "155000000020000109"  # about a new router; has a German translation
TICKET = "155000000030000105"  # about error 307; has threads, private comments and a draft

LISTED_ARTICLE = """
    likeCount commentCount templateUsedUsersCount templateLastUpdatedTime modifierId viewCount feedbackCount
    translationState translationSource latestPublishedVersion owner templateUsageCount dislikeCount usageCount
    latestVersionModifierId availableLocaleTranslations portalUrl permission locale category latestVersion author
    isTemplate modifiedTime categoryId createdBy modifiedBy createdTime departmentId webUrl ownerId attachmentCount
    authorId creatorId title expiryDate permalink sourceLocale summary isTrashed rootCategoryId translationId
    latestVersionStatus latestVersionModifiedBy articleNumber position id status isLocked
"""
ARTICLE_COUNTS = """
    likeCount commentCount templateUsedUsersCount viewCount feedbackCount templateUsageCount dislikeCount usageCount
    attachmentCount position
"""
WHOLE_TICKET = """
    modifiedTime subCategory statusType subject dueDate departmentId channel onholdTime language source resolution
    sharedDepartments closedTime approvalCount isOverDue isTrashed createdTime id isResponseOverdue
    customerResponseTime productId contactId threadCount secondaryContacts priority classification commentCount
    taskCount accountId phone webUrl isSpam status entitySkills ticketNumber sentiment customFields isArchived
    description timeEntryCount channelRelatedInfo responseDueDate isDeleted modifiedBy followerCount email
    layoutDetails channelCode isFollowing cf slaId layoutId assigneeId createdBy teamId tagCount attachmentCount
    isEscalated category
"""
WHOLE_THREAD = """
    id channel direction content contentType summary responderId createdTime hasAttach attachmentCount
    fromEmailAddress to cc bcc replyTo isForward isContentTruncated fullContentURL status isDescriptionThread
    visibility canReply author attachments
"""


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 14, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(clock: Clock) -> Iterator[DemoServers]:
    with DemoServers(clock=clock) as servers:
        yield servers


@pytest.fixture
def company(running: DemoServers) -> DemoCompany:
    """The company at its start."""
    running.company.zoho["solara"].reset()
    return running.company


@pytest.fixture
def servers(running: DemoServers, company: DemoCompany) -> DemoServers:
    return running


@pytest.fixture
def http(servers: DemoServers) -> Iterator[httpx.Client]:
    with client_of(servers) as client:
        yield client


def grant(servers: DemoServers, **changed: str) -> httpx.Response:
    """The answer of the account server to the demo account's credentials, or to others."""
    account = servers.tenants["solara"]["zoho_desk"]
    form = {name: account[name] for name in ("client_id", "client_secret", "refresh_token")}
    form["grant_type"] = "refresh_token"
    return httpx.post(f"{account['base_url']}/oauth/v2/token", data=form | changed)


def client_of(servers: DemoServers) -> httpx.Client:
    account = servers.tenants["solara"]["zoho_desk"]
    headers = {"Authorization": f"Zoho-oauthtoken {grant(servers).json()['access_token']}", "orgId": account["org_id"]}
    return httpx.Client(base_url=account["base_url"], headers=headers)


def rows(http: httpx.Client, path: str, limit: int, **query: str | int) -> list[dict[str, Any]]:
    """All rows of a list, read as Zoho wants it: from 0, until a page is short or has no body."""
    found: list[dict[str, Any]] = []
    while True:
        answer = http.get(f"/api/v1{path}", params={**query, "from": len(found), "limit": limit})
        page: list[dict[str, Any]] = answer.json()["data"] if answer.status_code == 200 else []
        assert answer.status_code in (200, 204), answer.text
        found += page
        if len(page) < limit:
            return found


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errorCode"]


class TestTokens:
    def test_a_refresh_token_gives_an_access_token_for_an_hour(
        self, servers: DemoServers, http: httpx.Client, clock: Clock
    ) -> None:
        granted = grant(servers).json()
        assert granted.keys() == {"access_token", "api_domain", "token_type", "expires_in"}
        assert (granted["expires_in"], granted["token_type"]) == (3600, "Bearer")
        headers = {"Authorization": f"Zoho-oauthtoken {granted['access_token']}"}
        clock.moment += timedelta(minutes=59)
        assert http.get("/api/v1/departments", headers=headers).status_code == 200
        clock.moment += timedelta(minutes=1)
        assert error_of(http.get("/api/v1/departments", headers=headers)) == (401, "INVALID_OAUTH")

    @pytest.mark.parametrize(
        ("changed", "error"),
        [
            ({"client_id": "1000.OTHER"}, "invalid_client"),
            ({"client_secret": "wrong"}, "invalid_client"),
            ({"refresh_token": "1000.revoked"}, "invalid_code"),
        ],
    )
    def test_wrong_values_are_answered_with_status_200(
        self, servers: DemoServers, changed: dict[str, str], error: str
    ) -> None:
        answer = grant(servers, **changed)
        assert (answer.status_code, answer.json()) == (200, {"error": error})

    def test_the_eleventh_token_in_ten_minutes_is_denied(self, servers: DemoServers, clock: Clock) -> None:
        for _ in range(10):
            assert "access_token" in grant(servers).json()
        assert grant(servers).json()["error"] == "Access Denied"
        clock.moment += timedelta(minutes=10)
        assert "access_token" in grant(servers).json()

    def test_the_number_of_tokens_can_be_set(self, company: DemoCompany, clock: Clock) -> None:
        with DemoServers(company=company, clock=clock, zoho_limits=ZohoLimits(tokens_per_window=11)) as servers:
            assert ["access_token" in grant(servers).json() for _ in range(12)] == [True] * 11 + [False]

    @pytest.mark.parametrize("authorization", ["", "Zoho-oauthtoken 1000.unknown", "Bearer {token}"])
    def test_other_tokens_and_schemes_are_refused(
        self, http: httpx.Client, servers: DemoServers, authorization: str
    ) -> None:
        header = authorization.format(token=grant(servers).json()["access_token"])
        answer = http.get("/api/v1/articles", headers={"Authorization": header})
        assert error_of(answer) == (401, "INVALID_OAUTH")

    def test_tokens_can_be_ended(self, http: httpx.Client, servers: DemoServers) -> None:
        http.delete("/_demo/zoho/tokens")
        assert error_of(http.get("/api/v1/articles")) == (401, "INVALID_OAUTH")
        with client_of(servers) as renewed:
            assert renewed.get("/api/v1/articles").status_code == 200


class TestProtocol:
    @pytest.mark.parametrize("org_id", ["", "999"])
    def test_everything_but_the_organisations_wants_the_right_organisation(
        self, http: httpx.Client, org_id: str
    ) -> None:
        headers = {"orgId": org_id}
        assert error_of(http.get("/api/v1/tickets", headers=headers)) == (403, "UNAUTHORIZED")
        (organisation,) = http.get("/api/v1/organizations", headers=headers).json()["data"]
        assert (organisation["id"], organisation["companyName"]) == ("20064", "Solara")

    @pytest.mark.parametrize("path", ["/articles", "/tickets", "/tickets/search"])
    def test_offsets_end_at_4999(self, http: httpx.Client, path: str) -> None:
        last = http.get(f"/api/v1{path}", params={"from": 4999})
        assert (last.status_code, last.content) == (204, b"")
        beyond = http.get(f"/api/v1{path}", params={"from": 5000})
        assert error_of(beyond) == (422, "UNPROCESSABLE_ENTITY")
        assert "exceeds the range of '0-4999'" in beyond.json()["message"]

    @pytest.mark.parametrize(
        ("path", "largest"),
        [
            ("/articles", 50),
            ("/tickets", 100),
            ("/tickets/search", 100),
            (f"/tickets/{TICKET}/threads", 100),
            (f"/tickets/{TICKET}/conversations", 200),
        ],
    )
    def test_a_page_beyond_the_largest_is_refused_and_not_cut(
        self, http: httpx.Client, path: str, largest: int
    ) -> None:
        assert http.get(f"/api/v1{path}", params={"limit": largest}).status_code == 200
        assert error_of(http.get(f"/api/v1{path}", params={"limit": largest + 1})) == (422, "UNPROCESSABLE_ENTITY")

    def test_the_first_row_stands_at_0(self, http: httpx.Client) -> None:
        everything = rows(http, "/articles", 50, sortBy="modifiedTime")
        later = http.get("/api/v1/articles", params={"sortBy": "modifiedTime", "from": 1, "limit": 5}).json()["data"]
        assert later == everything[1:6]

    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("/articles", {"sortOrder": "asc"}),
            ("/articles", {"sortBy": "title"}),
            ("/articles", {"status": "Trashed"}),
            ("/articles", {"modifiedTimeRange": "yesterday"}),
            ("/tickets", {"modifiedTimeRange": EVER}),
            ("/tickets", {"sortBy": "modifiedTime"}),
            ("/tickets", {"include": "everything"}),
            ("/tickets/archivedTickets", {}),
            (f"/tickets/{TICKET}/threads", {"include": "plainText"}),
        ],
    )
    def test_parameters_that_an_endpoint_does_not_know_are_refused(
        self, http: httpx.Client, path: str, query: dict[str, str]
    ) -> None:
        assert error_of(http.get(f"/api/v1{path}", params=query)) == (422, "UNPROCESSABLE_ENTITY")

    def test_unknown_records_and_paths_are_not_found(self, http: httpx.Client) -> None:
        for path in ("/articles/1", "/tickets/1", f"/articles/{ARTICLE}/translations/fr", "/tickets/1/comments", "/x"):
            assert http.get(f"/api/v1{path}").status_code == 404, path

    def test_every_reply_says_what_it_cost_and_what_is_left(self, http: httpx.Client) -> None:
        left = []
        for path, weight in (("/articles", "3"), (f"/articles/{ARTICLE}", "1"), ("/articles/1", "1")):
            headers = http.get(f"/api/v1{path}").headers
            assert headers["X-Rate-Limit-Request-Weight-v3"] == weight
            left.append(int(headers["X-Rate-Limit-Remaining-v3"]))
        assert left == [100_000 - 3, 100_000 - 4, 100_000 - 5]

    def test_beyond_the_credits_of_a_day_it_asks_to_wait(self, company: DemoCompany, clock: Clock) -> None:
        clock.moment = clock.moment.replace(hour=12, minute=0) + timedelta(days=1)
        with DemoServers(company=company, clock=clock, zoho_limits=ZohoLimits(credits_per_day=4)) as servers:
            with client_of(servers) as http:
                assert http.get("/api/v1/tickets").headers["X-Rate-Limit-Remaining-v3"] == "1"
                refused = http.get("/api/v1/tickets")
                assert error_of(refused) == (429, "TOO_MANY_REQUESTS")
                assert refused.headers["Retry-After"] == str(12 * 3600)
            clock.moment += timedelta(hours=12)
            with client_of(servers) as http:
                assert http.get("/api/v1/tickets").status_code == 200


class TestArticles:
    def test_the_list_has_every_status_and_the_fields_of_the_real_one(self, http: httpx.Client) -> None:
        articles = rows(http, "/articles", 50)
        assert {article["status"] for article in articles} == {"Draft", "Published", "Review", "Expired", "Unpublished"}
        assert sum(article["isTrashed"] for article in articles) == 1
        for article in articles:
            assert article.keys() == set(LISTED_ARTICLE.split())
            assert all(article[name].isdigit() for name in ARTICLE_COUNTS.split())
            assert all(article[name].isdigit() for name in ("id", "categoryId", "departmentId", "translationId"))
            assert len(article["id"]) == 18

    def test_the_answer_comes_with_the_article_alone(self, http: httpx.Client) -> None:
        article = http.get(f"/api/v1/articles/{ARTICLE}").json()
        assert article["answer"].startswith("<ol>")
        assert article["tags"] == ["network"]
        (listed,) = (item for item in rows(http, "/articles", 50) if item["id"] == ARTICLE)
        assert {name: article[name] for name in listed} == listed
        assert "<" not in listed["summary"]

    def test_a_range_of_times_has_both_ends(self, http: httpx.Client) -> None:
        times = sorted(article["modifiedTime"] for article in rows(http, "/articles", 50))
        found = rows(http, "/articles", 50, modifiedTimeRange=f"{times[10]},{times[20]}", sortBy="modifiedTime")
        assert [article["modifiedTime"] for article in found] == times[10:21]
        backwards = rows(http, "/articles", 50, sortBy="-modifiedTime")
        assert [article["modifiedTime"] for article in backwards] == times[::-1]

    def test_filters_narrow_the_list(self, http: httpx.Client) -> None:
        everything = rows(http, "/articles", 50)
        category = everything[0]["categoryId"]
        for query, name in (
            ({"status": "Draft,Review"}, "status"),
            ({"permission": "AGENTS"}, "permission"),
            ({"categoryId": category}, "categoryId"),
        ):
            values = next(iter(query.values())).split(",")
            expected = {article["id"] for article in everything if article[name] in values}
            assert {article["id"] for article in rows(http, "/articles", 50, **query)} == expected
            assert 0 < len(expected) < len(everything)

    def test_translations_share_the_id_and_have_words_of_their_own(self, http: httpx.Client) -> None:
        article = http.get(f"/api/v1/articles/{ARTICLE}").json()
        links = {item["locale"]: item["href"] for item in article["availableLocaleTranslations"]}
        assert links["de"] == f"https://desk.zoho.eu/api/v1/articles/{ARTICLE}/translations/de"
        assert links.keys() == {"en", "de"}
        german = http.get(f"/api/v1/articles/{ARTICLE}/translations/de").json()
        assert (german["id"], german["locale"], german["sourceLocale"]) == (ARTICLE, "de", "en")
        assert german["translationId"] != article["translationId"]
        assert german["title"].startswith("Wechselrichter")
        assert [item["locale"] for item in rows(http, f"/articles/{ARTICLE}/translations", 50)] == ["en", "de"]

    def test_an_older_version_stays_while_a_newer_one_is_written(self, http: httpx.Client) -> None:
        (listed,) = (item for item in rows(http, "/articles", 50) if item["status"] != item["latestVersionStatus"])
        path = f"/api/v1/articles/{listed['id']}"
        latest = http.get(path).json()
        published = http.get(path, params={"version": listed["latestPublishedVersion"]}).json()
        assert (latest["currentVersion"], published["currentVersion"]) == ("1.1", "1.0")
        assert "DRAFT" in latest["answer"]
        assert "DRAFT" not in published["answer"]
        assert http.get(path, params={"version": "7.0"}).status_code == 404

    def test_categories_form_a_tree_that_holds_every_article(self, http: httpx.Client) -> None:
        roots = rows(http, "/kbRootCategories", 50)
        assert not any("children" in root for root in roots)
        trees = [http.get(f"/api/v1/kbRootCategories/{root['id']}/categoryTree").json() for root in roots]
        names = {node["id"]: node["name"] for tree in trees for node in (tree, *tree["children"])}
        articles = rows(http, "/articles", 50)
        assert {names[article["categoryId"]] for article in articles} == {
            "Panels and inverters",
            "Batteries and the app",
            "Contract and billing",
        }
        assert {article["rootCategoryId"] for article in articles} == {root["id"] for root in roots}

    def test_a_write_is_read_back_with_a_later_time(self, http: httpx.Client, clock: Clock) -> None:
        body = {"title": "New", "answer": "<p>One</p>", "status": "Draft", "permission": "ALL"}
        category = rows(http, "/articles", 50)[0]["categoryId"]
        made = http.post("/api/v1/articles", json=body | {"categoryId": category}).json()
        clock.moment += timedelta(minutes=1)
        changed = http.patch(f"/api/v1/articles/{made['id']}", json={"answer": "<p>Two</p>", "status": "Published"})
        assert changed.status_code == 200
        read = http.get(f"/api/v1/articles/{made['id']}").json()
        assert (read["answer"], read["summary"], read["status"]) == ("<p>Two</p>", "Two", "Published")
        assert read["latestPublishedVersion"] == read["latestVersion"] == "2.0"
        assert datetime.fromisoformat(read["modifiedTime"]) == clock.moment

    def test_a_changed_translation_moves_its_article_too(self, http: httpx.Client, clock: Clock) -> None:
        clock.moment += timedelta(minutes=1)
        path = f"/api/v1/articles/{ARTICLE}"
        english = http.get(path).json()
        assert http.patch(f"{path}/translations/de", json={"title": "Neu"}).json()["title"] == "Neu"
        read = http.get(path).json()
        assert read["title"] == english["title"]
        assert datetime.fromisoformat(read["modifiedTime"]) == clock.moment

    @pytest.mark.parametrize(
        "body", [{"title": 4}, {"status": "Gone"}, {"nonsense": "x"}, [], {"permission": "NOBODY"}]
    )
    def test_invalid_writes_are_refused(self, http: httpx.Client, body: Any) -> None:
        assert error_of(http.patch(f"/api/v1/articles/{ARTICLE}", json=body)) == (422, "INVALID_DATA")

    def test_the_trash_keeps_an_article_and_its_translations(self, http: httpx.Client, company: DemoCompany) -> None:
        assert http.post("/api/v1/articles/moveToTrash", json={"ids": [ARTICLE]}).status_code == 204
        assert http.get(f"/api/v1/articles/{ARTICLE}").json()["isTrashed"] is True
        assert http.get(f"/api/v1/articles/{ARTICLE}/translations/de").json()["isTrashed"] is True
        live = company.record_ids("solara", "zoho_desk", "articles")
        assert not any(ARTICLE in record_id for record_id in live)


class TestTickets:
    def test_the_list_has_no_modification_time_and_no_description(self, http: httpx.Client) -> None:
        for ticket in rows(http, "/tickets", 100):
            assert not {"modifiedTime", "description", "resolution"} & ticket.keys()
            assert all(ticket[name].isdigit() for name in ("threadCount", "commentCount", "ticketNumber"))

    def test_the_search_has_both_and_counts_all_that_match(self, http: httpx.Client) -> None:
        query = {"modifiedTimeRange": EVER, "sortBy": "modifiedTime"}
        everything = rows(http, "/tickets/search", 100, **query)
        page = http.get("/api/v1/tickets/search", params=query | {"from": 2, "limit": 5}).json()
        assert page["count"] == len(everything)
        assert page["data"] == everything[2:7]
        times = [ticket["modifiedTime"] for ticket in everything]
        assert times == sorted(times)
        found = rows(http, "/tickets/search", 100, modifiedTimeRange=f"{times[3]},{times[6]}", sortBy="modifiedTime")
        assert [ticket["modifiedTime"] for ticket in found] == times[3:7]
        nothing = http.get("/api/v1/tickets/search", params={"modifiedTimeRange": f"{EVER[:24]},{EVER[:24]}"})
        assert (nothing.status_code, nothing.content) == (204, b"")

    def test_a_ticket_has_the_fields_of_a_real_one(self, http: httpx.Client) -> None:
        ticket = http.get(f"/api/v1/tickets/{TICKET}").json()
        assert ticket.keys() == set(WHOLE_TICKET.split())
        assert (ticket["status"], ticket["statusType"]) == ("Waiting for Installer", "On Hold")
        assert ticket["cf"]["cf_serial_number"] == ticket["customFields"]["Serial number"] == "H5-2302-0915"
        rich = http.get(f"/api/v1/tickets/{TICKET}", params={"include": "contacts,assignee,departments,team"}).json()
        assert rich["contact"]["name"] == "Winifred Tolley"
        assert rich["assignee"]["name"] == "Samir Haddad"
        assert rich["department"]["name"] == "Customer care"

    def test_archived_and_trashed_tickets_are_in_no_list_and_spam_is(self, http: httpx.Client) -> None:
        departments = rows(http, "/departments", 100)
        archived = [
            ticket["id"]
            for department in departments
            for ticket in rows(http, "/tickets/archivedTickets", 100, departmentId=department["id"])
        ]
        assert len(archived) == 1
        assert http.post("/api/v1/tickets/moveToTrash", json={"ticketIds": [TICKET]}).status_code == 204
        for path in ("/tickets", "/tickets/search"):
            listed = {ticket["id"]: ticket for ticket in rows(http, path, 100)}
            assert not {TICKET, *archived} & listed.keys()
            assert sum(ticket["isSpam"] for ticket in listed.values()) == 1
        trashed = http.get(f"/api/v1/tickets/{TICKET}").json()
        assert (trashed["isTrashed"], trashed["isDeleted"]) == (True, True)
        assert http.get(f"/api/v1/tickets/{archived[0]}").json()["isArchived"] is True
        assert http.patch(f"/api/v1/tickets/{TICKET}", json={"status": "Closed"}).status_code == 422

    def test_a_change_moves_the_time_and_what_follows_from_the_status(self, http: httpx.Client, clock: Clock) -> None:
        clock.moment += timedelta(minutes=1)
        changed = http.patch(f"/api/v1/tickets/{TICKET}", json={"status": "Closed", "priority": "Low"}).json()
        assert (changed["statusType"], changed["priority"], changed["onholdTime"]) == ("Closed", "Low", None)
        assert changed["closedTime"] == changed["modifiedTime"]
        assert datetime.fromisoformat(changed["modifiedTime"]) == clock.moment

    def test_threads_are_listed_without_their_content(self, http: httpx.Client) -> None:
        threads = rows(http, f"/tickets/{TICKET}/threads", 100)
        assert [item["createdTime"] for item in threads] == sorted((i["createdTime"] for i in threads), reverse=True)
        assert not any("content" in thread or "plainText" in thread for thread in threads)
        assert [thread["isDescriptionThread"] for thread in threads] == [False, False, True]
        assert [thread["status"] for thread in threads] == ["DRAFT", "SUCCESS", "SUCCESS"]
        assert [thread.get("isDraft") for thread in threads] == [True, None, None]
        first = http.get(f"/api/v1/tickets/{TICKET}/threads/{threads[-1]['id']}").json()
        assert first.keys() >= set(WHOLE_THREAD.split())
        assert first["content"] == http.get(f"/api/v1/tickets/{TICKET}").json()["description"]
        assert (first["author"]["email"], first["direction"]) == (None, "in")
        assert first["fromEmailAddress"] == '"Winifred Tolley"<winifred.tolley@mail.example>'

    def test_plain_text_comes_with_a_thread_alone(self, http: httpx.Client) -> None:
        path = f"/api/v1/tickets/{TICKET}/threads"
        latest = http.get(f"/api/v1/tickets/{TICKET}/latestThread").json()
        assert "plainText" not in latest
        thread = http.get(f"{path}/{latest['id']}", params={"include": "plainText"}).json()
        assert thread["plainText"] == plain_text(thread["content"])

    def test_comments_carry_mentions_and_who_may_read_them(self, http: httpx.Client) -> None:
        comments = rows(http, f"/tickets/{TICKET}/comments", 100, sortBy="commentedTime")
        assert [item["commenter"]["name"] for item in comments] == ["Samir Haddad", "Ottilie Marsh"]
        assert [item["isPublic"] for item in comments] == [False, False]
        (mention,) = comments[0]["mention"]
        assert f"zsu[@user:{mention['zuid']}]zsu" in comments[0]["content"]
        assert mention["firstName"] == "Ottilie"
        assert comments[0]["modifiedTime"] is None

    def test_conversations_hold_both_with_drafts_and_private_ones(self, http: httpx.Client) -> None:
        entries = rows(http, f"/tickets/{TICKET}/conversations", 200)
        assert Counter(entry["type"] for entry in entries) == {"thread": 3, "comment": 2}
        times = [entry.get("createdTime") or entry["commentedTime"] for entry in entries]
        assert times == sorted(times, reverse=True)

    def test_a_comment_is_written_changed_and_deleted(self, http: httpx.Client, clock: Clock) -> None:
        path = f"/api/v1/tickets/{TICKET}"
        made = http.post(f"{path}/comments", json={"content": "<p>Hello</p>", "isPublic": True}).json()
        clock.moment += timedelta(minutes=1)
        changed = http.patch(f"{path}/comments/{made['id']}", json={"content": "Corrected"}).json()
        assert (changed["content"], changed["isPublic"]) == ("Corrected", True)
        assert datetime.fromisoformat(changed["modifiedTime"]) == clock.moment
        ticket = http.get(path).json()
        assert (ticket["commentCount"], ticket["modifiedTime"]) == ("3", changed["modifiedTime"])
        assert http.delete(f"{path}/comments/{made['id']}").status_code == 204
        assert http.get(path).json()["commentCount"] == "2"

    def test_attachments_have_a_name_and_a_size_in_digits(self, http: httpx.Client) -> None:
        (file,) = rows(http, "/tickets/155000000030000101/attachments", 100)
        assert file["name"] == "inverter-noon.m4a"
        assert file["size"].isdigit()
        assert http.get(f"/api/v1/tickets/{TICKET}/attachments").status_code == 204


class TestControl:
    def test_an_article_is_published_without_its_time_moving(self, http: httpx.Client, company: DemoCompany) -> None:
        (draft, *_) = rows(http, "/articles", 50, status="Draft")
        before = set(company.record_ids("solara", "zoho_desk", "articles"))
        assert http.patch(f"/_demo/zoho/articles/{draft['id']}", json={"status": "Published"}).status_code == 204
        read = http.get(f"/api/v1/articles/{draft['id']}").json()
        assert (read["status"], read["latestVersionStatus"]) == ("Published", "Published")
        assert read["modifiedTime"] == draft["modifiedTime"]
        assert set(company.record_ids("solara", "zoho_desk", "articles")) - before == {f"article-{draft['id']}"}

    def test_a_translation_is_changed_alone(self, http: httpx.Client) -> None:
        path = f"/_demo/zoho/articles/{ARTICLE}"
        assert http.patch(path, params={"locale": "de"}, json={"answer": "<p>Kurz</p>"}).status_code == 204
        german = http.get(f"/api/v1/articles/{ARTICLE}/translations/de").json()
        assert (german["answer"], german["summary"]) == ("<p>Kurz</p>", "Kurz")
        assert http.get(f"/api/v1/articles/{ARTICLE}").json()["answer"].startswith("<ol>")
        assert http.patch(path, params={"locale": "fr"}, json={}).status_code == 404

    @pytest.mark.parametrize("mark", ["isSpam", "isArchived", "isTrashed"])
    def test_a_ticket_is_marked_without_its_time_moving(
        self, http: httpx.Client, company: DemoCompany, mark: str
    ) -> None:
        time = http.get(f"/api/v1/tickets/{TICKET}").json()["modifiedTime"]
        assert TICKET in company.record_ids("solara", "zoho_desk", "tickets")
        assert http.patch(f"/_demo/zoho/tickets/{TICKET}", json={mark: True}).status_code == 204
        read = http.get(f"/api/v1/tickets/{TICKET}").json()
        assert (read[mark], read["modifiedTime"]) == (True, time)
        assert TICKET not in company.record_ids("solara", "zoho_desk", "tickets")

    def test_records_are_gone_for_good(self, http: httpx.Client, company: DemoCompany) -> None:
        assert http.delete(f"/_demo/zoho/articles/{ARTICLE}").status_code == 204
        assert http.delete(f"/_demo/zoho/tickets/{TICKET}").status_code == 204
        for path in (f"articles/{ARTICLE}", f"tickets/{TICKET}", f"tickets/{TICKET}/threads"):
            assert http.get(f"/api/v1/{path}").status_code == 404
        for path in (f"articles/{ARTICLE}", f"tickets/{TICKET}"):
            assert http.delete(f"/_demo/zoho/{path}").status_code == 404
            assert http.patch(f"/_demo/zoho/{path}", json={}).status_code == 404

    def test_threads_and_comments_come_without_the_tickets_time_moving(self, http: httpx.Client, clock: Clock) -> None:
        before = http.get(f"/api/v1/tickets/{TICKET}").json()
        clock.moment += timedelta(minutes=1)
        mail = http.post(f"/_demo/zoho/tickets/{TICKET}/threads", json={"content": "<p>Any news?</p>"}).json()
        http.post(f"/_demo/zoho/tickets/{TICKET}/comments", json={"content": "<p>Soon</p>", "isPublic": True})
        after = http.get(f"/api/v1/tickets/{TICKET}").json()
        assert (before["threadCount"], before["commentCount"]) == ("3", "2")
        assert (after["threadCount"], after["commentCount"]) == ("4", "3")
        assert after["modifiedTime"] == before["modifiedTime"]
        assert datetime.fromisoformat(after["customerResponseTime"]) == clock.moment
        assert http.get(f"/api/v1/tickets/{TICKET}/threads/{mail['id']}").json()["summary"] == "Any news?"

    def test_reset_and_counts(self, http: httpx.Client, servers: DemoServers) -> None:
        http.delete(f"/_demo/zoho/tickets/{TICKET}")
        http.delete("/_demo/zoho/requests")
        http.get("/api/v1/tickets/1/comments")
        grant(servers)
        counts = {"GET /api/v1/tickets/{id}/comments": 1, "POST /oauth/v2/token": 1}
        assert http.get("/_demo/zoho/requests").json() == counts
        http.post("/_demo/zoho/reset")
        assert http.get("/_demo/zoho/requests").json() == {}
        with client_of(servers) as renewed:
            assert renewed.get(f"/api/v1/tickets/{TICKET}").status_code == 200


class TestFaults:
    def order(self, http: httpx.Client, **fault: Any) -> None:
        assert http.post("/_demo/zoho/faults", json=fault).status_code == 201

    def test_strike_as_often_as_ordered(self, http: httpx.Client) -> None:
        self.order(http, path="^/api/v1/tickets/search", times=1, status=500)
        self.order(http, path="from=0", times=1, status=429, retry_after=7)
        assert http.get("/api/v1/tickets").status_code == 200
        assert error_of(http.get("/api/v1/tickets/search")) == (500, "INTERNAL_SERVER_ERROR")
        assert http.get("/api/v1/tickets/search").status_code == 200
        limited = http.get("/api/v1/articles", params={"from": 0})
        assert (error_of(limited), limited.headers["Retry-After"]) == ((429, "TOO_MANY_REQUESTS"), "7")
        self.order(http, path="/oauth/v2/token", status=503)
        assert http.post("/oauth/v2/token").status_code == 503
        http.delete("/_demo/zoho/faults")
        assert http.post("/oauth/v2/token").json() == {"error": "invalid_client"}

    def test_cut_the_body(self, http: httpx.Client) -> None:
        self.order(http, path="/articles", truncate=True)
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            http.get("/api/v1/articles").json()

    def test_leave_out_rows(self, http: httpx.Client) -> None:
        self.order(http, path="/articles", rows=2)
        self.order(http, path="/tickets/search", rows=0)
        assert len(http.get("/api/v1/articles", params={"limit": 50}).json()["data"]) == 2
        search = http.get("/api/v1/tickets/search").json()
        assert search["data"] == []
        assert search["count"] > 0

    @pytest.mark.parametrize(
        ("malformed", "broken"),
        [
            ("no_id", lambda record: "id" not in record),
            ("no_updated_at", lambda record: "modifiedTime" not in record),
            ("unreadable_updated_at", lambda record: record["modifiedTime"] == "yesterday around noon"),
            ("not_an_object", lambda record: isinstance(record, str)),
            ("numeric_subject", lambda record: record["title"] == 42),
            ("null_text", lambda record: record["answer"] is None),
        ],
    )
    def test_send_a_record_malformed(self, http: httpx.Client, malformed: str, broken: Any) -> None:
        self.order(http, malformed=malformed, record_id=ARTICLE)
        assert broken(http.get(f"/api/v1/articles/{ARTICLE}").json())
        page = http.get("/api/v1/articles", params={"limit": 50, "from": 0}).json()["data"]
        page += http.get("/api/v1/articles", params={"limit": 50, "from": 50}).json()["data"]
        whole = [row for row in page if isinstance(row, dict) and row.get("id") not in (None, ARTICLE)]
        assert len(whole) == len(page) - 1
        assert all(isinstance(row["title"], str) and row["modifiedTime"][:4] == "2026" for row in whole)


class TestContent:
    def test_is_the_same_at_every_start(self) -> None:
        first, second = DemoCompany().zoho["solara"].data, DemoCompany().zoho["solara"].data
        assert first == second
        assert first is not second

    def test_has_articles_like_those_of_a_real_knowledge_base(self, http: httpx.Client) -> None:
        listed = rows(http, "/articles", 50)
        whole = [http.get(f"/api/v1/articles/{article['id']}").json() for article in listed]
        assert len(whole) >= 60
        lengths = [len(plain_text(article["answer"])) for article in whole]
        assert 120 <= median(lengths) <= 200
        assert max(lengths) > 1500
        titles = Counter(article["title"] for article in whole if article["status"] == "Published")
        assert sorted(titles.values())[-3:] == [1, 2, 2]
        permissions = Counter(article["permission"] for article in whole)
        assert permissions == {"ALL": 54, "REGISTEREDUSERS": 8, "AGENTS": 4, "USERGROUPS": 1}
        text = " ".join(article["title"] + article["answer"] for article in whole)
        assert all(mark in text for mark in ("&quot;", "&nbsp;", "&amp;nbsp;", "<h2>", "<ul>", "<ol>", "<table>"))
        assert sum(len(article["availableLocaleTranslations"]) == 2 for article in whole) == 6

    def test_has_tickets_of_every_kind(self, http: httpx.Client) -> None:
        tickets = rows(http, "/tickets/search", 100)
        assert 35 <= len(tickets) <= 45
        assert {ticket["channel"] for ticket in tickets} == {"Email", "Web", "Chat", "Phone"}
        assert {ticket["priority"] for ticket in tickets} == {"Low", "Medium", "High", None}
        assert {ticket["statusType"] for ticket in tickets} == {"Open", "On Hold", "Closed"}
        assert {"Part Ordered", "Waiting for Installer", "Escalated"} < {ticket["status"] for ticket in tickets}

    def test_quotes_older_mails_and_signs(self, company: DemoCompany) -> None:
        account = company.zoho["solara"].data
        mails = [thread["content"] for threads in account.threads.values() for thread in threads]
        assert sum("gmail_quote" in mail for mail in mails) >= 3
        assert sum('<blockquote type="cite">' in mail for mail in mails) >= 3
        assert sum("<div>-- </div>" in mail for mail in mails) >= 40

    def test_stays_within_its_calendar(self, company: DemoCompany) -> None:
        account = company.zoho["solara"].data
        for stream in ("articles", "tickets"):
            for _, record in company.zoho_records("solara", stream):
                assert "2026-11-02" <= record["createdTime"] <= record["modifiedTime"] < "2026-11-14"
        for ticket_id, ticket in account.tickets.items():
            said = [item["createdTime"] for item in account.threads[ticket_id]]
            said += [item["commentedTime"] for item in account.comments[ticket_id]]
            assert all(ticket["createdTime"] <= time <= ticket["modifiedTime"] for time in said)

    def test_days_hold_changes_of_both_streams(self, company: DemoCompany) -> None:
        for stream in ("articles", "tickets"):
            days = {record["modifiedTime"][:10] for _, record in company.zoho_records("solara", stream)}
            assert len(days) >= 8

    def test_record_ids_are_those_of_what_customers_and_agents_may_still_read(
        self, http: httpx.Client, company: DemoCompany
    ) -> None:
        expected = {
            f"article-{article['id']}{suffix}"
            for article in rows(http, "/articles", 50)
            if article["status"] == "Published" and not article["isTrashed"]
            for suffix in ("", "-de")[: len(article["availableLocaleTranslations"])]
        }
        assert set(company.record_ids("solara", "zoho_desk", "articles")) == expected
        tickets = {ticket["id"] for ticket in rows(http, "/tickets", 100) if not ticket["isSpam"]}
        assert set(company.record_ids("solara", "zoho_desk", "tickets")) == tickets
        assert company.record_ids("acme", "zoho_desk", "articles") == []
        assert company.record_ids("solara", "ticket_portal", "tickets") == []

    def test_every_question_has_its_documents(self, company: DemoCompany) -> None:
        questions = [question for question in QUESTIONS if question.source == "zoho_desk"]
        assert len(questions) == 28
        for question in questions:
            known = {
                record_id
                for stream in ("articles", "tickets")
                for record_id in company.record_ids(question.tenant, "zoho_desk", stream)
            }
            assert known.issuperset(question.record_ids), question.text


def test_the_freshdesk_accounts_are_served_beside_it(servers: DemoServers) -> None:
    answer = httpx.get(f"{servers.base_url('acme')}/api/v2/tickets/12", auth=("demo-key-acme", "X"))
    assert answer.json()["id"] == 12
    assert httpx.get(f"{servers.base_url('solara')}/api/v2/tickets/12").status_code == 404
