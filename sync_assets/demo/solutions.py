"""Freshdesk's knowledge base endpoints: categories, folders, articles and their translations."""

from collections.abc import Callable

from sync_assets.demo.protocol import Call, Refusal, checked, found, invalid, page_of
from sync_assets.demo.records import AccountData, Json, new_article, plain_text, timestamp

_WRITABLE: dict[str, type] = {
    "title": str,
    "description": str,
    "type": int,
    "status": int,
    "agent_id": int,
    "tags": list,
    "seo_data": dict,
}
_CHOICES = {"type": [1, 2], "status": [1, 2]}


def list_categories(call: Call) -> list[Json]:
    language = _language(call)
    return page_of(call, [_named(call.account, "category", item, language) for item in _in(call, "category", language)])


def get_category(call: Call) -> Json:
    language = _language(call)
    category = found(call.account.categories, call.id)
    _translated(call.account, "category", category, language)
    return _named(call.account, "category", category, language)


def list_folders(call: Call) -> list[Json]:
    found(call.account.categories, call.id)
    return _folders(call, lambda folder: folder["category_id"] == call.id and folder["parent_folder_id"] is None)


def list_subfolders(call: Call) -> list[Json]:
    found(call.account.folders, call.id)
    return _folders(call, lambda folder: folder["parent_folder_id"] == call.id)


def get_folder(call: Call) -> Json:
    language = _language(call)
    folder = found(call.account.folders, call.id)
    _translated(call.account, "folder", folder, language)
    return _sent_folder(call.account, folder, language)


def list_articles(call: Call) -> list[Json]:
    found(call.account.folders, call.id)
    language = _language(call)
    return page_of(
        call,
        [
            sent_article(call.account, article, language)
            for translations in call.account.articles.values()
            for article in [translations.get(language)]
            if article is not None and article["folder_id"] == call.id
        ],
    )


def get_article(call: Call) -> Json:
    language = _language(call)
    return sent_article(call.account, _article(call, language), language)


def create_article(call: Call) -> Json:
    """A new article in a folder, or a translation of an existing one where the path names a language."""
    account, language = call.account, _language(call)
    body = checked(call.body, _WRITABLE, required=("title", "description"), choices=_CHOICES)
    if "language" in call.path:
        article_id = call.id
        translations = found(account.articles, article_id)
        if language in translations:
            raise Refusal(405, {"message": "POST method is not allowed. It should be one of these method(s): GET, PUT"})
        folder = account.folders[translations[account.language]["folder_id"]]
    else:
        article_id = max(account.articles, default=0) + 1
        folder = found(account.folders, call.id)
    attributes: Json = {"status": 1, "agent_id": call.agent_id} | body
    article = new_article(article_id, folder, at=call.now, **attributes)
    account.articles.setdefault(article_id, {})[language] = article
    return sent_article(account, article, language)


def update_article(call: Call) -> Json:
    language = _language(call)
    article = _article(call, language)
    body = checked(call.body, {**_WRITABLE, "folder_id": int}, choices=_CHOICES)
    if "description" in body:
        body["description_text"] = plain_text(body["description"])
    if "folder_id" in body:
        folder = call.account.folders.get(body["folder_id"])
        if folder is None:
            raise invalid(("folder_id", "There is no folder matching the given folder_id", "invalid_value"))
        for translation in call.account.articles[call.id].values():
            translation.update(folder_id=folder["id"], category_id=folder["category_id"])
    article.update(body, updated_at=timestamp(call.now))
    return sent_article(call.account, article, language)


def delete_article(call: Call) -> None:
    found(call.account.articles, call.id)
    del call.account.articles[call.id]


def sent_article(account: AccountData, article: Json, language: str) -> Json:
    """An article as Freshdesk sends it: with the path to it, whose entries carry the language."""
    return {**article, "hierarchy": _hierarchy(account, account.folders[article["folder_id"]], language)}


def _folders(call: Call, chosen: Callable[[Json], bool]) -> list[Json]:
    language = _language(call)
    folders = [folder for folder in _in(call, "folder", language) if chosen(folder)]
    return page_of(call, [_sent_folder(call.account, folder, language) for folder in folders])


def _sent_folder(account: AccountData, folder: Json, language: str) -> Json:
    return {
        **_named(account, "folder", folder, language),
        "articles_count": sum(
            translations[account.language]["folder_id"] == folder["id"] for translations in account.articles.values()
        ),
        "sub_folders_count": sum(other["parent_folder_id"] == folder["id"] for other in account.folders.values()),
        "hierarchy": _hierarchy(account, folder, language)[:-1],
    }


def _hierarchy(account: AccountData, folder: Json, language: str) -> list[Json]:
    folders = [folder]
    while folders[0]["parent_folder_id"] is not None:
        folders.insert(0, account.folders[folders[0]["parent_folder_id"]])
    places = [("category", account.categories[folder["category_id"]]), *(("folder", item) for item in folders)]
    return [
        {
            "level": level,
            "type": kind,
            "data": {"id": item["id"], "name": _named(account, kind, item, language)["name"], "language": language},
        }
        for level, (kind, item) in enumerate(places)
    ]


def _language(call: Call) -> str:
    language = call.path.get("language", call.account.language)
    if language != call.account.language and language not in call.account.translated:
        raise Refusal(404)
    return language


def _in(call: Call, kind: str, language: str) -> list[Json]:
    items = call.account.categories if kind == "category" else call.account.folders
    return [
        item
        for item in items.values()
        if language == call.account.language or (kind, item["id"], language) in call.account.names
    ]


def _translated(account: AccountData, kind: str, item: Json, language: str) -> None:
    if language != account.language and (kind, item["id"], language) not in account.names:
        raise Refusal(404)


def _named(account: AccountData, kind: str, item: Json, language: str) -> Json:
    return {**item, "name": account.names.get((kind, item["id"], language), item["name"])}


def _article(call: Call, language: str) -> Json:
    article = found(call.account.articles, call.id).get(language)
    if article is None:
        raise Refusal(404)
    return article
