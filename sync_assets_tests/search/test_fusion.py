"""Fusion: one order, whatever the order of the lists, and no list's scale wins by being larger."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sync_assets.search.fusion import fuse

Scores = dict[str, float]
Lists = list[Scores]

LISTS = st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 1), max_size=8), max_size=4)
WORDS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.01, 40), max_size=8)


@given(lists=LISTS, words=WORDS, random=st.randoms(use_true_random=False))
def test_the_order_of_lists_and_of_their_entries_does_not_matter(lists: Lists, words: Scores, random: Random) -> None:
    other = [dict(random.sample(list(scores.items()), len(scores))) for scores in random.sample(lists, len(lists))]
    first, second = fuse(lists, words), fuse(other, words)
    assert first.keys() == second.keys() == set(words).union(*lists)
    assert all(abs(first[key] - second[key]) < 1e-9 for key in first)
    assert all(0 <= score <= 1 + 1e-9 for score in first.values())


@given(lists=LISTS, words=WORDS)
def test_what_is_first_in_all_lists_is_first(lists: Lists, words: Scores) -> None:
    lists = [{**scores, "best": 1.5} for scores in lists]
    fused = fuse(lists, {**words, "best": 41.0})
    assert max(fused, key=lambda key: (fused[key], key == "best")) == "best"


@given(scores=st.lists(st.integers(-50, 50), min_size=1, max_size=60, unique=True))
def test_one_list_keeps_its_order(scores: list[int]) -> None:
    named = {f"d{score}": score / 50 for score in scores}
    ranked = sorted(named, key=lambda key: -named[key])
    fused = fuse([named], {})
    assert sorted(fused, key=lambda key: (-fused[key], -named[key])) == ranked


def test_a_model_with_one_outstanding_document_beats_one_whose_documents_are_all_alike() -> None:
    clear = {"answer": 0.6, **{f"c{number}": 0.2 + number / 1000 for number in range(60)}}
    vague = {f"v{number}": 0.7 + number / 500 for number in range(60)}
    fused = fuse([vague, clear], {})
    ranked = sorted(fused, key=lambda key: -fused[key])
    assert ranked[0] == "answer"
    assert ranked[1].startswith("v"), "the best of the other model comes before the rest of the first"


def test_the_answer_of_a_model_with_few_documents_is_not_lost() -> None:
    many = {f"m{number}": 0.1 + number / 500 for number in range(50)}
    fused = fuse([{**many, "chance": 0.4}, {"answer": 0.9, "other": 0.1}], {})
    assert sorted(fused, key=lambda key: -fused[key])[:2] == ["answer", "chance"]
