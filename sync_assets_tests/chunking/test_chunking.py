"""What every chunk promises: nothing lost, never too long, and an edit changes what it touches only."""

import string
from hashlib import sha256
from itertools import groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import Chunk
from sync_assets.documents import Document, Part, Visibility
from sync_assets.embedding import open_embedder

TOKENIZER = open_embedder("all-MiniLM-L6-v2").tokenizer

words = st.text(string.ascii_lowercase, min_size=1, max_size=9)
sentences = st.lists(words, min_size=1, max_size=20).map(lambda found: " ".join(found).capitalize() + ".")
paragraphs = st.lists(sentences, min_size=1, max_size=5).map(" ".join)


def document(text: str, role: str = "description", title: str = "Guide") -> Document:
    part = Part(path=role, role=role, text=text)
    return Document(tenant="acme", source="desk", stream="tickets", record_id="1", title=title, parts=[part])


def chunks_of(text: str, role: str = "description", max_tokens: int = 64) -> list[Chunk]:
    return chunk_document(document(text, role), TOKENIZER, ChunkLimits(max_tokens=max_tokens))


def visible(text: str) -> str:
    return "".join(text.split())


def check_promises(found: list[Chunk], max_tokens: int) -> None:
    assert len({chunk.path for chunk in found}) == len(found)
    assert all(chunk.text.strip() for chunk in found)
    assert [chunk.tokens for chunk in found] == TOKENIZER.count([chunk.text for chunk in found])
    assert all(0 < chunk.tokens <= max_tokens for chunk in found)


@given(st.text(max_size=3000), st.sampled_from([16, 32, 254]))
@settings(max_examples=60, deadline=None)
def test_any_text_is_kept_whole_within_the_limit(text: str, max_tokens: int) -> None:
    found = chunks_of(text, max_tokens=max_tokens)
    check_promises(found, max_tokens)
    expected = visible(text) if TOKENIZER.count([text]) != [0] else ""
    assert visible("".join(chunk.text for chunk in found)) == expected


@pytest.mark.parametrize("role", ["description", "body", "sheet"])
@pytest.mark.parametrize("character", ["a", "ア", "ก"])
def test_a_word_without_end_is_no_single_token(role: str, character: str) -> None:
    found = chunks_of("".join(f"{character}{number % 10}" for number in range(10_000)), role)
    check_promises(found, 64)
    assert max(len(chunk.text) for chunk in found) < 100
    assert sum(chunk.text.count(character) for chunk in found) >= 10_000


def test_an_edit_in_a_word_without_end_changes_few_chunks() -> None:
    word = "".join(sha256(f"{number}".encode()).hexdigest() for number in range(200))
    before, after = ({chunk.path for chunk in chunks_of(text)} for text in (word, f"{word[:5000]}x{word[5000:]}"))
    assert len(before) > 150
    assert len(after - before) <= 5


@given(st.lists(st.one_of(paragraphs, st.text(max_size=300), words.map(lambda word: f"## {word}")), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_article_is_kept_within_the_limit(blocks: list[str]) -> None:
    check_promises(chunks_of("\n\n".join(blocks), "section"), 64)


@given(st.lists(paragraphs, min_size=1, max_size=10), st.integers(16, 100))
@settings(max_examples=40, deadline=None)
def test_article_without_headings_is_kept_whole(blocks: list[str], max_tokens: int) -> None:
    text = "\n\n".join(blocks)
    parts = [part.text for part in chunks_of(text, "section", max_tokens)]
    assert visible("".join(part.removeprefix("Guide\n") for part in parts)) == visible(text)


@pytest.mark.parametrize(
    "text", ["x" * 5000, "ab." * 2000, "字" * 3000, "🙂" * 2000, "e\u0301" * 2000, "-" * 3000, "word " * 3000]
)
def test_text_without_good_places_is_split_at_tokens(text: str) -> None:
    found = chunks_of(text)
    check_promises(found, 64)
    assert visible("".join(chunk.text for chunk in found)) == visible(text)


@given(
    st.lists(paragraphs, min_size=12, max_size=30, unique=True),
    st.data(),
    st.sampled_from(["insert", "delete", "edit"]),
)
@settings(max_examples=80, deadline=None)
def test_an_edit_changes_the_chunks_near_it_only(blocks: list[str], data: st.DataObject, edit: str) -> None:
    place = data.draw(st.integers(0, len(blocks) - 1))
    new = [] if edit == "delete" else [data.draw(paragraphs)]
    edited = blocks[:place] + new + blocks[place + (edit != "insert") :]
    before, after = ({(chunk.path, chunk.text) for chunk in chunks_of("\n\n".join(text))} for text in (blocks, edited))
    # A paragraph itself is up to seven chunks long here; beyond it at most two chunks on either side move.
    own = sum(max(1, tokens // 16) for tokens in TOKENIZER.count([*new, blocks[place]]))
    assert len(before ^ after) <= 2 * 4 + own


def test_a_word_changed_in_a_long_text_changes_few_chunks_and_no_other_id() -> None:
    blocks = [" ".join(f"Sentence {number} of block {block}." for number in range(12)) for block in range(100)]
    before = chunks_of("\n\n".join(blocks))
    for place in (0, 50, 99):
        edited = [block.replace("Sentence 5", "Phrase 5") if n == place else block for n, block in enumerate(blocks)]
        after = chunks_of("\n\n".join(edited))
        kept = {(chunk.path, chunk.text) for chunk in before} & {(chunk.path, chunk.text) for chunk in after}
        assert len(before) - len(kept) <= 3
        assert len(after) - len(kept) <= 3


def test_short_part_is_one_chunk_with_all_that_belongs_to_it() -> None:
    part = Part(
        path="conversation-42",
        role="comment",
        text=" Restart the spooler.\n",
        visibility=Visibility.RESTRICTED,
        principals=["group:it"],
        metadata={"author": "Ada"},
    )
    empty = Part(path="fields", role="fields", text=" \n\u200b")
    source = document("").model_copy(update={"parts": [part, empty]})
    [chunk] = chunk_document(source, TOKENIZER, ChunkLimits(max_tokens=254))
    assert chunk == Chunk(
        path="conversation-42",
        role="comment",
        strategy="plain/1",
        text="Restart the spooler.",
        tokens=6,
        visibility=Visibility.RESTRICTED,
        principals=["group:it"],
        metadata={"author": "Ada"},
    )


def test_article_is_cut_at_its_headings() -> None:
    text = """Read this first.

# Install

## Windows!
Run it.

> # Quoted, no heading

## Linux
```
# a comment
```

## Windows
Run it again.

# Limits
"""
    found = [(chunk.path, chunk.text) for chunk in chunks_of(text, "section", 254)]
    assert found == [
        ("section", "Guide\nRead this first."),
        ("section/install/windows", "Guide > Install > Windows!\nRun it.\n\n> # Quoted, no heading"),
        ("section/install/linux", "Guide > Install > Linux\n```\n# a comment\n```"),
        ("section/install/windows~2", "Guide > Install > Windows\nRun it again."),
        ("section/limits", "Guide > Limits"),
    ]


def test_an_answer_has_its_headings_before_it_and_no_title() -> None:
    text = "Press reset.\n\n# If that fails\nCall us."
    found = [(chunk.path, chunk.text) for chunk in chunks_of(text, "answer", 254)]
    assert found == [("answer", "Press reset."), ("answer/if-that-fails", "If that fails\nCall us.")]


def test_long_section_keeps_its_heading_on_every_piece_and_tables_whole() -> None:
    table = "| code | meaning |\n|---|---|\n" + "\n".join(f"| {n} | fault {n} |" for n in range(6))
    text = "# Codes\n\n" + "\n\n".join([f"Sentence {n} about the codes." for n in range(30)] + [table] * 2)
    found = chunks_of(text, "section", 96)
    assert len(found) > 2
    assert all(chunk.text.startswith("Guide > Codes\n") for chunk in found)
    assert all(chunk.path.startswith("section/codes/") for chunk in found)
    assert sum(table in chunk.text for chunk in found) == 2


fences = st.lists(words, min_size=1, max_size=8).map(lambda found: "```\n" + "\n\n".join(found) + "\n```")
tables = st.lists(words, min_size=1, max_size=5).map(
    lambda found: "| name | count |\n|---|---|\n" + "\n".join(f"| {name} | 1 |" for name in found)
)


@given(st.lists(st.one_of(paragraphs, fences, tables, words.map(lambda word: f"# {word}")), min_size=5, max_size=30))
@settings(max_examples=60, deadline=None)
def test_tables_and_fenced_code_that_fit_are_kept_whole(blocks: list[str]) -> None:
    found = chunks_of("\n\n".join(blocks), "body", 96)
    check_promises(found, 96)
    for block in blocks:
        if block.startswith(("```", "|")):
            assert any(block in chunk.text for chunk in found)


@example(["| d | e |\n|---|---|", *["word " * 30] * 9])
@given(st.lists(st.sampled_from(["# a", "- b\n  c", "```", "| d | e |\n|---|---|", "word " * 30, ""]), max_size=30))
@settings(max_examples=60, deadline=None)
def test_all_line_ends_give_the_same_article(blocks: list[str]) -> None:
    text = "\n".join(blocks)
    expected = article(chunks_of(text, "body", 254))
    for end in ("\r\n", "\r"):
        found = chunks_of(text.replace("\n", end), "body", 254)
        check_promises(found, 254)
        assert article(found) == expected


def article(chunks: list[Chunk]) -> tuple[list[str], str]:
    """The headings in order, and all text below them, wherever it is cut: line ends may move a cut."""
    lines = [chunk.text.partition("\n") for chunk in chunks]
    headings = [heading for heading, _ in groupby(heading for heading, _, _ in lines)]
    return headings, visible("".join(body for _, _, body in lines))


def test_every_piece_of_a_section_has_the_path_of_its_headings() -> None:
    text = "\n".join(f"# One\n## Two\n### Three {n}\n" + "Some words. " * 60 for n in range(2))
    found = chunks_of(text, "body", 96)
    assert len(found) > 4
    assert {chunk.text.splitlines()[0] for chunk in found} == {
        "Guide > One > Two > Three 0",
        "Guide > One > Two > Three 1",
    }


def test_heading_too_long_to_repeat_is_read_as_text() -> None:
    heading = "why the printer on the third floor answers nobody " * 5
    [chunk] = chunks_of(f"# {heading}\nBecause.", "section", 254)
    assert chunk.path == "section"
    assert visible(heading) in visible(chunk.text)


def test_repeated_part_path_is_refused() -> None:
    part = Part(path="description", role="description", text="Same.")
    source = document("").model_copy(update={"parts": [part, part]})
    with pytest.raises(ValueError, match="2 parts of the document have the path 'description'"):
        chunk_document(source, TOKENIZER, ChunkLimits(max_tokens=254))
