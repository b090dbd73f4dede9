"""Speed of the chunker on one core: megabytes of Markdown and of code in a second of processor time.

The texts are this project's own, repeated with other words until there is enough of them. Tokens are words, as models'
own tokenizers take most of the time otherwise: they read 1-2 MB/s, and are given each text up to three times.
"""

import sys
import time
from pathlib import Path

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.documents import Document, Part
from sync_assets.embedding import open_embedder

ROOT = Path(__file__).parent.parent
MODEL = "hash-64"
LIMITS = ChunkLimits(max_tokens=254)
BYTES = 2_000_000
ROUNDS = 5  # the fastest counts: what else the machine does only slows
MARKDOWN_TARGET = 5.0
CODE_TARGET = 2.0


def main() -> None:
    articles = [path.read_text() for path in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]]
    modules = [path.read_text() for path in sorted((ROOT / "sync_assets").rglob("*.py"))]
    print("| kind | MB | chunks | MB/s |")
    print("| --- | --- | --- | --- |")
    speeds = [
        measured("Markdown", "body", articles, {}),
        measured("Python", "code", modules, {"language": "python"}),
    ]
    if speeds[0] < MARKDOWN_TARGET or speeds[1] < CODE_TARGET:
        sys.exit(f"Slower than {MARKDOWN_TARGET} MB/s of Markdown and {CODE_TARGET} MB/s of code.")


def measured(kind: str, role: str, texts: list[str], metadata: dict[str, str]) -> float:
    """Print one row, and return the speed in MB/s."""
    documents = []
    size = 0
    while size < BYTES:
        text = texts[len(documents) % len(texts)].replace("the ", f"the {len(documents)} ")
        part = Part(path=role, role=role, text=text, metadata=metadata)
        documents.append(
            Document(tenant="acme", source="bench", stream="files", record_id=str(size), title="Guide", parts=[part])
        )
        size += len(text.encode())
    tokenizer = open_embedder(MODEL).tokenizer
    chunk_document(documents[0], tokenizer, LIMITS)
    seconds = []
    chunks = 0
    for _ in range(ROUNDS):
        begun = time.process_time()
        chunks = sum(len(chunk_document(document, tokenizer, LIMITS)) for document in documents)
        seconds.append(time.process_time() - begun)
    speed = size / 1e6 / min(seconds)
    print(f"| {kind} | {size / 1e6:.1f} | {chunks} | {speed:.1f} |")
    return speed


if __name__ == "__main__":
    main()
