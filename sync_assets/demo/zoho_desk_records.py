"""Zoho Desk's objects as its API sends them: made here for the starting data and for every write alike."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sync_assets.demo.records import Json, plain_text
from sync_assets.demo.zoho_desk_protocol import ZohoData, timestamp

SUMMARY = 200
STATUS_TYPES = {
    "Open": "Open",
    "Waiting for Installer": "On Hold",
    "Part Ordered": "On Hold",
    "Escalated": "Open",
    "Closed": "Closed",
}

_ONLY_IN_AN_ARTICLE = (
    "answer",
    "attachments",
    "currentVersion",
    "isFollowing",
    "metrics",
    "myVote",
    "reviewedBy",
    "reviewedTime",
    "seo",
    "tags",
)
_IN_TICKET_LIST = (
    "id",
    "ticketNumber",
    "layoutId",
    "email",
    "phone",
    "subject",
    "status",
    "statusType",
    "createdTime",
    "category",
    "language",
    "subCategory",
    "priority",
    "channel",
    "dueDate",
    "responseDueDate",
    "commentCount",
    "sentiment",
    "threadCount",
    "closedTime",
    "onholdTime",
    "departmentId",
    "contactId",
    "productId",
    "assigneeId",
    "teamId",
    "channelCode",
    "webUrl",
    "isSpam",
    "customerResponseTime",
    "isArchived",
    "source",
)
_IN_TICKET_SEARCH = (
    *_IN_TICKET_LIST,
    "modifiedTime",
    "description",
    "resolution",
    "isOverDue",
    "isEscalated",
    "classification",
    "accountId",
    "createdBy",
    "modifiedBy",
    "customFields",
    "cf",
    "slaId",
)
_IN_THREAD_LIST = (
    "id",
    "channel",
    "canReply",
    "contentType",
    "hasAttach",
    "status",
    "summary",
    "author",
    "attachmentCount",
    "channelRelatedInfo",
    "respondedIn",
    "readReceipts",
    "impersonatedUser",
    "source",
    "isDescriptionThread",
    "visibility",
    "createdTime",
    "actions",
    "direction",
)


def summary(markup: str) -> str:
    """The first words of a text, without markup."""
    text = plain_text(markup)
    return text if len(text) <= SUMMARY else f"{text[:SUMMARY]}..."


def named_agent(agent: Json) -> Json:
    """An agent as an article names its author, owner or editor."""
    return {"photoURL": None, "name": agent["name"], "id": agent["id"], "status": "ACTIVE", "zuid": agent["zuid"]}


def new_article(
    account: ZohoData, article_id: str, title: str, answer: str, category: Json, at: datetime, **attributes: Any
) -> Json:
    """An article with every attribute that Zoho Desk sends; `attributes` overrides the defaults."""
    author = next(iter(account.agents.values()))
    permalink = "-".join("".join(letter if letter.isalnum() else " " for letter in title.lower()).split())
    person = named_agent(author)
    article: Json = {
        "id": article_id,
        "title": title,
        "permalink": permalink,
        "answer": answer,
        "summary": summary(answer),
        "status": "Draft",
        "permission": "ALL",
        "locale": account.locale,
        "sourceLocale": account.locale,
        "translationId": account.new_id(),
        "translationState": "UP-TO-DATE",
        "translationSource": None,
        "availableLocaleTranslations": [],
        "category": {"id": category["id"], "name": category["name"], "locale": account.locale},
        "categoryId": category["id"],
        "rootCategoryId": category["rootCategoryId"],
        "departmentId": category["departmentId"],
        "webUrl": f"{account.host}/support/{account.portal}/ShowHomePage.do#Solutions/dv/{article_id}",
        "portalUrl": f"{account.host}/portal/en/kb/articles/{permalink}",
        "createdTime": timestamp(at),
        "modifiedTime": timestamp(at),
        **dict.fromkeys(("author", "owner", "createdBy", "modifiedBy", "latestVersionModifiedBy"), person),
        **dict.fromkeys(("authorId", "ownerId", "creatorId", "modifierId", "latestVersionModifierId"), author["id"]),
        "latestVersion": "1.0",
        "latestVersionStatus": "Draft",
        "latestPublishedVersion": "",
        "currentVersion": "1.0",
        **dict.fromkeys(
            (
                "viewCount",
                "likeCount",
                "dislikeCount",
                "usageCount",
                "commentCount",
                "feedbackCount",
                "attachmentCount",
                "templateUsageCount",
                "templateUsedUsersCount",
                "position",
            ),
            "0",
        ),
        "templateLastUpdatedTime": None,
        "isTemplate": False,
        "isTrashed": False,
        "isLocked": False,
        "isFollowing": False,
        "articleNumber": None,
        "expiryDate": None,
        "reviewedBy": None,
        "reviewedTime": None,
        "myVote": None,
        "metrics": {},
        "seo": {"isEnabled": True, "title": None, "description": None, "keywords": None},
        "tags": [],
        "attachments": [],
    }
    return article | attributes


def set_article_status(article: Json, status: str) -> None:
    """Change the status of an article and of its latest version; its time stays as it is."""
    article.update(status=status, latestVersionStatus=status)
    if status == "Published":
        article["latestPublishedVersion"] = article["latestVersion"]


def revise(account: ZohoData, article: Json) -> None:
    """Keep an article's words as an older version and begin the next one, of the article's own status."""
    words = {name: article[name] for name in ("title", "answer")}
    account.versions.setdefault(article["translationId"], {})[article["latestVersion"]] = words
    version = f"{int(article['latestVersion'].partition('.')[0]) + 1}.0"
    article.update(latestVersion=version, currentVersion=version)
    set_article_status(article, article["status"])


def set_answer(article: Json, answer: str) -> None:
    """Change an article's text and what follows from it."""
    article.update(answer=answer, summary=summary(answer))


def link_translations(account: ZohoData, translations: dict[str, Json]) -> None:
    """Tell every translation of an article which others there are, itself included."""
    links = [
        {
            "locale": locale,
            "href": f"{account.host}/api/v1/articles/{article['id']}/translations/{locale}",
            "webUrl": f"{article['webUrl']}/{locale}",
            "isLocked": article["isLocked"],
            "isTrashed": article["isTrashed"],
        }
        for locale, article in translations.items()
    ]
    for article in translations.values():
        article["availableLocaleTranslations"] = links


def listed_article(article: Json) -> Json:
    """An article as the list sends it: with its summary, without its answer."""
    return {name: value for name, value in article.items() if name not in _ONLY_IN_AN_ARTICLE}


def new_ticket(
    account: ZohoData, ticket_id: str, number: int, subject: str, contact: Json, at: datetime, **attributes: Any
) -> Json:
    """A ticket with every attribute that Zoho Desk sends; `attributes` overrides the defaults."""
    moment = timestamp(at)
    ticket: Json = {
        "id": ticket_id,
        "ticketNumber": str(number),
        "subject": subject,
        "description": None,
        "resolution": None,
        "departmentId": account.departments[0]["id"],
        "contactId": contact["id"],
        "accountId": contact["accountId"],
        "email": contact["email"],
        "phone": contact["phone"],
        "assigneeId": None,
        "teamId": None,
        "productId": None,
        "layoutId": account.departments[0]["layoutId"],
        "layoutDetails": {"id": account.departments[0]["layoutId"], "layoutName": account.departments[0]["name"]},
        "status": "Open",
        "statusType": "Open",
        "priority": None,
        "category": None,
        "subCategory": None,
        "classification": None,
        "channel": "Email",
        "channelCode": None,
        "channelRelatedInfo": None,
        "source": {"appName": None, "extId": None, "permalink": None, "type": "SYSTEM", "appPhotoURL": None},
        "language": "English",
        "sentiment": None,
        "slaId": None,
        "createdBy": contact["id"],
        "modifiedBy": contact["id"],
        "createdTime": moment,
        "modifiedTime": moment,
        "customerResponseTime": moment,
        "closedTime": None,
        "onholdTime": None,
        "dueDate": None,
        "responseDueDate": None,
        **dict.fromkeys(("isSpam", "isArchived", "isTrashed", "isDeleted", "isEscalated", "isOverDue"), False),
        **dict.fromkeys(("isResponseOverdue", "isFollowing"), False),
        **dict.fromkeys(("threadCount", "commentCount", "attachmentCount", "taskCount", "approvalCount"), "0"),
        **dict.fromkeys(("timeEntryCount", "followerCount", "tagCount"), "0"),
        "secondaryContacts": [],
        "sharedDepartments": [],
        "entitySkills": [],
        "customFields": {"Serial number": None, "Installed on": None},
        "cf": {"cf_serial_number": None, "cf_installed_on": None},
        "webUrl": f"{account.host}/support/{account.portal}/ShowHomePage.do#Cases/dv/{ticket_id}",
    }
    return ticket | attributes


def set_ticket_status(ticket: Json, status: str, moment: str) -> None:
    """Change the status and what follows from it; a name that the account does not know keeps its kind."""
    kind = STATUS_TYPES.get(status, ticket["statusType"])
    ticket.update(
        status=status,
        statusType=kind,
        closedTime=moment if kind == "Closed" else None,
        onholdTime=moment if kind == "On Hold" else None,
    )


def listed_ticket(account: ZohoData, ticket: Json, include: Iterable[str]) -> Json:
    """A ticket as the list sends it: without its modification time and its description."""
    row = {name: ticket[name] for name in _IN_TICKET_LIST} | {"lastThread": last_thread(account, ticket["id"])}
    return row | related(account, ticket, include)


def related(account: ZohoData, ticket: Json, include: Iterable[str]) -> Json:
    """What `include=` adds to a ticket."""
    objects: Json = {
        "contacts": ("contact", account.contacts.get(ticket["contactId"])),
        "assignee": ("assignee", account.agents.get(ticket["assigneeId"])),
        "departments": ("department", _department(account, ticket["departmentId"])),
        "team": ("team", None),
        "isRead": ("isRead", True),
        "products": ("product", None),
    }
    return dict(objects[name] for name in include)


def found_ticket(ticket: Json) -> Json:
    """A ticket as the search sends it: with its modification time, description and resolution."""
    return {name: ticket[name] for name in _IN_TICKET_SEARCH}


def last_thread(account: ZohoData, ticket_id: str) -> Json | None:
    """What the ticket list says of a ticket's latest thread."""
    threads = account.threads[ticket_id]
    if not threads:
        return None
    last = threads[-1]
    return {
        "channel": last["channel"],
        "isDraft": last["status"] == "DRAFT",
        "isForward": last["isForward"],
        "direction": last["direction"],
    }


def new_thread(thread_id: str, content: str, author: Json, at: datetime, **attributes: Any) -> Json:
    """A mail with every attribute that Zoho Desk sends; `attributes` overrides the defaults.

    Args:
        author: a contact or an agent of the account.
    """
    incoming = author["type"] == "END_USER"
    thread: Json = {
        "id": thread_id,
        "channel": "EMAIL",
        "direction": "in" if incoming else "out",
        "status": "SUCCESS",
        "visibility": "public",
        "summary": summary(content),
        "content": content,
        "contentType": "text/html",
        "isContentTruncated": False,
        "fullContentURL": None,
        "isDescriptionThread": False,
        "isForward": False,
        "canReply": True,
        "responderId": None if incoming else author["id"],
        "createdTime": timestamp(at),
        "fromEmailAddress": f'"{author["name"]}"<{author["email"]}>',
        "to": "",
        "cc": "",
        "bcc": "",
        "replyTo": None,
        "author": {
            "id": author["id"],
            "name": author["name"],
            "firstName": author["firstName"],
            "lastName": author["lastName"],
            "email": None if incoming else author["email"],
            "photoURL": None,
            "type": author["type"],
        },
        "hasAttach": False,
        "attachmentCount": "0",
        "attachments": [],
        "actions": [],
        "channelRelatedInfo": None,
        "respondedIn": None,
        "readReceipts": None,
        "impersonatedUser": None,
        "source": {"appName": None, "extId": None, "permalink": None, "type": "SYSTEM", "appPhotoURL": None},
    }
    return thread | attributes


def listed_thread(thread: Json) -> Json:
    """A thread as the list sends it: with its first words only."""
    row = {name: thread[name] for name in _IN_THREAD_LIST}
    return row | ({"isDraft": True} if thread["status"] == "DRAFT" else {})


def new_comment(comment_id: str, content: str, commenter: Json, at: datetime, **attributes: Any) -> Json:
    """A private comment with every attribute that Zoho Desk sends; `attributes` overrides the defaults."""
    comment: Json = {
        "id": comment_id,
        "content": content,
        "contentType": "html",
        "isPublic": False,
        "commentedTime": timestamp(at),
        "modifiedTime": None,
        "commenterId": commenter["id"],
        "commenter": {
            "id": commenter["id"],
            "name": commenter["name"],
            "firstName": commenter["firstName"],
            "lastName": commenter["lastName"],
            "email": commenter["email"],
            "type": commenter["type"],
            "roleName": commenter.get("roleName"),
            "photoURL": None,
        },
        "mention": [],
        "attachments": [],
    }
    return comment | attributes


def count(account: ZohoData, ticket_id: str) -> None:
    """Write a ticket's counts and the customer's latest word anew after a change of its threads or comments.

    The ticket's modification time stays as it is.
    """
    threads, comments = account.threads[ticket_id], account.comments[ticket_id]
    ticket = account.tickets[ticket_id]
    ticket.update(
        threadCount=str(len(threads)),
        commentCount=str(len(comments)),
        attachmentCount=str(len(account.attachments[ticket_id])),
        customerResponseTime=max(
            [item["createdTime"] for item in threads if item["direction"] == "in"], default=ticket["createdTime"]
        ),
    )


def new_attachment(account: ZohoData, ticket_id: str, name: str, size: int, owner: Json, at: datetime) -> Json:
    """A file of a thread or comment."""
    attachment_id = account.new_id()
    return {
        "id": attachment_id,
        "name": name,
        "size": str(size),
        "isPublic": True,
        "createdTime": timestamp(at),
        "creatorId": owner["id"],
        "href": f"{account.host}/api/v1/tickets/{ticket_id}/attachments/{attachment_id}/content",
    }


def _department(account: ZohoData, department_id: str) -> Json | None:
    named = {item["id"]: {"id": item["id"], "name": item["name"]} for item in account.departments}
    return named.get(department_id)
