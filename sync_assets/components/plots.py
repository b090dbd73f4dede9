"""Pictures in metadata, as PNG within Markdown: drawn only where something changed, once for a run and stage."""

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sync_assets.golden.measures import Interval

# With fewer the picture says no more than the preview.
_FEWEST = 20
_BARS = 30


def length_plot(tokens: Mapping[int, int], longest: int) -> str | None:
    """A histogram of chunk lengths as a Markdown image; None for a few chunks.

    Args:
        tokens: how many chunks have how many tokens.
        longest: what the model reads, in tokens; drawn as a line.
    """
    if sum(tokens.values()) < _FEWEST:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.4), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.hist(list(tokens), weights=list(tokens.values()), bins=min(_BARS, max(tokens)), color="#2563eb")
    axes.axvline(longest, color="#dc2626", linestyle="--", label=f"the model reads {longest}")
    axes.set_xlabel("tokens")
    axes.set_ylabel("chunks")
    axes.legend(frameon=False)
    return _image(figure, "Chunks by length in tokens")


def interval_plot(intervals: "Mapping[str, Interval]", measure: str) -> str:
    """Means with their intervals, one line for each name, as a Markdown image.

    Args:
        measure: what is on the axis, 0..1.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 0.9 + 0.22 * len(intervals)), dpi=80, layout="constrained")
    axes = figure.subplots()
    means = [one.mean for one in intervals.values()]
    beside = [[one.mean - one.low for one in intervals.values()], [one.high - one.mean for one in intervals.values()]]
    axes.errorbar(means, list(intervals), xerr=beside, fmt="o", color="#2563eb", capsize=3)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.set_xlabel(f"{measure}, with 95 % intervals")
    return _image(figure, f"{measure} by store and mode")


def _image(figure: "Figure", words: str) -> str:
    """A figure with one pair of axes as a Markdown image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.axes[0].spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    return f"![{words}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"
