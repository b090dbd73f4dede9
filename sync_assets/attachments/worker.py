"""The process that reads one file: a line of JSON and the file's bytes on stdin, one JSON object on stdout.

Run by `process.py`. It limits itself before any byte of the file is looked at: memory, processor time, no core dump
(which would hold the file's content), no network.
"""

import json
import math
import os
import resource
import sys
from typing import Any

from sync_assets.attachments.extracted import Extracted, Limits, UnknownKind, Unreadable
from sync_assets.attachments.process import CRASHED
from sync_assets.attachments.readers import read

_MEMORY = 2 * 1024**3


def main() -> None:
    """Read the file on stdin; exit status 0 with an answer, CRASHED where the file was too much for its reader."""
    # Whatever a library prints must not get into the answer.
    stdout = os.dup(1)
    os.dup2(2, 1)
    header = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    limits = Limits(**header["limits"])
    _limit_process(limits)
    try:
        answer = json.dumps(_answer(header["name"], header["content_type"], data, limits))
        with open(stdout, "w", encoding="utf-8") as file:
            file.write(answer)
    # No memory is left to say more, and whoever waits must not take it for a reader that can't start.
    except MemoryError:
        os._exit(CRASHED)


def _limit_process(limits: Limits) -> None:
    seconds = math.ceil(limits.timeout) + 1
    for what, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        _, allowed = resource.getrlimit(what)
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(what, (most, most))
    sys.addaudithook(_refuse_network)


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        raise PermissionError("A reader of files has no network.")


def _answer(name: str, content_type: str, data: bytes, limits: Limits) -> dict[str, Any]:
    try:
        return read(name, content_type, data, limits)._asdict()
    except UnknownKind as error:
        return Extracted("unknown", [], [str(error)])._asdict()
    except Unreadable as error:
        return {"unreadable": error.message, "remedy": error.remedy}


if __name__ == "__main__":
    main()
