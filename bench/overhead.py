"""What a sync costs beside the work that can't be avoided: embedding texts that are new, and Dagster's own runs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.corpus import spread, tickets
from bench.installation import Installation, Portal, installation
from bench.results import Bound, Part, Row
from sync_assets_tests.mariadb import running_server

_COLD, _STANDING = 800, 3000
_COLD_ROUNDS, _ROUNDS = 2, 3
_CHANGED = 0.01
_START = 1.15
_EMPTY, _A_DOCUMENT = 1.5, 0.001

_COLD_TABLE = "Cold sync with all-MiniLM-L6-v2 into pgvector"
_NO_OP_TABLE = "Syncs of documents that are stored, into pgvector"

Told = Mapping[str, Any]


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row | Bound]:
    with running_server() as server:
        portal = Portal(server)
        portal.fill(tickets(round(_COLD * scale)))
        rounds = []
        for number in range(_COLD_ROUNDS):
            tell(f"cold sync and the same texts alone, round {number + 1} of {_COLD_ROUNDS}")
            with installation(portal.account, ["pgvector"], "all-MiniLM-L6-v2") as home:
                rounds.append(_by_step(home.run("warm", "sync", "bare", "start")))
        portal.close()
        yield from _cold(rounds)
        portal = Portal(server)
        portal.fill(tickets(round(_STANDING * scale)))
        with installation(portal.account, ["pgvector"], "hash-384") as home:
            yield from _standing(home, portal, round(_STANDING * scale), tell)


def _cold(rounds: list[dict[str, Told]]) -> Iterator[Row | Bound]:
    cold, bare = ([one[step] for one in rounds] for step in ("sync", "bare"))
    start = min(one["start"]["seconds"] for one in rounds)
    assert all(one["embedded"] == told["texts"] for one, told in zip(cold, bare, strict=True))
    alone = min(told["alone"] for told in bare)
    alone_processor = min(told["alone_processor"] for told in bare)
    begun = min(one["start"]["processor"] for one in rounds)
    alone_told = {"seconds": alone, "processor": alone_processor, "embedded": bare[0]["texts"]}
    yield _row(_COLD_TABLE, "the same texts embedded alone", alone_told)
    yield _row(_COLD_TABLE, "the start of a run", {"seconds": start, "processor": begun})
    seconds, processor = (min(one[name] for one in cold) for name in ("seconds", "processor"))
    yield _row(_COLD_TABLE, "cold sync", {**cold[0], "seconds": seconds, "processor": processor})
    yield Bound(
        claim="a cold sync, less the start of a run, by the same texts embedded alone",
        limit=_START,
        measured=(seconds - start) / alone,
    )


def _standing(home: Installation, portal: Portal, documents: int, tell: Callable[[str], None]) -> Iterator[Row | Bound]:
    tell(f"cold sync of {documents} documents")
    cold = home.run("sync")[0]
    yield _row(_NO_OP_TABLE, "cold, with vectors that cost nothing", cold)
    steps = [_by_step(home.run("empty", "empty_here", "sync", "incremental")) for _ in range(_ROUNDS)]
    empty, here, again, since = (
        min((one[step] for one in steps), key=lambda told: told["seconds"])
        for step in ("empty", "empty_here", "sync", "incremental")
    )
    yield _row(_NO_OP_TABLE, "an empty chain of five assets, in Dagster as it comes", empty)
    yield _row(_NO_OP_TABLE, "the same with this project's event log", here)
    yield _row(_NO_OP_TABLE, "all windows, nothing changed", again)
    yield _row(_NO_OP_TABLE, "`--incremental`, nothing changed", since)
    yield Bound(
        claim="texts embedded by syncs with nothing to do",
        limit=0,
        measured=float(again["embedded"] + since["embedded"]),
    )
    for told, log in ((empty, "in Dagster as it comes"), (here, "with this project's event log")):
        yield Bound(
            claim=f"a sync with nothing to do, by 1.5 empty chains {log} and 1 ms for each document",
            limit=1.0,
            measured=again["seconds"] / (_EMPTY * told["seconds"] + _A_DOCUMENT * documents),
        )
    changed = [ticket.edited() for ticket in spread(tickets(documents), _CHANGED)]
    portal.put(changed)
    tell(f"{len(changed)} documents changed")
    after = home.run("incremental")[0]
    yield _row(_NO_OP_TABLE, "`--incremental`, one word changed in 1 %", after)
    yield Bound(
        claim="texts embedded for each chunk that was edited", limit=1.0, measured=after["embedded"] / len(changed)
    )
    yield Bound(claim="the same, at least", limit=1.0, measured=after["embedded"] / len(changed), at_least=True)


def _by_step(told: list[dict[str, Any]]) -> dict[str, Told]:
    return {one["step"]: one for one in told}


def _row(table: str, what: str, told: Told) -> Row:
    values = {
        "what": what,
        "documents": told.get("documents") or None,
        "texts embedded": told.get("embedded", 0),
        "seconds": told["seconds"],
        "processor seconds of the process": told["processor"],
    }
    return Row(table=table, values=values)


PART = Part(
    "overhead",
    "Overhead",
    """
Tickets of a portal in MariaDB, eight paragraphs of about 500 characters in each, five windows of one tenant. Each
figure is the best of two rounds, in the second table of three, each in a process of its own; its first and its last row
are of one. Before anything is timed, definitions and model are loaded and the databases are there. The
processor seconds are those of that process, without its database servers. The empty chain and the start of a run are
over the same partitions, in Dagster as it comes where nothing else is said.
""",
    measure,
    (_NO_OP_TABLE, "what", "seconds"),
)
