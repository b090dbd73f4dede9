"""Identity and versions of documents."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync_assets.documents import Document, Part, Standing, Version, Visibility, document_id, is_stale, next_floor

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
parts = st.tuples(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
moments = st.integers(0, 4).map(lambda minutes: EPOCH + timedelta(minutes=minutes))
versions = st.builds(Version, modified_at=moments, observed_at=moments, authoritative=st.booleans())


@given(parts, parts)
def test_no_two_records_share_an_id(first: tuple[str, str, str], second: tuple[str, str, str]) -> None:
    assert (document_id(*first) == document_id(*second)) == (first == second)


@given(parts)
def test_an_id_can_be_part_of_a_path(names: tuple[str, str, str]) -> None:
    assert document_id(*names).isascii()
    assert not set(document_id(*names)) & set("/\\\0 ")


def accept(version: Version, standing: Standing | None, deleted: bool = False) -> Standing:
    return Standing(
        modified_at=version.modified_at,
        observed_at=version.observed_at,
        floor=next_floor(version, deleted, standing),
        deleted=deleted,
    )


@given(st.lists(st.tuples(versions, st.booleans()), max_size=6), versions)
def test_a_finding_of_a_later_sweep_always_stands(history: list[tuple[Version, bool]], last: Version) -> None:
    standing: Standing | None = None
    for version, deleted in history:
        if standing is None or not is_stale(version, standing):
            standing = accept(version, standing, deleted)
    later = Version(modified_at=last.modified_at, observed_at=EPOCH + timedelta(hours=1), authoritative=True)
    if standing is not None:
        assert not is_stale(later, standing)
        after = accept(later, standing)
        for version, _ in history:
            turned_back = version.modified_at > later.modified_at
            assert is_stale(version, after) or (turned_back and standing.modified_at <= later.modified_at)


@given(versions, versions)
def test_what_stands_is_not_stale_and_of_two_only_one_is(first: Version, second: Version) -> None:
    standing = accept(first, None)
    assert not is_stale(first, standing)
    plain = second.model_copy(update={"authoritative": False})
    later = (second.modified_at, second.observed_at) >= (first.modified_at, first.observed_at)
    assert is_stale(plain, standing) == (not later)


def test_an_observation_after_a_tombstone_lifts_it_and_one_before_does_not() -> None:
    alive = Version(modified_at=EPOCH, observed_at=EPOCH)
    gone = Version(modified_at=EPOCH, observed_at=EPOCH + timedelta(minutes=2))
    standing = accept(gone, accept(alive, None), deleted=True)
    assert is_stale(Version(modified_at=EPOCH + timedelta(days=1), observed_at=EPOCH), standing)
    assert not is_stale(Version(modified_at=EPOCH, observed_at=EPOCH + timedelta(minutes=3)), standing)


def test_metadata_and_visibility_have_a_hash_of_their_own() -> None:
    def made(status: str, visibility: Visibility, text: str) -> Document:
        part = Part(path="description", role="description", text=text, visibility=visibility)
        return Document(
            tenant="acme", source="freshdesk", stream="tickets", record_id="1", title="t", parts=[part],
            metadata={"status": status}, visibility=visibility,
        )  # fmt: skip

    first = made("open", Visibility.PUBLIC, "text")
    closed, hidden = made("closed", Visibility.PUBLIC, "text"), made("open", Visibility.INTERNAL, "text")
    assert {first.content_hash} == {closed.content_hash, hidden.content_hash}
    assert len({first.metadata_hash, closed.metadata_hash, hidden.metadata_hash}) == 3
    other = made("open", Visibility.PUBLIC, "other text")
    assert (other.content_hash == first.content_hash, other.metadata_hash == first.metadata_hash) == (False, True)
