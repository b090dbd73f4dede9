"""Jupyter notebooks: what was written in them, and not what they gave when they ran."""

import json
import re
from typing import Any

from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.reading import Reading

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9+#._-]{0,29}")


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One Markdown part, `body`, with the cells of code between fences."""
    notebook = json.loads(file.text)
    facts = notebook.get("metadata", {})
    declared = _language(facts.get("language_info"), "name") or _language(facts.get("kernelspec"), "language")
    language = declared or "python"
    outputs = sum(bool(cell.get("outputs")) for cell in notebook["cells"])
    if outputs:
        reading.notes.append(f"outputs of {outputs} {'cell' if outputs == 1 else 'cells'} left out")
    blocks = [_block(cell, language) for cell in notebook["cells"]]
    return [ExtractedPart("body", "body", "\n\n".join(block for block in blocks if block), {"language": language})]


def _language(facts: Any, key: str) -> str:
    """What these facts say, where it is the name of a language and no text of any kind."""
    name = facts.get(key) if isinstance(facts, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _block(cell: dict[str, Any], language: str) -> str:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    if not source.strip() or cell["cell_type"] != "code":
        return source.strip()
    fence = "```" if "```" not in source else "````"
    return f"{fence}{language}\n{source.strip()}\n{fence}"
