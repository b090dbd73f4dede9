"""The golden set of a tenant: questions with the documents that answer them, by which searches are measured.

What belongs here: what such a question is, and which ones a tenant has. What people write down is read in `labels.py`,
what resolved tickets tell is found in `mining.py`; how good an answer is stands in `measures.py`, how a store answers
in `measuring.py`.
"""

from typing import Literal

from pydantic import BaseModel

from sync_assets.documents import Visibility
from sync_assets.services import Services
from sync_assets.vector_stores import Audience


class GoldenQuestion(BaseModel, frozen=True):
    """A question, and what answers it.

    Attributes:
        documents: ids of the documents that answer it.
        asked_in: ids of the documents that ask it themselves: they are no answer, and take no place among the results.
        visibility: on whose behalf it is asked, `public` or `internal`, with `principals` as a search has them.
        origin: where it is from: `golden.yaml`, or the relations that it was mined from.
    """

    tenant: str
    text: str
    documents: tuple[str, ...]
    asked_in: tuple[str, ...] = ()
    visibility: Literal[Visibility.PUBLIC, Visibility.INTERNAL] = Visibility.INTERNAL
    principals: tuple[str, ...] = ()
    origin: str

    @property
    def audience(self) -> Audience:
        return Audience(visibility=self.visibility, principals=frozenset(self.principals))


def golden_set(services: Services, tenant: str) -> list[GoldenQuestion]:
    """What people wrote down, in their order, then what was mined, in a steady one.

    What is written down replaces what was mined with the same text; without any documents it only drops that.

    Raises:
        SettingsError: golden.yaml has a mistake.
        GraphError: the graph's database is out of reach.
    """
    from sync_assets.golden.labels import read_labels
    from sync_assets.golden.mining import mine

    written = read_labels(services, tenant)
    known = {question.text for question in written}
    kept = [question for question in written if question.documents]
    return kept + [question for question in mine(services, tenant) if question.text not in known]
