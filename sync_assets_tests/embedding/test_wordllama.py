"""The static model of its wheel: its fingerprint, the library's own vectors, and none that depends on its batch."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_assets.chunking import ChunkLimits, chunk_document
from sync_assets.documents import Document, Part
from sync_assets.embedding import open_embedder
from sync_assets.embedding import wordllama as under_test
from sync_assets.embedding.wordllama import WordLlamaEmbedder
from sync_assets.errors import EmbeddingError

MODEL = "wordllama-256"
DIGEST = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
TEXTS = [
    "Printer offline",
    "CI: CI-2025-001\nBrand: Dell\nModel: Latitude 5540\nLocation: Hengelo, receptie",
    "De coördinator zegt: vóór 12:00 “graag” 🙂",
    "日本語のプリンター",
    "  spaties   en\ttabs\n\n",
    "word " * 254,
    "x",
]


def test_model_of_the_wheel() -> None:
    embedder = open_embedder(MODEL)
    assert open_embedder(MODEL) is embedder
    assert embedder.fingerprint.model_dump() == {
        "name": MODEL,
        "revision": DIGEST,
        "dimension": 256,
        "normalised": True,
        "backend": "static",
        "precision": "float16",
        "max_tokens": 254,
        "prompts": None,
    }
    vectors = embedder.embed(TEXTS)
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS), 256))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert embedder.embed([]).shape == (0, 256)
    near, far = embedder.embed(["Dell Latitude laptop", "Invoice for March"]) @ vectors[1]
    assert near > far + 0.3


def test_vectors_are_those_of_the_library(tmp_path: Path) -> None:
    # In a process of its own, because the library's import changes the logging of the whole process.
    script = """
import sys
from pathlib import Path
import numpy as np
import wordllama

model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
texts = Path(sys.argv[1]).read_text().split("\\0")
np.save(sys.argv[2], model.embed(texts, norm=True))
"""
    (tmp_path / "texts").write_text("\0".join(TEXTS))
    arguments = [str(tmp_path / "texts"), str(tmp_path / "vectors.npy")]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=120)
    expected = np.load(tmp_path / "vectors.npy")
    assert (np.sum(open_embedder(MODEL).embed(TEXTS) * expected, axis=1) > 0.9999).all()


@given(st.lists(st.text(min_size=1, max_size=40), max_size=6), st.text(min_size=1, max_size=40))
def test_a_texts_vector_does_not_depend_on_its_batch(others: list[str], text: str) -> None:
    embedder = open_embedder(MODEL)
    np.testing.assert_array_equal(embedder.embed([*others, text])[-1], embedder.embed([text])[0])


def test_long_texts_are_cut_by_the_models_tokens() -> None:
    embedder = open_embedder(MODEL)
    text = "Het scherm van José 🙂 blijft zwart. " * 60
    part = Part(path="notes", role="notes", text=text)
    document = Document(tenant="acme", source="s", stream="t", record_id="1", title="t", parts=[part])
    chunks = chunk_document(document, embedder.tokenizer, ChunkLimits(max_tokens=40))
    assert max(chunk.tokens for chunk in chunks) <= 40
    assert "".join(chunk.text for chunk in chunks).replace(" ", "") == text.replace(" ", "")
    assert embedder.tokenizer.count([chunk.text for chunk in chunks]) == [chunk.tokens for chunk in chunks]


def test_an_empty_text_gives_no_vector() -> None:
    with pytest.raises(EmbeddingError, match="no words"):
        open_embedder(MODEL).embed(["text", ""])


def test_embedding_imports_neither_torch_nor_the_library() -> None:
    script = """
import logging, sys
from sync_assets.embedding import open_embedder

embedder = open_embedder("wordllama-256")
assert embedder.fingerprint.dimension == 256
assert embedder.tokenizer.count(["two words"]) == [2]
assert embedder.embed(["two words"]).any()
assert not {"torch", "transformers", "wordllama", "requests"} & sys.modules.keys()
assert not logging.root.handlers
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the wheel's files, used in their place."""
    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.origin is not None
    for name in ("weights", "tokenizers"):
        shutil.copytree(Path(spec.origin).parent / name, tmp_path / name)
    monkeypatch.setattr(under_test, "_folder", lambda: tmp_path)
    return tmp_path


def test_other_weights_are_refused(folder: Path) -> None:
    [weights] = (folder / "weights").iterdir()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(EmbeddingError, match=f"have SHA-256 .*, not {DIGEST}"):
        WordLlamaEmbedder().embed(["text"])


@pytest.mark.parametrize("name", ["weights", "tokenizers"])
def test_missing_files_are_an_embedding_error(folder: Path, name: str) -> None:
    shutil.rmtree(folder / name)
    with pytest.raises(EmbeddingError, match=str(folder / name)):
        WordLlamaEmbedder().embed(["text"])


def test_a_wheel_that_is_not_installed_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "find_spec", lambda name: None)
    with pytest.raises(EmbeddingError, match="Install wordllama"):
        WordLlamaEmbedder().embed(["text"])
