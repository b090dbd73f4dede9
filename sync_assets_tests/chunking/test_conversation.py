"""Windows of messages: nothing lost, never too many, and a change changes what it touches only."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.chunks import Chunk
from sync_assets.documents import Document, Visibility
from sync_assets.embedding import open_embedder
from sync_assets.sources.conversations import Message, conversation_document

TOKENIZER = open_embedder("all-MiniLM-L6-v2").tokenizer
START = datetime(2026, 11, 5, 9, tzinfo=UTC)

texts = st.one_of(
    st.sampled_from(["ok", "thanks!", "did you restart it?", "yes, twice"]),
    st.text(max_size=80),
    st.integers(1, 60).map(lambda number: "word " * number),
)
conversations = st.lists(st.tuples(st.integers(0, 400), st.sampled_from("ABC"), texts), max_size=60).map(
    lambda rows: [said(*row) for row in sorted({row[0]: row for row in rows}.values())]
)


def said(number: int, author: str = "Ada", text: str = "") -> Message:
    text = text or f"Message {number}."
    return Message(f"{number:04}", START + timedelta(minutes=number), author, text, f"https://chat.example/{number:04}")


def document(messages: list[Message]) -> Document:
    return conversation_document(
        tenant="acme",
        source="slack",
        record_id="C1-2026-11-05",
        title="#general, 2026-11-05",
        messages=messages,
        metadata={"channel": "general"},
        visibility=Visibility.INTERNAL,
        principals=[],
    )


def chunks_of(messages: list[Message], max_tokens: int = 254, size: int = 10, overlap: int = 2) -> list[Chunk]:
    limits = ChunkLimits(max_tokens=max_tokens, messages=size, overlap=overlap)
    return chunk_document(document(messages), TOKENIZER, limits)


def texts_of(messages: list[Message], max_tokens: int = 254) -> dict[str, str]:
    return {chunk.path: chunk.text for chunk in chunks_of(messages, max_tokens)}


def line(message: Message) -> str:
    return f"{message.author}: {message.text.strip()}"


def lengthy(count: int) -> list[Message]:
    return [said(number) for number in range(count)]


@given(conversations, st.sampled_from([16, 40, 254]), st.integers(1, 10), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_every_message_is_in_a_window_and_no_window_is_too_long(
    messages: list[Message], max_tokens: int, size: int, overlap: int
) -> None:
    found = chunks_of(messages, max_tokens, size, min(overlap, size - 1))
    assert len({chunk.path for chunk in found}) == len(found)
    assert all(0 < chunk.tokens <= max_tokens for chunk in found)
    assert [chunk.tokens for chunk in found] == TOKENIZER.count([chunk.text for chunk in found])
    assert all(1 <= chunk.metadata["messages"] <= size for chunk in found)
    shown = "".join("".join(chunk.text.split()) for chunk in found)
    for message in messages:
        if message.text.strip():
            assert "".join(line(message).split()) in shown or TOKENIZER.count([line(message)])[0] > max_tokens


@given(conversations, st.integers(401, 500), st.sampled_from([40, 254]))
@settings(max_examples=80, deadline=None)
def test_a_new_message_changes_the_last_window_only(messages: list[Message], number: int, max_tokens: int) -> None:
    before, after = texts_of(messages, max_tokens), texts_of([*messages, said(number)], max_tokens)
    last = {path: text for path, text in before.items() if after.get(path) != text}
    lines = [line(message) for message in messages if message.text.strip()]
    assert len({path.partition("/")[0] for path in last}) <= 1
    assert all(text.split()[-1] == lines[-1].split()[-1] for text in list(last.values())[-1:])
    assert len(after) - len(before) <= 2


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.data(), st.sampled_from([40, 254]))
@settings(max_examples=150, deadline=None)
def test_a_message_that_goes_changes_the_windows_that_held_it_and_few_beside_them(
    lengths: list[int], data: st.DataObject, max_tokens: int
) -> None:
    messages = [said(number, text=f"Note-{number}. " + "word " * length) for number, length in enumerate(lengths)]
    place = data.draw(st.integers(0, len(messages) - 1))
    before, after = texts_of(messages, max_tokens), texts_of([*messages[:place], *messages[place + 1 :]], max_tokens)
    changed = [text for path, text in before.items() if after.get(path) != text]
    beside = [text for text in changed if f"Note-{place}." not in text]
    assert len(beside) <= 2
    assert len([text for path, text in after.items() if before.get(path) != text]) <= 4


@given(conversations.filter(bool), st.data())
@settings(max_examples=80, deadline=None)
def test_an_edit_changes_the_windows_that_hold_it_only(messages: list[Message], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(messages) - 1))
    short = [message._replace(text=f"Note {number}.") for number, message in enumerate(messages)]
    edited = [*short[:place], short[place]._replace(text="Changed."), *short[place + 1 :]]
    before, after = texts_of(short), texts_of(edited)
    assert before.keys() == after.keys()
    changed = [path for path in before if before[path] != after[path]]
    assert changed
    assert all("Changed." in after[path] for path in changed)


def test_windows_know_who_speaks_when_and_where_they_begin() -> None:
    messages = [said(1, "Ada", "It is down."), said(2, "Ben", "Restart it."), said(3, "Ada", "Done.")]
    [chunk] = chunks_of(messages)
    assert (chunk.path, chunk.role, chunk.text) == ("0001", "message", "Ada: It is down.\nBen: Restart it.\nAda: Done.")
    assert chunk.metadata == {
        "participants": ["Ada", "Ben"],
        "started_at": "2026-11-05T09:01:00+00:00",
        "ended_at": "2026-11-05T09:03:00+00:00",
        "messages": 3,
        "link": "https://chat.example/0001",
    }


def test_a_window_begins_with_the_last_messages_of_the_one_before() -> None:
    found = chunks_of(lengthy(100))
    for one, following in pairwise(found):
        assert following.text.splitlines()[:2] == one.text.splitlines()[-2:]
    sizes = [chunk.metadata["messages"] for chunk in found]
    assert max(sizes) <= 10
    assert sum(sizes) / len(sizes) > 6


def test_a_deletion_in_the_middle_of_a_long_conversation_embeds_few_windows() -> None:
    messages = lengthy(300)
    before = set(texts_of(messages).values())
    for place in range(0, 300, 7):
        after = set(texts_of([*messages[:place], *messages[place + 1 :]]).values())
        assert len(after - before) <= 3


def test_the_first_messages_make_no_later_window_change() -> None:
    messages = lengthy(200)
    whole, later = texts_of(messages), texts_of(messages[50:])
    assert len(later.items() - whole.items()) <= 2


def test_messages_of_different_readers_share_no_window() -> None:
    whole = document(lengthy(4))
    hidden = whole.parts[2].model_copy(update={"visibility": Visibility.RESTRICTED, "principals": ["user:U1"]})
    mixed = whole.model_copy(update={"parts": [*whole.parts[:2], hidden, whole.parts[3]]})
    found = chunk_document(mixed, TOKENIZER, ChunkLimits(max_tokens=254))
    assert [chunk.visibility for chunk in found] == ["internal", "restricted", "internal"]
    assert [hidden.text in chunk.text for chunk in found] == [False, True, False]


def test_a_window_that_only_repeats_is_refused() -> None:
    with pytest.raises(ValidationError, match="overlap"):
        ChunkLimits(max_tokens=254, messages=2, overlap=2)
