"""The archive that carries runs from one machine to another.

A zip file. Its files lie where they lie in a data directory, beside `MANIFEST`, which says what
made it, and `LINK_KEYS`. What is read from one was perhaps made by a stranger: an `Archive` gives
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
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

import orjson

from jupyter_pdflow import __version__
from jupyter_pdflow.exceptions import PDFlowError
from jupyter_pdflow.keeping.datadir import MESSAGES, ROOMS
from jupyter_pdflow.server.keys import IMPORTED_KEYS

MANIFEST = "manifest.json"
LINK_KEYS = "link_keys.json"
"""The keys that verify links of all runs of the archive."""

ARCHIVE_FORMAT = 2
PLAIN_FORMAT = 1
"""That of an archive without `IMPORTED_KEYS`, which older versions can read too."""

FILE_LIMIT = 256 * 2**20
"""Bytes that one file of an archive may have."""

SMALL_LIMIT = 16 * 2**20
"""Bytes that the manifest and the files of keys may have."""

RUN_ID = r"0[0-9A-HJKMNP-TV-Z]{25}"
"""A ULID of the years 1970 to 3084."""

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


class ArchiveError(PDFlowError):
    """An archive can't be read, or holds what no export writes."""

    reason = "bad_archive"


class Member(NamedTuple):
    """A file of an archive."""

    name: str
    content: bytes


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
                for name, content in [Member(MANIFEST, orjson.dumps(made)), *members]:
                    archive.writestr(_private(name), content, zipfile.ZIP_DEFLATED)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _private(name: str) -> zipfile.ZipInfo:
    """Describe a file that is its owner's only, also when it is unpacked by hand."""
    info = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    return info


class Archive:
    """An archive that was checked as far as its names and sizes go.

    Parameters
    ----------
    path : Path
        The file.
    free : int
        Bytes that all its files may have together.

    Raises
    ------
    ArchiveError
        It can't be read, or is none that an export wrote.
    """

    def __init__(self, path: Path, free: int) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _TROUBLE as error:
            self.refuse(f"can't be read as an archive ({error})", error)
        try:
            self._infos = self._checked(free)
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

    def _checked(self, free: int) -> dict[str, zipfile.ZipInfo]:
        infos = self._zip.infolist()
        for info in infos:
            self._check(info)
        if sum(info.file_size for info in infos) > free:
            self.refuse("unpacks to more than the disk has room for")
        found = {info.filename: info for info in infos}
        if len(found) < len(infos):
            self.refuse("holds two files of the same name")
        return found

    def _check(self, info: zipfile.ZipInfo) -> None:
        name = info.orig_filename
        if name != info.filename or not _NAME.fullmatch(name):
            self.refuse(f"holds {name[:100]!r}, which no export writes")
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            self.refuse(f"holds {name} in a form that no export writes")
        if info.file_size > (FILE_LIMIT if "/" in name else SMALL_LIMIT):
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


def free_bytes(path: Path) -> int:
    """Tell how much room the disk of a path has."""
    return shutil.disk_usage(path).free
