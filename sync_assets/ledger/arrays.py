"""Many values of a condition as one parameter: PostgreSQL takes no more than 65,535 of them in a statement."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa


def any_of(values: Collection[str]) -> Any:
    """What a column of texts is compared with, to be equal to one of these."""
    return sa.any_(_array(values))


def all_of(values: Collection[str]) -> Any:
    """What a column of texts is compared with, to differ from each of these."""
    return sa.all_(_array(values))


def _array(values: Collection[str]) -> sa.BindParameter[Any]:
    return sa.bindparam(None, list(values), type_=sa.ARRAY(sa.Text))
