"""What people see of a run on an asset's page: numbers to plot, tables of changes, pictures, lineage, the log."""

import base64
from itertools import pairwise
from typing import Any

import httpx
import pytest

from sync_assets.components.plots import length_plot
from sync_assets.definitions import build_defs
from sync_assets.sources.calls import counting_calls
from sync_assets.sources.http import ApiClient, ApiStatusError, Limits
from sync_assets_tests.dagster_assets.world import FILE_STAGES, World, key, materializations, partition

PNG = "data:image/png;base64,"


def test_numbers_are_always_there_and_zero_where_nothing_was_done(world: World) -> None:
    world.write("1", 0, "printer on fire")
    found = materializations(world.run(partition(0), partition(1)))
    numbers = {
        "raw": ("records", "calls", "http_429", "http_failed", "bytes"),
        "documents": ("added", "changed", "deleted", "bytes"),
        "chunks": ("chunks", "bytes"),
        "embeddings": ("tokens", "embedded", "reused", "embedded_tokens", "reused_share", "cost", "bytes"),
        "qdrant": ("written", "payloads", "removed"),
    }
    for stage, names in numbers.items():
        for window in (0, 1):
            values = found[stage, partition(window)]
            assert all(isinstance(values[name], int | float) for name in names), (stage, window)
            assert values["run_seconds"] > 0
    first, second = (found["embeddings", partition(window)] for window in (0, 1))
    assert (first["reused_share"], second["reused_share"]) == (0.0, 1.0)
    assert first["embedded_tokens"] == first["tokens"] > 0
    assert first["cost"] == second["cost"] == 0.0


def test_what_vectors_cost_is_told_by_the_prices_of_the_settings_and_only_for_those_computed(
    tmp_path: Any, database_url: str
) -> None:
    world = World(tmp_path / "home", database_url, model_prices={"hash-8": 2_000_000.0})
    try:
        world.write("1", 0, "printer on fire")
        found = materializations(world.run(partition(0)))["embeddings", partition(0)]
        assert found["cost"] == 2.0 * found["embedded_tokens"] > 0
        assert materializations(world.run(partition(0)))["embeddings", partition(0)]["cost"] == 0.0
    finally:
        world.close()


def test_changes_are_a_table_without_words_that_are_not_public_and_none_where_nothing_changed(world: World) -> None:
    world.write("1", 0, "printer on fire")
    world.write("2", 0, "only internal", private=True)
    changes = materializations(world.run(partition(0)))["documents", partition(0)]["changes"]
    assert r"| added | acme\_freshdesk\_1 | Ticket 1 | 2026-01-01" in changes
    assert r"| added | acme\_freshdesk\_2 |  | 2026-01-01" in changes
    assert "changes" not in materializations(world.run(partition(0)))["documents", partition(0)]
    world.delete("1", 1)
    changes = materializations(world.run(partition(1)))["documents", partition(1)]["changes"]
    assert r"| deleted | acme\_freshdesk\_1 |  |" in changes


def test_a_picture_of_lengths_is_drawn_once_for_a_run_and_not_where_nothing_changed(world: World) -> None:
    for number in range(25):
        world.write(str(number), number // 20, "word " * (number + 1))
    found = materializations(world.run(partition(0), partition(1)))
    assert [name for name, values in found.items() if PNG in str(values)] == [("chunks", partition(1))]
    again = materializations(world.run(partition(0), partition(1)))
    assert not any(PNG in str(values) for values in again.values())


def test_the_picture_is_a_small_png_and_few_chunks_have_none() -> None:
    plot = length_plot({12: 200, 254: 3}, 254)
    assert plot is not None
    png = base64.b64decode(plot.partition(PNG)[2].rstrip(")"))
    assert png.startswith(b"\x89PNG")
    assert len(png) < 20_000
    assert length_plot({12: 19}, 254) is None


def test_every_column_of_a_stage_is_made_of_columns_that_the_stage_before_has() -> None:
    graph = build_defs().resolve_asset_graph()

    def columns(stage: str) -> set[str]:
        return {column.name for column in graph.get(key(stage)).metadata["dagster/column_schema"].columns}

    for upstream, stage in pairwise(FILE_STAGES):
        lineage = graph.get(key(stage)).metadata["dagster/column_lineage"].deps_by_column
        assert set(lineage) == columns(stage)
        for name, made_of in lineage.items():
            assert made_of, name
            assert {found.column_name for found in made_of} <= columns(upstream), (stage, name)
            assert {found.asset_key for found in made_of} == {key(upstream)}
    shown = {
        column.name: column.description for column in graph.get(key("chunks")).metadata["dagster/column_schema"].columns
    }
    assert shown["text"] == "Exactly what is embedded; from parts"
    assert shown["title"] == "Title of the document"


def test_the_code_and_the_settings_of_an_asset_are_a_click_away() -> None:
    graph = build_defs().resolve_asset_graph()
    for stage, module in (("raw", "raw.py"), ("embeddings", "embeddings.py"), ("qdrant", "store.py")):
        references = graph.get(key(stage)).metadata["dagster/code_references"].code_references
        paths = [reference.file_path for reference in references]
        assert [path for path in paths if path.endswith(f"sync_assets/stages/{module}")], paths
        assert [path for path in paths if path.endswith("defs/freshdesk/defs.yaml")], paths


def test_the_log_of_a_run_has_a_line_of_counts_for_each_stage(world: World) -> None:
    world.write("1", 0, "printer on fire")
    result = world.run(partition(0))
    lines = [entry.user_message for entry in world.instance.all_logs(result.run_id) if entry.dagster_event is None]
    told = " / ".join(line for line in lines if line.startswith("freshdesk/tickets "))
    assert "freshdesk/tickets raw: 1 records, 1 live; 1 partitions in" in told
    assert "freshdesk/tickets embeddings: 1 documents, 1 chunks, " in told
    assert "printer" not in " ".join(lines)


def test_requests_of_an_account_are_counted_with_those_refused_for_speed_and_those_that_failed() -> None:
    answers = iter([429, 503, 200, 404])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(next(answers), json={}, headers={"Retry-After": "0"})

    with counting_calls() as calls:
        client = ApiClient(
            "acme",
            "http://there",
            setting="tenants.acme.freshdesk",
            limits=Limits(max_retry_wait=0),
            transport=httpx.MockTransport(answer),
        )
    client.get("/tickets")
    with pytest.raises(ApiStatusError):
        client.get("/gone")
    client.close()
    assert (calls.asked, calls.throttled, calls.failed) == (4, 1, 1)
