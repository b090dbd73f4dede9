import re
import time

import pytest
from ftfy import fix_and_explain
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.text import _REPAIRS, decode, html_to_markdown, repair, strip_mail, to_markdown


def test_markdown_keeps_links_tables_lists_and_code() -> None:
    markup = (
        "<h2>Install &amp; run</h2><p>See <a href='https://a.example/x?y=1&amp;z=2'>the guide</a>.</p>"
        "<ul><li>one</li><li>two</li></ul><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<pre><code>x = 1</code></pre>"
    )
    text = html_to_markdown(markup)
    assert "## Install & run" in text
    assert "[the guide](https://a.example/x?y=1&z=2)" in text
    assert "- one\n- two" in text
    assert "| 1 | 2 |" in text
    assert "x = 1" in text


def test_markdown_leaves_out_scripts_styles_and_images() -> None:
    markup = (
        "<head><title>t</title><style>p { color: red }</style></head><script>alert(1)</script>"
        "<p>Text</p><img src='https://track.example/open.gif?Expires=1' width='1' height='1'>"
    )
    assert html_to_markdown(markup) == "Text"


def test_markdown_keeps_text_in_forms_and_navigation() -> None:
    assert html_to_markdown("<nav>Menu</nav><form>Answer</form>") == "Menu\n\nAnswer"


def test_entities_are_decoded_once() -> None:
    assert html_to_markdown("<p>a &amp;amp; b&nbsp;&lt;c&gt; &eacute;</p>") == "a &amp; b <c> é"
    assert decode("R&amp;D \n Support") == "R&D Support"


@given(st.text())
def test_any_text_converts_and_converts_alike_again(markup: str) -> None:
    assert html_to_markdown(markup) == html_to_markdown(markup)
    strip_mail(markup)


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>own words</p>",
                "<blockquote type=cite>q</blockquote>",
                "-- <br>",
                "On 5 Oct 2026, Jan wrote:<br>",
                "&gt; quoted<br>",
                "<div id=divRplyFwdMsg>",
                "Kind regards,<br>Jan",
                "<table><tr>",
                "</div>",
                "<p>",
            ]
        ),
        max_size=12,
    )
)
def test_a_mail_with_text_never_becomes_empty(pieces: list[str]) -> None:
    markup = "".join(pieces)
    assert bool(strip_mail(markup)) == bool(html_to_markdown(markup))


QUOTED = {
    "gmail": "<div class='gmail_quote'><div class='gmail_attr'>On Mon, 5 Oct 2026 at 09:12, Jan &lt;j@x.example&gt; "
    "wrote:<br></div><blockquote class='gmail_quote'>older words</blockquote></div>",
    "apple": "<blockquote type='cite'>On 5 Oct 2026, at 09:12, Jan wrote:<br>older words</blockquote>",
    "thunderbird": "<div class='moz-cite-prefix'>On 05-10-2026 09:12, Jan wrote:</div>"
    "<blockquote type='cite'>older words</blockquote>",
    "outlook": "<hr><div id='divRplyFwdMsg'><b>From:</b> Jan<br><b>Sent:</b> Monday</div><p>older words</p>",
    "outlook mobile": "<div id='appendonsend'></div><hr><div>older words</div>",
    "outlook desktop": "<p><b>From:</b> Jan &lt;j@x.example&gt;<br><b>Sent:</b> Monday<br><b>To:</b> Support<br>"
    "<b>Subject:</b> Phone</p><p>older words</p>",
    "outlook dutch": "<p>Van: Jan<br>Verzonden: maandag<br>Aan: Support<br>Onderwerp: Telefoon</p><p>older words</p>",
    "gmail dutch": "<p>Op ma 5 okt. 2026 om 09:12 schreef Jan &lt;<a href='mailto:j@x.example'>j@x.example</a>&gt;:</p>"
    "<blockquote>older words</blockquote>",
    "ios dutch": "<p>Op 5 okt. 2026 om 09:12 heeft Jan &lt;j@x.example&gt; het volgende geschreven:</p>"
    "<blockquote type='cite'>older words</blockquote>",
    "german": "<p>Am 05.10.2026 um 09:12 schrieb Jan &lt;j@x.example&gt;:</p><p>older words</p>",
    "french": "<p>Le lun. 5 oct. 2026 à 09:12, Jan &lt;j@x.example&gt; a écrit :</p><p>older words</p>",
    "spanish": "<p>El lun, 5 oct 2026 a las 9:12, Jan (&lt;j@x.example&gt;) escribió:</p><p>older words</p>",
    "plain": "<p>On 5 Oct 2026, Jan wrote:<br>&gt; older words<br>&gt; more</p>",
    "separator": "<p>-----Original Message-----</p><p>older words</p>",
}


@pytest.mark.parametrize("quoted", QUOTED.values(), ids=QUOTED.keys())
def test_quoted_history_goes(quoted: str) -> None:
    assert strip_mail(f"<p>It works again.</p>{quoted}") == "It works again."


@pytest.mark.parametrize("quoted", QUOTED.values(), ids=QUOTED.keys())
def test_a_mail_that_is_only_a_quote_stays(quoted: str) -> None:
    assert "older words" in strip_mail(quoted)


@pytest.mark.parametrize(
    "markup",
    [
        "<div>On 5 Oct 2026, Jan wrote:<blockquote class='gmail_quote'>q1</blockquote>own one"
        "<blockquote class='gmail_quote'>q2</blockquote>own two</div>",
        "<p>On 5 Oct 2026, Jan wrote:<br>&gt; q1<br>own one<br>&gt; q2<br>own two</p>",
    ],
    ids=["html", "plain"],
)
def test_inline_replies_stay_and_their_quotes_go(markup: str) -> None:
    text = strip_mail(markup)
    assert "own one" in text
    assert "own two" in text
    assert "q1" not in text
    assert "q2" not in text


def test_answers_announced_below_an_unmarked_quote_stay() -> None:
    text = strip_mail(
        "<p>See my answers below.</p><div id='divRplyFwdMsg'>From: Jan</div><p>Question?</p><p>Answer.</p>"
    )
    assert "Answer." in text


def test_a_forwarded_mail_stays() -> None:
    text = strip_mail(
        "<p>Can you help them?</p><p>---------- Forwarded message ---------<br>From: Jan<br>Date: Monday<br>"
        "Subject: Phone<br>To: Piet</p><p>The phone is dead.</p>"
    )
    assert "The phone is dead." in text


@pytest.mark.parametrize(
    "signature",
    [
        "-- <br>Jan<br>Acme BV",
        "Kind regards,<br>Jan<br>T +31 20 555 0100",
        "Met vriendelijke groet,<br><br>Jan de Vries",
        "Groeten,<br>Jan",
        "Mit freundlichen Grüßen<br>Jan",
        "Sent from my iPhone",
        "Thanks, Jan",
    ],
)
def test_signatures_go(signature: str) -> None:
    assert strip_mail(f"<p>It works again.</p><p>{signature}</p>") == "It works again."


@pytest.mark.parametrize(
    "own",
    [
        "Thanks, but it still fails after the update",
        "Bedankt, maar het werkt niet",
        "From: Amsterdam<br>To: Utrecht<br>Date: Monday",
        "On the phone I wrote:<br>use the other cable",
        "- one<br>- two",
        "Thanks,<br>and then there is another problem, which came after the update: it rings but nobody can hear us",
    ],
)
def test_own_text_that_looks_like_mail_clutter_stays(own: str) -> None:
    text = strip_mail(f"<p>Hello,</p><p>{own}</p>")
    for line in own.split("<br>"):
        assert line in text


@pytest.mark.parametrize(
    "markup",
    [
        "On " * 50_000,
        "<br>".join(["On 2026 a b c wrote x:"] * 3000),
        "<br>".join(["From: x"] * 3000),
        " " * 100_000 + "x",
    ],
)
def test_odd_bodies_take_no_time(markup: str) -> None:
    start = time.process_time()
    strip_mail(markup)
    assert time.process_time() - start < 2


def test_two_thousand_bodies_take_two_seconds() -> None:
    body = (
        f"<p>{'The phone rings but nobody can be heard. ' * 10}</p><p>Kind regards,<br>Jan</p>{QUOTED['gmail dutch']}"
    )
    start = time.process_time()
    for number in range(2000):
        strip_mail(f"{number} {body}")
    assert time.process_time() - start < 4


# Dutch, German, Polish, Turkish, Russian, Greek, Japanese, signs, emoji, and what only looks like markup.
WORDS = [
    *("coördinator", "vóór", "één", "ÉÉN", "geïnstalleerd", "financiën", "Curaçao", "à la carte", "’s avonds", "ﬁn"),
    *("Größe", "Straße", "„Anführung“", "ÜBUNG", "Łódź", "Yıldırım", "Sølvberg", "Привет", "Αθήνα", "Ωμέγα"),
    *(
        "日本語",
        "プリンター",
        "ｶﾅ",
        "ＡＢＣ",
        "“quote”",
        "‘zo’",
        "…",
        "–",
        "€ 12,50",
        "20 °C",
        "10³",
        "µm",
        "½",
        "§ 4",
        "×",
    ),
    *("🙂", "👍🏽", "👩‍💻", "a < b", "<enter>", "&amp;", "<p>ja</p>", r"C:\temp", "it's", '"x"', "\t", ""),
]
CORRECT = st.lists(st.sampled_from(WORDS), max_size=8).flatmap(
    lambda words: st.sampled_from([" ", "\n", ", "]).map(lambda between: between.join(words))
)
# Two halfwidth kana read as cp1252 are too little for ftfy to be sure.
NOT_MENDED = {"ｶﾅ"}


@given(CORRECT)
def test_correct_text_is_not_repaired(text: str) -> None:
    assert repair(text) == text


def mojibake(text: str) -> str | None:
    """The text as UTF-8 that was read as cp1252; None where cp1252 has no such characters."""
    try:
        return text.encode().decode("cp1252")
    except UnicodeDecodeError:
        return None


@given(st.lists(st.sampled_from([word for word in WORDS if mojibake(word) and word not in NOT_MENDED]), min_size=1))
def test_text_read_in_a_wrong_encoding_is_mended(words: list[str]) -> None:
    text = " ".join(words)
    assert repair(mojibake(text) or "") == text


@given(st.lists(st.sampled_from(WORDS)), st.integers(0))
def test_what_is_broken_in_one_line_is_mended_there(words: list[str], place: int) -> None:
    at = place % (len(words) + 1)
    assert repair("\n".join([*words[:at], "coÃ¶rdinator", *words[at:]])) == "\n".join(
        [*words[:at], "coördinator", *words[at:]]
    )


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("cafÃ© en één", "café en één"),
        ("donâ€™t", "don’t"),
        ("voilÃ\xa0 le", "voilà le"),
        ("schÃƒÂ¶n", "schön"),
        ("\x93citaat\x94 \x85 🙂", "“citaat” … 🙂"),
        ("a\x85b", "a…b"),
        ("a\x00b\x07\x1fc\x7f", "abc"),
        ("\ufeffbegin", "begin"),
        ("een\r\ntwee\rdrie\u2028vier", "een\ntwee\ndrie\nvier"),
        ("\r\n\r\n", "\n\n"),
        ("e\u0301e\u0301n", "één"),
        ("\x1b[31mrood\x1b[0m", "rood"),
        ("", ""),
    ],
)
def test_leftovers_of_wrong_encodings(broken: str, mended: str) -> None:
    assert repair(broken) == mended


@given(st.text())
def test_any_text_can_be_repaired(text: str) -> None:
    repaired = repair(text)
    assert not set(repaired) & {chr(code) for code in [*range(9), 11, *range(14, 32), 127]}
    to_markdown(repaired)


@pytest.mark.parametrize(
    "plain",
    [
        "Als a < b en b > c",
        "Druk op <enter> en <F5>, dan op <menu>",
        "List<String> en Map<a, b>",
        "1. een\n2. twee\n\n- drie\n  - vier",
        "`<br>` is een regeleinde",
        "# Kop\n\nMarkdown met een <br> erin",
        "```html\n<p>voorbeeld</p>\n```",
        "| a | b |\n| --- | --- |\n| 1<br>2 | 3 |",
        "https://x.example/?a=1&copy=2",
    ],
)
def test_plain_text_and_markdown_stay(plain: str) -> None:
    assert to_markdown(plain) == plain


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("<p>een</p><p>twee</p>", "een\n\ntwee"),
        ("een<br />\ntwee<br>drie", "een\ntwee\ndrie"),
        ("  <div>\n\n    <p>diep</p>\n\n  </div>", "diep"),
        ("een\n\ntwee <b>vet</b>\ndrie", "een\n\ntwee **vet**\ndrie"),
        ("Zie <a href='https://x.example'>hier</a>", "Zie [hier](https://x.example)"),
        ("Druk op &lt;enter&gt;<br>", "Druk op <enter>"),
        ("<UL><LI>een<LI>twee</UL>", "- een\n- twee"),
        ("R&amp;D &eacute;&eacute;n &#147;citaat&#148; &lt;p&gt;", "R&D één “citaat” <p>"),
        ("regel \xa0\t\n\n", "regel"),
    ],
)
def test_what_people_typed_and_editors_wrote(markup: str, markdown: str) -> None:
    assert to_markdown(markup) == markdown


@pytest.mark.parametrize("quoted", ["Op ma 5 okt. 2026 om 09:12 schreef Jan <j@x.example>:\n> oud", "-- \nJan"])
def test_quotes_and_signatures_go_from_plain_mails_too(quoted: str) -> None:
    mail = f"Het werkt weer.\n\n{quoted}"
    assert to_markdown(mail, is_mail=True) == "Het werkt weer."
    assert to_markdown(mail) == mail.replace("-- ", "--")
    assert to_markdown(quoted, is_mail=True) == to_markdown(quoted)


@pytest.mark.parametrize(
    "text", ["<b>" * 20_000 + "</b>", "[" * 20_000 + "</p>", "*a " * 20_000 + "</p>", "Ã " * 20_000, "</p>\n" * 20_000]
)
def test_odd_texts_take_no_time(text: str) -> None:
    # Of the processor, whatever else it does: about one second, where rules that look back and back take minutes.
    start = time.process_time()
    to_markdown(repair(text), is_mail=True)
    assert time.process_time() - start < 10


@given(text=st.text(st.characters(max_codepoint=0x17F), max_size=40))
def test_what_is_repaired_line_by_line_is_what_the_library_makes_of_each(text: str) -> None:
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    assert repair(text) == "".join(fix_and_explain(line, _REPAIRS).text for line in lines)
