"""What the commands of `sync-assets graph` share: whose graph it is, and which node is meant.

What belongs here: what a second command of that group uses. What does not: the commands (`graph.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import typer

from sync_assets.cli.session import open_services
from sync_assets.documents import Visibility
from sync_assets.errors import GraphError, SettingsError, SyncAssetsError
from sync_assets.services import Services
from sync_assets.vector_stores import Audience

if TYPE_CHECKING:
    import networkx as nx

    from sync_assets.graph.store_nodes import NodeRow

Tenant = Annotated[str, typer.Option("--tenant", help="Whose graph.")]
AudienceOption = Annotated[
    Visibility | None,
    typer.Option("--audience", help="On whose behalf, public or internal; default an operator, who sees all."),
]
Node = Annotated[str, typer.Argument(help="Id, document id, number or name.", metavar="NODE")]
Other = Annotated[str, typer.Argument(help="The other one.", metavar="OTHER")]

_SHOWN = 20


class TenantGraph:
    """One tenant's graph as one reader sees it, for one command."""

    def __init__(self, services: Services, tenant: str, audience: Visibility | None) -> None:
        if audience is Visibility.RESTRICTED:
            raise SettingsError("--audience is public or internal.", "Leave it away to see all.")
        self.services = services
        self.store = services.graph
        self.tenant = tenant
        self.audience = Audience(visibility=audience) if audience else None

    @cached_property
    def loaded(self) -> "nx.MultiDiGraph[str]":
        from sync_assets.graph.loading import load_graph

        graph = load_graph(self.store, self.tenant, self.audience)
        if not graph:
            raise self._nothing()
        return graph

    @cached_property
    def entities(self) -> "list[NodeRow]":
        """All nodes as they are before merges."""
        from sync_assets.graph.store_nodes import nodes

        with self.store.transaction() as connection:
            found = list(nodes(connection, self.tenant, self.audience))
        if not found:
            raise self._nothing()
        return found

    def check_not_empty(self) -> None:
        """Say so where there is nothing, as a misspelt tenant has, for commands that would do nothing and succeed."""
        from sync_assets.graph.store_nodes import nodes

        with self.store.transaction() as connection:
            if next(iter(nodes(connection, self.tenant)), None) is None:
                raise self._nothing()

    def node(self, words: str) -> str:
        """The node that is meant, after merges."""
        stands_for = {member: node_id for node_id, node in self.loaded.nodes.items() for member in node["members"]}
        return self._only(words, sorted({stands_for[row.node_id] for row in self._called(words)}))

    def entity(self, words: str) -> str:
        """The node that is meant, before merges."""
        return self._only(words, [row.node_id for row in self._called(words)])

    def _called(self, words: str) -> "list[NodeRow]":
        """Nodes of that id; else those of that number or name; else those whose name has these words."""
        wanted = words.casefold().strip()
        if not wanted:
            raise SettingsError("NODE is empty.", "Name a node by its id (`ticket:...`), document id, number or name.")

        def forms(row: "NodeRow") -> set[str]:
            aliases = {alias.casefold() for alias in row.aliases}
            return {row.name.casefold(), *aliases, *(alias.lstrip("#!") for alias in aliases)}

        ways: tuple[Callable[[NodeRow], bool], ...] = (
            lambda row: words in (row.node_id, row.declared_by),
            lambda row: wanted in forms(row),
            lambda row: row.node_id.partition(":")[2].casefold() == wanted,
            lambda row: wanted in row.name.casefold(),
        )
        for is_meant in ways:
            if found := [row for row in self.entities if is_meant(row)]:
                return found
        raise SettingsError(
            f"The graph of {self.tenant!r} has no node {words!r}.",
            "Name it by its id (`ticket:...`), document id, number or name.",
        )

    def _only(self, words: str, found: list[str]) -> str:
        if len(found) == 1:
            return found[0]
        names = {row.node_id: row.name for row in self.entities}
        listed = [f"{node_id} ({names[node_id]})" if names[node_id] else node_id for node_id in found[:_SHOWN]]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise SettingsError(f"{words!r} may be {'; '.join(listed)}{more}.", "Name one by its id.")

    def _nothing(self) -> SyncAssetsError:
        known = self.services.tenants.names()
        if self.tenant not in known:
            return SettingsError(f"Unknown tenant {self.tenant!r}.", f"Known are: {', '.join(known) or 'none'}.")
        return GraphError(
            f"The graph of {self.tenant!r} is empty.", f"Fill it with `sync-assets sync --tenant {self.tenant}`."
        )


@contextmanager
def opened(tenant: str, audience: Visibility | None = None) -> Iterator[TenantGraph]:
    """A tenant's graph; the parts behind it are closed at the end."""
    with open_services() as services:
        yield TenantGraph(services, tenant, audience)
