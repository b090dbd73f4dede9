"""Jupyter notebooks: what was written in them, and not what they gave when they ran."""

import json
from typing import Any

from sync_assets.attachments.extracted import ExtractedPart
from sync_assets.attachments.kinds import File
from sync_assets.attachments.reading import Reading


def read(file: File, reading: Reading) -> list[ExtractedPart]:
    """One Markdown part, `body`, with the cells of code between fences."""
    notebook = json.loads(file.text)
    facts = notebook.get("metadata", {})
    language = facts.get("language_info", {}).get("name") or facts.get("kernelspec", {}).get("language") or "python"
    outputs = sum(bool(cell.get("outputs")) for cell in notebook["cells"])
    if outputs:
        reading.notes.append(f"outputs of {outputs} {'cell' if outputs == 1 else 'cells'} left out")
    blocks = [_block(cell, language) for cell in notebook["cells"]]
    return [ExtractedPart("body", "body", "\n\n".join(block for block in blocks if block), {"language": language})]


def _block(cell: dict[str, Any], language: str) -> str:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    if not source.strip() or cell["cell_type"] != "code":
        return source.strip()
    fence = "```" if "```" not in source else "````"
    return f"{fence}{language}\n{source.strip()}\n{fence}"
