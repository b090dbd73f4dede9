"""What texts give: names, rules and pipelines, and the edges that the words around a mention mean."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.graph.evidence import Evidence, Subject, Text
from sync_assets.graph.extraction import Extractor, open_extractor
from sync_assets.graph.gazetteer import names_of
from sync_assets.relations import EdgeKind, Entity, NodeKind

_SHARED = dict[str, Extractor]()


def known(kind: str, key: str, name: str = "", *aliases: str, scope: str = "") -> Entity:
    return Entity(kind=NodeKind(kind), key=key, name=name, aliases=aliases, scope=scope)


WORLD = [
    known("product", "outlook", "Outlook", "Microsoft Outlook"),
    known("product", "teams", "Teams"),
    known("product", "windows", "Windows"),
    known("product", "windows server 2022", "Windows Server 2022"),
    known("configuration_item", "1", "SRV-FILE01", "CI-2025-001"),
    known("configuration_item", "2", "PRT-1"),
    known("configuration_item", "3", "LT-0231"),
    known("person", "p1", "Will May", "w.may@x.example"),
    known("person", "p2", "Sanne de Wit"),
    known("organisation", "o1", "Harbour & Sons"),
    known("department", "hr", "HR"),
    known("department", "inkoop", "Inkoop"),
    known("location", "schelp", "De Schelp"),
    known("article", "a31", "VPN", "KA-0031", "https://help.x.example/articles/31"),
    known("ticket", "t1", "", "#12", "https://desk.x.example/12", scope="desk"),
    known("ticket", "t2", "", "#14", scope="desk"),
    known("ticket", "t3", "", "shop#7"),
    known("merge_request", "m1", "", "shop!3", "https://git.x.example/shop/-/merge_requests/3"),
]


def rows(
    text: str,
    *,
    kind: str = "ticket",
    role: str = "description",
    resolved: bool = False,
    key: str = "own",
    scope: str = "desk",
) -> list[Evidence]:
    own = Entity(kind=NodeKind(kind), key=key, scope=scope)
    subject = Subject("d", own, resolved, (Text("p", "c", role, text, Visibility.INTERNAL),))
    extractor = _SHARED.setdefault("one", open_extractor({}))
    return extractor.extract([subject], names_of(WORLD))


def mentions(text: str, **more: Any) -> list[tuple[str, str]]:
    """Words and node id of each mention."""
    return [(text[slice(*row.span)], row.target.node_id) for row in rows(text, **more) if row.span and row.target]


def edges(text: str, **more: Any) -> set[tuple[str, str, str]]:
    return {
        (row.source.node_id, row.edge.value, row.target.node_id)
        for row in rows(text, **more)
        if row.edge and row.target
    }


def of_own(text: str, **more: Any) -> set[tuple[str, str]]:
    """Kind and target of the edges that begin at the document."""
    return {(edge, target) for source, edge, target in edges(text, **more) if source.endswith(":own")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Outlook hangs", [("Outlook", "product:outlook")]),
        ("the outlook is good", []),
        ("MICROSOFT\n  OUTLOOK hangs", [("MICROSOFT\n  OUTLOOK", "product:outlook")]),
        ("Outlookprobleem, Outlook-account", [("Outlook", "product:outlook")] * 2),
        ("OutlookX and MyOutlook and Outlook.exe", []),
        ("Windows Server 2022 is no Windows", [("Windows Server 2022", "product:windows server 2022"),
                                               ("Windows", "product:windows")]),
        ("PRT-12 and XPRT-1 and PRT-1-2 and prt-1.", [("prt-1", "configuration_item:2")]),
        (r"\\SRV-FILE01\common", [("SRV-FILE01", "configuration_item:1")]),
        ("both teams and the HR team, but hr", [("HR", "department:hr")]),
        ("Inkoop van stoelen", []),
        ("voor Inkoop van stoelen", [("Inkoop", "department:inkoop")]),
        ("De schelp van mijn oortje. In de Schelp.", [("de Schelp", "location:schelp")]),
        ("Will may go. Will May went. May, Will.", [("Will May", "person:p1"), ("May, Will", "person:p1")]),
        ("S. de Wit <w.may@x.example>, aw.may@x.example",
         [("S. de Wit", "person:p2"), ("w.may@x.example", "person:p1")]),
        ("Harbour  & Sons called", [("Harbour  & Sons", "organisation:o1")]),
        ("see #12, ticket 14 (#14) and #123", [("#12", "ticket:t1"), ("14", "ticket:t2"), ("#14", "ticket:t2")]),
        ("order #12, bestelling #14, order 12, other#12", []),
        ("https://desk.x.example/12?a=b and https://desk.x.example/123",
         [("https://desk.x.example/12", "ticket:t1"), ("desk.x.example", "host:desk.x.example")]),
    ],
)  # fmt: skip
def test_names_are_found_where_they_stand_alone_and_are_written_as_names(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert mentions(text) == expected


def test_short_forms_are_understood_in_their_scope_only() -> None:
    assert mentions("see #12", scope="other") == []


def test_a_document_does_not_mention_itself() -> None:
    assert mentions("Ticket #12, https://desk.x.example/12", key="t1") == []


def test_a_name_of_two_nodes_splits_its_probability() -> None:
    twins = [known("person", key, "Piet Jansen") for key in ("a", "b")]
    subject = Subject("d", known("article", "own"), False, (Text("p", None, "body", "Piet Jansen", Visibility.PUBLIC),))
    found = open_extractor({}).extract([subject], names_of(twins))
    assert [(row.target and row.target.key, row.probability) for row in found] == [("a", 0.45), ("b", 0.45)]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("fails with 0x80070005", "0x80070005"),
        ("HTTP/1.1 503 Service Unavailable", "http 503"),
        ("a 404 Not Found", "http 404"),
        ("error 503", "http 503"),
        ("exit code 503", "503"),
        ("fout 1603", "1603"),
        ("error -2147024891", "-2147024891"),
        ("ERR_CONNECTION_RESET", "err_connection_reset"),
        ("connect ECONNREFUSED", "econnrefused"),
        ("ORA-01017: denied", "ora-01017"),
        ("the display shows E-104", "e-104"),
        ("java.io.IOException: x", "ioexception"),
        ("550 5.7.1 rejected", "550 5.7.1"),
    ],
)
def test_error_codes_are_found(text: str, key: str) -> None:
    assert [node for _, node in mentions(text)] == [f"error_code:{key}"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("since 5.2.1", "5.2.1"),
        ("v3.12", "3.12"),
        ("versie 4.1-rc2 draait", "4.1-rc2"),
        ("Windows 23H2", "23h2"),
        ("build 19045", "19045"),
        ("10.0.19045.3803", "10.0.19045.3803"),
        ("firmware 10.1.2.3", "10.1.2.3"),
        ("Teams 1.7", "1.7"),
    ],
)
def test_versions_are_found(text: str, key: str) -> None:
    assert f"version:{key}" in [node for _, node in mentions(text)]
    assert not any(node.startswith("host:") for _, node in mentions(text))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("mail.polder.example is down", "mail.polder.example"),
        ("SRV-DB07 is down", "srv-db07"),
        ("ping 10.20.4.17:443.", "10.20.4.17"),
        ("2001:DB8::A4 answers", "2001:db8::a4"),
        ("open https://portal.x.example/login", "portal.x.example"),
    ],
)
def test_hosts_are_found(text: str, key: str) -> None:
    assert [node for _, node in mentions(text)] == [f"host:{key}"]


@pytest.mark.parametrize(
    "text",
    [
        "on 21.11.2026 and 2026.11.21 and 12/11/2025 at 10.30 and 12:30:45",
        "€ 1.250.000 and 1.482.113 MB, 99,50",
        "call 010.123.4567 or +31 6 1234 5678 or 06-12345678",
        "order 4711, Q-2025-0311, invoice 20251121, IBAN NL91ABNA0417164300",
        "KB5034441, CVE-2024-20666, ISO-27001, UTF-8, WEB-123, CI-2025-999",
        "10.0.0.0/24, 255.255.255.0, 127.0.0.1, ::1, localhost, 198.51.100.300",
        "report.final.pdf, e1d68x64.sys, System.IO, node.js, ASP.NET, setup-5.2.1.exe",
        "JAVA_HOME, MAX_RETRIES, LOG_ERROR_LEVEL, HTTP 200 OK, 503 users, error 3 times",
        "section 4.1.2, versie 5.2.x, redis >= 3.2.1, #FF0000, 0x1B, at 0x00007FF612345678",
        "klaar.de printer, e.g. this, someone@mail.example, 00:1a:2b:3c:4d:5e",
    ],
)
def test_what_only_looks_like_a_code_a_version_or_a_host_is_none(text: str) -> None:
    assert mentions(text) == []


@pytest.mark.parametrize(
    ("text", "edge"),
    [
        ("Duplicate of #12", "DUPLICATE_OF"),
        ("Dit is een dubbel van melding 12", "DUPLICATE_OF"),
        ("zelfde als #12 denk ik", "DUPLICATE_OF"),
        ("Not a duplicate of #12", "MENTIONS"),
        ("is geen dubbel van #12", "MENTIONS"),
        ("same error as in #12", "MENTIONS"),
        ("Solved as in #12", "MENTIONS"),
    ],
)
def test_a_ticket_is_a_duplicate_where_the_text_says_so(text: str, edge: str) -> None:
    assert of_own(text) == {(edge, "ticket:t1")}


def test_a_ticket_said_to_be_a_duplicate_of_this_one_begins_the_edge() -> None:
    assert edges("#12 is a duplicate of this one") == {("ticket:t1", "DUPLICATE_OF", "ticket:own")}


@pytest.mark.parametrize("role", ["resolution", "comment"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Solved by KA-0031", {("DOCUMENTED_IN", "article:a31"), ("RESOLVED_BY", "article:a31")}),
        ("KA-0031 did not help", {("DOCUMENTED_IN", "article:a31")}),
        ("Opgelost zoals in #12", {("RESOLVED_BY", "ticket:t1")}),
        ("Zie ook #12", {("MENTIONS", "ticket:t1")}),
        ("Fixed with shop!3", {("RESOLVED_BY", "merge_request:m1")}),
        ("Vervangen door LT-0231", {("RESOLVED_BY", "configuration_item:3")}),
    ],
)
def test_what_the_end_of_a_resolved_ticket_cites_resolved_it(text: str, role: str, expected: set[str]) -> None:
    assert of_own(text, resolved=True, role=role) == expected
    assert "RESOLVED_BY" not in {edge for edge, _ in of_own(text, role=role)}
    assert "RESOLVED_BY" not in {edge for edge, _ in of_own(text, resolved=True)}


def test_only_the_last_comment_counts_as_the_end() -> None:
    texts = tuple(Text(place, None, "comment", "see KA-0031", Visibility.PUBLIC) for place in ("c1", "c2"))
    found = open_extractor({}).extract([Subject("d", known("ticket", "own"), True, texts)], names_of(WORLD))
    assert {row.place for row in found if row.edge is EdgeKind.RESOLVED_BY} == {"c2"}


@pytest.mark.parametrize(
    ("text", "edge"),
    [
        ("Outlook hangs", "AFFECTS"),
        ("Outlook works fine", "MENTIONS"),
        ("Outlook werkt wel gewoon", "MENTIONS"),
        ("Sent from Outlook for iOS", "MENTIONS"),
    ],
)
def test_a_ticket_affects_what_it_names_unless_that_is_well(text: str, edge: str) -> None:
    assert of_own(text) == {(edge, "product:outlook")}


def test_a_thing_named_in_the_header_is_surer_to_be_affected() -> None:
    assert [row.probability for row in rows("Outlook", role="header")] == [0.7]
    assert [row.probability for row in rows("Outlook")] == [0.5]


@pytest.mark.parametrize("kind", ["merge_request", "commit"])
@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("Fixes #12", {"t1"}),
        ("closes #12, #14 and shop#7", {"t1", "t2", "t3"}),
        ("Resolves https://desk.x.example/12", {"t1"}),
        ("fixes #12 but not #14", {"t1"}),
        ("does not fix #12, doesn't close #14", set()),
        ("Part of #12, see #14", set()),
        ("Dit lost #12 niet op", set()),
    ],
)
def test_a_change_fixes_the_tickets_that_it_says_it_fixes(kind: str, text: str, fixed: set[str]) -> None:
    found = {edge for edge in edges(text, kind=kind) if edge[1] != "MENTIONS"}
    assert found == {(f"{kind}:own", "FIXES", f"ticket:{key}") for key in fixed} | {
        (f"ticket:{key}", "RESOLVED_BY", f"{kind}:own") for key in fixed
    }


def test_other_documents_only_mention() -> None:
    text = "Outlook on SRV-FILE01, fixes #12, duplicate of #14, KA-0031"
    assert {edge for edge, _ in of_own(text, kind="article")} == {"MENTIONS"}


def test_at_most_five_mentions_of_a_node_in_a_text_are_kept() -> None:
    assert len(rows("Outlook. " * 9 + "Teams")) == 6


def test_evidence_carries_who_may_see_it_and_where_it_stands() -> None:
    (row,) = rows("Outlook")
    assert (row.document_id, row.place, row.chunk_id, row.span) == ("d", "p", "c", (0, 7))
    assert row.visibility is Visibility.INTERNAL
    assert row.extractor == "names/1"


@pytest.mark.parametrize(
    "before", ["\ud800 ", "😀😀 ", "\x00\x01 ", "שלום עולם ", "İİ ", "e\u0301 ", "\u202e", "\r\n\t", "\x1f"]
)
def test_odd_characters_do_not_shift_spans(before: str) -> None:
    assert mentions(f"{before}Outlook 0x80070005") == [
        ("Outlook", "product:outlook"), ("0x80070005", "error_code:0x80070005")
    ]  # fmt: skip


@given(st.text(st.characters(), max_size=80))
def test_no_text_makes_extraction_fail(text: str) -> None:
    found = rows(f"{text} PRT-1 {text}", resolved=True, role="comment")
    assert all(row.span and 0 <= row.span[0] < row.span[1] <= 2 * len(text) + 7 for row in found)
    assert all(0 < row.probability <= 1 for row in found)


@pytest.mark.parametrize(
    "piece", ["Outlook 10.1.2.3 fails\n", "a", "a.", "1.", "a-", "#", "x@", "A", "A_", " ", "https://a", "0"]
)
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    start = time.process_time()
    rows(piece * (300_000 // len(piece)) + " a@b.example")
    assert time.process_time() - start < 20


def test_a_change_of_names_changes_what_is_found() -> None:
    extractor = open_extractor({})
    subject = Subject("d", known("ticket", "own"), False, (Text("p", None, "body", "Outlook", Visibility.PUBLIC),))
    assert extractor.extract([subject], []) == []
    assert len(extractor.extract([subject], names_of(WORLD))) == 1
    assert extractor.extract([subject], []) == []


def test_a_pipeline_that_is_not_installed_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"SYNC_ASSETS_SPACY_MODELS.*nl_core_news_xx.*spacy download") as caught:
        open_extractor({"nl": "nl_core_news_xx"})
    assert caught.value.remedy


@pytest.fixture
def pipeline(tmp_path: Path) -> str:
    """A Dutch pipeline that knows a few entities."""
    nlp = spacy.blank("nl", meta={"name": "tiny", "version": "1.2.3"})
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": "Lotte Verhage"},
            {"label": "PERSON", "pattern": "Lotte"},
            {"label": "ORG", "pattern": "Deltaplan"},
            {"label": "ORG", "pattern": "Outlook"},
            {"label": "DATE", "pattern": "gisteren"},
        ]
    )
    nlp.to_disk(tmp_path / "tiny")
    return str(tmp_path / "tiny")


DUTCH = (
    "Gisteren heeft Lotte Verhage van Deltaplan gebeld over het probleem met Outlook. Lotte belt later vandaag terug."
)


def statistical(pipeline: str, text: str) -> list[tuple[str, str, str]]:
    subject = Subject("d", known("ticket", "own"), False, (Text("p", None, "body", text, Visibility.PUBLIC),))
    found = open_extractor({"nl": pipeline}).extract([subject], names_of(WORLD))
    return [(text[slice(*row.span)], row.target.node_id, row.extractor) for row in found if row.span and row.target]


def test_a_pipeline_adds_what_names_and_rules_leave(pipeline: str) -> None:
    assert statistical(pipeline, DUTCH) == [
        ("Lotte Verhage", "person:lotte verhage", "nl_tiny/1.2.3"),
        ("Deltaplan", "organisation:deltaplan", "nl_tiny/1.2.3"),
        ("Outlook", "product:outlook", "names/1"),
    ]


def test_a_pipeline_reads_only_texts_of_its_language(pipeline: str) -> None:
    english = (
        "Yesterday we were called by Lotte Verhage of the company Deltaplan about the strange problem with the mail."
    )
    assert statistical(pipeline, english) == []


def test_a_pipeline_reads_texts_that_are_longer_than_it_takes(pipeline: str) -> None:
    text = "Het is vandaag weer mooi weer in de stad en iedereen is buiten.\n" * 3_000 + DUTCH
    assert [words for words, _, _ in statistical(pipeline, text)] == ["Lotte Verhage", "Deltaplan", "Outlook"]


def test_the_fingerprint_tells_pipelines(pipeline: str) -> None:
    assert open_extractor({}).fingerprint == open_extractor({}).fingerprint
    assert "nl_tiny/1.2.3" in open_extractor({"nl": pipeline}).fingerprint
    assert "nl_tiny" not in open_extractor({}).fingerprint


def test_opening_pipelines_imports_neither_them_nor_spacy(pipeline: str, tmp_path: Path) -> None:
    package = tmp_path / "nl_packed"
    package.mkdir()
    (package / "__init__.py").write_text("import spacy\n")
    (package / "meta.json").write_text((Path(pipeline) / "meta.json").read_text().replace("tiny", "packed"))
    program = (
        "import sys; from sync_assets.graph.extraction import open_extractor; "
        f"print(open_extractor({{'nl': 'nl_packed', 'en': {pipeline!r}}}).fingerprint); "
        "print({'spacy', 'torch', 'nl_packed'} & sys.modules.keys())"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    fingerprint, imported = done.stdout.splitlines()
    assert "nl=nl_packed/1.2.3" in fingerprint
    assert "en=nl_tiny/1.2.3" in fingerprint
    assert imported == "set()"


@pytest.mark.parametrize("where", ["json", "no.such/folder", "..", ""])
def test_what_is_no_pipeline_is_refused(where: str) -> None:
    with pytest.raises(SettingsError, match=f"{where!r}, which is not installed"):
        open_extractor({"nl": where})
