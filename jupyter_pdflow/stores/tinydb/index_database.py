"""The tables of the index, and the statements that change and query them.

All values that come from users are parameters of the statements. Many rows go to SQLite as one
JSON text, and a page comes back as one: the interpreter's lock is taken once for all of them, and
not once for each row, which takes 5 ms each time that the event loop is busy.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, decode, encode, schema_components

from jupyter_pdflow.stores import (
    MAX_SEARCH_CHARACTERS,
    MAX_SEARCH_WORDS,
    Counts,
    RunQuery,
    RunSummary,
)
from jupyter_pdflow.stores.tinydb.index_file import DamagedIndexError, IndexFile
from jupyter_pdflow.stores.tinydb.index_source import (
    EmailRow,
    EmailSummary,
    FoundRow,
    RunRow,
    fold,
    from_microseconds,
    microseconds,
)

Kind: TypeAlias = Literal["runs", "emails"]
S = TypeVar("S", RunSummary, EmailSummary)

ROWS_AT_ONCE = 500
"""Maximum number of rows in one statement."""

BYTES_AT_ONCE = 2**20
"""Size of the rows of one statement after which the next one begins."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    workflow TEXT NOT NULL, pause TEXT, updated_at INTEGER NOT NULL, ended_at INTEGER, stamp TEXT,
    summary TEXT NOT NULL
);
CREATE INDEX runs_by_status ON runs (status, id);
CREATE INDEX runs_by_workflow ON runs (workflow, id);
CREATE INDEX runs_by_both ON runs (workflow, status, id);
CREATE INDEX runs_by_pause ON runs (pause, id) WHERE pause IS NOT NULL;
CREATE INDEX runs_by_end ON runs (id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_queued ON runs (updated_at) WHERE status = 'queued';
CREATE TABLE texts (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE emails (
    id TEXT PRIMARY KEY, run_id TEXT NOT NULL, status TEXT NOT NULL, created_at INTEGER NOT NULL,
    stamp TEXT, summary TEXT NOT NULL
);
CREATE INDEX emails_by_time ON emails (created_at, id);
CREATE INDEX emails_by_run ON emails (run_id, created_at, id);
CREATE INDEX emails_by_status ON emails (status);
"""

_PUT_RUNS = """
INSERT INTO runs (id, status, workflow, pause, updated_at, ended_at, stamp, summary)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
    json_extract(value, '$[6]'), json_extract(value, '$[8]')
FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, workflow = excluded.workflow, pause = excluded.pause,
    updated_at = excluded.updated_at, ended_at = excluded.ended_at, stamp = excluded.stamp,
    summary = excluded.summary
"""

_PUT_TEXTS = """
INSERT INTO texts (number, text)
SELECT runs.number, json_extract(value, '$[7]')
FROM json_each(?) JOIN runs ON runs.id = json_extract(value, '$[0]') WHERE true
ON CONFLICT (number) DO UPDATE SET text = excluded.text WHERE text != excluded.text
"""

_PUT_EMAILS = """
INSERT INTO emails (id, run_id, status, created_at, stamp, summary)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]')
FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, created_at = excluded.created_at, stamp = excluded.stamp,
    summary = excluded.summary
"""

_REMOVE_RUNS = (
    "DELETE FROM emails WHERE run_id IN (SELECT value FROM json_each(?))",
    """
DELETE FROM texts WHERE number IN
(SELECT number FROM runs WHERE id IN (SELECT value FROM json_each(?)))
""",
    "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))",
)
_REMOVE_RECORDS = {
    "runs": _REMOVE_RUNS[1:],
    "emails": ("DELETE FROM emails WHERE id IN (SELECT value FROM json_each(?))",),
}

_BEGIN_COMPARING = """
CREATE TEMP TABLE IF NOT EXISTS found (id TEXT PRIMARY KEY, stamp TEXT) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS differing (id TEXT PRIMARY KEY) WITHOUT ROWID;
DELETE FROM found;
DELETE FROM differing;
"""

# A record with two files is read again in any case.
_PUT_FOUND = """
INSERT INTO found (id, stamp)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET stamp = NULL
"""

_COMPARE = {
    "runs": """
INSERT INTO differing
SELECT found.id FROM found LEFT JOIN runs USING (id)
WHERE runs.stamp IS NOT found.stamp OR found.stamp IS NULL
UNION SELECT id FROM runs WHERE id NOT IN (SELECT id FROM found)
""",
    "emails": """
INSERT INTO differing
SELECT found.id FROM found LEFT JOIN emails USING (id)
WHERE emails.stamp IS NOT found.stamp OR found.stamp IS NULL
UNION SELECT id FROM emails WHERE id NOT IN (SELECT id FROM found)
""",
}


ROW_FORMAT = 1
"""To be raised when rows are made otherwise, and neither tables nor summaries show that."""


def version_of_content() -> int:
    """Return a number that changes with the tables and with the fields of summaries."""
    schemas = schema_components([RunSummary, EmailSummary])
    return zlib.crc32(repr((ROW_FORMAT, SCHEMA, schemas)).encode()) % 2**31 or 1


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
            self._change((_PUT_RUNS, _PUT_TEXTS), texts)

    def put_emails(self, rows: Iterable[EmailRow]) -> None:
        """Insert emails, or replace those that are known."""
        for texts in _pieces(rows):
            self._change((_PUT_EMAILS,), texts)

    def remove_runs(self, run_ids: Sequence[str]) -> None:
        """Remove runs and their emails."""
        for ids in _pieces(run_ids):
            self._change(_REMOVE_RUNS, ids)

    def remove_records(self, kind: Kind, ids: Sequence[str]) -> None:
        """Remove runs, without their emails, or emails."""
        for texts in _pieces(ids):
            self._change(_REMOVE_RECORDS[kind], texts)

    def _change(self, statements: Iterable[str], rows: str) -> None:
        """Carry out statements that take rows as JSON, all of them or none."""
        with self._sql:
            self._sql.execute("BEGIN")
            for statement in statements:
                self._sql.execute(statement, (rows,))

    # --- comparing with the folders ---

    def begin_comparing(self) -> None:
        """Forget the files that an earlier comparison has found."""
        self._sql.executescript(_BEGIN_COMPARING)

    def put_found(self, rows: Iterable[FoundRow]) -> None:
        """Add files that were found."""
        for texts in _pieces(rows):
            self._change((_PUT_FOUND,), texts)

    def compare(self, kind: Kind) -> None:
        """Note which records differ from the files that were found, or have none."""
        self._sql.execute(_COMPARE[kind])

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
        wanted = [
            ("id < ?", query.before),
            # The plus keeps SQLite from using the index of statuses: that of pauses is narrower.
            ("+status = ?" if query.pause else "status = ?", query.status),
            ("workflow = ?", query.workflow_id),
            ("pause = ?", query.pause),
        ]
        wanted += [(_CONTAINS, word) for word in _words_of(query.search or "")]
        conditions, values = _conditions(wanted)
        found = self._page(
            f"SELECT summary FROM runs {conditions} ORDER BY id DESC LIMIT ?",  # noqa: S608
            [*values, query.limit],
            _RUN,
        )
        return sorted(found, key=lambda run: run.id, reverse=True)

    def emails(self, query: EmailQuery) -> list[EmailSummary]:
        """Return a page of emails, newest first."""
        conditions, values = _conditions([(_EARLIER, query.before), ("run_id = ?", query.run_id)])
        found = self._page(
            f"SELECT summary FROM emails {conditions} ORDER BY created_at DESC, id DESC LIMIT ?",  # noqa: S608
            [*values, query.limit],
            _EMAIL,
        )
        return sorted(found, key=lambda email: (email.created_at, email.id), reverse=True)

    def counts(self) -> Counts:
        """Count runs and emails."""
        count = "SELECT status, count(*) FROM {} GROUP BY status"
        (oldest,) = self._sql.execute(
            "SELECT min(updated_at) FROM runs WHERE status = 'queued'"
        ).fetchone()
        queued = "SELECT workflow, count(*) FROM runs WHERE status = 'queued' GROUP BY workflow"
        return Counts(
            runs=dict(self._sql.execute(count.format("runs")).fetchall()),
            queued=dict(self._sql.execute(queued).fetchall()),
            emails=dict(self._sql.execute(count.format("emails")).fetchall()),
            oldest_queued=None if oldest is None else from_microseconds(oldest),
        )

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
_EMAIL = Decoder(EmailSummary)
_RAW = Decoder(list[Raw])

_CONTAINS = "instr((SELECT text FROM texts WHERE texts.number = runs.number), ?)"
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


def _words_of(search: str) -> list[str]:
    """Return the words of a search; SQLite refuses a statement with a thousand conditions."""
    return fold(search[:MAX_SEARCH_CHARACTERS]).split()[:MAX_SEARCH_WORDS]


def _conditions(wanted: list[tuple[str, str | None]]) -> tuple[str, list[Any]]:
    """Return a WHERE clause of the conditions that have a value, and these values."""
    given = [(condition, value) for condition, value in wanted if value is not None]
    clause = " AND ".join(condition for condition, _ in given)
    return f"WHERE {clause}" if clause else "", [value for _, value in given]


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
