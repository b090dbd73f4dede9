"""docs/benchmarks.md, made of what was measured: tables, a picture for a part that has one, and what must hold.

What belongs here: words and pictures. Numbers come from `results.py`.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.results import FOLDER, Bound, Measured, Part, Row, Value

PAGE = FOLDER.with_suffix(".md")

_INTRODUCTION = """# Benchmarks

`make bench` measures all of this and writes this page; `python -m bench PART ...` measures some parts and leaves the
others as they are. A ratio compares two things that were measured in one run, one after the other, so that it says
more than the seconds beside it, which follow the machine. The numbers as data, with the versions of the packages, are
in [results.jsonl](benchmarks/results.jsonl).
"""


def write_page(parts: Sequence[Part], results: Sequence[Measured], page: Path = PAGE) -> None:
    """Write the page, and the pictures into the folder of its name."""
    measured = {one.part: one for one in results}
    shown = [(part, measured[part.name]) for part in parts if part.name in measured]
    sections = [_INTRODUCTION, _bounds([bound for _, one in shown for bound in one.bounds])]
    for part, one in shown:
        picture = _draw(part, one, page.with_suffix("")) if part.plot else ""
        sections.append(_section(part, one, picture))
    page.write_text("\n".join(section for section in sections if section))


def table(rows: Sequence[dict[str, Value]]) -> str:
    """A Markdown table; its columns are those of all rows, in the order in which they appear."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _bounds(bounds: Sequence[Bound]) -> str:
    if not bounds:
        return ""
    rows: list[dict[str, Value]] = [
        {
            "what must hold": bound.claim,
            "bound": f"{'at least' if bound.at_least else 'at most'} {_cell(bound.limit)}",
            "measured": bound.measured,
            "holds": "yes" if bound.holds else "**no**",
        }
        for bound in bounds
    ]
    return f"## What must hold\n\n{table(rows)}"


def _section(part: Part, one: Measured, picture: str) -> str:
    tables: dict[str, list[Row]] = {}
    for row in one.rows:
        tables.setdefault(row.table, []).append(row)
    size = "" if one.scale == 1 else f", at {one.scale:g} x the usual sizes"
    lines = [
        f"## {part.title}",
        "",
        part.explains.strip(),
        "",
        f"Measured on {one.begun:%Y-%m-%d} in {one.seconds:.0f} s at commit {one.machine.commit}{size}:"
        f" {one.machine.processors} x {one.machine.model}, {one.machine.memory_gb} GB, Python {one.machine.python};"
        f" {one.machine.load:g} processes wanted a processor when it began.",
        "",
    ]
    for title, rows in tables.items():
        lines += [f"### {title}", "", table([row.values for row in rows])]
    return "\n".join([*lines, picture])


def _draw(part: Part, one: Measured, folder: Path) -> str:
    """Draw a part's picture as an SVG file; returns the Markdown that shows it."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    if part.plot is None:
        return ""
    title, labels, column = part.plot
    bars = [(str(row.values[labels]), row.values.get(column)) for row in one.rows if row.table == title]
    known = [(label, value) for label, value in bars if isinstance(value, int | float)]
    if not known:
        return ""
    folder.mkdir(exist_ok=True)
    # Without the time of drawing and random ids, the same numbers give the same file.
    with rc_context({"svg.hashsalt": part.name}):
        figure = Figure(figsize=(7, 0.7 + 0.33 * len(known)), layout="constrained")
        axes = figure.subplots()
        axes.barh([label for label, _ in known], [value for _, value in known], color="#2563eb")
        axes.bar_label(axes.containers[0], fmt=lambda value: _cell(float(value)), padding=3)  # pyright: ignore[reportArgumentType]
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel(column)
        axes.spines[["top", "right"]].set_visible(False)
        FigureCanvasSVG(figure).print_svg(folder / f"{part.name}.svg", metadata={"Date": None})
    return f"![{title}: {column}]({folder.name}/{part.name}.svg)\n"


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else value
