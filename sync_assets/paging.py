"""Many items in pages, so that memory follows a page of them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def pages(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """Lists of `size` items, the last one of what is left."""
    remaining = iter(items)
    while page := list(islice(remaining, size)):
        yield page
