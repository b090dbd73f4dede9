"""Files that Slack's messages share: which of them can be read, and how their bytes are told from a login page.

What belongs here: the facts of Slack's file objects that say where a file's bytes are. What does not: how a message
names its files (`slack_text.py`), and how bytes are fetched (`files.py`).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sync_assets.documents import Attachment, Visibility
from sync_assets.errors import FileUnavailable
from sync_assets.sources.files import FileClient
from sync_assets.sources.slack_text import file_name, files_of

Json = dict[str, Any]

HOME = "https://files.slack.com"

# Uploads and snippets. Posts and canvases are changed all the time and come as pages of Slack's own.
_READ_MODES = ("hosted", "snippet")
# A file of another workspace, of which a message holds the id alone.
_ASK_FIRST = "check_file_info"
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.I | re.S)
_REMEDY = "Where Slack asks for a login, give the app the scope files:read, install it again, and check its token."


def attachments_of(messages: Iterable[Json], visibility: Visibility, principals: Sequence[str]) -> list[Attachment]:
    """The files of messages that can be asked for, each once however often it is shared.

    A locator is the file's id and its size, where Slack tells it: a snippet that was edited keeps its id.
    """
    found: dict[str, Attachment] = {}
    for file in (file for message in messages for file in files_of(message)):
        file_id, size = file.get("id"), _size(file)
        if not isinstance(file_id, str) or not file_id.isalnum() or file_id in found:
            continue
        if file.get("file_access") == _ASK_FIRST or _is_kept(file):
            content_type = file.get("mimetype")
            found[file_id] = Attachment(
                locator=file_id if size is None else f"{file_id}/{size}",
                path=f"attachment-{file_id}",
                name=file_name(file) or file_id,
                content_type=content_type if isinstance(content_type, str) else "",
                size=size,
                visibility=visibility,
                principals=list(principals),
            )
    return list(found.values())


def download(client: FileClient, file: Any, max_bytes: int) -> bytes:
    """The bytes of a file as `files.info` describes it.

    Raises:
        FileUnavailable: Slack does not hold it, or gives it to people only who log in.
        SourceError: no answer after all attempts.
    """
    address = file.get("url_private_download") if isinstance(file, dict) and _is_kept(file) else None
    if not isinstance(address, str):
        raise FileUnavailable("Slack does not hold it any more, or never did.")
    size = _size(file)
    if size is not None and size > max_bytes:
        raise FileUnavailable(f"it has {size} bytes, more than max_bytes={max_bytes} allows.")
    try:
        data = client.read(address, max_bytes)
    except FileUnavailable as error:
        # Some are led away to their workspace's login.
        raise FileUnavailable(f"{error.message}.", _REMEDY) from None
    if _PAGE.match(data) and len(data) != size:
        raise FileUnavailable("Slack answered with a page of its own in place of it.", _REMEDY)
    return data


def _is_kept(file: Json) -> bool:
    """Whether Slack itself holds the bytes of a file, and shows them."""
    return file.get("mode") in _READ_MODES and file.get("is_external") is not True


def _size(file: Json) -> int | None:
    size = file.get("size")
    return size if isinstance(size, int) else None
