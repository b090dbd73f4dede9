"""Finding documents: one question, one tenant, one audience, the best documents of every store that answers.

What belongs here: which collections are asked and how their answers become one list with explanations. What does not:
how one store finds chunks (`vector_stores/`), and how people ask (`cli/search.py`).

`finding.py` has the order of the steps; each step is a module of its own.
"""

from sync_assets.search.finding import search
from sync_assets.search.places import MODIFIED
from sync_assets.search.results import MAX_TOP_K, Highlight, Mode, Neighbour, Passage, RelatedDocument, Result
from sync_assets.vector_stores import Hit

__all__ = [
    "MAX_TOP_K",
    "MODIFIED",
    "Highlight",
    "Hit",
    "Mode",
    "Neighbour",
    "Passage",
    "RelatedDocument",
    "Result",
    "search",
]
