"""`sync-assets graph merge|split|rebuild`: what people decide of a graph, and searching its texts again."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from sync_assets.cli.graph_session import Node, Other, Tenant, TenantGraph, opened
from sync_assets.cli.session import Json, print_json
from sync_assets.errors import SettingsError
from sync_assets.terminal import console

if TYPE_CHECKING:
    from sync_assets.graph.store_state import Merge

Note = Annotated[str, typer.Option("--note", help="Why, for whoever reads it later.")]
Undo = Annotated[bool, typer.Option("--undo", help="Take this decision back.")]

_Choice = Literal["same", "different"]


def merge(node: Node, other: Other, tenant: Tenant, note: Note = "", undo: Undo = False, as_json: Json = False) -> None:
    """Decide that two nodes are the same, whatever their names; reversible.

    Examples:

        sync-assets graph merge "Sanne de Wit" person:portal/2 --tenant acme --note "married"

        sync-assets graph merge "Sanne de Wit" person:portal/2 --tenant acme --undo
    """
    with opened(tenant) as graph:
        _decide(graph, node, other, "same", note, undo, as_json)


def split(node: Node, other: Other, tenant: Tenant, note: Note = "", undo: Undo = False, as_json: Json = False) -> None:
    """Decide that two nodes are not the same, however alike they are; reversible.

    Examples:

        sync-assets graph split person:portal/1 person:portal/2 --tenant acme --note "father and son"
    """
    with opened(tenant) as graph:
        _decide(graph, node, other, "different", note, undo, as_json)


def rebuild(tenant: Tenant, as_json: Json = False) -> None:
    """Search all texts of the graph again, and find again which entities are the same.

    Examples:

        sync-assets graph rebuild --tenant acme
    """
    from sync_assets.graph.applying import rebuild as search_again
    from sync_assets.stages.tenant_graph import resolve_entities

    with opened(tenant) as graph:
        graph.check_not_empty()
        documents = search_again(graph.store, graph.services.extractor, tenant)
        found = resolve_entities(graph.services, tenant)
    if as_json:
        print_json({"documents": documents, **found})
        return
    out = console()
    out.print(f"The texts of {documents} documents were searched again.")
    out.print(f"Of {found['entities']} entities {found['merged']} stand for another one; {found['changed']} changed.")


def _decide(graph: TenantGraph, node: str, other: str, choice: _Choice, note: str, undo: bool, as_json: bool) -> None:
    """Keep a decision or take it back, and tell what it changes."""
    from sync_assets.graph.store_state import merges
    from sync_assets.stages.tenant_graph import resolve_entities

    first, second = graph.entity(node), graph.entity(other)
    if first == second:
        raise SettingsError(f"{node!r} and {other!r} are both {first}.", "Name two nodes by their ids.")
    kinds = [node_id.partition(":")[0].replace("_", " ") for node_id in (first, second)]
    if choice == "same" and not undo and kinds[0] != kinds[1]:
        raise SettingsError(f"A {kinds[0]} and a {kinds[1]} are never the same.", "Name two nodes of a kind.")
    with graph.store.transaction() as connection:
        before = merges(connection, graph.tenant)
    _keep(graph, first, second, choice, note, undo)
    resolve_entities(graph.services, graph.tenant)
    with graph.store.transaction() as connection:
        after = merges(connection, graph.tenant)
    together = _stands_for(after, first) == _stands_for(after, second)
    changes = {
        "first": first,
        "second": second,
        "together": together,
        "merged": [row._asdict() for row in after if row not in before],
        "separated": [row._asdict() for row in before if row not in after],
    }
    if as_json:
        print_json(changes)
        return
    _print_changes(changes["merged"], changes["separated"])
    if not undo and together != (choice == "same"):
        console(stderr=True).print(
            f"The decision is kept, but {escape(first)} and {escape(second)} are {'one' if together else 'two'} still: "
            "another decision says so.",
            soft_wrap=True,
        )


def _keep(graph: TenantGraph, first: str, second: str, choice: _Choice, note: str, undo: bool) -> None:
    from sync_assets.graph.store_state import Decision, decisions, pin, unpin

    with graph.store.lock(graph.tenant), graph.store.transaction() as connection:
        if not undo:
            pin(connection, graph.tenant, Decision(first, second, choice, note, datetime.now(UTC)))
            return
        made = {(one.first_id, one.second_id): one.decision for one in decisions(connection, graph.tenant)}
        if made.get((min(first, second), max(first, second))) != choice:
            raise SettingsError(
                f"Nobody decided that {first} and {second} are {'the same' if choice == 'same' else 'different'}.",
                "There is nothing to take back.",
            )
        unpin(connection, graph.tenant, first, second)


def _stands_for(merges: "list[Merge]", node_id: str) -> str:
    return next((row.canonical_id for row in merges if row.node_id == node_id), node_id)


def _print_changes(merged: list[dict[str, str]], separated: list[dict[str, str]]) -> None:
    out = console()
    for row in merged:
        words = f"{row['canonical_id']} now stands for {row['node_id']}: {row['reason']}"
        out.print(escape(words), soft_wrap=True)
    for row in separated:
        words = f"{row['canonical_id']} no longer stands for {row['node_id']}, as it did: {row['reason']}"
        out.print(escape(words), soft_wrap=True)
    if not merged and not separated:
        out.print("This changes nothing for now.")
