"""Chunks and embeddings of windows in which nothing changed: the files stay, and only for as long as they are right."""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from sync_assets.stages import Stream, kept
from sync_assets_tests.dagster_assets.world import World, checks, data_versions, materializations, partition, total

STAGES = ("chunks", "embeddings")


def _file(world: World, stage: str, window: int = 0) -> Path:
    (path,) = world.services.settings.home.rglob(f"acme/*/tickets/{stage}/**/day={window + 1:02}.parquet")
    return path


def _identity(path: Path) -> int:
    """Changes with every put: a file takes the place of the one before."""
    return path.stat().st_ino


def _told(result: dg.ExecuteInProcessResult) -> tuple[Any, Any]:
    """What the stages say of their partitions, and what their checks found, but for how long it took."""
    metadata = {place: dict(found) for place, found in materializations(result).items() if place[0] in STAGES}
    for found in metadata.values():
        del found["run_seconds"]
    return metadata, {key: (found.passed, found.metadata) for key, found in checks(result).items() if key[0] in STAGES}


@pytest.fixture
def synced(world: World) -> World:
    for number in range(3):
        world.write(str(number), 0, f"text {number}", "a comment")
    world.write("9", 1, "of another day")
    world.run(partition(0), partition(1))
    return world


def test_windows_without_changes_keep_their_files_and_tell_the_same(synced: World) -> None:
    for stage in STAGES:
        for window in (0, 1):
            _file(synced, stage, window).unlink()
    made = synced.run(partition(0), partition(1))
    files = [_identity(_file(synced, stage, window)) for stage in STAGES for window in (0, 1)]
    again = synced.run(partition(0), partition(1))
    assert [_identity(_file(synced, stage, window)) for stage in STAGES for window in (0, 1)] == files
    assert data_versions(again) == data_versions(made)
    assert _told(again) == _told(made)


def test_a_change_in_one_window_leaves_the_files_of_the_other(synced: World) -> None:
    files = {(stage, window): _identity(_file(synced, stage, window)) for stage in STAGES for window in (0, 1)}
    synced.write("10", 1, "new in the other window")
    result = synced.run(partition(0), partition(1))
    stayed = {place for place, before in files.items() if _identity(_file(synced, *place)) == before}
    assert stayed == {(stage, 0) for stage in STAGES}
    assert total(result, "embeddings", "embedded") == 1
    synced.assert_converged()


@pytest.mark.parametrize("change", ["code", "chunk size"])
def test_other_code_and_other_settings_make_them_anew(
    synced: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = _identity(_file(synced, "chunks"))
    if change == "code":
        monkeypatch.setattr(kept, "_code", lambda: "another release")
    else:
        limits = Stream.limits
        shorter = {"max_tokens": 100}
        monkeypatch.setattr(Stream, "limits", lambda self, model: limits(self, model).model_copy(update=shorter))
    synced.run(partition(0), stages=("raw", "documents", "chunks"))
    assert _identity(_file(synced, "chunks")) != before


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("damage", ["changed at the start", "changed inside", "changed at the end", "cut off", "gone"])
def test_a_damaged_file_is_made_anew(synced: World, stage: str, damage: str) -> None:
    path = _file(synced, stage)
    rows = pq.read_table(path).to_pylist()
    _damage(path, damage)
    result = synced.run(partition(0))
    assert pq.read_table(_file(synced, stage)).to_pylist() == rows
    assert total(result, "embeddings", "embedded") == 0
    assert {name for (_, name), found in checks(result).items() if not found.passed} <= {"freshness"}
    synced.assert_converged()


def _damage(path: Path, damage: str) -> None:
    content = path.read_bytes()
    place = {"changed at the start": 1, "changed inside": len(content) // 3, "changed at the end": len(content) - 40}
    if damage == "gone":
        path.unlink()
    elif damage == "cut off":
        path.write_bytes(content[:-9])
    else:
        at = place[damage]
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
