"""Pictures in metadata, as PNG within Markdown: drawn only where something changed, once for a run and stage."""

import base64
import io
from collections.abc import Mapping

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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.4), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.hist(list(tokens), weights=list(tokens.values()), bins=min(_BARS, max(tokens)), color="#2563eb")
    axes.axvline(longest, color="#dc2626", linestyle="--", label=f"the model reads {longest}")
    axes.set_xlabel("tokens")
    axes.set_ylabel("chunks")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    return f"![Chunks by length in tokens](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})"
