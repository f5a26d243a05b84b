"""The types of records: what is in their files, and how it is read, checked and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from msgspec import MsgspecError, Struct, convert
from msgspec.json import encode

from jupyter_pdflow.exceptions import HalfWrittenError, StoredFileError
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.stores import QUOTED, Email, StepOutputs, run_of
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.storage import FORMAT, beginning, dump_record, parse_record
from jupyter_pdflow.stores.validation import (
    LARGEST_COUNT,
    flaw_of_run,
    flaw_of_values,
    flaw_of_workflow,
    is_id,
    is_writable,
)

R = TypeVar("R", bound=Struct)

SUFFIX = ".json"


class RecordType(NamedTuple, Generic[R]):
    """A type of records: how to read, check and write them.

    Attributes
    ----------
    kind : type
        The msgspec struct; it has an ``id``.
    table : str
        The name of the table in a record's file.
    flaw : callable
        Returns what is wrong with a record, or None.
    appended : bool
        Whether the files are appended. Such records are read from replaced files too, as all were
        in format 1.
    """

    kind: type[R]
    table: str
    flaw: Callable[[R], str | None]
    appended: bool = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of files end; the first one is that of new files."""
        return (appended.SUFFIX, SUFFIX) if self.appended else (SUFFIX,)

    def parse(self, content: bytes, name: str) -> R:
        """Return the record in the content of a file of that name.

        Raises
        ------
        HalfWrittenError
            As `last_line`.
        StoredFileError
            The content is not a record of this type, has another id than the name, or a flaw.
        """
        if name.endswith(appended.SUFFIX):
            content = self.last_line(content, name)
        return self.parse_record(content, name)

    def last_line(self, content: bytes, name: str) -> bytes:
        """Return the last whole line of the content of a file of that name.

        Raises
        ------
        HalfWrittenError
            A crash cut off its first line, as far as that can be told.
        StoredFileError
            It has no whole line for another reason.
        """
        prefix = beginning(self.table)
        if b"\n" not in content and prefix.startswith(content[: len(prefix)]):
            msg = f"{name} has no whole line."
            raise HalfWrittenError(msg)
        return appended.last_line(content, name)

    def parse_record(self, content: bytes, name: str) -> R:
        """Return the record in one state of a file; `StoredFileError` as for `parse`."""
        fields = parse_record(content, self.table, name)
        try:
            record = convert(fields, self.kind)
        except (MsgspecError, ValueError, RecursionError) as error:
            msg = f"{name} can't be read: {error}"
            raise StoredFileError(msg) from error
        return self.checked(record, name)

    def checked(self, record: R, name: str) -> R:
        """Return a record of the file of that name if it is valid; `StoredFileError` if not."""
        if getattr(record, "id", None) != id_of(name):
            msg = f"{name} is a copy of another record."
            raise StoredFileError(msg)
        flaw = self.flaw(record)
        if flaw is not None:
            msg = f"{name} can't be used: {flaw}."
            raise StoredFileError(msg)
        return record

    def dump(self, record: R) -> bytes:
        """Return the content of a record's file."""
        return dump_record(encode(record), self.table)


def id_of(name: str) -> str:
    """Return the id of the record that the file of that name holds."""
    return name.removesuffix(appended.SUFFIX).removesuffix(SUFFIX)


def file_name(record_id: str, suffix: str = SUFFIX) -> str:
    """Return the name of a record's file.

    Every path that is made from an id uses this, so that no id leads to another folder.

    Raises
    ------
    StoredFileError
        The id is not valid.
    """
    if not is_id(record_id):
        raise not_an_id(record_id)
    return f"{record_id}{suffix}"


def not_an_id(text: str) -> StoredFileError:
    """Return the error for a text that is not the id of a record."""
    return StoredFileError(f"{text[:QUOTED]!a} is not the id of a record.")


def line_of(kind: RecordType[R], record: R, history: Mapping[int, HistoryEntry]) -> bytes:
    """Return a record, and entries of its history by number, as a line of its file."""
    # As `RecordType.dump`, but in one step: this is on the way of each transition.
    line = b'{"%b":{"1":{"format":%d,%b}' % (kind.table.encode(), FORMAT, encode(record)[1:])
    if not history:
        return line + b"}"
    return b'%b,"%b":%b}' % (line, appended.HISTORY.encode(), encode(history))


def history_in(content: bytes) -> dict[int, HistoryEntry]:
    """Return the history entries in the content of a file, as far as they can be used."""
    found = {}
    for number, fields in appended.history_of(content).items():
        with suppress(MsgspecError, ValueError):
            entry = convert(fields, HistoryEntry)
            if 0 < number <= LARGEST_COUNT and flaw_of_values(entry) is None:
                found[number] = entry
    return found


# --- the types ------------------------------------------------------------------------


class RunOutputs(Struct, frozen=True, kw_only=True):
    """The outputs of a run: executions, oldest first, and the number of dropped ones by step."""

    id: str
    shown: list[StepOutputs] = []
    dropped: dict[str, int] = {}


class Versions(Struct, frozen=True, kw_only=True):
    """All versions of one workflow; `newest` is the version that new runs use."""

    id: str
    newest: str
    versions: dict[str, Workflow]


class KeyRecord(Struct, frozen=True, kw_only=True):
    """The run that was started with an idempotency key.

    Attributes
    ----------
    stored : bool
        Whether the run is known to have been stored. A key is written before its run, and once
        more after it, which a crash may prevent.
    """

    id: str
    run_id: str
    expires_at: datetime
    stored: bool = False


class ScheduleRecord(Struct, frozen=True, kw_only=True):
    """For what time each schedule of a workflow has started a run last, by trigger."""

    id: str
    marks: dict[str, datetime] = {}


def flaw_of_outputs(kept: RunOutputs) -> str | None:
    """Return what is wrong with stored outputs, or None."""
    writable = is_writable([[each.outputs, each.widgets] for each in kept.shown])
    return flaw_of_values(kept) or (None if writable else "its data can't be written again")


def flaw_of_versions(known: Versions) -> str | None:
    """Return what is wrong with a stored workflow, or None."""
    if known.newest not in known.versions:
        return "its newest version is missing"
    for version, workflow in known.versions.items():
        if (workflow.id, workflow.version) != (known.id, version):
            return f"version {version[:80]!r} is that of another workflow, or another version"
        flaw = flaw_of_workflow(workflow)
        if flaw is not None:
            return f"version {version!r}: {flaw}"
    return None


def flaw_of_email(email: Email) -> str | None:
    """Return what is wrong with a stored email, or None.

    An email that can't be sent has no flaw: it becomes `failed`, and its `error` says why.
    """
    flaw = flaw_of_values(email)
    if flaw is None and run_of(email.id) != email.run_id:
        flaw = "its id is not one of its run's emails"
    return flaw


RUN = RecordType(Run, "run", flaw_of_run, appended=True)
RUN_OUTPUTS = RecordType(RunOutputs, "outputs", flaw_of_outputs)
WORKFLOW = RecordType(Versions, "workflow", flaw_of_versions)
EMAIL = RecordType(Email, "mail", flaw_of_email)
KEY = RecordType(KeyRecord, "key", flaw_of_values)
SCHEDULE = RecordType(ScheduleRecord, "schedule", flaw_of_values)
