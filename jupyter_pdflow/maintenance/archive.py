"""The archive that carries runs to another machine: its format, its writer and its checks.

An archive is a zip file. Its members are named like the files of a data directory; beside them are
`MANIFEST`, which says what made it, and `LINK_KEYS`. An archive may be damaged or made to do harm:
`open_archive` has checked all of it before it yields anything.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, TypeAlias, TypeVar

import orjson
from msgspec import MsgspecError, Struct
from msgspec.json import decode

from jupyter_pdflow import __version__
from jupyter_pdflow.exceptions import ArchiveError
from jupyter_pdflow.maintenance import Progress, inventory
from jupyter_pdflow.rules.workflow import version_of
from jupyter_pdflow.server.links.tokens import IMPORTED_KEYS, ImportedKeys, is_key
from jupyter_pdflow.stores import Email
from jupyter_pdflow.stores.folders import FILES, RunFolders, flaw_of_path, flaw_of_paths
from jupyter_pdflow.stores.tinydb import appended, layout
from jupyter_pdflow.stores.tinydb.layout import DONE_EMAILS

T = TypeVar("T")

MANIFEST = "manifest.json"
LINK_KEYS = "link_keys.json"
"""The keys that verify the links of all runs of the archive."""

FORMATS = PLAIN_FORMAT, KEYS_FORMAT, FILES_FORMAT, HISTORY_FORMAT = 1, 2, 3, 4
"""Formats: the first one; with `IMPORTED_KEYS`; also with files of runs; also with histories."""

COPIED_AT_ONCE = 2**20  # bytes
LONGEST_KEY = 200

_RUN_ID = r"0[0-9A-HJKMNP-TV-Z]{25}"  # a ULID of the years 1970 to 3084
_EMAIL_ID = rf"{_RUN_ID}(?:-\d{{1,16}}){{3}}"
_WORKFLOW_ID = r"[a-z0-9][a-z0-9-]{0,99}"
_IDS = {"run": _RUN_ID, "outputs": _RUN_ID, "workflow": _WORKFLOW_ID, "mail": _EMAIL_ID}
_NAMES = [
    *map(re.escape, (MANIFEST, LINK_KEYS, IMPORTED_KEYS)),
    rf"{layout.MESSAGES}/{_EMAIL_ID}\{layout.MESSAGE}",
    *(
        rf"{folder.name}/{_IDS[folder.type.table]}{re.escape(suffix)}"
        for folder in layout.FOLDERS
        for suffix in folder.type.suffixes
    ),
]
_NAME = re.compile("|".join(_NAMES), re.ASCII)
_RUN_FILE = re.compile(rf"{FILES}/({_RUN_ID})/(.*)", re.ASCII | re.DOTALL)
_FILE_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)  # 0: the system that made the zip file has none
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for an archive that is damaged or not one."""


# --- writing --------------------------------------------------------------------------


Member: TypeAlias = tuple[str, bytes | Callable[[], BinaryIO]]
"""The name of a member, and its content or a function that opens the file to copy."""


def write_archive(path: Path, members: Iterable[Member]) -> None:
    """Write an archive that only its owner can read; durable when this returns.

    Its format is the lowest one possible, so that older versions can read it.

    Raises
    ------
    FileExistsError
        There is a file at `path`. After any other error, no archive is left.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w+b") as file:
            with zipfile.ZipFile(file, "w") as archive:
                for name, content in members:
                    _write(archive, name, content)
                _write(archive, MANIFEST, orjson.dumps(_manifest(archive.namelist())))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _manifest(names: list[str]) -> dict[str, Any]:
    version = KEYS_FORMAT if IMPORTED_KEYS in names else PLAIN_FORMAT
    if any(map(_RUN_FILE.match, names)):
        version = FILES_FORMAT
    if any(layout.folder_of(name) and name.endswith(appended.SUFFIX) for name in names):
        version = HISTORY_FORMAT
    return {
        "archive": version,
        "made_by": f"jupyter_pdflow {__version__}",
        "created_at": datetime.now(UTC),
    }


def _write(archive: zipfile.ZipFile, name: str, content: bytes | Callable[[], BinaryIO]) -> None:
    info = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    mode = stat.S_IFDIR | 0o700 if info.is_dir() else stat.S_IFREG | 0o600
    info.external_attr = mode << 16  # its owner's only, also when it is unpacked by hand
    info.compress_type = zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        archive.writestr(info, content)
        return
    with content() as file, archive.open(info, "w", force_zip64=True) as to:
        shutil.copyfileobj(file, to, COPIED_AT_ONCE)


# --- reading --------------------------------------------------------------------------


class ArchiveLimits(NamedTuple):
    """Maximum numbers of bytes: of all records, of all members, of one record, of the keys."""

    records: int
    total: int
    record: int = 256 * 2**20
    keys: int = 16 * 2**20


@contextmanager
def open_archive(
    path: Path, limits: ArchiveLimits, watch: Progress = iter
) -> Iterator[ExportArchive]:
    """Open an archive and check all of it.

    Raises
    ------
    ArchiveError
        It can't be read, or holds something that no export writes.
    """
    try:
        file = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise _refusal(path, f"can't be read as an archive ({error})") from error
    with file:
        archive = ExportArchive(path, file, limits)
        for flaw in archive.flaws(watch):
            raise _refusal(path, f"can't be used: {flaw}")
        yield archive


def _refusal(path: Path, reason: str) -> ArchiveError:
    return ArchiveError(f"{path} {reason.removesuffix('.')}; nothing was imported.")


class _Manifest(Struct):
    archive: int


class ExportArchive(layout.DataDir):
    """An archive, which is read like a data directory; `ArchiveError` if it is damaged.

    `files` are the names of files by run id and path; `keys` the ids of their runs by link key.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile, limits: ArchiveLimits) -> None:
        super().__init__(path)
        self._zip = file
        infos = file.infolist()
        for flaw in _flaws_of_members(infos, limits):
            raise _refusal(path, flaw)
        self._members = {info.filename: info for info in infos}
        self._check_format()
        self.files: dict[str, dict[str, str]] = defaultdict(dict)
        self._names: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._members):
            self._names[name.rpartition("/")[0]].append(name)
            if file_name := _RUN_FILE.fullmatch(name):
                self.files[file_name[1]][file_name[2]] = name
        self.keys = self._read_keys()

    def names(self, folder: str) -> list[str]:
        """List the names of the members in a folder, in order."""
        return self._names[folder]

    def exists(self, name: str) -> bool:
        """Whether there is a member of that name."""
        return name in self._members

    def content(self, name: str) -> bytes:
        """Read a member."""
        return b"".join(self.parts(name))

    def parts(self, name: str) -> Iterator[bytes]:
        """Read a member part by part; `zipfile` compares the checksum at the end."""
        try:
            with self._zip.open(self._members[name]) as file:
                while part := file.read(COPIED_AT_ONCE):
                    yield part
        except _DAMAGE as error:
            raise _refusal(self.path, f"is damaged at {name} ({error})") from error

    def runs_with_files(self) -> set[str]:
        """Return the ids of the runs that have files here."""
        return set(self.files)

    def has_same_files(self, run_id: str, folders: RunFolders) -> bool:
        """Whether the folder of a run has the files that it has here."""
        names, errors = self.files.get(run_id, {}), list[OSError]()
        here = {file.path for file in folders.walk(run_id, errors.append)}
        return (
            not errors
            and here == names.keys()
            and all(
                _digest(folders.read(run_id, path)) == _digest(self._zip.open(name))
                for path, name in names.items()
                if path and not path.endswith("/")
            )
        )

    def flaws(self, watch: Progress) -> Iterator[str]:
        """Read all members, and find what no export can have written."""
        found = inventory.take_inventory(self, watch)
        yield from (finding.problem for finding in inventory.check_records(found))
        for known in found.workflows.values():
            for version, workflow in known.versions.items():
                if version_of(workflow.source) != version:
                    yield f"version {version!r} of {known.id!r} has other code than its name says"
        yield from self._flaws_of_emails(found.emails)
        for name in watch([name for name in self._members if layout.folder_of(name) is None]):
            for _ in self.parts(name):
                pass
        for names in self.files.values():
            flaw = flaw_of_paths(names)
            if flaw is not None:
                yield f"{names[flaw[0]]}: {flaw[1]}"

    def _flaws_of_emails(self, emails: list[Email]) -> Iterator[str]:
        for email in emails:
            if email.status == "queued" and self.has(DONE_EMAILS, email.id):
                yield f"email {email.id} is still to be delivered, and done"
        for name in self.names(layout.MESSAGES):
            if not self.has(DONE_EMAILS, PurePosixPath(name).stem):
                yield f"{name} has no email that it belongs to"

    def _check_format(self) -> None:
        try:
            version = decode(self.content(MANIFEST), type=_Manifest).archive
        except (KeyError, MsgspecError, ValueError, RecursionError):
            version = 0
        flaw = f"is not an export of jupyter_pdflow (it has no {MANIFEST} of ours)"
        if version > max(FORMATS):
            flaw = f"was made by a newer jupyter_pdflow (format {version}); upgrade this one"
        if version not in FORMATS:
            raise _refusal(self.path, flaw)

    def _read_keys(self) -> ImportedKeys:
        """Return the keys of all runs here, and those that single runs were imported with."""
        runs = set(self.run_ids())
        imported = self._json(IMPORTED_KEYS, ImportedKeys)
        found = {key: runs & of_key for key, of_key in imported.items()}
        found |= dict.fromkeys(self._json(LINK_KEYS, list[str]), runs)
        if not all(is_key(key) and len(key) <= LONGEST_KEY for key in found):
            raise _refusal(self.path, "holds a text that is not a key")
        return found

    def _json(self, name: str, kind: Callable[[], T]) -> T:
        try:
            found: T = decode(self.content(name), type=kind) if self.exists(name) else kind()
        except (MsgspecError, ValueError, RecursionError) as error:
            raise _refusal(self.path, f"can't be used: {name}: {error}") from error
        return found


def _digest(file: Any) -> bytes:
    with file:
        return hashlib.file_digest(file, "sha256").digest()


def _flaws_of_members(infos: list[zipfile.ZipInfo], limits: ArchiveLimits) -> Iterator[str]:
    yield from filter(None, (_flaw_of_member(info, limits) for info in infos))
    records = sum(info.file_size for info in infos if not _RUN_FILE.match(info.filename))
    if records > limits.records or sum(info.file_size for info in infos) > limits.total:
        yield "unpacks to more than the disk has room for"
    if len({info.filename for info in infos}) < len(infos):
        yield "holds two files of the same name"


def _flaw_of_member(info: zipfile.ZipInfo, limits: ArchiveLimits) -> str | None:
    """Return what is wrong with the name, the kind or the size of a member, or None."""
    # `filename` ends at a NUL and has other slashes on Windows; `orig_filename` is as stored.
    name, is_file = info.orig_filename, _is_run_file(info)
    if name != info.filename or not (is_file or _NAME.fullmatch(name)):
        return f"holds {name[:100]!r}, which no export writes"
    if info.flag_bits & 1 or info.compress_type not in _COMPRESSIONS:
        return f"holds {name} in a form that no export writes"
    if not is_file and info.file_size > (limits.record if "/" in name else limits.keys):
        return f"holds {name} of {info.file_size:,} bytes, too many to be one of ours"
    return None


def _is_run_file(info: zipfile.ZipInfo) -> bool:
    """Whether a member can be a file of a run, or an empty folder, and is no link."""
    match = _RUN_FILE.fullmatch(info.filename)
    if match is None or stat.S_IFMT(info.external_attr >> 16) not in _FILE_KINDS:
        return False
    path, is_folder = match[2], match[2].endswith("/") or not match[2]
    flawless = not path or flaw_of_path(path.removesuffix("/")) is None
    return flawless and not (is_folder and info.file_size)
