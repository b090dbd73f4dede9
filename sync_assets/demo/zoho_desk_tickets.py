"""Zoho Desk's ticket endpoints: tickets with their threads, comments and attachments."""

from sync_assets.demo.files import file_bytes
from sync_assets.demo.records import Json, plain_text
from sync_assets.demo.zoho_desk_protocol import (
    ZohoCall,
    checked,
    chosen,
    found,
    included,
    only,
    ordered,
    page_of,
    refused,
    timestamp,
    unprocessable,
    within,
)
from sync_assets.demo.zoho_desk_records import (
    STATUS_TYPES,
    count,
    found_ticket,
    listed_thread,
    listed_ticket,
    new_comment,
    related,
    set_ticket_status,
)

_INCLUDES = ("contacts", "assignee", "departments", "team", "isRead", "products")
_LARGEST_PAGE = 100
_LARGEST_CONVERSATION_PAGE = 200
_WRITABLE: dict[str, type] = {
    "subject": str,
    "description": str,
    "resolution": str,
    "status": str,
    "priority": str,
    "category": str,
    "classification": str,
    "assigneeId": str,
    "departmentId": str,
}
_COMMENT: dict[str, type] = {"content": str, "isPublic": bool, "contentType": str}


def list_tickets(call: ZohoCall) -> list[Json]:
    """Tickets that are neither archived nor in the trash; spam comes too, with `isSpam`."""
    query = call.query
    only(query, "from", "limit", "sortBy", "include", "departmentId", "status", "priority", "channel")
    tickets = chosen(
        _present(call), query, departmentId="departmentId", status="status", priority="priority", channel="channel"
    )
    tickets = ordered(
        tickets, query, "-createdTime", "createdTime", "customerResponseTime", "responseDueDate", "ticketNumber"
    )
    include = included(query, *_INCLUDES)
    return [listed_ticket(call.account, ticket, include) for ticket in page_of(call, tickets, _LARGEST_PAGE)]


def search_tickets(call: ZohoCall) -> Json | None:
    """Tickets by what they hold, with the number of all that match; nothing at all where none does."""
    query = call.query
    only(
        query,
        *("from", "limit", "sortBy", "modifiedTimeRange", "createdTimeRange", "customerResponseTimeRange"),
        *("departmentId", "status", "priority", "channel", "ticketNumber", "accountId", "contactId"),
    )
    tickets = _present(call)
    for name in ("modifiedTime", "createdTime", "customerResponseTime"):
        tickets = within(tickets, query, f"{name}Range", name)
    names = ("departmentId", "status", "priority", "channel", "ticketNumber", "accountId", "contactId")
    tickets = chosen(tickets, query, **{name: name for name in names})
    tickets = ordered(tickets, query, "-createdTime", "createdTime", "modifiedTime", "customerResponseTime")
    page = [found_ticket(ticket) for ticket in page_of(call, tickets, _LARGEST_PAGE)]
    return {"data": page, "count": len(tickets)} if page else None


def list_archived(call: ZohoCall) -> list[Json]:
    only(call.query, "from", "limit", "departmentId")
    if "departmentId" not in call.query:
        raise unprocessable("The parameter 'departmentId' is missing.")
    tickets = [ticket for ticket in call.account.tickets.values() if ticket["isArchived"] and not ticket["isTrashed"]]
    tickets = chosen(tickets, call.query, departmentId="departmentId")
    return [listed_ticket(call.account, ticket, ()) for ticket in page_of(call, tickets, _LARGEST_PAGE)]


def get_ticket(call: ZohoCall) -> Json:
    """A ticket, in the archive or the trash too."""
    only(call.query, "include")
    ticket = found(call.account.tickets, call.path["id"])
    return ticket | related(call.account, ticket, included(call.query, *_INCLUDES))


def update_ticket(call: ZohoCall) -> Json:
    ticket = _live(call)
    body = checked(call.body, _WRITABLE)
    moment = timestamp(call.now)
    if "status" in body:
        if body["status"] not in STATUS_TYPES:
            raise refused(422, "INVALID_DATA", "The data is invalid due to validation restrictions")
        set_ticket_status(ticket, body.pop("status"), moment)
    ticket.update(body, modifiedTime=moment)
    return ticket


def trash_tickets(call: ZohoCall) -> None:
    """Move the tickets with the given ids to the trash."""
    body = checked(call.body, {"ticketIds": list}, "ticketIds")
    for ticket_id in body["ticketIds"]:
        found(call.account.tickets, ticket_id).update(isTrashed=True, isDeleted=True, modifiedTime=timestamp(call.now))


def list_threads(call: ZohoCall) -> list[Json]:
    """Threads with their first words only, newest first; drafts are among them."""
    only(call.query, "from", "limit", "sortBy")
    threads = ordered(_threads(call), call.query, "-createdTime", "createdTime")
    return [listed_thread(thread) for thread in page_of(call, threads, _LARGEST_PAGE)]


def get_thread(call: ZohoCall) -> Json:
    """A whole thread, with the plain text of its content where `include=plainText` asks for it."""
    only(call.query, "include")
    thread = found({item["id"]: item for item in _threads(call)}, call.path["part"])
    plain = "plainText" in included(call.query, "plainText")
    return thread | ({"plainText": plain_text(thread["content"])} if plain else {})


def get_latest_thread(call: ZohoCall) -> Json | None:
    only(call.query, "needPublic", "threadStatus")
    threads = _threads(call)
    return threads[-1] if threads else None


def list_comments(call: ZohoCall) -> list[Json]:
    only(call.query, "from", "limit", "sortBy", "include")
    included(call.query, "mentions", "plainText")
    comments = ordered(_comments(call), call.query, "-commentedTime", "commentedTime")
    return page_of(call, comments, _LARGEST_PAGE)


def get_comment(call: ZohoCall) -> Json:
    return found({item["id"]: item for item in _comments(call)}, call.path["part"])


def add_comment(call: ZohoCall) -> Json:
    ticket = _live(call)
    body = checked(call.body, _COMMENT, "content")
    commenter = next(iter(call.account.agents.values()))
    comment = new_comment(call.account.new_id(), body.pop("content"), commenter, call.now, **body)
    call.account.comments[ticket["id"]].append(comment)
    _changed(call, ticket)
    return comment


def update_comment(call: ZohoCall) -> Json:
    ticket = _live(call)
    comment = get_comment(call)
    comment.update(checked(call.body, _COMMENT), modifiedTime=timestamp(call.now))
    _changed(call, ticket)
    return comment


def delete_comment(call: ZohoCall) -> None:
    ticket = _live(call)
    call.account.comments[ticket["id"]].remove(get_comment(call))
    _changed(call, ticket)


def list_conversations(call: ZohoCall) -> list[Json]:
    """Threads and comments of a ticket as their lists send them, newest first; drafts and private ones too."""
    only(call.query, "from", "limit")
    entries = [
        *((item["createdTime"], listed_thread(item) | {"type": "thread"}) for item in _threads(call)),
        *((item["commentedTime"], item | {"type": "comment"}) for item in _comments(call)),
    ]
    entries.sort(key=lambda entry: entry[0], reverse=True)
    return page_of(call, [item for _, item in entries], _LARGEST_CONVERSATION_PAGE)


def list_attachments(call: ZohoCall) -> list[Json]:
    only(call.query, "from", "limit", "sortBy", "include", "isPublic")
    found(call.account.tickets, call.path["id"])
    return page_of(call, call.account.attachments[call.path["id"]], _LARGEST_PAGE)


def get_attachment(call: ZohoCall) -> bytes:
    """What a file holds."""
    found(call.account.tickets, call.path["id"])
    files = {item["id"]: item for item in call.account.attachments[call.path["id"]]}
    return file_bytes(found(files, call.path["part"])["name"])


def _present(call: ZohoCall) -> list[Json]:
    return [item for item in call.account.tickets.values() if not item["isArchived"] and not item["isTrashed"]]


def _threads(call: ZohoCall) -> list[Json]:
    return found(call.account.threads, call.path["id"])


def _comments(call: ZohoCall) -> list[Json]:
    return found(call.account.comments, call.path["id"])


def _live(call: ZohoCall) -> Json:
    ticket = found(call.account.tickets, call.path["id"])
    if ticket["isTrashed"] or ticket["isArchived"]:
        raise refused(422, "UNPROCESSABLE_ENTITY", "The ticket is in the trash or archived and can't be changed.")
    return ticket


def _changed(call: ZohoCall, ticket: Json) -> None:
    count(call.account, ticket["id"])
    ticket["modifiedTime"] = timestamp(call.now)
