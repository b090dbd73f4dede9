"""The files of a portal's attachments, in a folder that this machine sees.

What belongs here: how a stored path becomes bytes, and what is refused. What does not: which rows name files
(`ticket_portal_documents.py`).
"""

import os
import stat
from pathlib import Path

from sync_assets.errors import FileUnavailable, SourceError


class FileFolder:
    """Reads files below one folder, and none elsewhere. Safe to use from several threads.

    Args:
        setting: where the folder is configured, for remedies (`tenants.acme.ticket_portal.files`).
    """

    def __init__(self, tenant: str, folder: Path, setting: str) -> None:
        self._tenant = tenant
        self._folder = folder
        self._setting = setting

    def check(self) -> str:
        """Look into the folder; returns what was found, for people.

        Raises:
            SourceError: there is none, or it can't be listed.
        """
        return f"{'no ' if self._is_empty() else ''}files in {self._folder}"

    def read(self, stored: str, max_bytes: int) -> bytes:
        """The bytes of a file.

        Args:
            stored: path as the portal's database has it. An absolute one that lies in the folder is taken as it is;
                any other begins at the folder, as `/uploads/x.png` does that means an address of the portal.

        Raises:
            FileUnavailable: it is missing, refused, no regular file, longer than `max_bytes`, or outside of the folder.
            SourceError: the folder itself is not there, or empty as it is where nothing is mounted.
        """
        place = self._inside(stored)
        try:
            with open(place, "rb", opener=_open) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise FileUnavailable(f"{stored!r} is no regular file")
                found = file.read(max_bytes + 1)
        except OSError as error:
            if self._is_empty():
                raise self._unusable("is empty") from None
            raise FileUnavailable(f"{stored!r} can't be read in {self._setting}: {error.strerror}") from None
        if len(found) > max_bytes:
            raise FileUnavailable(f"it has more than max_bytes={max_bytes}")
        return found

    def _is_empty(self) -> bool:
        try:
            with os.scandir(self._folder) as entries:
                return next(entries, None) is None
        except OSError as error:
            raise self._unusable(f"can't be read: {error.strerror}") from None

    def _unusable(self, reason: str) -> SourceError:
        return SourceError(
            f"{self._tenant}: the folder {self._folder} of attachments {reason}.",
            f"Mount the portal's uploads there, or correct or remove {self._setting}.",
        )

    def _inside(self, stored: str) -> str:
        """Where a file is, without links, so that what was looked at is what is opened."""
        folder = os.path.realpath(self._folder)
        for path in (stored, stored.lstrip("/")):
            place = os.path.realpath(os.path.join(folder, path))
            if os.path.commonpath((folder, place)) == folder:
                return place
        raise FileUnavailable(f"{stored!r} lies outside of {self._setting}")


def _open(path: str, flags: int) -> int:
    """Without waiting for the other end of a pipe, and without following a link that has just been put there."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
