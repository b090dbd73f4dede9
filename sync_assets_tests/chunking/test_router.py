"""Which strategy cuts a part, and what of the part its chunks keep."""

import pytest

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.documents import Document, Part
from sync_assets.embedding import open_embedder

TOKENIZER = open_embedder("all-MiniLM-L6-v2").tokenizer
SAID = {"author": "Ada", "sent_at": "2026-11-05T09:00:00+00:00", "link": "https://chat.example/1"}


@pytest.mark.parametrize(
    ("role", "metadata", "strategy"),
    [
        ("header", {}, "plain/1"),
        ("description", {}, "plain/1"),
        ("comment", {}, "plain/1"),
        ("fields", {}, "plain/1"),
        ("body", {}, "markdown/1"),
        ("section", {}, "markdown/1"),
        ("answer", {}, "markdown/1"),
        ("page", {}, "markdown/1"),
        ("message", SAID, "conversation/1"),
        ("code", {"language": "python", "path": "a.py"}, "code/1"),
        ("code", {"language": "Python", "path": "a.py"}, "code/1"),
        ("code", {"language": "cobol", "path": "a.cob"}, "plain/1"),
        ("diff", {"path": "a.py"}, "diff/1"),
        ("sheet", {"sheet": "Prices"}, "sheet/1"),
    ],
)
def test_the_role_decides_the_strategy_and_it_stands_in_each_chunk(
    role: str, metadata: dict[str, str], strategy: str
) -> None:
    part = Part(path="part", role=role, text="one = 1\ntwo = 2\n", metadata=metadata)
    source = Document(tenant="acme", source="gitlab", stream="files", record_id="1", title="a", parts=[part])
    found = chunk_document(source, TOKENIZER, ChunkLimits(max_tokens=64))
    assert found
    assert {(chunk.role, chunk.strategy) for chunk in found} == {(role, strategy)}
    if role != "message":
        assert all(metadata.items() <= chunk.metadata.items() for chunk in found)


def test_parts_of_all_kinds_stand_in_the_order_of_the_document() -> None:
    parts = [
        Part(path="header", role="header", text="Menu"),
        Part(path="description", role="description", text="It hangs."),
        Part(path="diff-a.py", role="diff", text="@@ -1 +1 @@\n-a\n+b\n", metadata={"path": "a.py"}),
        Part(path="comment-1", role="comment", text="Fixed."),
    ]
    source = Document(tenant="acme", source="gitlab", stream="files", record_id="1", title="a", parts=parts)
    found = chunk_document(source, TOKENIZER, ChunkLimits(max_tokens=64))
    assert [chunk.path.split("/")[0] for chunk in found] == [part.path for part in parts]
