"""The folders of runs' files, one below ``PDFlow.files_dir`` for each run that saved any.

Steps write there what they like, so nothing here is trusted: what leads out of a run's folder is
never followed, and what is neither a file nor a folder is passed over.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple
from unicodedata import normalize
from uuid import uuid4

from jupyter_pdflow.exceptions import NotFoundError
from jupyter_pdflow.pd.pd import FILES_ID_NAME
from jupyter_pdflow.stores.tinydb.records import set_aside
from jupyter_pdflow.stores.tinydb.storage import read_file, replace_file, sorted_in_turns

logger = logging.getLogger(__name__)

OnError = Callable[[OSError], object]

FILES = "files"
"""The folder in the data directory where the folders of runs are by default."""

NOTE = "files_dir"
"""The file in the data directory that names the folder, where that is another."""

LISTED = 1_000
"""Maximum number of files of a run that a list has."""

LONGEST_NAME = 255
"""Bytes of a file's name, and of a folder's."""

LONGEST_PATH = 1_000
"""Bytes of a path below a run's folder."""

SAME_NAME = "some systems can't tell its name from another file's or folder's"

_ID = re.compile(rb"[0-9a-f]{32}")
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")
"""What makes a name that can't be written in JSON, in an address or on another system."""

_ODD_ON_WINDOWS = re.compile(
    r'[<>:"|?*]|[. ]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.IGNORECASE
)


class RunFile(NamedTuple):
    """A file of a run, or an empty folder.

    Attributes
    ----------
    path : str
        Below the run's folder, with forward slashes; that of a folder ends with one, and the run's
        own folder is empty.
    size : int
        Bytes.
    modified : float
        When it was changed last, in seconds since 1970.
    """

    path: str
    size: int
    modified: float

    @property
    def is_folder(self) -> bool:
        """Whether this is an empty folder."""
        return not self.path or self.path.endswith("/")


def flaw_of_path(path: str) -> str | None:
    """Say why a path can't be one below a run's folder; None if it can."""
    if len(path.encode(errors="replace")) > LONGEST_PATH:
        return f"its path is longer than {LONGEST_PATH:,} bytes"
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return "its path leads elsewhere"
        if _ODD.search(name) or (os.name == "nt" and _ODD_ON_WINDOWS.search(name)):
            return "its name has characters that other systems can't take"
        if len(name.encode()) > LONGEST_NAME:
            return f"its name is longer than {LONGEST_NAME} bytes"
    return None


def clash_of(paths: Iterable[str]) -> str | None:
    """Find a path that some systems can't tell from another, or that needs a file to be a folder.

    Parameters
    ----------
    paths : iterable of str
        Paths of files, and of empty folders with a slash at the end.
    """
    files, folders = set[str](), set[str]()
    for path in sorted(paths, key=lambda path: path.count("/")):
        key = normalize("NFC", path).casefold()
        above = {key[:at] for at, email in enumerate(key) if email == "/"}
        if key in files or key in folders or above & files:
            return path
        folders |= above
        if key.endswith("/"):
            continue
        files.add(key)
    return None


class RunFolders:
    """The folders of all runs.

    Parameters
    ----------
    path : Path
        Where they are.
    note : Path, optional
        The file in a data directory that tells commands of a place outside of it.

    Attributes
    ----------
    name : str
        The path as text.
    id : str
        What marks the place; kernels look for it.
    """

    def __init__(self, path: Path, note: Path | None = None) -> None:
        self.path = path
        self._note = note
        self.name = str(path)
        self.id = uuid4().hex

    def open(self) -> None:
        """Make the place, for its owner only, and mark it; where that fails, the log says so."""
        try:
            if os.path.lexists(self.path) and not self.path.is_dir():
                self._quarantine(self.path, "is not a folder")
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.id = self._marked()
            self._tell()
        except OSError as error:
            logger.error(
                "Steps can't use pd.files: %s. Put right %s, which PDFlow.files_dir names, and "
                "restart the server.",
                error,
                self.path,
            )

    def list(self, run_id: str) -> list[RunFile]:
        """List the files of a run by path, at most `LISTED`; none if it has no folder."""
        found = (file for file in self.walk(run_id, _pass_over) if not file.is_folder)
        return list(islice((file for file in found if flaw_of_path(file.path) is None), LISTED))

    def walk(self, run_id: str, on_error: OnError) -> Iterator[RunFile]:
        """Go through the files and the empty folders of a run, by path.

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
            There is no such file.
        """
        if flaw_of_path(path) is None:
            folder = self.path / run_id
            try:
                return _open_below(folder, _real(folder, path))
            except (OSError, ValueError):
                pass
        msg = "The run has no such file."
        raise NotFoundError(msg)

    def remove(self, run_ids: Sequence[str]) -> dict[str, OSError]:
        """Remove the folders of runs; return the runs for which that failed."""
        failed = {}
        for run_id in run_ids:
            try:
                remove_tree(self.path / run_id)
            except OSError as error:
                failed[run_id] = error
        return failed

    def _tell(self) -> None:
        """Write the note, where one is needed."""
        if self._note is None:
            return
        if self.path == self._note.parent / FILES:
            self._note.unlink(missing_ok=True)
        else:
            replace_file(self._note, self.name.encode("utf-8", "surrogateescape"))

    def _marked(self) -> str:
        """Return what marks the place; mark it if it is not."""
        mark = self.path / FILES_ID_NAME
        if not is_marked(self.path):
            if os.path.lexists(mark):
                self._quarantine(mark, "marks nothing")
            replace_file(mark, self.id.encode())
        return read_file(str(mark)).decode()

    def _quarantine(self, path: Path, why: str) -> None:
        logger.error("%s %s. It is set aside as %s.", path, why, set_aside(path).name)


def is_marked(place: Path) -> bool:
    """Whether there is something right that tells a place from another of the same path."""
    try:
        return _ID.fullmatch(read_file(str(place / FILES_ID_NAME))) is not None
    except OSError:
        return False


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it; `OSError` if something can't be removed."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except PermissionError:
        _make_writable(folder)
        shutil.rmtree(folder)
    except RecursionError as error:
        msg = f"{folder} has folders that are nested too deeply; remove it by `rm -r`"
        raise OSError(msg) from error


def _make_writable(folder: Path) -> None:
    folder.chmod(0o700)
    for path, names, _ in os.walk(folder):
        for inner in (Path(path, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)


def _pass_over(_error: OSError) -> None:
    """Do nothing about an error."""


def _walk(folder: str, above: str, root: str, on_error: OnError) -> Iterator[RunFile]:
    try:
        with os.scandir(folder) as found:
            entries = {_sorting(entry): entry for entry in found}
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
        elif len(path) > LONGEST_PATH:  # folders may be nested more deeply than functions can
            yield RunFile(path, 0, 0)
        else:
            yield from _walk(entry.path, path, root, on_error)


def _sorting(entry: os.DirEntry[str]) -> str:
    """Name an entry so that entries in order of their names give paths in order."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _file(entry: os.DirEntry[str], path: str, root: str, on_error: OnError) -> Iterator[RunFile]:
    """Yield a file, also by a link that stays inside; nothing for what is none or has just gone."""
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
    """Return a path below a folder with links followed; `ValueError` if it leads out."""
    root, real = os.path.realpath(folder), os.path.realpath(folder / path)
    if folder.is_symlink() or not _is_inside(real, root):
        msg = "it leads out"
        raise ValueError(msg)
    return os.path.relpath(real, root)


def _open_below(folder: Path, path: str) -> BinaryIO:
    """Open a regular file below a folder, following no link that is made meanwhile."""
    directory = getattr(os, "O_DIRECTORY", 0)
    *above, name = Path(path).parts
    if os.open not in os.supports_dir_fd:
        return _opened(lambda flags: os.open(folder / path, flags))
    fd = os.open(folder, os.O_RDONLY | directory)
    try:
        for part in above:
            inner = os.open(part, os.O_RDONLY | directory | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
        return _opened(lambda flags: os.open(name, flags, dir_fd=fd))
    finally:
        os.close(fd)


def _opened(opening: Callable[[int], int]) -> BinaryIO:
    flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC")  # a pipe must not block
    fd = opening(os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        msg = "it is not a file"
        raise ValueError(msg)
    return os.fdopen(fd, "rb")
