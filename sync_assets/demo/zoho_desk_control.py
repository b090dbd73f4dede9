"""What stands below `{root}/_demo/zoho`, outside the vendor's protocol and without authentication.

There a test or a user orders faults, puts the account back to its start, and changes records as the API can't. None of
these changes moves a record's modification time unless the body gives it:

    POST   /_demo/zoho/faults                          order a `Fault`
    DELETE /_demo/zoho/faults                          clear all faults
    POST   /_demo/zoho/reset                           back to the starting state
    GET    /_demo/zoho/requests                        counts by method and path template
    DELETE /_demo/zoho/requests                        forget the counts
    DELETE /_demo/zoho/tokens                          no access token is good any more
    PATCH  /_demo/zoho/articles/{id}[?locale=de]       set attributes: `status` publishes, `isTrashed` trashes
    DELETE /_demo/zoho/articles/{id}                   gone for good
    PATCH  /_demo/zoho/tickets/{id}                    set attributes: `isSpam`, `isArchived`, `isTrashed` ...
    DELETE /_demo/zoho/tickets/{id}                    gone for good
    POST   /_demo/zoho/tickets/{id}/threads            add a thread of the customer: `content`, other attributes
    POST   /_demo/zoho/tickets/{id}/comments           add a comment of the first agent: `content`, other attributes
"""

from collections.abc import Awaitable, Callable

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sync_assets.demo.faults import Fault
from sync_assets.demo.freshdesk import Clock
from sync_assets.demo.records import Json
from sync_assets.demo.zoho_desk_account import ZohoDesk
from sync_assets.demo.zoho_desk_records import (
    count,
    link_translations,
    new_comment,
    new_thread,
    set_answer,
    set_article_status,
    set_ticket_status,
)


def control_routes(desk: ZohoDesk, clock: Clock) -> list[Route]:
    """The routes for one account."""

    async def order_fault(request: Request) -> Response:
        try:
            desk.faults.order(Fault.model_validate_json(await request.body()))
        except ValidationError as error:
            return Response(str(error), 400)
        return Response(status_code=201)

    async def clear_faults(request: Request) -> Response:
        desk.faults.clear()
        return Response(status_code=204)

    async def reset(request: Request) -> Response:
        desk.reset()
        return Response(status_code=204)

    async def requests(request: Request) -> Response:
        return JSONResponse(desk.requests)

    async def forget_requests(request: Request) -> Response:
        desk.requests.clear()
        return Response(status_code=204)

    async def end_tokens(request: Request) -> Response:
        desk.tokens.end()
        return Response(status_code=204)

    async def change_article(request: Request) -> Response:
        translations = desk.data.articles.get(request.path_params["id"], {})
        article = translations.get(request.query_params.get("locale", desk.data.locale))
        if article is None:
            return Response(status_code=404)
        changes: Json = await request.json()
        article.update(changes)
        for translation in translations.values():
            translation["isTrashed"] = changes.get("isTrashed", translation["isTrashed"])
        if "answer" in changes:
            set_answer(article, changes["answer"])
        if "status" in changes:
            set_article_status(article, changes["status"])
        link_translations(desk.data, translations)
        return Response(status_code=204)

    async def purge_article(request: Request) -> Response:
        return Response(status_code=404 if desk.data.articles.pop(request.path_params["id"], None) is None else 204)

    async def change_ticket(request: Request) -> Response:
        ticket = desk.data.tickets.get(request.path_params["id"])
        if ticket is None:
            return Response(status_code=404)
        changes: Json = await request.json()
        if "status" in changes:
            set_ticket_status(ticket, changes["status"], ticket["modifiedTime"])
        ticket.update(changes)
        return Response(status_code=204)

    async def purge_ticket(request: Request) -> Response:
        data = desk.data
        if request.path_params["id"] not in data.tickets:
            return Response(status_code=404)
        for kept in (data.tickets, data.threads, data.comments, data.attachments):
            del kept[request.path_params["id"]]
        return Response(status_code=204)

    async def add_thread(request: Request) -> Response:
        ticket = desk.data.tickets.get(request.path_params["id"])
        if ticket is None:
            return Response(status_code=404)
        attributes: Json = await request.json()
        contact = desk.data.contacts[ticket["contactId"]]
        made = new_thread(desk.data.new_id(), attributes.pop("content"), contact, clock(), **attributes)
        desk.data.threads[ticket["id"]].append(made)
        count(desk.data, ticket["id"])
        return JSONResponse(made, 201)

    async def add_comment(request: Request) -> Response:
        ticket = desk.data.tickets.get(request.path_params["id"])
        if ticket is None:
            return Response(status_code=404)
        attributes: Json = await request.json()
        agent = next(iter(desk.data.agents.values()))
        made = new_comment(desk.data.new_id(), attributes.pop("content"), agent, clock(), **attributes)
        desk.data.comments[ticket["id"]].append(made)
        count(desk.data, ticket["id"])
        return JSONResponse(made, 201)

    def route(method: str, path: str, act: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(f"/_demo/zoho{path}", act, methods=[method])

    return [
        route("POST", "/faults", order_fault),
        route("DELETE", "/faults", clear_faults),
        route("POST", "/reset", reset),
        route("GET", "/requests", requests),
        route("DELETE", "/requests", forget_requests),
        route("DELETE", "/tokens", end_tokens),
        route("PATCH", "/articles/{id}", change_article),
        route("DELETE", "/articles/{id}", purge_article),
        route("PATCH", "/tickets/{id}", change_ticket),
        route("DELETE", "/tickets/{id}", purge_ticket),
        route("POST", "/tickets/{id}/threads", add_thread),
        route("POST", "/tickets/{id}/comments", add_comment),
    ]
