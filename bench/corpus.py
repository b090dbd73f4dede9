"""The tickets that are synced: as many as asked for, always the same, of eight paragraphs of about 500 characters each.

What belongs here: texts, and how a ticket differs after a change. How a system gets them is an adapter's.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import regex

ROOT = Path(__file__).parent.parent

_SEED = 7
_PARAGRAPHS_OF_DESCRIPTION, _COMMENTS = 4, 4
_CHARACTERS = 500
_WORDS_OF_SENTENCE = (6, 18)
_STATUSES = ("open", "in_progress", "pending", "resolved")


class Ticket(NamedTuple):
    """One ticket.

    Attributes:
        number: from 1 on.
        comments: what was answered, oldest first.
    """

    number: int
    title: str
    description: str
    status: str
    comments: tuple[str, ...]

    @property
    def paragraphs(self) -> list[str]:
        return [*self.description.split("\n\n"), *self.comments]

    def edited(self, mark: str = "replaced") -> "Ticket":
        """With one word in the middle of the third paragraph (or of the only one) replaced; sentences end as before."""
        paragraphs = self.description.split("\n\n")
        place = min(2, len(paragraphs) - 1)
        words = paragraphs[place].split()
        middle = len(words) // 2
        words[middle] = f"{mark}{self.number}{'.' if words[middle].endswith('.') else ''}"
        paragraphs[place] = " ".join(words)
        return self._replace(description="\n\n".join(paragraphs))

    def answered(self) -> "Ticket":
        """With one more reply."""
        return self._replace(comments=(*self.comments, paragraph(random.Random(self.number))))

    def headed(self) -> "Ticket":
        """With one more line above the description."""
        return self._replace(description=f"Update {self.number}: this came back.\n\n{self.description}")

    def restated(self) -> "Ticket":
        """In another status, every text as it was."""
        following = (_STATUSES.index(self.status) + 1) % len(_STATUSES)
        return self._replace(status=_STATUSES[following])

    def shrunk(self) -> "Ticket":
        """With its first paragraph alone."""
        return self._replace(description=self.description.split("\n\n")[0], comments=())


def tickets(count: int) -> list[Ticket]:
    """The first so many tickets."""
    return [_ticket(number) for number in range(1, count + 1)]


def paragraph(chance: random.Random) -> str:
    """Sentences of about 500 characters, in the words of this project's pages, as often as they stand there."""
    words, weights = _vocabulary()
    sentences: list[str] = []
    length = 0
    while length < _CHARACTERS:
        chosen = chance.choices(words, cum_weights=weights, k=chance.randint(*_WORDS_OF_SENTENCE))
        sentences.append(f"{' '.join(chosen).capitalize()}.")
        length += len(sentences[-1]) + 1
    return " ".join(sentences)


def spread(items: Sequence[Ticket], share: float, offset: int = 0) -> Iterator[Ticket]:
    """A share of the tickets, at equal distances, from one of them on."""
    step = round(1 / share)
    return iter(items[offset % step :: step])


def _ticket(number: int) -> Ticket:
    chance = random.Random(_SEED * 1_000_003 + number)
    return Ticket(
        number,
        " ".join(chance.choices(_vocabulary()[0], cum_weights=_vocabulary()[1], k=7)),
        "\n\n".join(paragraph(chance) for _ in range(_PARAGRAPHS_OF_DESCRIPTION)),
        chance.choice(_STATUSES),
        tuple(paragraph(chance) for _ in range(_COMMENTS)),
    )


@cache
def _vocabulary() -> tuple[list[str], list[int]]:
    """The words of the decisions, with their cumulative counts."""
    counts: dict[str, int] = {}
    for path in sorted((ROOT / "docs" / "decisions").glob("00*.md")):
        for word in regex.findall(r"\p{L}{2,}", path.read_text().lower()):
            counts[word] = counts.get(word, 0) + 1
    return list(counts), list(accumulate(counts.values()))
