"""Reading question and text together: slower and surer than comparing vectors, for the first candidates only.

What belongs here: the cross-encoder that `SYNC_ASSETS_RERANKER` names. What does not: which texts it reads.
"""

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from sync_assets.errors import SettingsError
from sync_assets.settings import PREFIX, Settings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_SETTING = f"{PREFIX}RERANKER"
_BATCH = 16

# A model is loaded once and used by one thread at a time.
_LOCK = threading.Lock()


def reranked(settings: Settings, question: str, texts: Sequence[str]) -> list[float]:
    """How well each text answers the question, 0..1, in the order of the texts.

    Raises:
        SettingsError: no cross-encoder is set, or it can't be loaded or used.
    """
    if not settings.reranker:
        raise SettingsError(
            f"Reranking needs a cross-encoder, and {_SETTING} is not set.",
            "Set it to a folder or a name on the Hugging Face hub, such as cross-encoder/ms-marco-MiniLM-L6-v2.",
        )
    if not texts:
        return []
    with _LOCK:
        return _predicted(settings.reranker, question, texts)


def _predicted(name: str, question: str, texts: Sequence[str]) -> list[float]:
    try:
        import torch

        pairs = [(question, text) for text in texts]
        found = _open(name).predict(pairs, batch_size=_BATCH, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)
        return [float(score) for score in found]
    except Exception as error:
        lines = str(error).strip().splitlines()
        problem = lines[0].rstrip(".") if lines else type(error).__name__
        raise SettingsError(
            f"{_SETTING}={name!r} does not work: {problem}.",
            "Name a cross-encoder of one score, as saved by the sentence-transformers library.",
        ) from error


@cache
def _open(name: str) -> "CrossEncoder":
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging

    logging.disable_progress_bar()
    return CrossEncoder(name)
