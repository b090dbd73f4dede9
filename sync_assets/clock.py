"""The present moment, for whatever can be given another clock."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present moment, in UTC; the clock unless another is given."""
    return datetime.now(UTC)
