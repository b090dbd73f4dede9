"""How the graph's values are kept in PostgreSQL and in MySQL, so that both compare and sort them alike.

What belongs here: types of columns. What does not: the tables (`tables.py`).
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

_MYSQL = ("mysql", "mariadb")
_BYTES_PER_CHARACTER = 4


class _Bytes(sa.types.TypeDecorator[str]):
    """Text as bytes: MySQL would ignore spaces at the end of every text that it compares."""

    impl = mysql.VARBINARY
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> Any:
        return value.encode() if value is not None else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:
        return value.decode() if value is not None else None


class _Utc(sa.types.TypeDecorator[datetime]):
    """A point in time without its zone, which MySQL does not keep."""

    impl = mysql.DATETIME
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None else None


def key(length: int) -> sa.types.TypeEngine[str]:
    """Text of at most `length` characters that is compared byte by byte, in indexes too."""
    return sa.String(length, collation="C").with_variant(_Bytes(length * _BYTES_PER_CHARACTER), *_MYSQL)


def moment() -> sa.types.TypeEngine[datetime]:
    """A point in time, to the microsecond."""
    return sa.DateTime(timezone=True).with_variant(_Utc(fsp=6), *_MYSQL)


def words() -> sa.types.TypeEngine[str]:
    """Text of any length, also JSON; sorted by code points."""
    long_text = mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text(collation="C").with_variant(long_text, *_MYSQL)


def data() -> sa.types.TypeEngine[bytes]:
    """Bytes of any length."""
    return sa.LargeBinary().with_variant(mysql.LONGBLOB(), *_MYSQL)
