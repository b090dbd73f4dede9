"""What a load did, so that every row of the folder is accounted for."""

from dataclasses import dataclass, field
from typing import NamedTuple


class RejectedRow(NamedTuple):
    """A row that breaks a rule.

    Attributes:
        place: file and number of the row.
        row_id: its id as the file has it, or its place; each only once in a table's report.
        reason: columns, values and what is allowed.
    """

    place: str
    row_id: str
    reason: str


@dataclass
class TableReport:
    """What became of a table's rows; `read` is the sum of the others.

    Attributes:
        merged: dropped as duplicates; what refers to them refers to the row that stayed.
        notices: what is worth knowing about rows that were loaded, one line each.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    merged: int = 0
    read: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


@dataclass
class LoadReport:
    """What a load did to a tenant's tables.

    Attributes:
        tables: by name, in the order of loading.
        notices: about files that belong to no table.
    """

    tenant: str
    tables: dict[str, TableReport] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
