"""The demo company: its Freshdesk simulator against an independent client, and its content."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from freshdesk.v2.api import API
from freshdesk.v2.errors import (
    FreshdeskBadRequest,
    FreshdeskNotFound,
    FreshdeskRateLimited,
    FreshdeskUnauthorized,
)

from sync_assets.demo.company import QUESTIONS, STREAMS, TENANTS, DemoCompany
from sync_assets.demo.records import plain_text
from sync_assets.demo.server import DemoServers
from sync_assets.errors import SettingsError

EPOCH = "2000-01-01T00:00:00Z"


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
    for desk in running.company.desks.values():
        desk.reset()
    return running.company


@pytest.fixture
def servers(running: DemoServers, company: DemoCompany) -> DemoServers:
    return running


@pytest.fixture
def http(servers: DemoServers) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=servers.base_url("acme"), auth=("demo-key-acme", "X")) as client:
        yield client


@pytest.fixture
def api(servers: DemoServers) -> Any:
    return client_of(servers, "acme")


def client_of(servers: DemoServers, tenant: str, key: str | None = None) -> Any:
    """python-freshdesk, pointed at the simulator; it knows only `https://*.freshdesk.com`."""
    account = servers.tenants[tenant]["freshdesk"]
    api: Any = API(f"{tenant}.freshdesk.com", key or account["api_key"])
    api._api_prefix = f"{account['base_url']}/api/v2/"
    return api


def listed(http: httpx.Client, **query: str | int) -> list[dict[str, Any]]:
    """All pages of the ticket list, by the `Link` header."""
    query = {"updated_since": EPOCH, "per_page": 100} | query
    answer = http.get("/api/v2/tickets", params=query)
    tickets: list[dict[str, Any]] = answer.json()
    while "next" in answer.links:
        answer = http.get(answer.links["next"]["url"])
        tickets += answer.json()
    return tickets


class TestIndependentClient:
    def test_lists_every_live_ticket_over_several_pages(self, api: Any, company: DemoCompany) -> None:
        tickets = api.tickets.list_tickets(filter_name=None, updated_since=EPOCH, per_page=100)
        assert {str(ticket.id) for ticket in tickets} == {key for key, _ in company.records("acme", "tickets")}

    def test_gets_a_ticket_with_its_first_ten_conversations(self, api: Any) -> None:
        ticket = api.tickets.get_ticket(150, "conversations", "requester", "company", "stats")
        assert "satellite" in ticket.subject
        assert len(ticket.conversations) == 10
        assert ticket.requester["email"].endswith(".example")
        assert ticket.company["name"]

    def test_pages_through_a_long_thread_in_order(self, api: Any) -> None:
        comments = api.comments.list_comments(150)
        assert len(comments) > 100
        assert [comment.created_at for comment in comments] == sorted(comment.created_at for comment in comments)
        assert {comment.source for comment in comments} == {"reply", "note"}

    def test_writes_and_reads_back(self, api: Any, clock: Clock) -> None:
        ticket = api.tickets.create_ticket("Broken hook", description="<p>caf&eacute;</p>", email="new@acme.example")
        assert ticket.description_text == "café"
        clock.moment += timedelta(minutes=1)
        reply = api.comments.create_reply(ticket.id, "<p>Hello</p>")
        note = api.comments.create_note(ticket.id, "<p>Secret</p>")
        assert (reply.private, note.private, note.source) == (False, True, "note")
        clock.moment += timedelta(minutes=1)
        assert api.tickets.update_ticket(ticket.id, status=4).status == "resolved"
        assert api.tickets.get_ticket(ticket.id).updated_at == clock.moment
        assert [comment.body_text for comment in api.comments.list_comments(ticket.id)] == ["Hello", "Secret"]

    def test_deletes_and_restores(self, api: Any, http: httpx.Client, clock: Clock) -> None:
        api.tickets.delete_ticket(12)
        deleted = {ticket.id: ticket for ticket in api.tickets.list_tickets(filter_name="deleted", updated_since=EPOCH)}
        assert deleted[12].deleted is True
        assert deleted[12].updated_at == clock.moment
        assert 12 not in {ticket["id"] for ticket in listed(http)}
        assert api.tickets.get_ticket(12).deleted is True
        assert http.put("/api/v2/tickets/12", json={"status": 4}).status_code == 405
        assert http.put("/api/v2/tickets/12/restore").status_code == 204
        assert 12 in {ticket["id"] for ticket in listed(http)}

    def test_walks_the_knowledge_base(self, api: Any, http: httpx.Client) -> None:
        found: set[int] = set()

        def walk(folder: Any) -> None:
            found.update(article.id for article in api.solutions.articles.list_from_folder(folder["id"]))
            for inner in http.get(f"/api/v2/solutions/folders/{folder['id']}/subfolders").json():
                walk(inner)

        for category in api.solutions.categories.list_categories():
            for folder in http.get(f"/api/v2/solutions/categories/{category.id}/folders").json():
                walk(folder)
        assert len(found) >= 60
        assert api.solutions.articles.get_article_translated(77, "nl").title.startswith("Een Relay 20")
        with pytest.raises(FreshdeskNotFound):
            api.solutions.articles.get_article_translated(65, "nl")

    def test_writes_articles(self, api: Any, clock: Clock) -> None:
        made = api.solutions.articles.create_article(21, title="New", description="<p>One</p>", status=2, type=1)
        clock.moment += timedelta(minutes=1)
        api.solutions.articles.update_article(made.id, description="<p>Two</p>")
        api.solutions.articles.create_article_translation(made.id, "nl", title="Nieuw", description="<p>Twee</p>")
        changed = api.solutions.articles.get_article(made.id)
        assert (changed.description_text, changed.updated_at) == ("Two", clock.moment)
        api.solutions.articles.delete_article(made.id)
        with pytest.raises(FreshdeskNotFound):
            api.solutions.articles.get_article(made.id)

    def test_names_custom_statuses_and_nested_fields(self, api: Any) -> None:
        fields = {field.name: field for field in api.ticket_fields.list_ticket_fields()}
        assert fields["status"].choices["2"] == ["Open", "Being Processed"]
        assert {"6", "8"} <= set(fields["status"].choices)
        assert [field["name"] for field in fields["cf_category"].nested_ticket_fields] == ["cf_subcategory", "cf_item"]

    def test_lists_people(self, api: Any) -> None:
        assert api.agents.currently_authenticated_agent().contact["name"] == "Ingrid Halloway"
        assert len(api.groups.list_groups()) == 4
        assert len(api.contacts.list_contacts()) > 20
        assert len(api.companies.list_companies()) == 21

    def test_refuses_a_wrong_key(self, servers: DemoServers) -> None:
        with pytest.raises(FreshdeskUnauthorized, match="You have to be logged in"):
            client_of(servers, "polder", "demo-key-acme").tickets.list_tickets()

    def test_refuses_an_invalid_ticket(self, api: Any) -> None:
        with pytest.raises(FreshdeskBadRequest, match="It should be one of these values: '2,3,4,5,6,8'"):
            api.tickets.create_ticket("No such status", description="x", email="a@b.example", status=7)

    def test_refuses_beyond_the_budget(self, company: DemoCompany, clock: Clock) -> None:
        with DemoServers(company=company, clock=clock, requests_per_minute=2) as servers:
            api = client_of(servers, "acme")
            api.tickets.get_ticket(1)
            api.tickets.get_ticket(2)
            with pytest.raises(FreshdeskRateLimited, match="until 60 seconds"):
                api.tickets.get_ticket(3)
            clock.moment += timedelta(seconds=60)
            assert api.tickets.get_ticket(3).id == 3


class TestLists:
    def test_shows_only_thirty_days_unless_told_since_when(self, http: httpx.Client, clock: Clock) -> None:
        clock.moment += timedelta(days=24)
        earliest = (clock.moment - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        recent = http.get("/api/v2/tickets", params={"per_page": 100}).json()
        assert min(ticket["created_at"] for ticket in recent) >= earliest
        assert min(ticket["created_at"] for ticket in listed(http)) < earliest

    def test_since_is_inclusive(self, http: httpx.Client) -> None:
        last = max(ticket["updated_at"] for ticket in listed(http))
        assert {ticket["updated_at"] for ticket in listed(http, updated_since=last)} == {last}

    @pytest.mark.parametrize("order_type", ["asc", "desc"])
    def test_orders_by_update_then_id(self, http: httpx.Client, order_type: str) -> None:
        keys = [(item["updated_at"], item["id"]) for item in listed(http, order_by="updated_at", order_type=order_type)]
        assert keys == sorted(keys, reverse=order_type == "desc")

    def test_has_a_link_only_where_a_page_follows(self, http: httpx.Client, servers: DemoServers) -> None:
        first = http.get("/api/v2/tickets", params={"updated_since": EPOCH, "per_page": 100})
        assert first.links["next"]["url"].startswith(f"{servers.base_url('acme')}/api/v2/tickets?")
        assert "page=2" in first.links["next"]["url"]
        assert not http.get("/api/v2/tickets", params={"updated_since": EPOCH, "per_page": 100, "page": 4}).links

    def test_has_a_wall_after_page_300(self, http: httpx.Client) -> None:
        query = {"updated_since": EPOCH, "per_page": 1}
        assert len(http.get("/api/v2/tickets", params=query | {"page": 300}).json()) <= 1
        wall = http.get("/api/v2/tickets", params=query | {"page": 301})
        assert wall.status_code == 400
        assert wall.json()["errors"][0]["message"].startswith("You cannot access tickets beyond the 300th page")

    @pytest.mark.parametrize(
        "query", [{"per_page": 101}, {"page": 0}, {"filter": "all"}, {"order_by": "id"}, {"updated_since": "yesterday"}]
    )
    def test_refuses_invalid_queries(self, http: httpx.Client, query: dict[str, Any]) -> None:
        answer = http.get("/api/v2/tickets", params=query)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == list(query)

    def test_includes_cost_two_credits_each(self, http: httpx.Client) -> None:
        bare = http.get("/api/v2/tickets")
        rich = http.get("/api/v2/tickets", params={"include": "description,stats,requester"})
        assert "description" not in bare.json()[0]
        assert {"description", "description_text", "stats", "requester"} <= set(rich.json()[0])
        assert bare.headers["X-RateLimit-Used-CurrentRequest"] == "1"
        assert rich.headers["X-RateLimit-Used-CurrentRequest"] == "7"
        assert rich.headers["X-RateLimit-Remaining"] == str(5000 - 8)

    def test_hides_deleted_and_spam_tickets(self, http: httpx.Client) -> None:
        live = {ticket["id"] for ticket in listed(http)}
        deleted = {ticket["id"] for ticket in listed(http, filter="deleted")}
        spam = {ticket["id"] for ticket in listed(http, filter="spam")}
        assert deleted
        assert spam
        assert not live & deleted
        assert not live & spam

    def test_unknown_ids_have_an_empty_404(self, http: httpx.Client) -> None:
        answer = http.get("/api/v2/tickets/999999")
        assert (answer.status_code, answer.content) == (404, b"")


class TestConversations:
    def test_only_notes_can_be_edited(self, http: httpx.Client, clock: Clock) -> None:
        thread = http.get("/api/v2/tickets/12/conversations").json()
        note = next(item for item in thread if item["private"])
        said = next(item for item in thread if not item["private"])
        assert http.put(f"/api/v2/conversations/{said['id']}", json={"body": "x"}).status_code == 400
        edited = http.put(f"/api/v2/conversations/{note['id']}", json={"body": "<p>Corrected</p>"}).json()
        assert edited["body_text"] == "Corrected"
        assert datetime.fromisoformat(edited["last_edited_at"]) == clock.moment

    def test_deletion_takes_one_out_and_bumps_the_ticket(self, http: httpx.Client, clock: Clock) -> None:
        thread = http.get("/api/v2/tickets/12/conversations").json()
        assert http.delete(f"/api/v2/conversations/{thread[0]['id']}").status_code == 204
        assert http.get("/api/v2/tickets/12/conversations").json() == thread[1:]
        assert datetime.fromisoformat(http.get("/api/v2/tickets/12").json()["updated_at"]) == clock.moment


class TestFaults:
    def test_strike_as_often_as_ordered(self, http: httpx.Client) -> None:
        http.post("/_demo/faults", json={"path": "/tickets/12$", "times": 1, "status": 500})
        http.post("/_demo/faults", json={"path": "/tickets/12$", "times": 1, "status": 429, "retry_after": 7})
        assert http.get("/api/v2/tickets/14").status_code == 200
        assert http.get("/api/v2/tickets/12").status_code == 500
        assert http.get("/api/v2/tickets/12").status_code == 200
        http.post("/_demo/faults", json={"path": "/tickets", "status": 429, "retry_after": 7})
        assert http.get("/api/v2/tickets").headers["Retry-After"] == "7"
        http.delete("/_demo/faults")
        assert http.get("/api/v2/tickets").status_code == 200

    @pytest.mark.parametrize(
        ("malformed", "broken"),
        [
            ("no_id", lambda record: "id" not in record),
            ("no_updated_at", lambda record: "updated_at" not in record),
            ("unreadable_updated_at", lambda record: record["updated_at"] == "yesterday around noon"),
            ("not_an_object", lambda record: isinstance(record, str)),
            ("numeric_subject", lambda record: record["subject"] == 42),
            ("null_text", lambda record: record["description"] is None),
        ],
    )
    def test_send_a_record_malformed(self, http: httpx.Client, malformed: str, broken: Any) -> None:
        http.post("/_demo/faults", json={"malformed": malformed, "record_id": 12})
        assert broken(http.get("/api/v2/tickets/12").json())
        assert http.get("/api/v2/tickets/14").json()["id"] == 14

    def test_cut_the_body(self, http: httpx.Client) -> None:
        http.post("/_demo/faults", json={"truncate": True})
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            http.get("/api/v2/tickets/12").json()

    def test_refuse_an_unknown_order(self, http: httpx.Client) -> None:
        assert http.post("/_demo/faults", json={"malformed": "upside_down"}).status_code == 400
        assert http.post("/_demo/faults", json={"path": "("}).status_code == 400

    def test_mark_spam_and_purge(self, http: httpx.Client, company: DemoCompany) -> None:
        http.post("/_demo/tickets/12/spam")
        assert 12 in {ticket["id"] for ticket in listed(http, filter="spam")}
        http.post("/_demo/tickets/14/purge")
        assert http.get("/api/v2/tickets/14").status_code == 404
        assert not {"12", "14"} & {key for key, _ in company.records("acme", "tickets")}

    def test_reset_and_counts(self, http: httpx.Client) -> None:
        http.delete("/api/v2/tickets/12")
        http.get("/api/v2/tickets/12/conversations")
        counts = http.get("/_demo/requests").json()
        assert counts == {"DELETE /api/v2/tickets/{id}": 1, "GET /api/v2/tickets/{id}/conversations": 1}
        http.post("/_demo/reset")
        assert http.get("/_demo/requests").json() == {}
        assert "deleted" not in http.get("/api/v2/tickets/12").json()


class TestServers:
    def test_names_a_taken_port_and_the_remedy(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(SettingsError, match=rf"port {port}.*choose another port"), DemoServers(port):
                pass

    def test_stops_listening(self) -> None:
        with DemoServers() as servers:
            url = servers.base_url("polder")
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


class TestContent:
    def test_is_the_same_at_every_start(self) -> None:
        first, second = DemoCompany(), DemoCompany()
        for tenant in TENANTS:
            assert first.desks[tenant].data == second.desks[tenant].data
            assert first.desks[tenant].data is not second.desks[tenant].data

    def test_is_as_large_as_promised(self, company: DemoCompany) -> None:
        records = {stream: [item for name in TENANTS for item in company.records(name, stream)] for stream in STREAMS}
        assert len(records["tickets"]) >= 420
        assert len({(item["title"], key.split("-")[1]) for key, item in records["articles"]}) >= 80
        assert sum(key.endswith("-nl") for key, _ in records["articles"]) == 8
        lengths = [len(item["conversations"]) for _, item in records["tickets"]]
        assert min(lengths) == 0
        assert max(lengths) > 100
        assert sum(len(item["description_text"].split()) > 1200 for _, item in records["articles"]) >= 2

    def test_stays_within_its_calendar(self, company: DemoCompany) -> None:
        for tenant in TENANTS:
            for stream in STREAMS:
                for _, item in company.records(tenant, stream):
                    assert "2026-11-02" <= item["created_at"] <= item["updated_at"] < "2026-11-14"
                    for conversation in item.get("conversations", []):
                        assert item["created_at"] < conversation["created_at"] <= item["updated_at"]

    def test_hardly_repeats_itself(self, company: DemoCompany) -> None:
        texts: list[str] = []
        for tenant in TENANTS:
            for _, ticket in company.records(tenant, "tickets"):
                texts += [ticket["subject"], own_words(ticket["description"]), str(ticket["custom_fields"])]
                texts += [own_words(conversation["body"]) for conversation in ticket["conversations"]]
            for _, article in company.records(tenant, "articles"):
                texts += article["description"].split("<h2>")
        assert len(set(texts)) / len(texts) >= 0.95

    def test_every_question_has_its_documents(self, company: DemoCompany) -> None:
        questions = [question for question in QUESTIONS if question.source == "freshdesk"]
        assert sum(question.language == "en" for question in questions) >= 20
        assert sum(question.language == "nl" for question in questions) >= 20
        for question in questions:
            known = {key for stream in STREAMS for key, _ in company.records(question.tenant, stream)}
            assert known.issuperset(question.record_ids)


def own_words(body: str) -> str:
    """A mail without greeting, signature and history."""
    paragraphs = body.split("</div>")[0].split("</p>")
    return plain_text("</p>".join(paragraphs[1:-1] if body.startswith('<div dir="ltr">') else paragraphs))
