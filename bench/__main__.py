"""`python -m bench [PART ...]`: measure, keep the numbers in docs/benchmarks/, and write docs/benchmarks.md.

What belongs here: the order of the parts, and telling how far they are. What each measures is in its module.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench import (
    backends,
    chunking,
    graph,
    graph_similarity,
    graph_writes,
    memory,
    overhead,
    searching,
    stores,
    workloads,
)
from bench.page import PAGE, write_page
from bench.results import Bound, Machine, Measured, Part, Row, read_results, write_results

PARTS = [
    module.PART
    for module in (
        overhead,
        workloads,
        backends,
        stores,
        searching,
        graph_writes,
        graph,
        graph_similarity,
        chunking,
        memory,
    )
]


def main(arguments: Sequence[str] | None = None) -> int:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these: {', '.join(names)}")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual sizes, for a quick look")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(names):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [part for part in PARTS if part.name in options.parts or not options.parts]
    for part in chosen:
        measured = _measure(part, options.scale)
        # Kept at once: what a later part breaks off costs nothing of this one.
        write_results([one for one in read_results() if one.part != part.name] + [measured])
        write_page(PARTS, read_results())
    broken = [bound for one in read_results() for bound in one.bounds if not bound.holds]
    for bound in broken:
        print(f"Does not hold: {bound.claim}: {bound.measured:.2f}, not {bound.limit:g}.", file=sys.stderr)
    print(f"Written: {PAGE}", file=sys.stderr)
    return 1 if broken else 0


def _measure(part: Part, scale: float) -> Measured:
    machine, begun, started = Machine.here(), datetime.now(UTC), time.monotonic()
    rows: list[Row] = []
    bounds: list[Bound] = []

    def tell(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {part.name}: {what}", file=sys.stderr, flush=True)

    tell("begins")
    for found in part.measure(scale, tell):
        if isinstance(found, Row):
            rows.append(found)
            tell(", ".join(f"{name} {value}" for name, value in found.values.items()))
        else:
            bounds.append(found)
    return Measured(
        part=part.name,
        begun=begun,
        seconds=time.monotonic() - started,
        scale=scale,
        machine=machine,
        rows=rows,
        bounds=bounds,
    )


if __name__ == "__main__":
    sys.exit(main())
