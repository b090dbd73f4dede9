import time

import pytest

from sync_assets.sources.backlog_markup import backlog_to_markdown


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("* 概要\n** 詳細\n*** Steps", "# 概要\n## 詳細\n### Steps"),
        ("*\u3000全角の空白", "# 全角の空白"),
        ("''太字''と'''斜体'''", "**太字**と*斜体*"),
        ("''don't press''", "**don't press**"),
        ("%%古い%%", "~~古い~~"),
        ("&color(red) { ''注意'' }", "**注意**"),
        ("&color(#fff, #333) {白}", "白"),
        ("一行目&br;二行目", "一行目\n二行目"),
        ("- a\n-- b\n--- c\n- d", "- a\n    - b\n        - c\n- d"),
        ("+ 一\n++ 二\n+ 三", "1. 一\n    1. 二\n1. 三"),
        ("-- skipped level", "- skipped level"),
        ("- [ ] 電源\n- [x] 配線", "- [ ] 電源\n- [x] 配線"),
        ("[[https://a.example/?q=''x'']]", "<https://a.example/?q=''x''>"),
        ("[[説明書>https://a.example/a]]", "[説明書](https://a.example/a)"),
        ("[[Backlog:https://a.example/]]", "[Backlog](https://a.example/)"),
        ("[[設計/ポンプ]] と [[POL-12]]", "設計/ポンプ と POL-12"),
        ("[[手順>設計/ポンプ]]", "手順"),
        ("#image(図1.png)", "![図1.png]()"),
        ("#thumbnail(https://a.example/x/図.png?signature=abc)", "![図.png]()"),
        ("#attach(log.txt:11)", "log.txt"),
        ("#contents\n本文", "本文"),
        ("{quote}\n一行目\n* 見出し\n{/quote}", "> 一行目\n> # 見出し"),
        ("{quote}\na\n{quote}\nb\n{/quote}\nc\n{/quote}\nd", "> a\n>\n> > b\n>\n> c\n\nd"),
        ("{quote}a{/quote}{quote}b{/quote}", "> a\n\n> b"),
        ("{quote}\n{code}\n{/quote}\n{/code}\nx\n{/quote}", "> ```\n> {/quote}\n> ```\n>\n> x"),
        ("{quote}" * 9 + "底" + "{/quote}" * 9, "> > > > > 底"),
        ("{quote}a{quote}b{/quote}", "{quote}a\n\n> b"),
        ("> 引用", "> 引用"),
        ("前\n{code:java}\nint ''a'' = 1;\n* b\n{/code}\n後", "前\n\n```java\nint ''a'' = 1;\n* b\n```\n\n後"),
        ("{code}\n```\n{/code}", "````\n```\n````"),
        ("{code}1{/code}", "```\n1\n```"),
        ("|品名|数|h\n|~ポンプ|2|\n|計||", "| 品名 | 数 |\n| --- | --- |\n| ポンプ | 2 |\n| 計 |  |"),
        ("|a|[[b>https://a.example/]]|\n|>|c|", "|  |  |\n| --- | --- |\n| a | [b](https://a.example/) |\n|  | c |"),
        ("text\n|a|b|\nmore", "text\n\n|  |  |\n| --- | --- |\n| a | b |\n\nmore"),
    ],
)
def test_the_marks_of_the_backlog_rule_become_markdown(written: str, expected: str) -> None:
    assert backlog_to_markdown(written) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{code}\nnever closed",
        "{/quote} alone",
        "''half bold",
        "*強調*ではない",
        "-5 ℃",
        "#rev(11) &unknown; {macro}",
        "[[half link",
        "&color(red) without braces",
        "|half a row",
        "が と が、ﾊﾝｶｸ、①、㈱、\u3000全角",
    ],
)
def test_what_is_no_known_mark_stays_as_it_was_written(text: str) -> None:
    assert backlog_to_markdown(text) == text


def test_a_line_that_only_markdown_takes_for_a_heading_is_none() -> None:
    assert backlog_to_markdown("# comment\n#1 の件") == "\\# comment\n#1 の件"


def test_line_ends_of_windows_leave_no_trace() -> None:
    assert backlog_to_markdown("* a\r\n- b\r\n") == "# a\n- b"


@pytest.mark.parametrize(
    "piece",
    ["{code}", "{quote}", "[[", "''", "'''", "%%", "&color(", "&color(x){", "#image(", "|", "|a", "- ", "* ", "\n"],
)
def test_no_repeated_mark_makes_reading_slow(piece: str) -> None:
    started = time.process_time()
    backlog_to_markdown(piece * (100_000 // len(piece)))
    backlog_to_markdown(f"{piece}{'a' * 20}" * 5_000)
    backlog_to_markdown(f"|{piece}" * 25_000 + "|")
    backlog_to_markdown("{quote}a" * 5_000 + piece + "{/quote}" * 5_000)
    assert time.process_time() - started < 5
