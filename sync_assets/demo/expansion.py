"""The tour's last question: which ticket solves one that is open, where the words of both have nothing in common.

What belongs here: what plain search lists, what the graph adds, and the picture of why. The two tickets are in
`portal_story.py`.
"""

from pathlib import Path
from typing import NamedTuple

from sync_assets.demo.portal import PORTAL_TENANT, story_ids
from sync_assets.documents import Visibility, document_id
from sync_assets.graph.analysis import Related, related
from sync_assets.graph.loading import load_graph
from sync_assets.graph.picture import neighbourhood
from sync_assets.graph.view import draw
from sync_assets.relations import Entity, NodeKind
from sync_assets.search import Result, search
from sync_assets.services import Services
from sync_assets.vector_stores import Audience

_SOURCE, _STREAM = "ticket_portal", "tickets"
_AGENTS = Audience(visibility=Visibility.INTERNAL)
_SEARCHED, _EXPANDED = 10, 3


class Expansion(NamedTuple):
    """What was found for the open ticket.

    Attributes:
        title: of the open ticket.
        solution: record id of the ticket that solves it.
        hits: of a plain search for its words, itself left out.
        near: tickets and articles that are near to it in the graph, each with the path that explains it.
        picture: of its neighbourhood.
    """

    title: str
    solution: str
    hits: list[Result]
    near: list[Related]
    picture: Path

    @property
    def ok(self) -> bool:
        """Search does not list the solution, and the graph does."""
        node = _node(self.solution)
        return all(hit.record_id != self.solution for hit in self.hits) and any(
            one.node_id == node for one in self.near
        )


def expand(services: Services, portal: Path) -> Expansion:
    """Ask search and the graph about the open ticket; the picture lies beside the portal's database."""
    solution, opened = story_ids(portal)
    with services.tenants.open(_SOURCE, PORTAL_TENANT) as account:
        (record,) = account.fetch(_STREAM, [opened])
        document = account.to_document(_STREAM, record)
    words = "\n".join(part.text for part in document.parts if part.role == "description")
    hits = search(
        services,
        f"{document.title}\n{words}",
        tenant=PORTAL_TENANT,
        audience=_AGENTS,
        source=_SOURCE,
        top_k=_SEARCHED + 1,
    )
    graph = load_graph(services.graph, PORTAL_TENANT, _AGENTS)
    near = related(graph, {_node(opened): 1.0}, (NodeKind.TICKET, NodeKind.ARTICLE), _EXPANDED)
    picture = portal.with_name("graph.png")
    centres = [_node(opened), _node(solution)]
    draw(neighbourhood(graph, centres), centres, picture)
    others = [hit for hit in hits if hit.record_id != opened]
    return Expansion(document.title, solution, others[:_SEARCHED], near, picture)


def _node(record_id: str) -> str:
    return Entity(kind=NodeKind.TICKET, key=document_id(PORTAL_TENANT, _SOURCE, record_id)).node_id
