"""Vectors that were computed once are never computed again: the cache, and embedding only what it lacks.

Keyed by tenant, model fingerprint and hash of the exact text, so moved, repeated and restored texts cost nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import LiteralString, NamedTuple

