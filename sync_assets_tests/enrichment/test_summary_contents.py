"""What is summarised of a document and for whom, and the sentences that are chosen where no model is asked."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.documents import Document, Part, Visibility
from sync_assets.enrichment import Article
from sync_assets.enrichment.extractive import ExtractiveSummariser, sentences
from sync_assets.enrichment.summaries import to_summarise

LONG = "The pump stops after a minute, and the display shows an error. We replaced the sensor, and now it runs. " * 3

DUTCH = """# Warmtepomp slaat af

Hallo team,

De warmtepomp op kantoor slaat sinds gisteren om de tien minuten af
met foutcode E-14. We hebben de stroom er al afgehaald, maar dat hielp niet. Zie bijv. dhr. Jansen, die het filter
verving.

| druk | tijd |
| --- | --- |
| De druk in de installatie is gemeten | 12:00 |

- De druksensor van de warmtepomp bleek defect te zijn.

```
De warmtepomp logt deze regel in een bestand.
```

De monteur heeft de druksensor vervangen. Daarna draaide de warmtepomp weer zonder foutcode.

Met vriendelijke groet, Anna"""
ENGLISH = """Hi all,

the VPN of our Leiden office drops every afternoon. Dr. Smith sees it most, e.g. during calls. Restarting the router
helps for an hour. The router's firmware was two years old. After the firmware was updated, the VPN stayed up for a
week. Thanks!"""


# What is summarised, and for whom


def part(path: str, text: str, visibility: Visibility, *principals: str, role: str = "comment", **facts: Any) -> Part:
    return Part(
        path=path, role=role, text=text, visibility=visibility, principals=list(principals), metadata=dict(facts)
    )


def document(visibility: Visibility, *parts: Part, principals: tuple[str, ...] = ()) -> Document:
    return Document(
        tenant="acme",
        source="freshdesk",
        stream="tickets",
        record_id="1",
        title="Pump",
        parts=list(parts),
        visibility=visibility,
        principals=list(principals),
    )


PUBLIC, INTERNAL, RESTRICTED = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.RESTRICTED
AUDIENCES = [(PUBLIC, ()), (INTERNAL, ()), (RESTRICTED, ("ada",)), (RESTRICTED, ("ada", "ben")), (RESTRICTED, ())]


def readers(visibility: Visibility, principals: list[str]) -> set[str]:
    """Who may read a text, of a customer, an employee without principals, and two with some."""
    if visibility is not RESTRICTED:
        return {"employee", "ada", "ben"} | ({"customer"} if visibility is PUBLIC else set())
    return set(principals)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(AUDIENCES),
    st.lists(st.tuples(st.sampled_from(AUDIENCES), st.sampled_from(["short", LONG])), max_size=6),
)
def test_nobody_reads_in_a_summary_what_they_may_not_read_in_the_document(
    whole: tuple[Visibility, tuple[str, ...]], told: list[tuple[tuple[Visibility, tuple[str, ...]], str]]
) -> None:
    parts = [
        part(f"comment-{number}", f"word{number} {text}", audience[0], *audience[1])
        for number, (audience, text) in enumerate(told)
    ]
    found = to_summarise(document(whole[0], *parts, principals=whole[1]), 100)
    if found is None:
        return
    for number, one in enumerate(parts):
        if f"word{number} " in found.article.text:
            assert readers(found.visibility, found.principals) <= readers(one.visibility, one.principals)


def test_a_summary_is_for_the_documents_readers_and_for_staff_where_these_are_told_too_little() -> None:
    question, note = part("description", "Public. " + LONG, PUBLIC), part("note", "Internal. " + LONG, INTERNAL)
    secret = part("secret", "Secret. " + LONG, RESTRICTED, "ada")
    found = to_summarise(document(PUBLIC, question, note, secret), 100)
    assert found is not None
    assert (found.article.text, found.visibility) == (question.text, PUBLIC)
    found = to_summarise(document(PUBLIC, part("description", "Hi.", PUBLIC), note, secret), 100)
    assert found is not None
    assert (found.article.text, found.visibility) == (f"Hi.\n\n{note.text}", INTERNAL)
    found = to_summarise(document(RESTRICTED, question, note, secret, principals=("ada",)), 100)
    assert found is not None
    assert (found.article.text, found.principals) == (f"{question.text}\n\n{secret.text}", ["ada"])
    assert to_summarise(document(PUBLIC, secret), 100) is None


def test_headers_fields_code_and_files_are_not_summarised_and_short_texts_need_no_summary() -> None:
    left_out = [part(role, LONG, PUBLIC, role=role) for role in ("header", "fields", "code", "diff", "sheet")]
    left_out.append(part("file", LONG, PUBLIC, role="section", attachment="manual.pdf"))
    assert to_summarise(document(PUBLIC, *left_out), 100) is None
    assert to_summarise(document(PUBLIC, part("description", "x" * 199, PUBLIC)), 100) is None
    assert to_summarise(document(PUBLIC, part("description", "x" * 200, PUBLIC)), 100) is not None


def test_of_a_very_long_text_the_beginning_and_the_end_are_given() -> None:
    lines = [f"This is line {number} of a very long story." for number in range(2_000)]
    found = to_summarise(document(PUBLIC, part("description", "\n".join(lines), PUBLIC)), 100)
    assert found is not None
    given_lines = found.article.text.splitlines()
    assert 20_000 < len(found.article.text) <= 24_010
    assert (given_lines[0], given_lines[-1]) == (lines[0], lines[-1])
    assert set(given_lines) - {""} <= set(lines), "no line is cut"


# Sentences chosen here


def test_the_chosen_sentences_are_the_telling_ones_in_their_order_in_dutch_and_english() -> None:
    summariser = ExtractiveSummariser(220)
    dutch, english = summariser.summarise(
        [Article("Warmtepomp slaat af", DUTCH, "nl"), Article("VPN drops", ENGLISH, "en")]
    )
    assert isinstance(dutch, str)
    assert isinstance(english, str)
    assert "foutcode E-14." in dutch
    assert "druksensor" in dutch
    assert dutch.index("foutcode E-14") < dutch.index("druksensor")
    assert "the VPN stayed up for a week." in english
    for unwanted in ("groet", "Hallo team", "is gemeten", "logt deze regel", "#"):
        assert unwanted not in dutch
    assert "Thanks" not in english


def test_abbreviations_end_no_sentence_and_wrapped_lines_are_one() -> None:
    found = list(sentences(DUTCH))
    assert "Zie bijv. dhr. Jansen, die het filter verving." in found
    assert any(sentence.startswith("De warmtepomp op kantoor") and sentence.endswith("E-14.") for sentence in found)
    assert "Dr. Smith sees it most, e.g. during calls." in list(sentences(ENGLISH))
    japanese = "ポンプが止まりました。昨日から圧力が下がっています。"
    assert list(sentences(japanese)) == ["ポンプが止まりました。", "昨日から圧力が下がっています。"]


WORDS = st.lists(
    st.sampled_from(
        [
            "De",
            "pomp",
            "slaat",
            "af",
            "bijv.",
            "omdat",
            "de",
            "druk",
            "daalt!",
            "E-14",
            "|",
            "#",
            "-",
            "*",
            "```",
            "\n",
            "\n\n",
            "泵",
            "?",
        ]
    )
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=400), WORDS.map(" ".join)), st.integers(100, 300))
def test_a_chosen_summary_is_made_of_the_texts_own_sentences_and_never_too_long(text: str, longest: int) -> None:
    article = Article("Pomp", text, "")
    (found,) = ExtractiveSummariser(longest).summarise([article])
    assert isinstance(found, str)
    assert len(found) <= longest
    rest = found
    for sentence in sentences(text):
        rest = rest.replace(sentence, "", 1)
    assert rest.strip() == ""
    # The same beside other texts, and from another one of its kind.
    assert ExtractiveSummariser(longest).summarise([Article("", DUTCH, ""), article])[1] == found
