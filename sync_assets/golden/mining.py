"""Questions that resolved tickets asked, with what answered them, as the knowledge graph tells it.

What belongs here: which tickets make a question. Articles that were linked, tickets that this one is a duplicate of,
and what fixed it answer it; what answers the other ticket answers its duplicate too.
"""

import heapq

from sync_assets.documents import Visibility
from sync_assets.golden import GoldenQuestion
from sync_assets.golden.labels import LONGEST
from sync_assets.graph.store_answers import Answered, answered
from sync_assets.hashing import text_hash
from sync_assets.relations import EdgeKind
from sync_assets.services import Services
from sync_assets.vector_stores.lexical import words

# More would make a measurement long, and its intervals hardly narrower.
MOST = 300

_RELATIONS = 20_000
# A shorter title, such as "Question", asks nothing.
_FEWEST_WORDS = 3


def mine(services: Services, tenant: str) -> list[GoldenQuestion]:
    """Questions in the words of the tickets' titles; of more than 300 always the same ones.

    Tickets with the same title make one question, and none of them is an answer to it.

    Raises:
        GraphError: the graph's database is out of reach.
    """
    with services.graph.transaction() as connection:
        found = answered(connection, tenant, _RELATIONS)
    answers: dict[str, list[Answered]] = {}
    for one in found:
        answers.setdefault(one.ticket, []).append(one)
    by_title: dict[str, set[str]] = {}
    for one in found:
        title = " ".join(one.title.split())
        if len(title) <= LONGEST and len(words(title)) >= _FEWEST_WORDS:
            by_title.setdefault(title, set()).add(one.ticket)
    questions = [_question(tenant, title, tickets, answers) for title, tickets in by_title.items()]
    return heapq.nsmallest(MOST, (one for one in questions if one.documents), key=lambda one: text_hash(one.text))


def _question(tenant: str, title: str, tickets: set[str], answers: dict[str, list[Answered]]) -> GoldenQuestion:
    told = [one for ticket in sorted(tickets) for one in answers[ticket]]
    documents = {one.answer for one in told}
    for one in told:
        if one.relation is EdgeKind.DUPLICATE_OF:
            documents.update(further.answer for further in answers.get(one.answer, ()))
    return GoldenQuestion(
        tenant=tenant,
        text=title,
        documents=tuple(sorted(documents - tickets)),
        asked_in=tuple(sorted(tickets)),
        visibility=Visibility.INTERNAL,
        origin=", ".join(sorted({one.relation.value for one in told})),
    )
