"""`adopt` and `enrich` as a user runs them, over the demo company's Zoho Desk account."""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
import yaml
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb

from sync_assets.cli import main
from sync_assets.demo.company import DemoCompany
from sync_assets.demo.server import DemoServers
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.settings import PREFIX
from sync_assets_tests.command_line import Outcome
from sync_assets_tests.postgres import fresh_database

CHOSEN = ("--tenant", "solara", "--source", "zoho_desk")
DAYS = ("--from", "2026-11-02", "--to", "2026-11-13")
TABLE = ("--table", "public.langchain_pg_embedding")
PASSWORD = "sesame-of-the-old-table"


class Commands:
    """An installation whose tenant is `solara`, and an older table in a database of its own."""

    def __init__(self, home: Path, url: str, old_url: str) -> None:
        self._environment = {
            "DAGSTER_HOME": str(home),
            f"{PREFIX}DATABASE_URL": url,
            f"{PREFIX}ADOPT_DATABASE_URL": f"{old_url}{'&' if '?' in old_url else '?'}password={PASSWORD}",
            f"{PREFIX}MODEL": "hash-32",
        }
        self.old_url = old_url
        self.url = url
        self.home = home

    def run(self, *arguments: str, code: int = 0) -> Outcome:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "COLUMNS"))}
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, {**inherited, **self._environment}, clear=True),
            patch.object(sys, "argv", ["sync-assets", *arguments]),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main()
        assert end.value.code == code, out.getvalue() + err.getvalue()
        assert PASSWORD not in out.getvalue() + err.getvalue()
        return Outcome(code, out.getvalue(), err.getvalue())

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).out)


@pytest.fixture
def commands(tmp_path: Path, postgres_url: str) -> Iterator[Commands]:
    with (
        DemoServers(0, DemoCompany()) as servers,
        fresh_database(postgres_url) as url,
        fresh_database(postgres_url) as old,
    ):
        accounts = {"solara": servers.tenants["solara"]}
        (tmp_path / "tenants.yaml").write_text(yaml.safe_dump({"tenants": accounts}))
        yield Commands(tmp_path, url, old)


def stored_answers(url: str) -> list[tuple[str, str]]:
    """Record id and text of every answer that is one chunk."""
    with psycopg.connect(url) as connection:
        (name,) = connection.execute(
            "SELECT physical_name FROM sync_assets.collections WHERE name = 'zoho_desk_articles'"
        ).fetchone() or ("",)
        return connection.execute(
            f"SELECT record_id, text FROM vectors.\"{name}\" WHERE path = 'answer' ORDER BY record_id"  # pyright: ignore
        ).fetchall()


def test_enrich_finds_nothing_after_a_sync_and_one_record_after_it_lost_its_keywords(commands: Commands) -> None:
    commands.run("sync", *CHOSEN, "--stream", "articles", *DAYS)
    (found,) = commands.json("enrich", *CHOSEN)["streams"]
    assert found["with_both"]
    assert not any(found[group] for group in ("keywords_only", "combined_only", "without_both", "not_in_step"))
    record = found["with_both"][0]
    with psycopg.connect(commands.url) as connection:
        connection.execute("UPDATE sync_assets.documents SET metadata_hash = 'x' WHERE record_id = %s", (record,))
    shown = commands.json("enrich", *CHOSEN, "--dry-run")
    assert (shown["streams"][0]["contradicts_upstream"], shown["sync"]) == ([record], None)
    done = commands.json("enrich", "--tenant", "solara")
    assert (done["sync"]["documents"], done["sync"]["embedded"], done["sync"]["written"]) == (1, 0, 0)
    assert commands.json("enrich", *CHOSEN)["streams"][0]["with_both"] == found["with_both"]


def test_an_older_table_is_adopted_and_the_sync_after_it_embeds_what_the_report_said(
    commands: Commands, tmp_path: Path, postgres_url: str
) -> None:
    with fresh_database(postgres_url) as other:
        (tmp_path / "first").mkdir()
        (tmp_path / "first" / "tenants.yaml").write_text((tmp_path / "tenants.yaml").read_text())
        first = Commands(tmp_path / "first", other, commands.old_url)
        first.run("sync", *CHOSEN, "--stream", "articles", *DAYS)
        answers = stored_answers(other)
    assert len(answers) > 20
    with psycopg.connect(commands.old_url) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        connection.execute(
            "CREATE TABLE langchain_pg_embedding (id text, collection_id uuid, embedding vector, document text, "
            "cmetadata jsonb)"
        )
        for record_id, text in [*answers, ("article-1", "Of nobody")]:
            row = (record_id, HashEmbedder(32).embed([text])[0], text, Jsonb({"id": record_id.split("-", 1)[1]}))
            connection.execute("INSERT INTO langchain_pg_embedding VALUES (%s, NULL, %s, %s, %s)", row)
    assert commands.json("adopt", *CHOSEN, *TABLE, "--dry-run")["table"]["rows"]["matched"] == len(answers)
    report = commands.json("adopt", *CHOSEN, *TABLE)
    assert report["table"]["rows"]["total"] == len(answers) + 1
    assert (report["table"]["rows"]["matched"], report["table"]["rows"]["gone"]) == (len(answers), 1)
    assert report["vectors"] == len({text for _, text in answers})
    synced = commands.json("sync", *CHOSEN, "--stream", "articles", *DAYS)
    assert (synced["reused"], synced["embedded"] <= report["to_embed"]) == (report["vectors"], True)
    logs = "".join(path.read_text() for path in (commands.home / "logs").iterdir())
    assert PASSWORD not in logs


def test_a_record_id_needs_one_tenant_one_source_and_one_stream(commands: Commands) -> None:
    outcome = commands.run("sync", *CHOSEN, "--record", "article-1", code=2)
    assert "--stream" in outcome.err
    outcome = commands.run("sync", *CHOSEN, "--stream", "articles", "--record", "article-1", "--sweep", code=2)
    assert "--record excludes" in outcome.err


def test_adopt_takes_the_model_from_the_stream_alone(commands: Commands) -> None:
    assert "--model" in commands.run("adopt", *CHOSEN, *TABLE, "--model", "hash-64", code=2).err
