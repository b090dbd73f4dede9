"""The code location as Dagster loads it: valid, quick to import, and the same graph as the one that was reviewed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from syrupy.assertion import SnapshotAssertion

from sync_assets.components import SourceSync
from sync_assets.definitions import build_defs
from sync_assets.support_database.tables import TABLES

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
HEAVY = ("torch", "spacy", "chromadb", "transformers", "sentence_transformers", "qdrant_client")

# Runs in an interpreter of its own and tells what loading the definitions did to the machine.
_LOAD = """
import json, os, sys, warnings

events = []
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

def audit(name, args):
    if name in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "os.mkdir", "os.rename", "sqlite3.connect"):
        events.append(f"{name} {args!r}")
    elif name == "open" and args[2] and args[2] & writing and args[0] != os.devnull:
        events.append(f"{name} {args!r}")

sys.addaudithook(audit)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import sync_assets.components
    import sync_assets.definitions
    ours = sorted(sys.modules)
    definitions = sync_assets.definitions.build_defs()
    definitions.resolve_implicit_global_asset_job_def()
    definitions.resolve_asset_graph()

if sys.argv[1:]:  # What the test of this script asks for.
    open("written", "w").close()
    import socket
    socket.socket().connect_ex(("127.0.0.1", 9))
print(json.dumps({
    "events": events,
    "ours": ours,
    "modules": sorted(sys.modules),
    "warnings": [[w.category.__name__, w.filename, str(w.message)] for w in caught],
}))
"""


def _load(cwd: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _LOAD, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_loading_asks_nobody_writes_nothing_and_imports_nothing_heavy(tmp_path: Path) -> None:
    loaded = _load(tmp_path)
    assert loaded["events"] == []
    assert list(tmp_path.iterdir()) == []
    assert "sync_assets.components.source_sync" in loaded["modules"]
    assert [name for name in HEAVY if name in loaded["modules"]] == []
    # Dagster itself imports the component packages of all installed integrations, and with dagster-aws boto3, when it
    # builds the definitions; our modules have no part in that.
    assert [name for name in ("boto3", "botocore", "dagster_aws") if name in loaded["ours"]] == []
    wanted = [
        warning
        for warning in loaded["warnings"]
        if str(ROOT / "sync_assets") in warning[1] or warning[0] in ("SupersessionWarning", "DeprecationWarning")
    ]
    assert wanted == []


def test_the_check_of_loading_sees_files_and_connections(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "misbehave")
    assert [event.split()[0] for event in loaded["events"]] == ["open", "socket.connect"]


@pytest.mark.parametrize("command", [["dagster", "definitions", "validate"], ["dg", "check", "defs"]])
def test_dagster_finds_the_definitions_valid(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        env={
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "VIRTUAL_ENV": str(BIN.parent),
            "DAGSTER_HOME": str(tmp_path),
            "DO_NOT_TRACK": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def graph() -> Any:
    return build_defs().resolve_asset_graph()


def test_the_asset_graph_is_the_reviewed_one(graph: Any, snapshot: SnapshotAssertion) -> None:
    assert {key.to_user_string(): _described(graph.get(key)) for key in graph.get_all_asset_keys()} == snapshot


def _described(node: Any) -> dict[str, Any]:
    schema = node.metadata.get("dagster/column_schema")
    definition = node.assets_def
    return {
        "backfill_policy": repr(node.backfill_policy),
        "checks": ", ".join(sorted(check.name for check in node.check_keys)),
        "columns": ", ".join(column.name for column in schema.columns) if schema else "",
        "deps": ", ".join(sorted(key.to_user_string() for key in node.parent_keys)),
        "group": node.group_name,
        "kinds": ", ".join(sorted(node.kinds)),
        "owners": ", ".join(sorted(node.owners)),
        "partitions": repr(node.partitions_def),
        "pool": ", ".join(sorted(definition.op.pools)) if definition.is_executable else "",
        "tags": {name: value for name, value in node.tags.items() if not name.startswith("dagster/kind/")},
    }


def test_every_asset_says_what_it_is_and_whose(graph: Any) -> None:
    keys = graph.get_all_asset_keys()
    assert keys
    for key in keys:
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.group_name == key.path[0]


def test_every_column_has_a_description(graph: Any) -> None:
    schemas = [
        (key, schema)
        for key in graph.get_all_asset_keys()
        if (schema := graph.get(key).metadata.get("dagster/column_schema"))
    ]
    assert len(schemas) == 4 * 18 + len(TABLES), "four stages of eighteen streams have files"
    assert [(key, column.name) for key, schema in schemas for column in schema.columns if not column.description] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"streem": {}}, ["streem", "defs.yaml"]),
        ({"source": "freshdex"}, ["'freshdex' is unknown", "sources are: freshdesk", "defs.yaml"]),
        ({"streams": {"tickets": {"description": "Tickets.", "stores": []}}}, ["name at least one vector store"]),
        ({"streams": {"tickets": {"description": "Tickets.", "stores": ["qdrant"], "collecton": "x"}}}, ["collecton"]),
        ({"grain": "minute"}, ["grain", "'hour', 'day', 'week' or 'month'"]),
        ({"start": "yesterday"}, ["start"]),
    ],
    ids=["key", "source", "no-store", "stream-key", "grain", "start"],
)
def test_a_mistake_in_defs_yaml_is_named(changes: dict[str, Any], words: list[str]) -> None:
    streams = {"tickets": {"description": "Tickets.", "stores": ["qdrant"]}}
    attributes = {"source": "freshdesk", "streams": streams, **changes}
    with pytest.raises(Exception) as raised:  # noqa: PT011 Dagster's own, which wraps what pydantic says
        _build(attributes)
    told = []
    error: BaseException | None = raised.value
    while error is not None:
        told.append(str(error))
        error = error.__cause__
    text = " ".join(told)
    assert [word for word in words if word not in text] == [], text


def test_defs_yaml_decides_grain_start_and_stores() -> None:
    streams = {"tickets": {"description": "Tickets.", "stores": ["pgvector"], "collection": "help"}}
    definitions = _build({"source": "freshdesk", "grain": "month", "start": "2025-03-01", "streams": streams})
    specs: dict[str, dg.AssetSpec] = {}
    for asset in definitions.assets or ():
        assert isinstance(asset, dg.AssetsDefinition | dg.AssetSpec)
        found = [asset] if isinstance(asset, dg.AssetSpec) else asset.specs
        specs.update({spec.key.path[-1]: spec for spec in found})
    assert set(specs) == {"upstream", "raw", "documents", "chunks", "embeddings", "pgvector"}
    partitions = specs["pgvector"].partitions_def
    assert isinstance(partitions, dg.MultiPartitionsDefinition)
    windows = partitions.get_partitions_def_for_dimension("date").get_partition_keys()
    assert windows[:2] == ["2025-03-01", "2025-04-01"]
    assert "collection help" in (specs["pgvector"].description or "")


def _build(attributes: dict[str, Any]) -> dg.Definitions:
    contents = {"type": "sync_assets.components.SourceSync", "attributes": attributes}
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=SourceSync, defs_yaml_contents=contents)
        with sandbox.load_component_and_build_defs(path) as (_, definitions):
            return definitions
