"""Reads a file in a process of its own, so that a hang, a crash or a memory bomb costs this file only."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress

from sync_assets.attachments.extracted import Extracted, ExtractedPart, Limits, Unfinished, Unreadable
from sync_assets.attachments.tesseract import tesseract
from sync_assets.errors import SyncAssetsError
from sync_assets.hashing import digest

# All that a reader gets of our environment: no secret is among these.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TESSDATA_PREFIX")
# Raise it with any change of what the same bytes give: then they are read again.
_VERSION = 2
CRASHED = 70
"""Exit status of a reader that started, and then failed outside what it expects of a file (EX_SOFTWARE)."""


def reader(limits: Limits) -> str:
    """What the text of a file depends on beside its bytes: files are read again where it changes."""
    facts = limits.model_dump(exclude={"max_bytes", "ocr_languages"})
    return f"{_VERSION}, {digest([facts, *tesseract(limits.ocr_languages)])}"


def read_file(name: str, content_type: str, data: bytes, limits: Limits | None = None) -> Extracted:
    """Read the text of a file.

    Args:
        name: its file name, which tells kinds of text apart; a path in it is never used.
        content_type: as its sender declared it; asked only about text whose name says nothing.
        data: its bytes, whose first few tell its kind.

    Raises:
        Unfinished: it takes too long, or crashes its reader.
        Unreadable: it is too large, of no readable kind, an archive, encrypted, broken or a bomb.
        SyncAssetsError: no reader can be started; it has nothing to do with this file.
    """
    limits = limits or Limits()
    if not data:
        raise Unreadable("is empty.")
    if len(data) > limits.max_bytes:
        raise Unreadable(f"has {len(data):,} bytes, more than the {limits.max_bytes:,} of max_bytes.")
    header = {"name": name, "content_type": content_type, "limits": limits.model_dump()}
    answer = json.loads(_ask(json.dumps(header).encode() + b"\n" + data, limits.timeout))
    if "unreadable" in answer:
        raise Unreadable(answer["unreadable"], answer["remedy"])
    return Extracted(answer["kind"], [ExtractedPart(*part) for part in answer["parts"]], answer["notes"])


def _ask(question: bytes, timeout: float) -> bytes:
    with tempfile.TemporaryDirectory(prefix="attachment-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "sync_assets.attachments.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
        try:
            answer, _ = process.communicate(question, timeout)
        except subprocess.TimeoutExpired:
            raise Unfinished(f"took longer than the {timeout:g} s of timeout.") from None
        finally:
            if process.returncode is None:
                _kill(process)
    status = process.wait()
    if status < 0:
        name = signal.Signals(-status).name
        raise Unfinished(f"crashed its reader ({name}): it is broken, or needs more memory than a file may.")
    if status == CRASHED:
        raise Unfinished("crashed its reader: it is broken, or needs more memory than a file may.")
    if status > 0:
        raise SyncAssetsError(
            f"The reader of attached files does not start (exit status {status}).",
            "Run `python -I -m sync_assets.attachments.worker </dev/null` to see why.",
        )
    return answer


def _environment(folder: str) -> dict[str, str]:
    # One thread each: the readers of several files share the machine, and each thread takes address space.
    settings = {
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "OMP_THREAD_LIMIT": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return settings | {key: os.environ[key] for key in _PASSED_ON if key in os.environ}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the reader and what it started (tesseract), all of which are in its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
