"""Zoho Desk's knowledge base endpoints: articles, their translations and the category tree."""

from sync_assets.demo.records import Json
from sync_assets.demo.zoho_desk_protocol import (
    ZohoCall,
    checked,
    chosen,
    found,
    only,
    ordered,
    page_of,
    refused,
    timestamp,
    unprocessable,
    within,
)
from sync_assets.demo.zoho_desk_records import (
    link_translations,
    listed_article,
    new_article,
    revise,
    set_answer,
    set_article_status,
)

STATUSES = ("Draft", "Published", "Review", "Expired", "Unpublished")
_PERMISSIONS = ("ALL", "REGISTEREDUSERS", "AGENTS", "USERGROUPS")
_LARGEST_PAGE = 50
_WRITABLE: dict[str, type] = {
    "title": str,
    "answer": str,
    "status": str,
    "permission": str,
    "categoryId": str,
    "tags": list,
}


def list_articles(call: ZohoCall) -> list[Json]:
    """Articles of every status, trashed ones included, in the language that they were written in."""
    query = call.query
    only(
        query,
        *("from", "limit", "sortBy", "modifiedTimeRange", "status", "categoryId", "departmentId", "permission"),
    )
    for status in query.get("status", "Draft").split(","):
        if status not in STATUSES:
            raise unprocessable(f"The value '{status}' passed for the parameter 'status' is not allowed.")
    articles = [translations[call.account.locale] for translations in call.account.articles.values()]
    articles = within(articles, query, "modifiedTimeRange", "modifiedTime")
    articles = chosen(
        articles, query, status="status", categoryId="categoryId", departmentId="departmentId", permission="permission"
    )
    articles = ordered(
        articles, query, "-createdTime", "createdTime", "modifiedTime", "viewCount", "likeCount", "position"
    )
    return [listed_article(article) for article in page_of(call, articles, _LARGEST_PAGE)]


def get_article(call: ZohoCall) -> Json:
    """An article in its latest version, or in the one that `version` names."""
    return _in_version(call, found(call.account.articles, call.path["id"])[call.account.locale])


def list_translations(call: ZohoCall) -> list[Json]:
    only(call.query, "from", "limit")
    translations = found(call.account.articles, call.path["id"])
    return [listed_article(article) for article in page_of(call, list(translations.values()), _LARGEST_PAGE)]


def get_translation(call: ZohoCall) -> Json:
    """A translation, likewise."""
    return _in_version(call, found(found(call.account.articles, call.path["id"]), call.path["locale"]))


def create_article(call: ZohoCall) -> Json:
    account = call.account
    body = checked(call.body, _WRITABLE, "title", "answer", "categoryId", "status", "permission")
    _check_choices(body)
    status, answer = body.pop("status"), body.pop("answer")
    category = _category(call, body.pop("categoryId"))
    article = new_article(account, account.new_id(), body.pop("title"), answer, category, call.now, **body)
    set_article_status(article, status)
    account.articles[article["id"]] = {account.locale: article}
    link_translations(account, account.articles[article["id"]])
    return article


def update_article(call: ZohoCall) -> Json:
    """Change an article, or a translation where the path names its locale."""
    translations = found(call.account.articles, call.path["id"])
    article = found(translations, call.path.get("locale", call.account.locale))
    body = checked(call.body, _WRITABLE)
    _check_choices(body)
    if "title" in body or "answer" in body:
        revise(call.account, article)
    if "answer" in body:
        set_answer(article, body.pop("answer"))
    if "status" in body:
        set_article_status(article, body.pop("status"))
    if "categoryId" in body:
        category = _category(call, body["categoryId"])
        body["category"] = {"id": category["id"], "name": category["name"], "locale": article["locale"]}
    article.update(body)
    _touch(call, article)
    return article


def trash_articles(call: ZohoCall) -> None:
    """Move the articles with the given ids to the trash, translations included."""
    body = checked(call.body, {"ids": list}, "ids")
    for article_id in body["ids"]:
        translations = found(call.account.articles, article_id)
        for article in translations.values():
            article["isTrashed"] = True
            _touch(call, article)
        link_translations(call.account, translations)


def list_root_categories(call: ZohoCall) -> list[Json]:
    only(call.query, "from", "limit", "include", "departmentId")
    categories = chosen(call.account.categories, call.query, departmentId="departmentId")
    rows = [{name: value for name, value in item.items() if name != "children"} for item in categories]
    return page_of(call, rows, _LARGEST_PAGE)


def get_category_tree(call: ZohoCall) -> Json:
    return found({item["id"]: item for item in call.account.categories}, call.path["id"])


def _in_version(call: ZohoCall, article: Json) -> Json:
    only(call.query, "version")
    version = call.query.get("version", article["latestVersion"])
    if version == article["latestVersion"]:
        return article
    words = found(call.account.versions.get(article["translationId"], {}), version)
    return article | words | {"currentVersion": version}


def _touch(call: ZohoCall, article: Json) -> None:
    """Move the time of a changed article; that of a translation moves its article's too."""
    call.account.articles[article["id"]][call.account.locale]["modifiedTime"] = timestamp(call.now)
    article["modifiedTime"] = timestamp(call.now)


def _check_choices(body: Json) -> None:
    for name, choices in (("status", STATUSES), ("permission", _PERMISSIONS)):
        if name in body and body[name] not in choices:
            raise refused(
                422,
                "INVALID_DATA",
                "The data is invalid due to validation restrictions",
                errors=[{"fieldName": f"/{name}", "errorType": "invalid", "errorMessage": ""}],
            )


def _category(call: ZohoCall, category_id: str) -> Json:
    nodes = [node for root in call.account.categories for node in (root, *root["children"])]
    return found({node["id"]: node for node in nodes}, category_id)
