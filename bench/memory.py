"""Peak memory of a sync of 5,000 and of 50,000 portal tickets into pgvector: it follows the batch, not the corpus.

Each sync is a process of its own that does what `sync-assets sync --all` does, with a cheap embedder, from a real
MariaDB. Run it from the checkout; the server and its tables come with the tests.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from sync_assets_tests.mariadb import Server, running_server  # noqa: E402

SIZES = (5_000, 50_000)
MOST = 1.3

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
_DEFS = {
    "type": "sync_assets.components.SourceSync",
    "attributes": {
        "source": "ticket_portal",
        "start": "2026-11-01",
        "streams": {
            "tickets": {
                "description": "Tickets of the benchmark.",
                "stores": ["pgvector"],
                "collection": "tickets",
                "embedding_model": "hash-64",
            }
        },
    },
}


def main() -> None:
    print("| tickets | chunks | seconds | peak memory |")
    print("| --- | --- | --- | --- |")
    peaks = []
    with running_server() as server:
        for size in SIZES:
            with tempfile.TemporaryDirectory(prefix="sync_assets-bench-") as folder:
                _write_installation(Path(folder), server, size)
                started = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-W", "ignore", __file__, folder],
                    check=True,
                    text=True,
                    stdout=subprocess.PIPE,
                    env=_environment(),
                )
                seconds = time.perf_counter() - started
                documents, chunks, peak = map(int, done.stdout.split()[-3:])
                assert documents == size
                peaks.append(peak)
                print(f"| {size:,} | {chunks:,} | {seconds:.0f} | {peak} MB |", flush=True)
    ratio = peaks[-1] / peaks[0]
    print(f"\nTen times the tickets take {ratio:.2f} x the memory.")
    if ratio > MOST:
        raise SystemExit(f"More than {MOST} x.")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SYNC_ASSETS_")}


def _write_installation(home: Path, server: Server, size: int) -> None:
    """A portal of that size, and a home whose tickets go to pgvector alone."""
    database = server.create_database()
    with server.engine(database) as engine, engine.begin() as connection:
        for statement in (
            "INSERT INTO users (user_id, email, password, first_name, last_name) VALUES (1, 'a', '', 'Jo', 'Vos')",
            "INSERT INTO categories (category_id, name) VALUES (1, 'Hardware')",
            "INSERT INTO category_fields (field_id, category_id, field_name, field_label, field_type)"
            " VALUES (1, 1, 'hardware_model', 'Model', 'text')",
            *(template.format(size=size) for template in (_TICKETS, _COMMENTS, _VALUES)),
        ):
            connection.execute(sa.text(statement))
    account = {"database_url": server.url(database), "time_zone": "UTC"}
    (home / "tenants.yaml").write_text(yaml.safe_dump({"tenants": {"bench": {"ticket_portal": account}}}))
    (home / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
    folder = home / "bench_defs" / "ticket_portal"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "defs.yaml").write_text(yaml.safe_dump(_DEFS))


def sync(home: str) -> None:
    """The process that is measured: prints documents, chunks and its peak memory in MB."""
    sys.path.insert(0, home)
    os.environ["DAGSTER_HOME"] = home
    import bench_defs  # pyright: ignore[reportMissingImports] written by _write_installation

    from sync_assets import definitions
    from sync_assets.cli.session import run_sync
    from sync_assets.planning import SyncRequest
    from sync_assets.postgres import stop
    from sync_assets.services import Services
    from sync_assets.settings import load_settings

    definitions.sync_assets.defs = bench_defs
    services = Services(load_settings())
    try:
        result = run_sync(services, SyncRequest(everything=True, sweep=True), quiet=True)
    finally:
        services.close()
        stop(services.settings)
    if result.failures or result.held:
        raise SystemExit(f"{result.failures}, {result.held} in quarantine")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(result.total("documents", "documents"), result.total("chunks", "chunks"), peak)


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else sync(sys.argv[1])
