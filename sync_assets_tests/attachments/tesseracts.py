"""Programs that stand in for tesseract."""

from pathlib import Path


def fake_tesseract(folder: Path, script: str, version: str = "5.3.0", languages: str = "eng") -> None:
    """A program that says what it is as tesseract does, and runs the script instead of reading a picture."""
    listed = " ".join(f"echo {name};" for name in ["List:", *languages.split()])
    answers = f'case "$1" in --version) echo tesseract {version}; exit;; --list-langs) {listed} exit;; esac'
    program = folder / "tesseract"
    program.write_text(f"#!/bin/sh\n{answers}\n{script}\n")
    program.chmod(0o755)
