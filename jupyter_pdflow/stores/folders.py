"""The folders of runs' files: one below ``PDFlow.files_dir`` for each run that has saved files.

Steps may write anything there, so the contents are not trusted. Links that lead out of a run's
folder are not followed, and special files, such as pipes, are ignored.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple
from unicodedata import normalize
from uuid import uuid4

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.pd.pd import FILES_ID_NAME
from jupyter_pdflow.stores.files import (
    TEMPORARY,
    quarantine,
    read_file,
    replace_file,
    sync_directory,
)
from jupyter_pdflow.threads import sorted_in_turns

logger = logging.getLogger(__name__)

OnError = Callable[[OSError], object]

FILES = "files"
"""The default of ``PDFlow.files_dir``, in the data directory."""

NOTE = "files_dir"
"""The file in the data directory that names ``PDFlow.files_dir`` if it is not the default."""

LISTED = 1_000
"""Maximum number of files in a list of a run's files."""

LONGEST_NAME = 255
"""Maximum number of bytes of the name of a file or a folder."""

LONGEST_PATH = 1_000
"""Maximum number of bytes of a path below a run's folder."""

SAME_NAME = "some systems can't tell its name from another file's or folder's"

_ID = re.compile(rb"[0-9a-f]{32}")
_UNPORTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")
"""Characters that JSON, URLs or other systems can't hold in a name."""

_INVALID_ON_WINDOWS = re.compile(
    r'[<>:"|?*]|[. ]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.IGNORECASE
)


class RunFile(NamedTuple):
    """A file of a run, or an empty folder.

    Attributes
    ----------
    path : str
        The path below the run's folder, with forward slashes. That of a folder ends with a slash;
        that of the run's own folder is empty.
    size : int
        The size in bytes.
    modified : float
        The time of the last change, in seconds since 1970.
    """

    path: str
    size: int
    modified: float

    @property
    def is_folder(self) -> bool:
        """Whether this is an empty folder."""
        return not self.path or self.path.endswith("/")


def flaw_of_path(path: str) -> str | None:
    """Return why a path is not valid below a run's folder, or None."""
    if len(path.encode(errors="replace")) > LONGEST_PATH:
        return f"its path is longer than {LONGEST_PATH:,} bytes"
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return "its path leads elsewhere"
        if _UNPORTABLE.search(name) or (os.name == "nt" and _INVALID_ON_WINDOWS.search(name)):
            return "its name has characters that other systems can't take"
        if len(name.encode()) > LONGEST_NAME:
            return f"its name is longer than {LONGEST_NAME} bytes"
    return None


def clash_of(paths: Iterable[str]) -> str | None:
    """Return a path that conflicts with another one on some systems, or None.

    Some systems ignore case, or the Unicode normal form. A path also conflicts if it needs a file
    to be a folder.

    Parameters
    ----------
    paths : iterable of str
        Paths of files, and of empty folders with a slash at the end.
    """
    files, folders = set[str](), set[str]()
    for path in sorted(paths, key=lambda path: path.count("/")):
        key = normalize("NFC", path).casefold()
        above = {key[:at] for at, character in enumerate(key) if character == "/"}
        if key in files or key in folders or above & files:
            return path
        folders |= above
        if key.endswith("/"):
            continue
        files.add(key)
    return None


def flaw_of_paths(paths: Iterable[str]) -> tuple[str, str] | None:
    """Return a path that a run's folder can't have beside the others, and why; None if it can.

    Paths of folders, which are empty, end with a slash; that of the run's own folder is empty.
    """
    found = list(paths)
    for path in filter(None, found):
        flaw = flaw_of_path(path.removesuffix("/"))
        if flaw is not None:
            return path, flaw
    clash = clash_of(found)
    return None if clash is None else (clash, SAME_NAME)


class RunFolders:
    """The folder that holds the folders of all runs.

    Parameters
    ----------
    path : Path
        The folder.
    note : Path, optional
        A file in the data directory, for commands that have no configuration: it names the folder
        if the folder is outside of the data directory.

    Attributes
    ----------
    name : str
        The path as text.
    id : str
        The mark of the folder. A kernel compares it, to find out whether it sees the same folder.
    """

    def __init__(self, path: Path, note: Path | None = None) -> None:
        self.path = path
        self._note = note
        self.name = str(path)
        self.id = uuid4().hex

    def open(self) -> None:
        """Make the folder, for its owner only, and mark it. Log an error if that fails."""
        try:
            if os.path.lexists(self.path) and not self.path.is_dir():
                self._quarantine(self.path, "is not a folder")
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.id = self._marked()
            self._write_note()
        except OSError as error:
            logger.error(
                "Steps can't use pd.files: %s. Fix the folder %s, which PDFlow.files_dir names, and "
                "restart the server.",
                error,
                self.path,
            )

    def list(self, run_id: str) -> list[RunFile]:
        """Return the files of a run, sorted by path, at most `LISTED`; none if it has no folder."""
        found = (file for file in self.walk(run_id, _ignore) if not file.is_folder)
        return list(islice((file for file in found if flaw_of_path(file.path) is None), LISTED))

    def walk(self, run_id: str, on_error: OnError) -> Iterator[RunFile]:
        """Yield the files and the empty folders of a run, sorted by path.

        Parameters
        ----------
        run_id : str
            The run.
        on_error : callable
            Called with the `OSError` of a folder that can't be read.
        """
        folder = self.path / run_id
        if folder.is_dir() and not folder.is_symlink():
            yield from _walk(str(folder), "", os.path.realpath(folder), on_error)

    def read(self, run_id: str, path: str) -> BinaryIO:
        """Open a file of a run for reading.

        Raises
        ------
        NotFoundError
            The path is not that of a file of the run that can be read.
        """
        if flaw_of_path(path) is None:
            folder = self.path / run_id
            try:
                return _open_below(folder, _real(folder, path))
            except (OSError, ValueError):
                pass
        msg = "The run has no such file."
        raise NotFoundError(msg)

    def write(self, run_id: str, files: Mapping[str, Iterable[bytes]]) -> None:
        """Write the folder of a run that has none, for its owner only; durable when this returns.

        `files` has the parts of each file by path, and empty folders as for `flaw_of_paths`. The
        folder gets its name last: a crash leaves all of it or nothing.
        """
        draft = self.path / (run_id + TEMPORARY)
        remove_tree(draft)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        try:
            for path, parts in files.items():
                _write_file(draft / path, parts, is_folder=not path or path.endswith("/"))
            draft.rename(self.path / run_id)
        except BaseException:
            remove_tree(draft)
            raise
        sync_directory(self.path)

    def remove(self, run_ids: Sequence[str]) -> dict[str, OSError]:
        """Remove the folders of runs; return the runs for which that failed."""
        failed = {}
        for run_id in run_ids:
            try:
                remove_tree(self.path / run_id)
            except OSError as error:
                failed[run_id] = error
        return failed

    def _write_note(self) -> None:
        """Write the note if one is needed, else remove it."""
        if self._note is None:
            return
        if self.path == self._note.parent / FILES:
            self._note.unlink(missing_ok=True)
        else:
            replace_file(self._note, self.name.encode("utf-8", "surrogateescape"))

    def _marked(self) -> str:
        """Return the mark of the folder. Write one if there is no valid mark."""
        mark = self.path / FILES_ID_NAME
        if not is_marked(self.path):
            if os.path.lexists(mark):
                self._quarantine(mark, "is not a mark")
            self._mark(mark)
        return read_file(str(mark)).decode()

    def _mark(self, mark: Path) -> None:
        """Write a mark, unless another process that shares the folder has written one meanwhile."""
        own = self.path / f"{FILES_ID_NAME}.{self.id}"
        replace_file(own, self.id.encode())
        try:
            os.link(own, mark)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            own.replace(mark)
        own.unlink(missing_ok=True)
        sync_directory(str(self.path))

    def _quarantine(self, path: Path, why: str) -> None:
        logger.error("%s %s. It is set aside as %s.", path, why, quarantine(path).name)


def is_marked(folder: Path) -> bool:
    """Return whether a folder has a valid mark."""
    try:
        return _ID.fullmatch(read_file(str(folder / FILES_ID_NAME))) is not None
    except OSError:
        return False


def remove_tree(folder: Path) -> None:
    """Remove a folder and its contents; `OSError` if something can't be removed.

    A link or a file at that path is removed itself, not what the link leads to.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except PermissionError:
        # A step may have made folders read-only. They are the owner's all the same.
        _make_writable(folder)
        shutil.rmtree(folder)
    except RecursionError as error:
        msg = f"{folder} has folders that are nested too deeply; remove it by `rm -r`"
        raise OSError(msg) from error


def _write_file(path: Path, parts: Iterable[bytes], *, is_folder: bool) -> None:
    folder = path if is_folder else path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_folder:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
    sync_directory(folder)


def _make_writable(folder: Path) -> None:
    folder.chmod(0o700)
    for path, names, _ in os.walk(folder):
        for inner in (Path(path, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)


def _ignore(_error: OSError) -> None:
    """Ignore an error."""


def _walk(folder: str, above: str, root: str, on_error: OnError) -> Iterator[RunFile]:
    try:
        with os.scandir(folder) as found:
            entries = {_sort_key(entry): entry for entry in found}
    except FileNotFoundError:
        return
    except OSError as error:
        on_error(error)
        return
    if not entries:
        yield RunFile(above, 0, 0)
    for name, entry in ((name, entries[name]) for name in sorted_in_turns(entries)):
        path = above + name
        if not name.endswith("/"):
            yield from _file(entry, path, root, on_error)
        elif len(path) > LONGEST_PATH:  # or deep nesting would exceed the recursion limit
            yield RunFile(path, 0, 0)
        else:
            yield from _walk(entry.path, path, root, on_error)


def _sort_key(entry: os.DirEntry[str]) -> str:
    """Return a key by which entries sort as their whole paths do: with a slash after a folder."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _file(entry: os.DirEntry[str], path: str, root: str, on_error: OnError) -> Iterator[RunFile]:
    """Yield an entry if it is a file, or a link to a file below the run's folder."""
    file = Path(entry.path)
    try:
        if file.is_file() and (not entry.is_symlink() or _is_inside(entry.path, root)):
            status = file.stat()
            yield RunFile(path, status.st_size, status.st_mtime)
    except FileNotFoundError:
        return
    except OSError as error:
        on_error(error)


def _is_inside(path: str, root: str) -> bool:
    return os.path.realpath(path).startswith(root + os.sep)


def _real(folder: Path, path: str) -> str:
    """Return a path below a folder, with links resolved; `ValueError` if it leads outside."""
    root, real = os.path.realpath(folder), os.path.realpath(folder / path)
    if folder.is_symlink() or not _is_inside(real, root):
        msg = "it leads outside"
        raise ValueError(msg)
    return os.path.relpath(real, root)


def _open_below(folder: Path, path: str) -> BinaryIO:
    """Open a regular file below a folder without following links.

    `_real` has resolved the links. A step could put a new link in place of a folder since then, so
    each folder on the way is opened relative to the one above it, and links are refused.
    """
    directory = getattr(os, "O_DIRECTORY", 0)
    *above, name = Path(path).parts
    if os.open not in os.supports_dir_fd:  # Windows
        return _open_regular(lambda flags: os.open(folder / path, flags))
    fd = os.open(folder, os.O_RDONLY | directory)
    try:
        for part in above:
            inner = os.open(part, os.O_RDONLY | directory | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
        return _open_regular(lambda flags: os.open(name, flags, dir_fd=fd))
    finally:
        os.close(fd)


def _open_regular(opening: Callable[[int], int]) -> BinaryIO:
    flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC")  # a pipe must not block
    fd = opening(os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        msg = "it is not a file"
        raise ValueError(msg)
    return os.fdopen(fd, "rb")
