"""Freshdesk's ticket endpoints: lists, threads and writes."""

from datetime import datetime, timedelta

from sync_assets.demo.protocol import Call, Refusal, checked, found, invalid, page_of
from sync_assets.demo.records import (
    PRIORITIES,
    SOURCES,
    STATUSES,
    AccountData,
    Json,
    add_conversation,
    new_conversation,
    new_ticket,
    plain_text,
    set_status,
    timestamp,
)

MAX_PAGE = 300
_ORDERS = ("created_at", "due_by", "updated_at", "status")
_FILTERS = ("new_and_my_open", "watching", "spam", "deleted")
_LIST_INCLUDES = ("description", "stats", "requester", "company")
_GET_INCLUDES = ("conversations", "stats", "requester", "company")
_ONLY_INCLUDED = ("description", "description_text", "stats", "attachments")
_WRITABLE: dict[str, type] = {
    "subject": str,
    "description": str,
    "status": int,
    "priority": int,
    "source": int,
    "type": str,
    "email": str,
    "requester_id": int,
    "responder_id": int,
    "group_id": int,
    "company_id": int,
    "product_id": int,
    "custom_fields": dict,
    "tags": list,
    "cc_emails": list,
    "due_by": str,
    "fr_due_by": str,
}
_CHOICES = {"status": list(STATUSES), "priority": list(PRIORITIES.values()), "source": list(SOURCES.values())}
_NOTE = {"body": str, "private": bool, "user_id": int, "incoming": bool, "notify_emails": list}
_REPLY = {"body": str, "from_email": str, "user_id": int, "cc_emails": list, "bcc_emails": list}


def sent_ticket(account: AccountData, ticket: Json, include: list[str], *, alone: bool = False) -> Json:
    """A ticket as it stands in a list (`alone=False`) or as the answer to a request for it."""
    sent = {key: value for key, value in ticket.items() if alone or key not in _ONLY_INCLUDED}
    if alone and "stats" not in include:
        del sent["stats"]
    if "description" in include:
        sent |= {key: ticket[key] for key in ("description", "description_text")}
    if "stats" in include:
        sent["stats"] = ticket["stats"]
    if "requester" in include:
        contact = account.contacts.get(ticket["requester_id"], {})
        sent["requester"] = {key: contact.get(key) for key in ("id", "name", "email", "mobile", "phone")}
    if "company" in include:
        company = account.companies.get(ticket["company_id"] or 0)
        sent["company"] = {"id": company["id"], "name": company["name"]} if company else {}
    if "conversations" in include:
        sent["conversations"] = account.conversations[ticket["id"]][:10]
    return sent


def list_tickets(call: Call) -> list[Json]:
    query = call.query
    errors = [
        *_unless_allowed("filter", query.get("filter"), _FILTERS),
        *_unless_allowed("order_by", query.get("order_by"), _ORDERS),
        *_unless_allowed("order_type", query.get("order_type"), ("asc", "desc")),
        *(error for name in call.include for error in _unless_allowed("include", name, _LIST_INCLUDES)),
    ]
    since = None
    if "updated_since" in query:
        try:
            since = timestamp(datetime.fromisoformat(query["updated_since"]))
        except ValueError:
            errors.append(
                ("updated_since", "It should be in the 'combined date and time ISO8601' format", "invalid_value")
            )
    if errors:
        raise invalid(*errors)
    chosen = [ticket for ticket in call.account.tickets.values() if _in_view(ticket, query.get("filter"), call)]
    if since is not None:
        chosen = [ticket for ticket in chosen if ticket["updated_at"] >= since]
    else:
        earliest = timestamp(call.now - timedelta(days=30))
        chosen = [ticket for ticket in chosen if ticket["created_at"] >= earliest]
    order = query.get("order_by", "created_at")
    chosen.sort(key=lambda ticket: (str(ticket[order] or ""), ticket["id"]), reverse=query.get("order_type") != "asc")
    page = page_of(
        call, chosen, MAX_PAGE, "You cannot access tickets beyond the 300th page. Please provide a smaller page number."
    )
    return [sent_ticket(call.account, ticket, call.include) for ticket in page]


def get_ticket(call: Call) -> Json:
    errors = [error for name in call.include for error in _unless_allowed("include", name, _GET_INCLUDES)]
    if errors:
        raise invalid(*errors)
    return sent_ticket(call.account, found(call.account.tickets, call.id), call.include, alone=True)


def list_conversations(call: Call) -> list[Json]:
    found(call.account.tickets, call.id)
    return page_of(call, call.account.conversations[call.id])


def create_ticket(call: Call) -> Json:
    body = checked(call.body, _WRITABLE, required=("subject", "description"), choices=_CHOICES)
    account = call.account
    requester_id = body.pop("requester_id", None) or _contact_with(account, body.pop("email", None))
    if requester_id not in account.contacts:
        raise invalid(("requester_id", "One of these fields is mandatory: requester_id, email", "missing_field"))
    ticket_id = max(account.tickets, default=0) + 1
    company_id = account.contacts[requester_id]["company_id"]
    attributes: Json = {"company_id": company_id} | body | {"requester_id": requester_id}
    ticket = new_ticket(ticket_id, at=call.now, **attributes)
    set_status(ticket, ticket["status"], timestamp(call.now))
    account.tickets[ticket_id] = ticket
    account.conversations[ticket_id] = []
    return sent_ticket(account, ticket, [], alone=True)


def update_ticket(call: Call) -> Json:
    ticket = _live(call)
    body = checked(call.body, _WRITABLE, choices=_CHOICES)
    if "email" in body:
        body["requester_id"] = _contact_with(call.account, body.pop("email"))
    if "description" in body:
        body["description_text"] = plain_text(body["description"])
    if "custom_fields" in body:
        body["custom_fields"] = ticket["custom_fields"] | body["custom_fields"]
    if "status" in body:
        set_status(ticket, body.pop("status"), timestamp(call.now))
    ticket.update(body, updated_at=timestamp(call.now))
    return sent_ticket(call.account, ticket, [], alone=True)


def delete_ticket(call: Call) -> None:
    _live(call).update(deleted=True, updated_at=timestamp(call.now))


def restore_ticket(call: Call) -> None:
    ticket = found(call.account.tickets, call.id)
    if not ticket.pop("deleted", False):
        raise Refusal(404)
    ticket["updated_at"] = timestamp(call.now)


def reply(call: Call) -> Json:
    return _converse(call, checked(call.body, _REPLY, required=("body",)))


def add_note(call: Call) -> Json:
    body = checked(call.body, _NOTE, required=("body",))
    body.pop("notify_emails", None)
    return _converse(call, {"private": True, "source": 2, "category": 2, **body})


def update_conversation(call: Call) -> Json:
    ticket, conversation = _conversation(call)
    if conversation["source"] != 2:
        raise Refusal(400, {"code": "unable_to_perform", "message": "Only notes can be edited."})
    body = checked(call.body, {"body": str}, required=("body",))["body"]
    moment = timestamp(call.now)
    conversation.update(
        body=body,
        body_text=plain_text(body),
        updated_at=moment,
        last_edited_at=moment,
        last_edited_user_id=call.agent_id,
    )
    ticket["updated_at"] = moment
    return conversation


def delete_conversation(call: Call) -> None:
    ticket, conversation = _conversation(call)
    call.account.conversations[ticket["id"]].remove(conversation)
    ticket["updated_at"] = timestamp(call.now)


def _unless_allowed(field: str, value: str | None, allowed: tuple[str, ...]) -> list[tuple[str, str, str]]:
    if value is None or value in allowed:
        return []
    return [(field, f"It should be one of these values: '{','.join(allowed)}'", "invalid_value")]


def _in_view(ticket: Json, view: str | None, call: Call) -> bool:
    deleted, spam = ticket.get("deleted", False), ticket["spam"]
    if view == "deleted":
        return deleted
    if view == "spam":
        return spam and not deleted
    if view == "new_and_my_open":
        return not deleted and not spam and ticket["status"] == 2 and ticket["responder_id"] in (None, call.agent_id)
    return view is None and not deleted and not spam


def _live(call: Call) -> Json:
    ticket = found(call.account.tickets, call.id)
    if ticket.get("deleted"):
        raise Refusal(405, {"message": "Deleted tickets can only be restored."})
    return ticket


def _contact_with(account: AccountData, email: str | None) -> int | None:
    """The contact with this address; a new one where there is none, as Freshdesk makes it."""
    if email is None:
        return None
    known = next((contact["id"] for contact in account.contacts.values() if contact["email"] == email), None)
    if known is not None:
        return known
    contact_id = max(account.contacts) + 1
    pattern = next(iter(account.contacts.values()))
    account.contacts[contact_id] = pattern | {
        "id": contact_id,
        "name": email.split("@")[0],
        "email": email,
        "company_id": None,
        "phone": None,
        "mobile": None,
    }
    return contact_id


def _converse(call: Call, body: Json) -> Json:
    ticket = _live(call)
    attributes: Json = {"user_id": call.agent_id} | body
    account = call.account
    conversation = new_conversation(
        1 + max((item["id"] for thread in account.conversations.values() for item in thread), default=0),
        ticket["id"],
        at=call.now,
        **attributes,
    )
    add_conversation(ticket, account.conversations[ticket["id"]], conversation)
    return conversation


def _conversation(call: Call) -> tuple[Json, Json]:
    for ticket_id, thread in call.account.conversations.items():
        for conversation in thread:
            if conversation["id"] == call.id:
                return call.account.tickets[ticket_id], conversation
    raise Refusal(404)
