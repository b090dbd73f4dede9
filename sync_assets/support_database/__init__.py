"""The support database of a tenant: its tables, and the way of a folder of JSON files into them.

What belongs here: plain Python over SQLAlchemy, usable without Dagster. The words that all parts share:

    seed folder   JSON files, one or more for each table, as people export or write them
    seed row      one object of such a file, with the place where it stands
    row           a seed row with real types and references, ready for its table
    merged        dropped because it says again what an earlier row is; rows that refer to it follow that row
    rejected      left out because it breaks a rule; named with file, row and reason
"""

SOURCE = "support_database"
TABLES_STREAM = "tables"


def table_key(table: str) -> list[str]:
    """Path of the asset that stands for a table.

    >>> table_key("customers")
    ['support_database', 'tables', 'customers']
    """
    return [SOURCE, TABLES_STREAM, table]
