"""Faster precisions of a model: named, chosen, loaded, compared with float32, and refused until that went well."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from sync_assets.demo.server import DemoServers
from sync_assets.embedding import Precision, open_embedder
from sync_assets.embedding.hash_embedder import HashEmbedder
from sync_assets.embedding.precisions import exact_name, fastest, resolved, split
from sync_assets.embedding.quality import Comparison, compare
from sync_assets.embedding.sampling import sample
from sync_assets.errors import SettingsError
from sync_assets.ledger import NewCollection
from sync_assets.ledger.collections import register_beside
from sync_assets.ledger.model_checks import model_check, record_model_check
from sync_assets.services import Services
from sync_assets.settings import Settings
from sync_assets.stages.precision import refuse_unchecked
from sync_assets_tests.command_line import Installation, small_company
from sync_assets_tests.postgres import fresh_database

MODEL = "all-MiniLM-L6-v2"
GOOD = Comparison(
    texts=100, questions=10, overlap=0.98, mean_cosine=0.995, min_cosine=0.9, speed=20.0, exact_speed=10.0
)


class BlurredEmbedder(HashEmbedder):
    """Its vectors are off by so much, each in another direction."""

    blur = 0.0

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = super().embed(texts) + self.blur * np.random.default_rng(7).normal(size=(len(texts), 64))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def services(tmp_path: Path, postgres_url: str) -> Iterator[Services]:
    with fresh_database(postgres_url) as url:
        services = Services(Settings(home=tmp_path, database_url=url, model_precision="bfloat16"))  # pyright: ignore[reportArgumentType] a string becomes a secret
        yield services
        services.close()


def test_a_name_may_end_in_a_precision() -> None:
    assert split(f"{MODEL}@bfloat16") == (MODEL, "bfloat16")
    assert split(MODEL) == (MODEL, None)
    assert split("folder@home/model") == ("folder@home/model", None)
    fast = open_embedder(f"{MODEL}@bfloat16").fingerprint
    assert (fast.name, fast.precision) == (MODEL, "bfloat16")
    assert fast.key != open_embedder(MODEL).fingerprint.key
    assert exact_name(MODEL, fast) == f"{MODEL}@bfloat16"
    for name in (MODEL, "hash-8", "wordllama-256", "voyage-4@512"):
        assert exact_name(name, open_embedder(name).fingerprint) == name


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"avx2"}, "float32"),
        ({"avx512_vnni", "avx512_bf16"}, "bfloat16"),
        ({"amx_bf16"}, "bfloat16"),
        (set(), "float32"),
    ],
)
def test_the_processor_decides_where_it_is_asked(flags: set[str], precision: Precision) -> None:
    assert fastest(frozenset(flags)) == precision
    assert resolved("float32") == "float32", "what is named is taken"


def test_precision_is_known_without_torch() -> None:
    script = f"""
import sys
from sync_assets.embedding import ModelOptions, open_embedder

assert open_embedder("{MODEL}", ModelOptions(precision="auto")).fingerprint.max_tokens == 254
assert open_embedder("{MODEL}@bfloat16").fingerprint.precision == "bfloat16"
assert open_embedder("voyage-4").fingerprint.dimension == 1024
assert open_embedder("amazon.titan-embed-text-v2:0@256").tokenizer.count(["two words"]) == [2]
assert not {{"torch", "transformers", "sentence_transformers", "boto3"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_vectors_of_every_precision_have_unit_length_and_point_the_same_way() -> None:
    texts = ["The printer is offline. " * 12, "Printer offline", "Payroll for March", "Restart the VPN gateway"]
    exact = open_embedder(MODEL).embed(texts)
    vectors = open_embedder(f"{MODEL}@bfloat16").embed(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    cosines = np.sum(vectors * exact, axis=1)
    assert (cosines > 0.995).all(), cosines
    assert not np.array_equal(vectors, exact), "it computes in another precision"


def test_a_comparison_tells_good_vectors_from_bad_ones() -> None:
    texts = [f"text {number} about {number % 17} and {number % 5}" for number in range(200)]
    questions = [f"about {number}" for number in range(17)]
    exact, other = HashEmbedder(), BlurredEmbedder()
    done: list[int] = []
    same = compare(exact, other, texts, questions, done.append)
    assert (same.overlap, same.passed, done[-1]) == (1.0, True, 400)
    assert same.min_cosine == pytest.approx(1.0)
    other.blur = 0.3
    blurred = compare(exact, other, texts, questions)
    assert not blurred.passed
    assert blurred.min_cosine < blurred.mean_cosine < 0.5
    assert not GOOD.model_copy(update={"overlap": 0.96}).passed
    assert not GOOD.model_copy(update={"mean_cosine": 0.98}).passed


def test_the_demo_gives_the_same_sample_each_time(services: Services) -> None:
    embedder = open_embedder(MODEL)
    first, again = (sample(services, embedder.tokenizer, 254, None, 50) for _ in range(2))
    assert first == again
    assert (len(first.texts), len(first.questions)) == (50, 100)
    assert max(embedder.tokenizer.count(first.texts)) <= 254


def test_no_collection_begins_in_a_precision_that_passed_no_check(services: Services) -> None:
    embedder = services.embedder(MODEL)
    key = embedder.fingerprint.key
    refuse_unchecked(services, services.embedder(f"{MODEL}@float32"))
    with pytest.raises(SettingsError, match=f"never compared.*sync-assets models check {MODEL}`"):
        refuse_unchecked(services, embedder)
    record_model_check(services.ledger, key, "words", GOOD.model_copy(update={"overlap": 0.5}))
    with pytest.raises(SettingsError, match=r"finds 50.0% of what float32 finds, at a mean cosine of 0.9950"):
        refuse_unchecked(services, embedder)
    record_model_check(services.ledger, key, "words", GOOD)
    assert model_check(services.ledger, key) == GOOD
    refuse_unchecked(services, embedder)
    new = NewCollection("pgvector", "tickets", "f" * 32, "words", 384, f"{MODEL}@bfloat16", key, {})
    record_model_check(services.ledger, key, "words", GOOD.model_copy(update={"overlap": 0.5}))
    register_beside(services.ledger, new._replace(fingerprint="e" * 32))
    with pytest.raises(SettingsError, match=r"finds 50.0%"):
        refuse_unchecked(services, embedder)
    services.ledger.register_collection(new._replace(name="others"))
    refuse_unchecked(services, embedder)


def test_a_collection_is_searched_in_the_precision_it_was_made_in(services: Services) -> None:
    assert services.embedder(MODEL).fingerprint.precision == "bfloat16"
    assert services.embedder_of(MODEL).fingerprint.precision == "float32"
    assert services.embedder_of(f"{MODEL}@bfloat16").fingerprint.precision == "bfloat16"


@pytest.mark.slow
def test_a_sync_waits_for_the_check_and_both_tell_what_is_missing(tmp_path: Path, postgres_url: str) -> None:
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        installation = Installation(tmp_path / "home", url, servers)
        fast = {"SYNC_ASSETS_MODEL": MODEL, "SYNC_ASSETS_MODEL_PRECISION": "bfloat16"}
        stream = ("--tenant", "acme", "--source", "freshdesk", "--stream", "articles", "--since-hours", "72")
        refused = installation.run("sync", *stream, **fast)
        assert refused.code == 1
        assert "sync-assets models check" in refused.err
        assert installation.stored("pgvector", "acme", "articles") == {}
        checked = installation.run("models", "check", "--texts", "20", "--json", **fast)
        assert checked.code in (0, 3), checked
        row = checked.json
        assert (row["precision"], row["texts"], row["questions"]) == ("bfloat16", 20, 90)
        assert checked.code == (0 if row["passed"] else 3)
        with installation.services() as services:
            # So few texts tell little; what matters here is what a check that passed allows.
            key = open_embedder(f"{MODEL}@bfloat16").fingerprint.key
            found = model_check(services.ledger, key)
            assert found is not None
            assert found.overlap == row["overlap"]
            record_model_check(services.ledger, key, "words", GOOD)
        installation.sync(*stream, SYNC_ASSETS_MODEL=MODEL, SYNC_ASSETS_MODEL_PRECISION="bfloat16")
        with installation.services() as services:
            (registered,) = {one.model for one in services.ledger.active_collections()}
        assert registered == f"{MODEL}@bfloat16"
        assert installation.stored("pgvector", "acme", "articles")
        hits = installation.run("search", "support", "--tenant", "acme", "--audience", "internal", "--json")
        assert hits.code == 0, hits
        assert hits.json, "with another precision set by now"
        listed = installation.run("models", "list", "--json", **fast).json
        by_name = {(one["model"], one["precision"]): one for one in listed}
        assert by_name[MODEL, "bfloat16"]["checked"] == "passed"
        assert by_name[MODEL, "float32"]["checked"] == ""
        assert (by_name["voyage-4", "float32"]["usable"], by_name["voyage-4", "float32"]["needs"]) == (
            False,
            "SYNC_ASSETS_VOYAGE_API_KEY",
        )
        assert by_name["wordllama-256", "float16"]["usable"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("models", "check"), "hash-8 has one precision only"),
        (("models", "check", MODEL, "--tenant", "nobody"), "Unknown tenant 'nobody'"),
    ],
)
def test_a_check_of_nothing_is_wrong_usage(
    tmp_path: Path, postgres_url: str, arguments: tuple[str, ...], words: str
) -> None:
    with DemoServers(0, small_company()) as servers, fresh_database(postgres_url) as url:
        outcome = Installation(tmp_path / "home", url, servers).run(*arguments)
    assert outcome.code == 2
    assert words in outcome.err
