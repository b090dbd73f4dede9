"""A real Chroma server for tests, in a folder of its own, for as long as a `with` block."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from sync_assets_tests.servers import free_port, stop

_START_SECONDS = 60


@contextmanager
def running_server() -> Iterator[str]:
    """Start `chroma run` on a free port, and stop it and remove its files at the end; gives its URL.

    Raises:
        RuntimeError: it does not answer in time; the text has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="sync_assets-chroma-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        port = free_port()
        program = Path(sys.executable).with_name("chroma")
        arguments = ["run", "--path", str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen([program, *arguments], stdout=output, stderr=output, cwd=folder)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url, log)
            yield url
        finally:
            stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            httpx.get(f"{url}/api/v2/heartbeat", timeout=5).raise_for_status()
            return
        except httpx.HTTPError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Chroma did not start: {error}\n{end}") from None
            time.sleep(0.05)
