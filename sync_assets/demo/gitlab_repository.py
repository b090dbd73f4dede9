"""One git repository of the demo company's GitLab, kept in memory: commits, files, history and differences.

What belongs here: what git knows. What does not: merge requests and how the API words an answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from io import BytesIO
from typing import Any, Self

from dulwich.diff_tree import RenameDetector, TreeChange, tree_changes
from dulwich.index import commit_tree
from dulwich.object_store import MemoryObjectStore, iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, TreeEntry
from dulwich.patch import is_binary, unified_diff
from dulwich.walk import ORDER_DATE, Walker

FILE, EXECUTABLE = 0o100644, 0o100755
_RENAME_PERCENT = 50
_COLLAPSED_BYTES, _TOO_LARGE_BYTES = 20_480, 204_800
_GENERATED = ("*.pb.c", "*.pb.h", "*_pb2.py", "package-lock.json", "*/generated/*")

Files = dict[bytes, tuple[int, ObjectID]]


@dataclass(frozen=True)
class FileDiff:
    """What a change does to one file.

    Attributes:
        text: the hunks, without the lines that name the files; one line of words where the file is binary.
        additions, deletions: changed lines; 0 for a binary file.
    """

    old: TreeEntry | None
    new: TreeEntry | None
    text: str
    additions: int
    deletions: int

    @property
    def sent(self) -> dict[str, Any]:
        """The difference as the API sends it: without its text where that is large."""
        old, new = self.old or self.new, self.new or self.old
        if old is None or new is None or old.path is None or new.path is None:
            raise ValueError("a difference has a file on one side at least")
        size, path = len(self.text.encode()), new.path.decode()
        return {
            "diff": "" if size > _COLLAPSED_BYTES else self.text,
            "collapsed": _COLLAPSED_BYTES < size <= _TOO_LARGE_BYTES,
            "too_large": size > _TOO_LARGE_BYTES,
            "new_path": path,
            "old_path": old.path.decode(),
            "a_mode": f"{self.old.mode:o}" if self.old else "0",
            "b_mode": f"{self.new.mode:o}" if self.new else "0",
            "new_file": self.old is None,
            "renamed_file": old.path != new.path,
            "deleted_file": self.new is None,
            "generated_file": any(fnmatch(path, pattern) for pattern in _GENERATED),
        }


class Repository:
    """A bare repository in memory. The same commits with the same authors and times have the same ids.

    Attributes:
        branches: the newest commit of each branch.
        default: name of the default branch.
    """

    def __init__(self, default: str = "main") -> None:
        self.default = default
        self.branches: dict[str, ObjectID] = {}
        self._objects = MemoryObjectStore()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        other = type(self)(self.default)
        other.branches = dict(self.branches)
        for sha in self._objects:
            other._objects.add_object(self._objects[sha])
        return other

    def commit(
        self,
        branch: str,
        author: str,
        moment: datetime,
        message: str,
        *,
        write: Mapping[str, bytes] | None = None,
        rename: Mapping[str, str] | None = None,
        delete: Sequence[str] = (),
        executable: Sequence[str] = (),
        start: str | None = None,
    ) -> str:
        """Add a commit to a branch, which is made where it isn't there.

        Args:
            author: `Name <address>`.
            write: new content of files by path.
            rename: new paths by old ones, before anything is written.
            executable: those of the written files that may be run.
            start: the branch that a new one starts from; the default branch where it is not given.

        Returns:
            The commit's id.

        Raises:
            KeyError: a path that is to be renamed or deleted is not there.
        """
        parent = self.branches.get(branch) or self.branches.get(start or self.default)
        files = self._files(self._commit(parent).tree) if parent else {}
        for old, new in (rename or {}).items():
            files[new.encode()] = files.pop(old.encode())
        for path in delete:
            del files[path.encode()]
        for path, content in (write or {}).items():
            blob = Blob.from_string(content)
            self._objects.add_object(blob)
            before = files.get(path.encode(), (FILE, blob.id))[0]
            files[path.encode()] = (EXECUTABLE if path in executable else before, blob.id)
        return self._add(branch, [parent] if parent else [], files, author, moment, message)

    def merge(self, source: str, target: str, author: str, moment: datetime, message: str) -> str:
        """Merge the commit `source` into the branch `target`, file by file; returns the merge commit's id."""
        into = self.branches[target]
        base = self._commit(self.merge_base(into.decode(), source).encode())
        files = self._files(self._commit(into).tree)
        head = ObjectID(source.encode())
        for change in tree_changes(self._objects, base.tree, self._commit(head).tree):
            if change.old is not None and change.old.path is not None:
                files.pop(change.old.path, None)
            if change.new is not None and change.new.path is not None:
                files[change.new.path] = _kept(change.new)
        return self._add(target, [into, head], files, author, moment, message)

    def resolve(self, ref: str) -> str:
        """The id of the commit that a branch, `HEAD` or a whole or shortened commit id stands for.

        Raises:
            KeyError: there is none.
        """
        branch = self.default if ref == "HEAD" else ref
        if branch in self.branches:
            return self.branches[branch].decode()
        known = [sha for sha in self._objects if sha.startswith(ref.encode())] if len(ref) >= 7 else []
        found = [sha for sha in known if isinstance(self._objects[sha], Commit)]
        if len(found) != 1:
            raise KeyError(ref)
        return found[0].decode()

    def commit_of(self, sha: str) -> Commit:
        """The commit with this whole id."""
        return self._commit(sha.encode())

    def log(
        self,
        refs: Sequence[str],
        path: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int | None = None,
    ) -> list[str]:
        """The ids of commits that lead to `refs`, newest first.

        Args:
            path: only commits that change this file or folder.
            since, until: earliest and latest time of the commit, both inclusive. As in git, `since` is where a walk
                from newer to older ends, so that a younger commit below an older one is not found.
            most: how many at most.
        """
        heads = [ObjectID(self.resolve(ref).encode()) for ref in refs]
        paths = [path.encode()] if path else None
        first, last = (moment.timestamp() if moment else None for moment in (since, until))

        def parents(commit: Commit) -> list[ObjectID]:
            return [] if first is not None and commit.commit_time < first else commit.parents

        walker = Walker(self._objects, heads, order=ORDER_DATE, paths=paths, get_parents=parents)
        found: list[str] = []
        for entry in walker:
            written = entry.commit.commit_time
            if (first is None or written >= first) and (last is None or written <= last):
                found.append(entry.commit.id.decode())
            if most is not None and len(found) == most:
                break
        return found

    def merge_base(self, one: str, other: str) -> str:
        """The newest commit that leads to both.

        Raises:
            KeyError: there is none.
        """
        theirs = set(self.log([other]))
        for sha in self.log([one]):
            if sha in theirs:
                return sha
        raise KeyError(one)

    def tree(self, sha: str, path: str, recursive: bool) -> list[TreeEntry]:
        """The folders and then the files below a folder of a commit, with their whole paths.

        Raises:
            KeyError: there is no such folder.
        """
        top = path.strip("/").encode()
        entries = [
            entry
            for entry in iter_tree_contents(self._objects, self.commit_of(sha).tree, include_trees=True)
            if entry.path and (not top or entry.path.startswith(top + b"/"))
        ]
        if top and not entries:
            raise KeyError(path)
        depth = top.count(b"/") + 1 if top else 0
        shown = [entry for entry in entries if recursive or (entry.path or b"").count(b"/") == depth]
        return sorted(shown, key=lambda entry: (not is_folder(entry), entry.path))

    def file(self, sha: str, path: str) -> tuple[TreeEntry, bytes]:
        """A file of a commit with its content.

        Raises:
            KeyError: there is no such file.
        """
        mode, blob_id = self._files(self.commit_of(sha).tree)[path.encode()]
        return TreeEntry(path.encode(), mode, blob_id), self._content(blob_id)

    def diff(self, old: str | None, new: str) -> list[FileDiff]:
        """What differs between two commits, with renames found; from nothing where `old` is None."""
        before = self.commit_of(old).tree if old else None
        finder = RenameDetector(self._objects, rename_threshold=_RENAME_PERCENT)
        changes = tree_changes(self._objects, before, self.commit_of(new).tree, rename_detector=finder)
        return [self._file_diff(change) for change in changes]

    def changes_of(self, sha: str) -> list[FileDiff]:
        """What a commit changes against its first parent."""
        parents = self.commit_of(sha).parents
        return self.diff(parents[0].decode() if parents else None, sha)

    def _add(
        self, branch: str, parents: list[ObjectID], files: Files, author: str, moment: datetime, message: str
    ) -> str:
        commit = Commit()
        commit.tree = commit_tree(self._objects, [(path, sha, mode) for path, (mode, sha) in files.items()])
        commit.parents = parents
        commit.author = commit.committer = author.encode()
        commit.author_time = commit.commit_time = int(moment.timestamp())
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = message.encode()
        self._objects.add_object(commit)
        self.branches[branch] = commit.id
        return commit.id.decode()

    def _commit(self, sha: bytes) -> Commit:
        found = self._objects[ObjectID(sha)]
        if not isinstance(found, Commit):
            raise KeyError(sha.decode())
        return found

    def _content(self, sha: ObjectID) -> bytes:
        return self._objects[sha].as_raw_string()

    def _files(self, tree: ObjectID) -> Files:
        return {entry.path: _kept(entry) for entry in self._all_files(tree) if entry.path is not None}

    def _all_files(self, tree: ObjectID) -> Iterator[TreeEntry]:
        return iter_tree_contents(self._objects, tree)

    def _file_diff(self, change: TreeChange) -> FileDiff:
        old = change.old if change.old and change.old.path else None
        new = change.new if change.new and change.new.path else None
        before, after = (self._content(_kept(entry)[1]) if entry else b"" for entry in (old, new))
        if before == after:
            return FileDiff(old, new, "", 0, 0)
        if is_binary(before) or is_binary(after):
            names = [(entry.path or b"").decode() if entry else None for entry in (old, new)]
            sides = [f"{side}/{name}" if name else "/dev/null" for side, name in zip("ab", names, strict=True)]
            return FileDiff(old, new, f"Binary files {sides[0]} and {sides[1]} differ\n", 0, 0)
        lines = list(unified_diff(_lines(before), _lines(after)))[2:]
        added, removed = (sum(line.startswith(mark) for line in lines) for mark in (b"+", b"-"))
        return FileDiff(old, new, as_text(b"".join(lines)), added, removed)


def is_folder(entry: TreeEntry) -> bool:
    return entry.mode is not None and entry.mode & 0o170000 == 0o040000


def as_text(content: bytes) -> str:
    """Text as GitLab shows it: UTF-8, or where it isn't that, Latin-1."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _kept(entry: TreeEntry) -> tuple[int, ObjectID]:
    if entry.mode is None or entry.sha is None:
        raise ValueError("an entry of a tree has a mode and an id")
    return entry.mode, entry.sha


def _lines(content: bytes) -> list[bytes]:
    """Lines with their ends; git divides at line feeds only."""
    return BytesIO(content).readlines()
