"""What the index is made from: the files of runs and emails, and the rows that they become."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct, convert
from msgspec.json import encode

from jupyter_pdflow.exceptions import StoredFileError
from jupyter_pdflow.rules.run import ENDED
from jupyter_pdflow.stores import Email, RunSummary, summary_of
from jupyter_pdflow.stores.search import AnyRun, search_text
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.appended_records import AppendedRecords
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, DONE_EMAILS, FINISHED, QUEUED_EMAILS
from jupyter_pdflow.stores.tinydb.record_types import EMAIL, SUFFIX, RecordType, file_name, id_of
from jupyter_pdflow.stores.tinydb.records import Records, read_error
from jupyter_pdflow.stores.tinydb.writer import Stamp, WriterThread, stamp_of
from jupyter_pdflow.stores.validation import flaw_of_values, is_id

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Struct)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EmailSummary(Struct, frozen=True, kw_only=True, gc=False):
    """An `Email` without its texts."""

    id: str
    run_id: str
    step: str
    to: list[str]
    subject: str
    created_at: datetime
    status: str = "queued"
    error: str | None = None


class StoredRun(RunSummary, frozen=True, kw_only=True):
    """The fields of a run's file that the index is made from."""

    event: Any = None


class IndexSource(Protocol):
    """Gives what is stored. Every method is called in the index's thread."""

    def state(self) -> str:
        """Return a text that another one follows when a file was added, moved or removed."""

    def run_stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Yield the id and the state of each file of a run; an id may come more than once."""

    def run(self, run_id: str) -> tuple[AnyRun, Stamp] | None:
        """Read a run, and the state that its file had before; None if it can't be read."""

    def email_stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Yield the id and the state of each file of an email; an id may come more than once."""

    def email(self, email_id: str) -> tuple[Email, Stamp] | None:
        """Read an email, and the state that its file had before; None if it can't be read."""


# --- rows -----------------------------------------------------------------------------


class RunRow(Struct, frozen=True, array_like=True):
    """A run in the index. Times are microseconds since 1970.

    Rows are JSON arrays, and summaries texts in them: SQLite takes half the time for these that it
    takes for objects.

    Attributes
    ----------
    pause : str or None
        The kind of pause.
    ended_at : int or None
        When the run ended; None if it has not.
    stamp : str or None
        The state of the file that the row was made from; None if it is not known.
    text : str
        What a search looks at, folded.
    summary : str
        The `RunSummary` as JSON.
    """

    id: str
    status: str
    workflow: str
    pause: str | None
    created_at: int
    updated_at: int
    ended_at: int | None
    stamp: str | None
    text: str
    summary: str


class EmailRow(Struct, frozen=True, array_like=True):
    """An email in the index; see `RunRow`."""

    id: str
    run_id: str
    status: str
    created_at: int
    stamp: str | None
    summary: str


class FoundRow(Struct, frozen=True, array_like=True):
    """A file: the id of its record, and its state."""

    id: str
    stamp: str | None


def row_of_run(run: AnyRun, stamp: Stamp | None) -> RunRow:
    """Return the row of a run."""
    ended_at = run.ended_at or run.updated_at if run.status in ENDED else None
    return RunRow(
        id=run.id,
        status=run.status,
        workflow=run.workflow_id,
        pause=run.pause.kind if run.pause else None,
        created_at=microseconds(run.created_at),
        updated_at=microseconds(run.updated_at),
        ended_at=microseconds(ended_at) if ended_at else None,
        stamp=stamp_text(stamp),
        text=search_text(run),
        summary=encode(summary_of(run)).decode(),
    )


def row_of_email(email: Email, stamp: Stamp | None) -> EmailRow:
    """Return the row of an email."""
    return EmailRow(
        id=email.id,
        run_id=email.run_id,
        status=email.status,
        created_at=microseconds(email.created_at),
        stamp=stamp_text(stamp),
        summary=encode(convert(email, EmailSummary, from_attributes=True)).decode(),
    )


def stamp_text(stamp: Stamp | None) -> str | None:
    """Return the state of a file as a text, or None if it is not known."""
    return None if stamp is None else ":".join(map(str, stamp))


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(count: int) -> datetime:
    """Return the time that `microseconds` has given."""
    return _EPOCH + timedelta(microseconds=count)


# --- the files of a data directory ----------------------------------------------------

STORED_RUN = RecordType(StoredRun, "run", flaw_of_values, appended=True)


class FolderSource:
    """An `IndexSource` that reads the folders of a data directory.

    Parameters
    ----------
    data_dir : Path
        The data directory; its folders are made if they do not exist.
    """

    def __init__(self, data_dir: Path) -> None:
        writer = WriterThread()  # writes nothing, so its thread never starts
        self._runs = [
            AppendedRecords(data_dir / folder.name, STORED_RUN, writer)
            for folder in (ACTIVE, FINISHED)
        ]
        self._emails = [
            Records(data_dir / folder.name, EMAIL, writer)
            for folder in (QUEUED_EMAILS, DONE_EMAILS)
        ]

    def state(self) -> str:
        """Return the times at which the folders were changed last."""
        records: list[Records[Any]] = [*self._runs, *self._emails]
        return " ".join(str(each.directory.stat().st_mtime_ns) for each in records)

    def run_stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Yield the id and the state of each file of a run."""
        # Runs move from the first folder to the second, so none is missed.
        for records in self._runs:
            yield from _stamps(records)

    def run(self, run_id: str) -> tuple[AnyRun, Stamp] | None:
        """Read a run, and the state that its file had before; None if it can't be read."""
        return _read(self._runs, run_id)

    def email_stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Yield the id and the state of each file of an email."""
        for records in self._emails:
            yield from _stamps(records)

    def email(self, email_id: str) -> tuple[Email, Stamp] | None:
        """Read an email, and the state that its file had before; None if it can't be read."""
        return _read(self._emails, email_id)


def _stamps(records: Records[Any]) -> Iterator[tuple[str, Stamp]]:
    with os.scandir(records.directory) as entries:
        for entry in entries:
            record_id = id_of(entry.name)
            if entry.name.endswith(_SUFFIXES) and is_id(record_id):
                with suppress(FileNotFoundError):  # moved or removed just now
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        yield record_id, (entry.inode(), status.st_mtime_ns, status.st_size)


def _read(folders: Sequence[Records[R]], record_id: str) -> tuple[R, Stamp] | None:
    """Read a record from the first folder that has it."""
    # Twice: it may move from the first folder to the second between two looks.
    for records in (*folders, *folders):
        with suppress(FileNotFoundError):
            return _read_from(records, record_id)
    return None


def _read_from(records: Records[R], record_id: str) -> tuple[R, Stamp] | None:
    """Read a record; `FileNotFoundError` if its file is not in this folder."""
    try:
        stamp = _stamp(records, record_id)
        try:
            return records.read(record_id), stamp
        except StoredFileError as error:
            _stamp(records, record_id)  # raises if the file was moved just now
            logger.warning("%s It is in no list.", error)
            return None
    except FileNotFoundError:
        raise
    except OSError as error:  # a folder, for instance
        found = read_error(record_id, error)
        if found is error:  # the system has no room to read any file
            raise
        logger.warning("%s It is in no list.", found)
        return None


def _stamp(records: Records[Any], record_id: str) -> Stamp:
    # Paths are texts here: with pathlib this would take as long as the reading itself.
    path = f"{records.directory}{os.sep}{file_name(record_id, '')}"
    try:
        return stamp_of(path + _SUFFIXES[0])
    except FileNotFoundError:
        return stamp_of(path + _SUFFIXES[1])


_SUFFIXES = (appended.SUFFIX, SUFFIX)
"""How names of files end; of two files of a record the first one is the newer."""
