"""The golden set: what people write down, what resolved tickets asked, and how a store answers it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_assets.documents import Visibility
from sync_assets.errors import SettingsError
from sync_assets.golden import GoldenQuestion, golden_set
from sync_assets.golden.labels import read_labels, unknown_tenants
from sync_assets.golden.measuring import MODES, measure, unknown_documents
from sync_assets.golden.mining import mine
from sync_assets.graph.applying import apply_changes, settle
from sync_assets.graph.evidence import Text
from sync_assets.graph.extraction import open_extractor
from sync_assets.ledger import StreamRef
from sync_assets.relations import EdgeKind, Entity, NodeKind
from sync_assets.services import Services
from sync_assets_tests.graph.small_graph import TENANT, change, identity, relation, ticket
from sync_assets_tests.postgres import fresh_database
from sync_assets_tests.search.corpus import Corpus, note, open_installation

ARTICLE = Entity(kind=NodeKind.ARTICLE, key=identity("kb-8"))
TRAY = Entity(kind=NodeKind.CONFIGURATION_ITEM, key=identity("ci-1"))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("golden")
    (home / "tenants.yaml").write_text(f"tenants: {{{TENANT}: {{}}, polder: {{}}, measured: {{}}}}\n")
    with fresh_database(postgres_url) as url, open_installation(home, url) as services:
        yield services


@pytest.fixture
def written(services: Services) -> Iterator[Path]:
    """Where people write questions down; gone after the test."""
    path = services.settings.home / "golden.yaml"
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def tickets(services: Services) -> None:
    """A graph in which some tickets are resolved."""
    documented = relation(EdgeKind.DOCUMENTED_IN, ARTICLE)
    hidden = Text("note", "50-note", "comment", "See KB-8.", Visibility.RESTRICTED, ("group:board",))
    changes = [
        change("kb-7", "Repair the print queue", "Stop the spooler first.", aliases=("KB-7",)),
        change("kb-8", "Order another toner", "Ask at the desk.", aliases=("KB-8",)),
        ticket("40", "No paper comes out", "It is full.", "Solved, see KB-7.", state="resolved"),
        ticket("41", "Nothing is printed at all", "This is a duplicate of #40.", state="resolved"),
        change("42", "All pages are grey", relations=(documented,), state="resolved"),
        change("43", "All pages are grey", "Solved as described in KB-7.", relations=(documented,), state="resolved"),
        ticket("44", "My printer is on fire", "I have read KB-7.", state="open"),
        ticket("45", "Toner empty", "See KB-8.", state="resolved"),
        ticket("46", "Where does the paper go", "Nobody knows.", state="resolved"),
        ticket("47", "Who opens the copy room", hidden, state="resolved"),
        change("48", "The tray is stuck again", relations=(relation(EdgeKind.RESOLVED_BY, TRAY),), state="resolved"),
        change("ci-1", "Tray 2", aliases=("CI-1",)),
    ]
    extractor = open_extractor({})
    apply_changes(services.graph, extractor, StreamRef(TENANT, "portal", "tickets"), changes)
    settle(services.graph, extractor, TENANT)


def ids(*records: str) -> tuple[str, ...]:
    return tuple(identity(record) for record in records)


@pytest.mark.usefixtures("tickets")
def test_questions_are_mined_from_what_resolved_tickets_link_to(services: Services) -> None:
    found = {one.text: (one.documents, one.asked_in, one.origin) for one in mine(services, TENANT)}
    assert found == {
        "No paper comes out": (ids("kb-7"), ids("40"), "DOCUMENTED_IN, RESOLVED_BY"),
        "Nothing is printed at all": (ids("40", "kb-7"), ids("41"), "DUPLICATE_OF"),
        "All pages are grey": (ids("kb-7", "kb-8"), ids("42", "43"), "DOCUMENTED_IN, RESOLVED_BY"),
    }, "no open ticket, no short title, no link that only some may see, no thing that was replaced"
    assert mine(services, "polder") == []


@pytest.mark.usefixtures("tickets")
def test_what_people_write_down_comes_first_and_replaces_what_was_mined(services: Services, written: Path) -> None:
    written.write_text(
        f"{TENANT}:\n"
        "  - {question: 'Can I print at home?', documents: [acme_portal_40], principals: ['group:home']}\n"
        "  - {question: No paper comes out, documents: [acme_portal_kb-8], audience: internal}\n"
        "  - {question: All pages are grey, documents: []}\n"
        "polder: []\n"
    )
    found = golden_set(services, TENANT)
    assert [(one.text, one.documents, one.origin) for one in found] == [
        ("Can I print at home?", ("acme_portal_40",), "golden.yaml"),
        ("No paper comes out", ("acme_portal_kb-8",), "golden.yaml"),
        ("Nothing is printed at all", ids("40", "kb-7"), "DUPLICATE_OF"),
    ]
    assert (found[0].audience.visibility, found[0].audience.principals) == (Visibility.PUBLIC, {"group:home"})
    assert found[1].audience.visibility is Visibility.INTERNAL
    assert golden_set(services, "polder") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acme:\n  - question: Why: so\n", r"golden\.yaml, line 2: not valid YAML\. Quote texts"),
        ("[]", r"golden\.yaml: top: Input should be a valid dict"),
        (
            "acme: [{question: Why so}]",
            r"golden\.yaml: acme\.0\.documents: Field required\. See the golden set in docs",
        ),
        ("acme: [{question: ' ', documents: [a]}]", r"acme\.0\.question: .*at least 1 character"),
        ("acme: [{question: Why, documents: [a], audience: restricted}]", r"acme\.0\.audience: Input should be"),
        ("acme: [{question: Why, documents: [a, a]}]", r"acme\.0: .*a document stands there twice"),
        ("acme: [{question: Why, document: a}]", r"acme\.0\.document(s)?: "),
        ("ACME: []", r"golden\.yaml: ACME: String should match pattern"),
        (
            "acme: [{question: Why, documents: [a]}, {question: Why, documents: [b]}]",
            r"acme\.1: the question of acme\.0 again\. Name all its documents in one entry",
        ),
    ],
)
def test_every_mistake_in_the_file_names_its_place_and_the_way_out(
    services: Services, written: Path, text: str, said: str
) -> None:
    written.write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_labels(services, TENANT)


def test_a_name_that_is_no_tenant_is_told_and_stops_no_other(services: Services, written: Path) -> None:
    written.write_text("nobody: [{question: Why, documents: [a]}]\nacme: [{question: How, documents: [b]}]\n")
    assert [one.text for one in read_labels(services, TENANT)] == ["How"]
    assert unknown_tenants(services) == ["nobody"]
    written.write_text("acme: [{question: When, documents: [b]}]\n")
    assert [one.text for one in read_labels(services, TENANT)] == ["When"], "an edited file is read again"
    assert unknown_tenants(services) == []


def question(text: str, *documents: str, **more: Any) -> GoldenQuestion:
    return GoldenQuestion(tenant="measured", text=text, documents=documents, origin="test", **more)


def test_each_store_is_measured_by_what_it_holds_and_the_asking_ticket_takes_no_place(services: Services) -> None:
    corpus = Corpus(services, "measured")
    asked = corpus.add("asked", "fax stops after first page", stores=["pgvector", "qdrant"])
    answer = corpus.add("answer", "fax stops when the line is noisy", stores=["pgvector", "qdrant"])
    inside = corpus.add("inside", note("toner is behind the door"), stores=["pgvector"])
    for number in range(12):
        corpus.add(f"other{number}", f"weather number {number}", stores=["pgvector", "qdrant"])
    questions = [
        question("fax stops after first page", answer, "measured_freshdesk_lost", asked_in=(asked,)),
        question("toner behind door", inside, visibility=Visibility.PUBLIC),
        question("toner behind the door", inside),
        question("unknown", "measured_freshdesk_lost"),
    ]
    assert unknown_documents(services, questions) == {
        questions[0]: ["measured_freshdesk_lost"],
        questions[3]: ["measured_freshdesk_lost"],
    }
    by_pgvector, by_qdrant = measure(services, questions)
    assert (by_pgvector.store, len(by_pgvector.questions)) == ("pgvector", 3)
    assert (by_qdrant.store, [one.documents for one in by_qdrant.questions]) == ("qdrant", [(answer,)])
    for mode in MODES:
        assert by_qdrant.scores[mode]["MRR"].tolist() == [1]
        assert by_pgvector.scores[mode]["MRR"].tolist() == [1, 0, 1], "the public does not see the note"
        assert by_pgvector.measured(mode)["recall@5"].mean == pytest.approx(2 / 3)
    assert by_pgvector.gain("MRR") == (0, 0, 0)
    assert [one.store for one in measure(services, questions, "qdrant")] == ["qdrant"]
