"""Peak memory of a sync of ten times as many portal tickets into pgvector: it follows the batch, not the corpus."""

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from bench.installation import Portal, installation
from bench.results import Bound, Part, Row
from sync_assets_tests.mariadb import running_server

_SIZES = (5_000, 50_000)
_MOST = 1.3
_TABLE = "A first sync into pgvector, with vectors that cost nothing"

_FIELD = """
    INSERT INTO category_fields (field_id, category_id, field_name, field_label, field_type)
    VALUES (1, 1, 'hardware_model', 'Model', 'text')
"""
_TICKETS = """
    INSERT INTO tickets (ticket_id, ticket_number, user_id, category_id, title, description, created_at, updated_at,
                         resolution)
    SELECT seq, CONCAT('KK-2026-', seq), 1, 1, CONCAT('Printer ', seq % 997, ' keeps stopping'),
           CONCAT('Since the update of last night printer ', seq, ' on floor ', seq % 9, ' stops after page ', seq % 31,
                  ' with error ', 1000 + seq % 509, '. It was restarted twice and the cable was replaced.'),
           '2026-10-01', DATE_ADD('2026-11-01', INTERVAL seq % 864000 SECOND),
           IF(seq % 2, CONCAT('Firmware ', seq % 89, ' was installed and the queue emptied.'), NULL)
    FROM seq_1_to_{size}
"""
_COMMENTS = """
    INSERT INTO ticket_comments (ticket_id, user_id, comment, is_internal, created_at)
    SELECT tickets.seq, 1, CONCAT('Comment ', parts.seq, ' on printer ', tickets.seq, ': the log shows ',
           tickets.seq % 71, ' failed jobs, a technician looks at it tomorrow.'), parts.seq = 3, '2026-10-02'
    FROM seq_1_to_{size} AS tickets CROSS JOIN seq_1_to_3 AS parts
"""
_VALUES = """
    INSERT INTO ticket_field_values (ticket_id, field_id, field_value, created_at)
    SELECT seq, 1, CONCAT('LaserJet ', seq % 400), '2026-10-01' FROM seq_1_to_{size}
"""


def measure(scale: float, tell: Callable[[str], None]) -> Iterator[Row | Bound]:
    peaks: list[int] = []
    with running_server() as server:
        for size in _SIZES:
            tickets = max(100, round(size * scale))
            tell(f"{tickets} tickets")
            portal = Portal(server)
            with portal.engine.begin() as connection:
                for template in (_FIELD, _TICKETS, _COMMENTS, _VALUES):
                    connection.execute(sa.text(template.format(size=tickets)))
            with installation(portal.account, ["pgvector"], "hash-64") as home:
                told = home.run("all")[0]
            assert told["documents"] == tickets
            peaks.append(told["peak"])
            values = {"tickets": tickets, "chunks": told["chunks"], "seconds": told["seconds"], "peak MB": told["peak"]}
            yield Row(table=_TABLE, values=values)
            portal.close()
    yield Bound(claim="memory of a sync of ten times the tickets", limit=_MOST, measured=peaks[-1] / peaks[0])


PART = Part(
    "memory",
    "Memory",
    """
Each sync is a process of its own that does what `sync-assets sync --all` does, with a cheap embedder, from a portal in
MariaDB; the peak is that of the process.
""",
    measure,
)
