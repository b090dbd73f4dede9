"""Processors that add facts."""

import re

from sync_assets.documents import Document, Part

_ISSUE_KEY = re.compile(r"\b[A-Z][A-Z0-9]{1,9}-\d{1,7}\b")


def note_issue_keys(part: Part, document: Document) -> Part:
    """Put the keys of issues that a part mentions (`PUMP-12`) into its metadata, to filter by."""
    keys = sorted(set(_ISSUE_KEY.findall(part.text)))
    return part.model_copy(update={"metadata": {**part.metadata, "issue_keys": keys}}) if keys else part
