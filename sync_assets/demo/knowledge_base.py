"""The knowledge base of an account, from the Markdown in `articles.yaml`."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from markdown_it import MarkdownIt

from sync_assets.demo.records import AccountData, Json, entities, new_article, new_folder, timestamp

_FIRST = datetime(2026, 11, 2, 8, tzinfo=UTC)
_DAYS = 10
_MARKDOWN = MarkdownIt("commonmark").enable("table")


def markup(markdown: str) -> str:
    """HTML as a rich text editor leaves it."""
    return entities(_MARKDOWN.render(markdown))


def build_knowledge_base(account: AccountData, categories: list[dict[str, Any]]) -> None:
    """Fill the account's categories, folders and articles, with their translations."""
    draw = random.Random(f"articles of {account.tenant}")
    for category in categories:
        account.categories[category["id"]] = {
            "id": category["id"],
            "name": category["name"],
            "description": category.get("about"),
            "created_at": timestamp(_FIRST),
            "updated_at": timestamp(_FIRST),
            "visible_in_portals": [48000000001],
        }
        _name(account, "category", category)
        for folder in category["folders"]:
            _add_folder(account, folder, category["id"], None, draw)


def _add_folder(
    account: AccountData, folder: dict[str, Any], category_id: int, parent_id: int | None, draw: random.Random
) -> None:
    made = new_folder(folder["id"], category_id, folder["name"], folder.get("visibility", 1), parent_id, _FIRST)
    account.folders[folder["id"]] = made
    _name(account, "folder", folder)
    for article in folder.get("articles", []):
        _add_article(account, article, made, draw)
    for inner in folder.get("folders", []):
        _add_folder(account, inner, category_id, folder["id"], draw)


def _add_article(account: AccountData, article: dict[str, Any], folder: Json, draw: random.Random) -> None:
    texts = {account.language: article} | {
        language: article[language] for language in account.translated if language in article
    }
    account.articles[article["id"]] = {}
    for language, text in texts.items():
        created = _FIRST + timedelta(seconds=draw.randrange(_DAYS * 86400))
        updated = created + timedelta(
            seconds=draw.randrange((_FIRST + timedelta(days=_DAYS) - created).days * 86400 + 60)
        )
        account.articles[article["id"]][language] = new_article(
            article["id"],
            folder,
            text["title"],
            markup(text["text"]),
            created,
            agent_id=draw.choice(list(account.agents)),
            status=article.get("status", 2),
            type=article.get("type", 1),
            tags=article.get("tags", []),
            seo_data={"meta_title": text["title"], "meta_description": ""},
            updated_at=timestamp(updated),
            hits=draw.randrange(4, 900),
            thumbs_up=draw.randrange(40),
            thumbs_down=draw.randrange(6),
        )


def _name(account: AccountData, kind: str, item: dict[str, Any]) -> None:
    for language, name in item.get("names", {}).items():
        account.names[kind, item["id"], language] = name
