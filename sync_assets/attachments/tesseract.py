"""The tesseract of this machine: whether it is there, which one, and the languages that it reads."""

import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple


class Tesseract(NamedTuple):
    """What is installed.

    Attributes:
        version: `tesseract 5.3.0`; "" where it is not installed.
        languages: joined as it wants them, `eng+nld`; "" where it has none that is asked for.
    """

    version: str
    languages: str


def tesseract(languages: str) -> Tesseract:
    """What of these languages (`eng+jpn`) can be read here, in their order."""
    program = shutil.which("tesseract")
    if program is None:
        return Tesseract("", "")
    version, installed = _asked(program)
    return Tesseract(version, "+".join(name for name in languages.split("+") if name in installed))


@cache
def _asked(program: str) -> tuple[str, frozenset[str]]:
    version = next(iter(_lines(program, "--version")), "")
    return version, frozenset(_lines(program, "--list-langs"))


def _lines(program: str, question: str) -> Iterable[str]:
    answer = subprocess.run([program, question], capture_output=True, text=True, check=False)  # noqa: S603 found in PATH
    return answer.stdout.splitlines()
