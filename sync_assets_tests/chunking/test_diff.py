"""Diffs: one piece for each hunk, below the function that it is in; line numbers are no text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import Chunk
from sync_assets.documents import Document, Part
from sync_assets.embedding import open_embedder

TOKENIZER = open_embedder("all-MiniLM-L6-v2").tokenizer
DIFF = """@@ -10,4 +10,5 @@ def open(self, key):
     if key:
-        return 1
+        wait()
+        return 2
     close()
@@ -40 +41,0 @@
-LAST = 1
"""

lines = st.lists(
    st.tuples(st.sampled_from(" +-"), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)),
    min_size=1,
    max_size=40,
).map(lambda found: "".join(f"{sign}line {text}\n" for sign, text in found))
hunks = st.lists(
    st.tuples(st.integers(1, 900), st.sampled_from(["", "def open(self):", "too much " * 70]), lines), max_size=6
)


def chunks_of(text: str, max_tokens: int = 254) -> list[Chunk]:
    part = Part(path="diff-src/menu.py", role="diff", text=text, metadata={"path": "src/menu.py"})
    source = Document(tenant="acme", source="gitlab", stream="commits", record_id="1", title="Wait", parts=[part])
    return chunk_document(source, TOKENIZER, ChunkLimits(max_tokens=max_tokens))


def diff_of(found: list[tuple[int, str, str]]) -> str:
    return "".join(f"@@ -{line},3 +{line},4 @@ {context}\n{text}" for line, context, text in found)


def test_each_hunk_is_a_piece_below_its_function() -> None:
    one, other = chunks_of(DIFF)
    assert one.text == (
        "def open(self, key):\n     if key:\n-        return 1\n+        wait()\n+        return 2\n     close()"
    )
    assert one.metadata == {"path": "src/menu.py", "first_line": 10, "last_line": 14}
    assert other.text == "-LAST = 1"
    assert other.metadata == {"path": "src/menu.py", "first_line": 41, "last_line": 41}
    assert one.path.startswith("diff-src/menu.py/")
    assert {one.strategy, other.strategy} == {"diff/1"}


def test_what_stands_before_the_first_hunk_is_kept() -> None:
    renamed = "rename from a.py\nrename to b.py\n"
    assert chunks_of(renamed + DIFF)[0].text == renamed.strip()
    [chunk] = chunks_of("Binary files differ")
    assert (chunk.path, chunk.text) == ("diff-src/menu.py", "Binary files differ")
    assert chunks_of("") == []


@given(hunks, st.sampled_from([16, 40, 254]))
@settings(max_examples=60, deadline=None)
def test_every_line_is_kept_within_the_limit(found: list[tuple[int, str, str]], max_tokens: int) -> None:
    chunks = chunks_of(diff_of(found), max_tokens)
    assert len({chunk.path for chunk in chunks}) == len(chunks)
    assert [chunk.tokens for chunk in chunks] == TOKENIZER.count([chunk.text for chunk in chunks])
    assert all(0 < chunk.tokens <= max_tokens for chunk in chunks)
    assert not any("too much" in chunk.text for chunk in chunks)
    shown = "".join("".join(chunk.text.removeprefix("def open(self):\n").split()) for chunk in chunks)
    assert shown == "".join("".join(text.split()) for _, _, text in found)


@given(hunks.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_hunk_leaves_the_others_and_lines_that_move_embed_nothing(
    found: list[tuple[int, str, str]], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(found) - 1))
    line, context, _ = found[place]
    # Distinct beginnings, as names tell equal ones apart by their order.
    numbered = [(line, context, f"+hunk {n}\n{text}") for n, (line, context, text) in enumerate(found)]
    changed = [*numbered[:place], (line, context, "+hunk new\n"), *numbered[place + 1 :]]
    moved = [(line + 7, context, text) for line, context, text in changed]
    before, after, later = (
        {(chunk.path, chunk.text) for chunk in chunks_of(diff_of(each), 40)} for each in (numbered, changed, moved)
    )
    assert after == later
    assert len(after - before) == 1
    kept = chunks_of(diff_of([*numbered[:place], *numbered[place + 1 :]]), 40)
    assert {(chunk.path, chunk.text) for chunk in kept} <= after
