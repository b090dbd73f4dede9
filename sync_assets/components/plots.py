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
_SIZE = 480, 190
_BLUE, _RED = "#2563eb", "#dc2626"


def length_plot(tokens: Mapping[int, int], longest: int) -> str | None:
    """A histogram of chunk lengths as a Markdown image; None for a few chunks.

    Drawn by hand: a run that has a few changes would take longer to import matplotlib than for all the rest.

    Args:
        tokens: how many chunks have how many tokens.
        longest: what the model reads, in tokens; drawn as a line.
    """
    if sum(tokens.values()) < _FEWEST:
        return None
    from PIL import Image, ImageDraw

    last = max(longest, *tokens)
    wide = -(-(last + 1) // _BARS)  # tokens in a bar
    bars = [0] * (last // wide + 1)
    for length, chunks in tokens.items():
        bars[length // wide] += chunks
    (width, height), left, right, top, bottom = _SIZE, 48, 12, 20, 36
    across, up = (width - left - right) / len(bars), (height - top - bottom) / max(bars)
    base = height - bottom
    image = Image.new("RGB", _SIZE, "white")
    draw = ImageDraw.Draw(image)
    for number, chunks in enumerate(bars):
        x = left + number * across
        if chunks:
            draw.rectangle((x + 1, base - max(chunks * up, 1), x + across - 1, base), _BLUE)
        if number % 5 == 0:
            draw.text((x, base + 4), str(number * wide), "black")
    draw.line((left, base, width - right, base), "black")
    draw.text((left - 6, top), f"{max(bars):,}", "black", anchor="ra")
    draw.text((width - right, height - 14), "tokens of a chunk", "black", anchor="ra")
    limit = left + longest / wide * across
    draw.line((limit, top - 4, limit, base), _RED)
    draw.text((limit - 4, top - 16), f"the model reads {longest}", _RED, anchor="ra")
    png = io.BytesIO()
    image.save(png, "PNG", optimize=True)
    return _markdown(png, "Chunks by length in tokens")


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
    axes.errorbar(means, list(intervals), xerr=beside, fmt="o", color=_BLUE, capsize=3)
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
    return _markdown(png, words)


def _markdown(png: io.BytesIO, words: str) -> str:
    return f"![{words}](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"
