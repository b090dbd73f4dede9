"""Speed of the chunker on one core: megabytes of Markdown and of code in a second of processor time."""

import time
from collections.abc import Callable, Iterator

from bench.corpus import ROOT
from bench.results import Bound, Part, Row
from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.documents import Document
from sync_assets.documents import Part as DocumentPart
from sync_assets.embedding import open_embedder

_MODEL = "hash-64"
_LIMITS = ChunkLimits(max_tokens=254)
_BYTES = 2_000_000
_ROUNDS = 5  # the fastest counts: what else the machine does only slows
_MARKDOWN_TARGET, _CODE_TARGET = 5.0, 2.0


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row | Bound]:
    pages = [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs/decisions").iterdir()),
    ]
    kinds = (
        ("Markdown", "body", [path.read_text() for path in pages], {}, _MARKDOWN_TARGET),
        ("Python", "code", _modules(), {"language": "python"}, _CODE_TARGET),
    )
    for kind, role, texts, metadata, target in kinds:
        row, speed = _measured(kind, role, texts, metadata, _BYTES * scale)
        yield row
        yield Bound(claim=f"MB of {kind} chunked in a second", limit=target, measured=speed, at_least=True)


def _modules() -> list[str]:
    return [path.read_text() for path in sorted((ROOT / "sync_assets").rglob("*.py"))]


def _measured(kind: str, role: str, texts: list[str], metadata: dict[str, str], least: float) -> tuple[Row, float]:
    """The row, and the speed in MB/s."""
    documents: list[Document] = []
    size = 0
    while size < least:
        text = texts[len(documents) % len(texts)].replace("the ", f"the {len(documents)} ")
        part = DocumentPart(path=role, role=role, text=text, metadata=metadata)
        documents.append(
            Document(tenant="acme", source="bench", stream="files", record_id=str(size), title="Guide", parts=[part])
        )
        size += len(text.encode())
    tokenizer = open_embedder(_MODEL).tokenizer
    chunk_document(documents[0], tokenizer, _LIMITS)
    seconds: list[float] = []
    chunks = 0
    for _ in range(_ROUNDS):
        begun = time.process_time()
        chunks = sum(len(chunk_document(document, tokenizer, _LIMITS)) for document in documents)
        seconds.append(time.process_time() - begun)
    speed = size / 1e6 / min(seconds)
    values = {"kind": kind, "MB": size / 1e6, "chunks": chunks, "MB in a second": speed}
    return Row(table="Chunking", values=values), speed


PART = Part(
    "chunking",
    "Chunking",
    """
The texts are this project's own, repeated with other words until there is enough of them. Tokens are words, as models'
own tokenizers take most of the time otherwise: they read 1-2 MB/s, and are given each text up to three times. Seconds
are those of one processor.
""",
    measure,
)
