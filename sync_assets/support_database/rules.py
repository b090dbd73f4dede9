"""Rules that a row must keep: each once, as a constraint of the database and as a check that gives its reason.

What belongs here: the kinds of rules. Which column keeps which is in `tables.py`. As in SQL, a value that is null keeps
every rule.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple, Protocol


class Rule(Protocol):
    """One constraint of one table."""

    @property
    def name(self) -> str:
        """Name of the constraint within its table."""
        ...

    @property
    def condition(self) -> str:
        """The constraint in SQL."""
        ...

    def fault(self, values: Mapping[str, Any]) -> str | None:
        """Column, value and what is allowed, where the values break the rule."""
        ...


class OneOf(NamedTuple):
    """The column holds one of a closed list of words."""

    column: str
    allowed: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.column

    @property
    def condition(self) -> str:
        words = ", ".join(f"'{word}'" for word in self.allowed)
        return f"{self.column} IN ({words})"

    def fault(self, values: Mapping[str, Any]) -> str | None:
        value = values.get(self.column)
        if value is None or value in self.allowed:
            return None
        return f"{self.column} is {shown(value)}, must be one of {', '.join(self.allowed)}"


class Between(NamedTuple):
    """The column holds a number from `low` to `high`, both included."""

    column: str
    low: int
    high: int

    @property
    def name(self) -> str:
        return self.column

    @property
    def condition(self) -> str:
        return f"{self.column} BETWEEN {self.low} AND {self.high}"

    def fault(self, values: Mapping[str, Any]) -> str | None:
        value = values.get(self.column)
        if value is None or self.low <= value <= self.high:
            return None
        return f"{self.column} is {shown(value)}, must be from {self.low} to {self.high}"


class AtMost(NamedTuple):
    """The column's number is not greater than that of another column."""

    column: str
    limit: str

    @property
    def name(self) -> str:
        return self.column

    @property
    def condition(self) -> str:
        return f"{self.column} <= {self.limit}"

    def fault(self, values: Mapping[str, Any]) -> str | None:
        value, limit = values.get(self.column), values.get(self.limit)
        if value is None or limit is None or value <= limit:
            return None
        return f"{self.column} is {shown(value)}, must be at most {self.limit}, {shown(limit)}"


class Differs(NamedTuple):
    """The column's value is another than that of another column."""

    column: str
    other: str

    @property
    def name(self) -> str:
        return self.column

    @property
    def condition(self) -> str:
        return f"{self.column} <> {self.other}"

    def fault(self, values: Mapping[str, Any]) -> str | None:
        value = values.get(self.column)
        if value is None or value != values.get(self.other):
            return None
        return f"{self.column} is {shown(value)}, must differ from {self.other}"


class MinLength(NamedTuple):
    """The column's text has at least so many characters; how many at most is its type's."""

    column: str
    least: int

    @property
    def name(self) -> str:
        return f"{self.column}_length"

    @property
    def condition(self) -> str:
        return f"char_length({self.column}) >= {self.least}"

    def fault(self, values: Mapping[str, Any]) -> str | None:
        value = values.get(self.column)
        if value is None or len(value) >= self.least:
            return None
        return f"{self.column} has {len(value)} characters, must have at least {self.least}"


def shown(value: Any) -> str:
    """A value as reasons quote it: short, in one line, printable.

    >>> shown("past_due"), shown(3)
    ("'past_due'", '3')
    """
    text = str(value) if isinstance(value, Decimal) else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
