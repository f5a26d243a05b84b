"""The tables of the index, and the statements that change them.

Rows come as one JSON text, see `jupyter_pdflow.stores.tinydb.index_database`.
"""

from __future__ import annotations

import zlib

from msgspec.json import schema_components

from jupyter_pdflow.stores import RunSummary
from jupyter_pdflow.stores.tinydb.index_source import EmailSummary

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    workflow TEXT NOT NULL, pause TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    ended_at INTEGER, stamp TEXT, summary TEXT NOT NULL
);
CREATE INDEX runs_by_status ON runs (status, id);
CREATE INDEX runs_by_workflow ON runs (workflow, id);
CREATE INDEX runs_by_both ON runs (workflow, status, id, pause, created_at);
CREATE INDEX runs_by_creation ON runs (created_at, id, workflow, status, pause);
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

PUT_RUNS = """
INSERT INTO runs (id, status, workflow, pause, created_at, updated_at, ended_at, stamp, summary)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
    json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[9]')
FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, workflow = excluded.workflow, pause = excluded.pause,
    created_at = excluded.created_at, updated_at = excluded.updated_at,
    ended_at = excluded.ended_at, stamp = excluded.stamp, summary = excluded.summary
"""

PUT_TEXTS = """
INSERT INTO texts (number, text)
SELECT runs.number, json_extract(value, '$[8]')
FROM json_each(?) JOIN runs ON runs.id = json_extract(value, '$[0]') WHERE true
ON CONFLICT (number) DO UPDATE SET text = excluded.text WHERE text != excluded.text
"""

PUT_EMAILS = """
INSERT INTO emails (id, run_id, status, created_at, stamp, summary)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]')
FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, created_at = excluded.created_at, stamp = excluded.stamp,
    summary = excluded.summary
"""

REMOVE_RUNS = (
    "DELETE FROM emails WHERE run_id IN (SELECT value FROM json_each(?))",
    """
DELETE FROM texts WHERE number IN
(SELECT number FROM runs WHERE id IN (SELECT value FROM json_each(?)))
""",
    "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?))",
)
REMOVE_RECORDS = {
    "runs": REMOVE_RUNS[1:],
    "emails": ("DELETE FROM emails WHERE id IN (SELECT value FROM json_each(?))",),
}

BEGIN_COMPARING = """
CREATE TEMP TABLE IF NOT EXISTS found (id TEXT PRIMARY KEY, stamp TEXT) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS differing (id TEXT PRIMARY KEY) WITHOUT ROWID;
DELETE FROM found;
DELETE FROM differing;
"""

# A record with two files is read again in any case.
PUT_FOUND = """
INSERT INTO found (id, stamp)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET stamp = NULL
"""

COMPARE = {
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
