"""The rows of the index: changes, queries and counts.

All values that come from users are parameters of the statements. Many rows go to SQLite as one
JSON text, and a page comes back as one: the interpreter's lock is taken once for all of them, and
not once for each row, which takes 5 ms each time that the event loop is busy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, decode, encode

from jupyter_pdflow.stores import RunQuery, RunSummary
from jupyter_pdflow.stores.counts import CountQuery, CountRow, Counts, DayCounts, counts_of
from jupyter_pdflow.stores.search import run_id_in, words_of
from jupyter_pdflow.stores.tinydb.index_file import DamagedIndexError, IndexFile
from jupyter_pdflow.stores.tinydb.index_schema import (
    BEGIN_COMPARING,
    COMPARE,
    PUT_EMAILS,
    PUT_FOUND,
    PUT_RUNS,
    PUT_TEXTS,
    REMOVE_RECORDS,
    REMOVE_RUNS,
)
from jupyter_pdflow.stores.tinydb.index_source import (
    EmailRow,
    EmailSummary,
    FoundRow,
    RunRow,
    from_microseconds,
    microseconds,
)

Condition: TypeAlias = tuple[Any, ...]
"""A condition of a statement and its values; one whose only value is None is left out."""

Kind: TypeAlias = Literal["runs", "emails"]
S = TypeVar("S", RunSummary, EmailSummary)
R = TypeVar("R")

DAY = 86_400_000_000
"""Microseconds of a day."""

ROWS_AT_ONCE = 500
"""Maximum number of rows in one statement."""

BYTES_AT_ONCE = 2**20
"""Size of the rows of one statement after which the next one begins."""


class EmailQuery(NamedTuple):
    """Which emails a page shows, newest first; `before` is the id of the email before the page."""

    run_id: str | None = None
    before: str | None = None
    limit: int = 50


class IndexDatabase:
    """The tables of the index. Used by one thread.

    The methods raise `sqlite3.Error`; see `means_damage`.

    Parameters
    ----------
    file : IndexFile
        The file with the tables of `SCHEMA`.
    """

    def __init__(self, file: IndexFile) -> None:
        self._file = file

    @property
    def _sql(self) -> sqlite3.Connection:
        return self._file.connection

    # --- changes ---

    def put_runs(self, rows: Iterable[RunRow]) -> None:
        """Insert runs, or replace those that are known."""
        for texts in _pieces(rows):
            self._change((PUT_RUNS, PUT_TEXTS), texts)

    def put_emails(self, rows: Iterable[EmailRow]) -> None:
        """Insert emails, or replace those that are known."""
        for texts in _pieces(rows):
            self._change((PUT_EMAILS,), texts)

    def remove_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs and their emails."""
        for ids in _pieces(run_ids):
            self._change(REMOVE_RUNS, ids)

    def remove_records(self, kind: Kind, ids: Sequence[str]) -> None:
        """Remove runs, without their emails, or emails."""
        for texts in _pieces(ids):
            self._change(REMOVE_RECORDS[kind], texts)

    def _change(self, statements: Iterable[str], rows: str) -> None:
        """Carry out statements that take rows as JSON, all of them or none."""
        with self._sql:
            self._sql.execute("BEGIN")
            for statement in statements:
                self._sql.execute(statement, (rows,))

    # --- comparing with the folders ---

    def begin_comparing(self) -> None:
        """Forget the files that an earlier comparison has found."""
        self._sql.executescript(BEGIN_COMPARING)

    def put_found(self, rows: Iterable[FoundRow]) -> None:
        """Add files that were found."""
        for texts in _pieces(rows):
            self._change((PUT_FOUND,), texts)

    def compare(self, kind: Kind) -> None:
        """Note which records differ from the files that were found, or have none."""
        self._sql.execute(COMPARE[kind])

    def next_differing(self, limit: int) -> list[str]:
        """Return ids of records that differ, and take them off the list."""
        (text,) = self._sql.execute(
            "SELECT json_group_array(id) FROM (SELECT id FROM differing ORDER BY id LIMIT ?)",
            (limit,),
        ).fetchone()
        self._sql.execute(
            "DELETE FROM differing WHERE id IN (SELECT value FROM json_each(?))", (text,)
        )
        return _ids_in(text)

    # --- queries ---

    def runs(self, query: RunQuery) -> list[RunSummary]:
        """Return a page of runs, newest first."""
        by_creation = query.since is not None or query.until is not None
        wanted = [
            # The plus keeps SQLite from using the index of statuses: that of pauses is narrower.
            ("+status = ?" if query.pause else "status = ?", query.status),
            ("pause = ?", query.pause),
            *_filters(query),
            *self._before(query.before, by_creation=by_creation),
        ]
        conditions, values = _conditions(wanted)
        order = "created_at DESC, id DESC" if by_creation else "id DESC"
        found = self._page(
            f"SELECT summary FROM runs {conditions} ORDER BY {order} LIMIT ?",  # noqa: S608
            [*values, query.limit],
            _RUN,
        )
        key = (lambda run: (run.created_at, run.id)) if by_creation else (lambda run: run.id)
        return sorted(found, key=key, reverse=True)

    def _before(self, run_id: str | None, *, by_creation: bool) -> list[Condition]:
        """Return the condition that runs come after the one with this id in a list."""
        found = None
        if run_id is not None and by_creation:
            found = self._sql.execute(
                "SELECT created_at FROM runs WHERE id = ?", (run_id,)
            ).fetchone()
        if found is None:  # it may have been removed since its page was shown
            return [("id < ?", run_id)]
        return [("(created_at, id) < (?, ?)", found[0], run_id)]

    def emails(self, query: EmailQuery) -> list[EmailSummary]:
        """Return a page of emails, newest first."""
        conditions, values = _conditions([(_EARLIER, query.before), ("run_id = ?", query.run_id)])
        found = self._page(
            f"SELECT summary FROM emails {conditions} ORDER BY created_at DESC, id DESC LIMIT ?",  # noqa: S608
            [*values, query.limit],
            _EMAIL,
        )
        return sorted(found, key=lambda email: (email.created_at, email.id), reverse=True)

    def counts(self, query: CountQuery) -> Counts:
        """Count runs by workflow and status, and those of each day."""
        conditions, values = _conditions(_filters(query))
        counts = counts_of(
            self._rows(
                "workflow, status, count(*) AS number, sum(pause IS 'suspend') AS waiting, "
                f"max(id) AS newest FROM runs {conditions} GROUP BY workflow, status",
                values,
                "workflow, status, number, waiting, newest",
                _COUNTS,
            )
        )
        for workflow_id, day in self._days(query, counts.listed()):
            counts.workflows[workflow_id].days.append(day)
        return counts

    def _days(self, query: CountQuery, workflow_ids: list[str]) -> Iterator[tuple[str, DayCounts]]:
        first, days = query.first_day, query.days()
        if first is None or days is None:
            return
        conditions, values = _conditions(
            [
                *_filters(query),
                ("created_at >= ?", microseconds(days[0])),
                ("created_at < ?", microseconds(days[1])),
                (_AMONG, encode(workflow_ids).decode()),
            ]
        )
        rows = self._rows(
            f"workflow, (created_at - ?) / {DAY} AS day, {_BY_OUTCOME} FROM runs {conditions} "
            "GROUP BY workflow, day",
            [microseconds(days[0]), *values],
            "workflow, day, succeeded, failed, canceled, active",
            _DAYS,
        )
        for workflow_id, number, *counts in sorted(rows):
            yield workflow_id, DayCounts(first + timedelta(days=number), *counts)

    def _rows(self, select: str, values: list[Any], columns: str, decoder: Decoder[R]) -> R:
        """Return the rows of a statement, in any order, decoded from one JSON text."""
        (text,) = self._sql.execute(
            f"SELECT json_group_array(json_array({columns})) FROM (SELECT {select})",  # noqa: S608
            values,
        ).fetchone()
        with _decoding_rows():
            return decoder.decode(text)

    def oldest_queued(self) -> datetime | None:
        """Return since when the queued run that waits longest is queued."""
        (oldest,) = self._sql.execute(
            "SELECT min(updated_at) FROM runs WHERE status = 'queued'"
        ).fetchone()
        return None if oldest is None else from_microseconds(oldest)

    def email_counts(self) -> dict[str, int]:
        """Return the numbers of emails by status."""
        counted = self._sql.execute("SELECT status, count(*) FROM emails GROUP BY status")
        return dict(counted.fetchall())

    def ended_before(self, moment: datetime, limit: int, after: str | None) -> list[str]:
        """Return the ids of runs that ended before a time and have no queued email, sorted."""
        # The plus has SQLite look at the emails of the run, not at all that are queued.
        (text,) = self._sql.execute(
            "SELECT json_group_array(id) FROM (SELECT id FROM runs WHERE ended_at < ? AND id > ? "
            "AND NOT EXISTS (SELECT 1 FROM emails WHERE run_id = runs.id AND +status = 'queued') "
            "ORDER BY id LIMIT ?)",
            (microseconds(moment), after or "", limit),
        ).fetchone()
        return sorted(_ids_in(text))

    def _page(self, select: str, values: list[Any], decoder: Decoder[S]) -> list[S]:
        """Return the summaries that a statement selects, in any order."""
        (text,) = self._sql.execute(
            f"SELECT '[' || ifnull(group_concat(summary, ','), '') || ']' FROM ({select})",  # noqa: S608
            values,
        ).fetchone()
        with _decoding_rows():
            # One by one, so that other threads have their turns.
            return [decoder.decode(each) for each in _RAW.decode(text)]


_RUN = Decoder(RunSummary)
_COUNTS = Decoder(list[CountRow])
_DAYS = Decoder(list[tuple[str, int, int, int, int, int]])
_EMAIL = Decoder(EmailSummary)
_RAW = Decoder(list[Raw])

_CONTAINS = "instr((SELECT text FROM texts WHERE texts.number = runs.number), ?)"
_AMONG = "workflow IN (SELECT value FROM json_each(?))"
_BY_OUTCOME = (
    "sum(status = 'succeeded') AS succeeded, sum(status = 'failed') AS failed, "
    "sum(status = 'canceled') AS canceled, sum(status IN ('queued', 'running', 'paused')) AS active"
)
_EARLIER = "(created_at, id) < (SELECT created_at, id FROM emails WHERE id = ?)"


@contextmanager
def _decoding_rows() -> Iterator[None]:
    try:
        yield
    except DecodeError as error:
        msg = f"a row can't be decoded: {error}"
        raise DamagedIndexError(msg) from error


def _ids_in(text: str) -> list[str]:
    with _decoding_rows():
        return decode(text, type=list[str])


def _filters(query: RunQuery | CountQuery) -> list[Condition]:
    """Return the conditions of the filters that lists and counts have in common."""
    found: list[Condition] = [
        ("workflow = ?", query.workflow_id),
        ("created_at >= ?", None if query.since is None else microseconds(query.since)),
        ("created_at < ?", None if query.until is None else microseconds(query.until)),
    ]
    search = query.search or ""
    words = words_of(search)
    if words:
        contained = " AND ".join([_CONTAINS] * len(words))
        found.append((f"({contained} OR id = ?)", *words, run_id_in(search)))
    return found


def _conditions(wanted: list[Condition]) -> tuple[str, list[Any]]:
    """Return a WHERE clause of the conditions that have values, and these values."""
    given = [(condition, values) for condition, *values in wanted if values != [None]]
    clause = " AND ".join(condition for condition, _ in given)
    return f"WHERE {clause}" if clause else "", [value for _, values in given for value in values]


def _pieces(rows: Iterable[Struct | str]) -> Iterator[str]:
    """Encode rows as JSON arrays of a bounded size."""
    piece: list[bytes] = []
    size = 0
    for row in rows:
        piece.append(encode(row))
        size += len(piece[-1])
        if len(piece) == ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield f"[{b','.join(piece).decode()}]"
            piece, size = [], 0
    if piece:
        yield f"[{b','.join(piece).decode()}]"
