"""The archive that carries runs from one machine to another.

A zip file. Its files lie where they lie in a data directory, beside `MANIFEST`, which says what
made it, and `LINK_KEYS`. What is read from one is not trusted: a `RunArchive` gives
only files whose names are ours and whose sizes are bearable.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, NoReturn, Self

import orjson

from jupyter_pdflow import __version__
from jupyter_pdflow.exceptions import ArchiveError
from jupyter_pdflow.maintenance.datadir import MESSAGES, ROOMS
from jupyter_pdflow.server.links.tokens import IMPORTED_KEYS
from jupyter_pdflow.stores.tinydb.folders import FILES, flaw_of_path

MANIFEST = "manifest.json"
LINK_KEYS = "link_keys.json"
"""The keys that verify links of all runs of the archive."""

ARCHIVE_FORMAT = 3
KEYS_FORMAT = 2
"""That of an archive without files of runs, which older versions can read too."""

PLAIN_FORMAT = 1
"""That of an archive without `IMPORTED_KEYS` too."""

FILE_LIMIT = 256 * 2**20
"""Bytes that one file of an archive may have, but for the files of runs."""

COPIED_AT_ONCE = 2**20
"""Bytes of a run's file that are in memory at once."""

SMALL_LIMIT = 16 * 2**20
"""Bytes that the manifest and the files of keys may have."""

RUN_ID = r"0[0-9A-HJKMNP-TV-Z]{25}"
"""A ULID of the years 1970 to 3084."""

_RUN_FILE = re.compile(rf"{FILES}/({RUN_ID})/(.*)", re.ASCII | re.DOTALL)
_NUMBER = r"\d{1,16}"
_LETTER_ID = rf"{RUN_ID}-{_NUMBER}-{_NUMBER}-{_NUMBER}"
_IDS = {
    "run": RUN_ID,
    "outputs": RUN_ID,
    "workflow": r"[a-z0-9][a-z0-9-]{0,99}",
    "mail": _LETTER_ID,
}
_NAME = re.compile(
    "|".join(
        [
            re.escape(MANIFEST),
            re.escape(LINK_KEYS),
            re.escape(IMPORTED_KEYS),
            rf"{MESSAGES}/{_LETTER_ID}\.eml",
            *(rf"{room.folder}/{_IDS[room.kind.table]}\.json" for room in ROOMS),
        ]
    ),
    re.ASCII,
)
_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)
"""What a file of a run may be besides a link, where its archive tells."""

_TROUBLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)


class Member(NamedTuple):
    """A file of an archive: its content, or what opens the file that is copied."""

    name: str
    content: bytes | Callable[[], BinaryIO]


def write_archive(path: Path, members: Iterable[Member], version: int = PLAIN_FORMAT) -> None:
    """Write an archive that only its owner can read; durable when this returns.

    Parameters
    ----------
    path : Path
        The file to make.
    members : iterable of Member
        What it holds.
    version : int
        Its format.

    Raises
    ------
    FileExistsError
        There is a file of that name.
    """
    made = {
        "archive": version,
        "made_by": f"jupyter_pdflow {__version__}",
        "created_at": datetime.now(UTC),
    }
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for member in chain([Member(MANIFEST, orjson.dumps(made))], members):
                    _write(archive, member)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _write(archive: zipfile.ZipFile, member: Member) -> None:
    info = _private(member.name)
    if isinstance(member.content, bytes):
        archive.writestr(info, member.content, zipfile.ZIP_DEFLATED)
        return
    info.compress_type = zipfile.ZIP_DEFLATED
    with member.content() as file, archive.open(info, "w", force_zip64=True) as to:
        shutil.copyfileobj(file, to, COPIED_AT_ONCE)


def _private(name: str) -> zipfile.ZipInfo:
    """Describe a file or folder that is its owner's only, also when it is unpacked by hand."""
    info = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    mode = stat.S_IFDIR | 0o700 if name.endswith("/") else stat.S_IFREG | 0o600
    info.external_attr = mode << 16
    return info


class RunArchive:
    """An archive that was checked as far as its names and sizes go.

    Parameters
    ----------
    path : Path
        The file.
    free : int
        Bytes that all that is not a file of a run may have.
    free_for_files : int
        Bytes that all may have together.

    Raises
    ------
    ArchiveError
        It can't be read, or is none that an export wrote.
    """

    def __init__(self, path: Path, free: int, free_for_files: int) -> None:
        self._path = path
        self._free = free
        self._free_for_files = free_for_files
        try:
            self._zip = zipfile.ZipFile(path)
        except _TROUBLE as error:
            self.refuse(f"can't be read as an archive ({error})", error)
        try:
            self._infos = self._checked()
            self._check_manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def names(self, folder: str) -> Iterator[str]:
        """List the names of the files in a folder, in order."""
        return (name for name in sorted(self._infos) if name.rpartition("/")[0] == folder)

    def files(self) -> dict[str, dict[str, str]]:
        """Give the names of the runs' files by run and path; the path of a folder ends with a /."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for name in sorted(self._infos):
            match = _RUN_FILE.fullmatch(name)
            if match is not None:
                found[match[1]][match[2]] = name
        return dict(found)

    def crc(self, name: str) -> int:
        """Tell the checksum of a file, as `zlib.crc32` makes it."""
        return self._infos[name].CRC

    def parts(self, name: str) -> Iterator[bytes]:
        """Read a file part by part; `ArchiveError` where it is damaged."""
        try:
            with self._zip.open(self._infos[name]) as file:
                while part := file.read(COPIED_AT_ONCE):
                    yield part
        except _TROUBLE as error:
            self.refuse(f"is damaged at {name} ({error})", error)

    def read(self, name: str) -> bytes:
        """Read a file; `ArchiveError` where it is damaged."""
        try:
            return self._zip.read(self._infos[name])
        except _TROUBLE as error:
            self.refuse(f"is damaged at {name} ({error})", error)

    def json(self, name: str) -> Any:
        """Read a file that holds JSON; `ArchiveError` where it does not."""
        try:
            return orjson.loads(self.read(name))
        except orjson.JSONDecodeError as error:
            self.refuse(f"holds {name}, which is not JSON ({error})", error)

    def refuse(self, what: str, cause: Exception | None = None) -> NoReturn:
        """Raise the `ArchiveError` that says what is wrong with this archive."""
        msg = f"{self._path} {what.removesuffix('.')}; nothing was imported."
        raise ArchiveError(msg) from cause

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        infos = self._zip.infolist()
        for info in infos:
            self._check(info)
        records = sum(info.file_size for info in infos if not _RUN_FILE.match(info.filename))
        whole = sum(info.file_size for info in infos)
        if records > self._free or whole > self._free_for_files:
            self.refuse("unpacks to more than the disk has room for")
        found = {info.filename: info for info in infos}
        if len(found) < len(infos):
            self.refuse("holds two files of the same name")
        return found

    def _check(self, info: zipfile.ZipInfo) -> None:
        name, is_file = info.orig_filename, _is_run_file(info)
        if name != info.filename or not (is_file or _NAME.fullmatch(name)):
            self.refuse(f"holds {name[:100]!r}, which no export writes")
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            self.refuse(f"holds {name} in a form that no export writes")
        if not is_file and info.file_size > (FILE_LIMIT if "/" in name else SMALL_LIMIT):
            self.refuse(f"holds {name} of {info.file_size:,} bytes, too many to be one of ours")

    def _check_manifest(self) -> None:
        made = self.json(MANIFEST) if MANIFEST in self else None
        version = made.get("archive") if isinstance(made, dict) else None
        if type(version) is not int or version < 1:
            self.refuse(f"is not an export of jupyter_pdflow (it has no {MANIFEST} of ours)")
        if version > ARCHIVE_FORMAT:
            self.refuse(
                f"was made by a newer jupyter_pdflow (archive format {version}); upgrade this one"
            )


def _is_run_file(info: zipfile.ZipInfo) -> bool:
    """Whether this can be a file of a run, or an empty folder, and is no link."""
    match = _RUN_FILE.fullmatch(info.filename)
    if match is None or stat.S_IFMT(info.external_attr >> 16) not in _KINDS:
        return False
    path = match[2]
    if path.endswith("/") or not path:
        return info.file_size == 0 and (not path or flaw_of_path(path[:-1]) is None)
    return flaw_of_path(path) is None


def free_bytes(path: Path) -> int:
    """Tell how much room the disk of a path has, which may still have to be made."""
    there = next(place for place in (path, *path.parents) if place.exists())
    return shutil.disk_usage(there).free
