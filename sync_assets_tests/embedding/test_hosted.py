"""Models behind an API, over the wire: Voyage and Bedrock Titan on servers that speak their protocols."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import stamina
from pydantic import SecretStr

from sync_assets.embedding import Embedder, ModelOptions, open_embedder
from sync_assets.embedding.bedrock import TitanEmbedder
from sync_assets.embedding.cache import EmbeddingCache, embed_missing
from sync_assets.embedding.voyage import VoyageEmbedder
from sync_assets.errors import EmbeddingError
from sync_assets.hashing import text_hash
from sync_assets.ledger import Ledger
from sync_assets.settings import Settings
from sync_assets.sources.http import Timer
from sync_assets_tests.embedding import vendors
from sync_assets_tests.embedding.vendors import KEY, Vendor, vector_of

TITAN = "amazon.titan-embed-text-v2:0"
TEXTS = ["The printer is offline", "Payroll for March", "Restart the router"]


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Attempts follow each other at once."""
    with stamina.set_testing(True, attempts=6):
        yield


@pytest.fixture
def voyage() -> Iterator[Vendor]:
    with vendors.voyage() as vendor:
        yield vendor


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    with vendors.bedrock() as vendor:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", vendor.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", vendor.url)
        yield vendor


def of_voyage(vendor: Vendor, name: str = "voyage-4", key: str | None = KEY) -> VoyageEmbedder:
    return VoyageEmbedder(name, ModelOptions(voyage_api_key=SecretStr(key) if key else None, voyage_url=vendor.url))


def of_bedrock(name: str = TITAN) -> TitanEmbedder:
    return TitanEmbedder(name, ModelOptions(bedrock_region="eu-west-1"))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_voyage_embeds_documents_and_questions_each_as_what_they_are(voyage: Vendor) -> None:
    embedder = of_voyage(voyage)
    voyage.backwards = True
    vectors = embedder.embed(TEXTS)
    assert (vectors.dtype, vectors.shape) == (np.float32, (3, 1024))
    for vector, text in zip(vectors, TEXTS, strict=True):
        np.testing.assert_allclose(vector, unit(vector_of(text, 1024)), atol=1e-6)
    np.testing.assert_allclose(embedder.embed_query("Where?"), unit(vector_of("Where?", 1024, "query")), atol=1e-6)
    fields = {"model": "voyage-4", "truncation": False, "output_dimension": 1024}
    assert voyage.bodies == [
        {"input": ["probe"], "input_type": "document", **fields},
        {"input": TEXTS, "input_type": "document", **fields},
        {"input": ["Where?"], "input_type": "query", **fields},
    ]
    assert embedder.billed_tokens == sum(vendors.tokens_of(text) for text in ["probe", *TEXTS, "Where?"])


def test_titan_embeds_one_text_a_request_and_several_at_a_time(bedrock: Vendor) -> None:
    embedder = of_bedrock(f"{TITAN}@256")
    embedder.embed(["first"])
    bedrock.together = threading.Barrier(8)
    texts = [f"text {number}" for number in range(40)]
    vectors = embedder.embed(texts)
    assert vectors.shape == (40, 256)
    for vector, text in zip(vectors, texts, strict=True):
        np.testing.assert_allclose(vector, unit(vector_of(text, 256)), atol=1e-6)
    bedrock.together = None
    np.testing.assert_array_equal(embedder.embed_query(texts[7]), vectors[7])
    assert bedrock.bodies[0] == {"inputText": "probe", "dimensions": 256, "normalize": True}
    assert len(bedrock.bodies) == 43
    assert embedder.billed_tokens == 2 + 2 + 41 * 4


def test_the_older_titan_takes_the_text_alone_and_gets_unit_length_here(bedrock: Vendor) -> None:
    vectors = of_bedrock("amazon.titan-embed-text-v1").embed(TEXTS)
    assert vectors.shape == (3, 1536)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


def test_key_name_and_dimension_are_tried_once_before_the_first_texts(voyage: Vendor, bedrock: Vendor) -> None:
    for vendor, embedder in ((voyage, of_voyage(voyage)), (bedrock, of_bedrock())):
        vendor.wrong_dimension = 12
        with pytest.raises(EmbeddingError, match=r"shape \(1, 12\), not \(1, 1024\).*@12"):
            embedder.embed(TEXTS)
        assert len(vendor.bodies) == 1, "the texts were not sent"
        vendor.wrong_dimension = None
        embedder.embed(TEXTS[:1])
        embedder.embed(TEXTS[1:2])
        assert len(vendor.bodies) == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("voyage-44", ["no embedding model 'voyage-44'", "voyage-4-large", "voyage-3.5-lite", "voyage-44@1024"]),
        ("voyage-4@300", ["no vectors of 300 dimensions", "1024, 256, 512, 2048"]),
        ("voyage-4@big", ["does not end in a dimension"]),
    ],
)
def test_a_wrong_name_is_refused_without_asking_and_what_there_is_is_named(
    voyage: Vendor, name: str, words: list[str]
) -> None:
    with pytest.raises(EmbeddingError) as caught:
        _ = of_voyage(voyage, name).fingerprint
    assert all(word in str(caught.value) for word in words)
    assert not voyage.seen


def test_a_model_that_is_newer_than_the_table_needs_its_dimension(voyage: Vendor) -> None:
    embedder = of_voyage(voyage, "voyage-9@128")
    assert embedder.embed(TEXTS).shape == (3, 128)
    assert (embedder.fingerprint.name, embedder.fingerprint.dimension) == ("voyage-9", 128)
    with pytest.raises(EmbeddingError, match=r"no embedding model 'voyage-8'.*voyage-4-lite"):
        of_voyage(voyage, "voyage-8@128").embed(TEXTS)


def test_bedrock_is_asked_which_models_there_are(bedrock: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("amazon.titan-embed-text-v3", "amazon.titan-embed-text-v3@256"):
        with pytest.raises(EmbeddingError, match=f"no embedding model .*v3'.*There are: .*{TITAN}"):
            of_bedrock(name).embed(TEXTS)
    assert bedrock.seen["/foundation-models"] == 2
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    with pytest.raises(EmbeddingError, match=f"There are: {TITAN}, amazon.titan-embed-text-v1"):
        _ = of_bedrock("amazon.titan-embed-text-v3").fingerprint


def test_a_wrong_key_fails_at_once_and_is_never_shown(
    voyage: Vendor, bedrock: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    for vendor, embedder, setting in (
        (voyage, of_voyage(voyage, key="pa-wrong"), "SYNC_ASSETS_VOYAGE_API_KEY"),
        (bedrock, of_bedrock(), "bedrock:InvokeModel"),
    ):
        with pytest.raises(EmbeddingError, match=setting) as caught:
            embedder.embed(TEXTS)
        assert not {"pa-wrong", "AKIAWRONG", "sesame"} & set(str(caught.value).split())
        assert sum(vendor.seen.values()) == 1
    with pytest.raises(EmbeddingError, match="Set SYNC_ASSETS_VOYAGE_API_KEY"):
        of_voyage(voyage, key=None).embed(TEXTS)


def test_throttling_and_broken_connections_are_tried_again(voyage: Vendor, bedrock: Vendor) -> None:
    voyage.retry_after = "0"
    for vendor, embedder in ((voyage, of_voyage(voyage)), (bedrock, of_bedrock())):
        vendor.failures = [429, 503, 0]
        assert embedder.embed(TEXTS[:1]).shape == (1, 1024)
        assert sum(vendor.seen.values()) == 5


def test_a_vendor_that_asks_to_wait_long_is_not_waited_for(voyage: Vendor) -> None:
    voyage.retry_after, voyage.failures = "900", [429] * 9
    with pytest.raises(EmbeddingError, match=r"status 429.*SYNC_ASSETS_MODEL_REQUESTS_PER_MINUTE"):
        of_voyage(voyage).embed(TEXTS)
    assert sum(voyage.seen.values()) == 1


def test_requests_keep_to_the_limit_of_the_settings(voyage: Vendor) -> None:
    options = ModelOptions(voyage_api_key=SecretStr(KEY), voyage_url=voyage.url, requests_per_minute=2)
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    embedder = VoyageEmbedder("voyage-4", options, Timer(lambda: now[0], sleep))
    embedder.embed(TEXTS)
    assert now[0] == 0.0
    embedder.embed(TEXTS)
    assert 59 < now[0] < 62
    assert len(voyage.bodies) == 3


def test_many_texts_go_in_as_few_requests_as_the_vendor_takes(voyage: Vendor) -> None:
    embedder = of_voyage(voyage, "voyage-3-lite")
    texts = [f"{number} " + "word " * 250 for number in range(300)]
    assert embedder.embed(texts).shape == (300, 512)
    calls = [len(body["input"]) for body in voyage.bodies[1:]]
    assert sum(calls) == 300
    assert len(calls) == 3
    assert "output_dimension" not in voyage.bodies[0], "it has only one"
    short = [str(number) for number in range(1_001)]
    embedder.embed(short)
    assert sorted(len(body["input"]) for body in voyage.bodies[-2:]) == [1, 1_000]


def test_a_text_that_is_too_long_is_refused_and_never_cut(voyage: Vendor, bedrock: Vendor) -> None:
    dense = " ".join("." * 999)
    for embedder in (of_voyage(voyage), of_bedrock()):
        with pytest.raises(EmbeddingError, match="1001 tokens is longer than the 1000"):
            embedder.embed(["word " * 1_001])
        assert embedder.embed([dense]).shape == (1, 1024)
    # A word of letters that the stand-in does not know is one token to it and may be many to the vendor.
    with pytest.raises(EmbeddingError, match=r"too long for amazon\.titan.*chunk_tokens"):
        of_bedrock()._embed(["word " * 5_000], [1])
    with pytest.raises(EmbeddingError, match=r"too long for voyage-3-lite.*chunk_tokens"):
        of_voyage(voyage, "voyage-3-lite")._embed(["word " * 70_000], [1])


def test_one_text_that_a_vendor_refuses_costs_only_itself(bedrock: Vendor, postgres_url: str) -> None:
    ledger = Ledger(postgres_url, lock_timeout=10.0)
    refused = "\u200b"
    texts = {text_hash(text): text for text in [*TEXTS, refused, ""]}
    tokens = {key: len(text) for key, text in texts.items()}
    result = embed_missing(EmbeddingCache(ledger.engine), of_bedrock(), "hosted", texts, tokens, lambda done: None)
    ledger.close()
    assert result.failures.keys() == {text_hash("")}
    assert "ValidationException" in result.failures[text_hash("")]
    assert result.embedded == 4


def test_what_a_run_costs_is_what_the_vendor_counted(voyage: Vendor, postgres_url: str) -> None:
    ledger = Ledger(postgres_url, lock_timeout=10.0)
    texts = {text_hash(text): text for text in TEXTS}
    tokens = {key: len(text) for key, text in texts.items()}
    first, again = (
        embed_missing(EmbeddingCache(ledger.engine), of_voyage(voyage), "billed", texts, tokens, lambda done: None)
        for _ in range(2)
    )
    ledger.close()
    assert first.billed == sum(map(vendors.tokens_of, [*TEXTS, "probe"])) != first.tokens
    assert again.billed == 0


def test_names_open_the_vendors_models_and_shorter_vectors_cost_the_same(voyage: Vendor) -> None:
    found: Embedder = open_embedder("voyage-4@512", ModelOptions(voyage_url=voyage.url))
    assert (found.fingerprint.name, found.fingerprint.dimension) == ("voyage-4", 512)
    assert found.fingerprint.key != open_embedder("voyage-4").fingerprint.key
    assert open_embedder(TITAN).fingerprint.backend == "bedrock"
    prices = Settings(model_prices={"voyage-4": 0.06, "voyage-4@256": 0.05})
    assert prices.price("voyage-4@512", 1_000_000) == 0.06
    assert prices.price("voyage-4@256", 1_000_000) == 0.05
