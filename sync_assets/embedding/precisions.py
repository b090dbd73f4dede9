"""In which precision a sentence-transformers model computes, decided without loading anything.

What belongs here: names and the choice that `auto` stands for. How a model is loaded in a precision is in
`sentence_transformers.py`, whether its vectors are good enough in `quality.py`.
"""

from functools import cache
from pathlib import Path
from typing import Literal, get_args

from sync_assets.embedding import ModelFingerprint, Precision

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_PROCESSOR = Path("/proc/cpuinfo")
_GPU = Path("/proc/driver/nvidia/gpus")


def resolved(wanted: Precision | Literal["auto"]) -> Precision:
    """What is asked for; for `auto` what is fastest on this machine.

    A GPU is fast enough to stay exact, and a processor that has no instructions for bfloat16 is slower with it. There
    is no int8: measured with torch, ONNX Runtime and OpenVINO, none found again what float32 finds (`quality.py`).
    """
    if wanted != "auto":
        return wanted
    if _GPU.is_dir() and any(_GPU.iterdir()):
        return "float32"
    return fastest(_flags())


def fastest(flags: frozenset[str]) -> Precision:
    """The precision for a processor with these abilities, as Linux names them."""
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"


def split(model: str) -> tuple[str, Precision | None]:
    """A model's name, and the precision that it ends in (`all-MiniLM-L6-v2@bfloat16`), where it does."""
    name, _, precision = model.rpartition("@")
    for known in PRECISIONS:
        if precision == known and name:
            return name, known
    return model, None


def exact_name(model: str, fingerprint: ModelFingerprint) -> str:
    """The name that opens a model as it is now, whatever precision is set later; float32 needs no saying."""
    fast = fingerprint.precision in PRECISIONS and fingerprint.precision != "float32"
    return f"{split(model)[0]}@{fingerprint.precision}" if fast else model


def as_made(model: str) -> str:
    """The name that opens a model as a collection of that name in the registry was made, whatever is set now."""
    return model if split(model)[1] else f"{model}@float32"


@cache
def _flags() -> frozenset[str]:
    """Empty where the system does not tell."""
    try:
        lines = _PROCESSOR.read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))
