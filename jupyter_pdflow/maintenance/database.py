"""Checks a PostgreSQL database: whether processes can use it, and whether its runs go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from msgspec import MsgspecError
from msgspec.json import Decoder
from psycopg.conninfo import conninfo_to_dict

from jupyter_pdflow.exceptions import (
    ConfigurationError,
    NotFoundError,
    PDFlowError,
    SchemaError,
    StorageUnavailableError,
    StoredFileError,
)
from jupyter_pdflow.formatting import format_duration
from jupyter_pdflow.maintenance import Progress
from jupyter_pdflow.maintenance.inventory import NAMED, Finding, some
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.stores import QUOTED, Email, WorkerState
from jupyter_pdflow.stores.postgres.database import Connection, one
from jupyter_pdflow.stores.postgres.jobs import SETTINGS
from jupyter_pdflow.stores.postgres.shared import read_shared
from jupyter_pdflow.stores.postgres.store import PostgresStore

OLDEST_SERVER = 14
"""Oldest major version of PostgreSQL that is supported."""

SAMPLE = 10_000
"""Number of runs, and of other records, that are read unless all are."""

LATE = timedelta(minutes=1)
"""Time after which a deadline, a lapsed lease or a missing job should have been seen to."""

EMAIL_LATE = timedelta(hours=1)
"""Time after which a queued email is worth a note."""


class DatabaseReport(NamedTuple):
    """The result of an examination.

    Attributes
    ----------
    counts : dict of str to int
        Runs by status, and other things; empty if the database can't be used.
    findings : list of Finding
    """

    counts: dict[str, int]
    findings: list[Finding]


async def examine_database(
    conninfo: str,
    watch: Progress = iter,
    *,
    public_url: str = "",
    traits: Mapping[str, str] | None = None,
    everything: bool = False,
) -> DatabaseReport:
    """Check a database, and change nothing.

    Parameters
    ----------
    conninfo : str
        A connection string or URL; it may hold a password, and is in no finding.
    watch : callable
        Passes on the ids of the runs that are read, for a progress bar.
    public_url : str
        The public URL that is configured here.
    traits : mapping of str to str, optional
        The traits that are configured here, as JSON with sorted keys.
    everything : bool
        Whether to read all records; else at most `SAMPLE` of each kind, the newest.
    """
    try:
        shared = await read_shared(conninfo)
    except (StorageUnavailableError, SchemaError, ConfigurationError) as error:
        return DatabaseReport({}, [Finding(str(error), _advice(error))])
    findings = [] if public_url or shared.public_url else [_no_public_url()]
    findings += [
        _differs(name)
        for name, text in sorted((traits or {}).items())
        if shared.traits.get(name, text) != text
    ]
    store = PostgresStore(conninfo, max_connections=2)
    limit = None if everything else SAMPLE
    try:
        await store.open()
        async with store.database.connection() as connection:
            findings += [each async for each in _state(connection, await store.workers())]
            findings += [each async for each in _emails(connection, limit)]
            run_ids = await _run_ids(connection, limit)
            counts = await _counts(connection)
        findings += [each async for each in _unreadable(store, watch(run_ids))]
    except StorageUnavailableError as error:
        return DatabaseReport({}, [*findings, Finding(str(error), _advice(error))])
    finally:
        await store.close()
    return DatabaseReport({**counts, "read": len(run_ids)}, findings)


def _advice(error: PDFlowError) -> str:
    if isinstance(error, SchemaError):
        return "Until then, servers answer with status 503, and workers wait."
    if isinstance(error, ConfigurationError):
        return "Name the port of PostgreSQL itself, not that of the pooler."
    return "Check the address, the role and its password, and whether PostgreSQL runs there."


def _no_public_url() -> Finding:
    problem = (
        "The database has no public URL, so a process without PDFlow.public_url does not work."
    )
    return Finding(problem, "Store it: jupyter pdflow migrate --public-url URL")


def _differs(trait: str) -> Finding:
    problem = f"PDFlow.{trait} is configured here with another value than processes use."
    return Finding(problem, "Configure the same value everywhere, and restart these processes.")


async def _counts(connection: Connection) -> dict[str, int]:
    found = await connection.execute("SELECT status, count(*) FROM pdflow.runs GROUP BY status")
    runs: dict[str, int] = dict(await found.fetchall())
    counts = {status: runs.pop(status, 0) for status in ("queued", "running", "paused")}
    counts["finished"] = sum(runs.values())
    for name in ("workflows", "emails"):
        found = await connection.execute(f"SELECT count(*) FROM pdflow.{name}".encode())  # noqa: S608
        counts[name] = (await one(found))[0]
    return counts


# --- what executes ----------------------------------------------------------------------


async def _state(connection: Connection, workers: Sequence[WorkerState]) -> AsyncIterator[Finding]:
    major = connection.info.server_version // 10_000
    if major < OLDEST_SERVER:
        problem = f"This is PostgreSQL {major}; the oldest supported version is {OLDEST_SERVER}."
        yield Finding(problem, "Upgrade PostgreSQL.")
    for finding in _queues(await _queued(connection), workers):
        yield finding
    for query, make in ((_LAPSED, _lapsed), (_OVERDUE, _overdue), (_WITHOUT_JOB, _without_job)):
        found = await connection.execute(query.encode(), (LATE, NAMED))
        rows = await found.fetchall()
        if rows:
            yield make([row[0] for row in rows], rows[0][1], rows[0][2])


async def _queued(connection: Connection) -> dict[str, int]:
    found = await connection.execute(
        "SELECT queue, count(*) FROM pdflow.runs WHERE rank IS NOT NULL GROUP BY queue"
    )
    return dict(await found.fetchall())


def _queues(queued: dict[str, int], workers: Sequence[WorkerState]) -> Iterator[Finding]:
    """Find queues that no process serves."""
    served = {name for worker in workers for name in worker.queues}
    for name in sorted(queued.keys() - served):
        waiting = "1 run waits" if queued[name] == 1 else f"{queued[name]:,} runs wait"
        problem = f"Nothing executes the queue {name!r}, in which {waiting}."
        yield Finding(problem, f"Start a worker for it: jupyter pdflow worker --queue {name}")
    if not workers and not queued:
        problem = "No process with kernels was seen in the last minute."
        yield Finding(problem, "Start one: jupyter pdflow worker", grave=False)


_LAPSED = """
SELECT id, lease_until, count(*) OVER () FROM pdflow.runs
WHERE status = 'running' AND lease_until < clock_timestamp() - %s::interval
ORDER BY lease_until LIMIT %s
"""

_OVERDUE = """
SELECT id, due_at, count(*) OVER () FROM pdflow.runs
WHERE due_at < clock_timestamp() - %s::interval ORDER BY due_at LIMIT %s
"""

_WITHOUT_JOB = f"""
SELECT id, updated_at, count(*) OVER () FROM pdflow.runs
WHERE rank IS NOT NULL AND updated_at < clock_timestamp() - %s::interval
    AND NOT EXISTS (SELECT FROM {SETTINGS.qualified.queue_table} WHERE dedupe_key = job
        AND status IN ('queued', 'picked'))
ORDER BY updated_at LIMIT %s
"""  # noqa: S608


def _lapsed(run_ids: list[str], since: datetime, count: int) -> Finding:
    runs = _named(run_ids, count)
    problem = f"No process took over the steps of a worker that is gone: {runs}; {_ago(since)}."
    return Finding(
        problem, "Any server or worker does so within seconds; if one runs, see its log."
    )


def _overdue(run_ids: list[str], since: datetime, count: int) -> Finding:
    problem = f"Overdue: {_named(run_ids, count)}; the first should have continued {_ago(since)}."
    return Finding(problem, "Any server or worker sees to that; if one runs, see its log.")


def _without_job(run_ids: list[str], since: datetime, count: int) -> Finding:
    problem = f"Ready runs without a job: {_named(run_ids, count)}; the first {_ago(since)}."
    return Finding(
        problem, "Any server or worker adds it within a minute; if one runs, see its log."
    )


def _named(run_ids: list[str], count: int) -> str:
    more = f" and {count - len(run_ids):,} more" if count > len(run_ids) else ""
    return f"{', '.join(run_ids)}{more}"


def _ago(moment: datetime) -> str:
    return f"{format_duration(datetime.now(UTC) - moment)} ago"


# --- records ----------------------------------------------------------------------------


async def _run_ids(connection: Connection, limit: int | None) -> list[str]:
    """Return the ids of the runs to be read: those that have not ended first, then the newest."""
    found = await connection.execute(
        "SELECT id FROM pdflow.runs ORDER BY ended_at IS NOT NULL, id DESC LIMIT %s", (limit,)
    )
    return [run_id async for (run_id,) in found]


async def _unreadable(store: PostgresStore, run_ids: Iterable[str]) -> AsyncIterator[Finding]:
    """Find runs that can't be read, and those whose version of a workflow can't be used."""
    steps: dict[tuple[str, str], list[str] | None] = {}
    for run_id in run_ids:
        try:
            run = await store.get(run_id)
        except NotFoundError:  # it was deleted meanwhile
            continue
        except StoredFileError as error:
            yield Finding(str(error), "Put its row from a backup in its place, or delete the row.")
            continue
        key = (run.workflow_id, run.version)
        if not run.ended and key not in steps:
            steps[key] = await _steps(store, *key)
        if not run.ended and steps[key] != [step.name for step in run.steps]:
            yield _can_not_continue(run)


async def _steps(store: PostgresStore, workflow_id: str, version: str) -> list[str] | None:
    try:
        return (await store.workflow(workflow_id, version)).step_names
    except (NotFoundError, StoredFileError, MsgspecError, ValueError):
        return None


def _can_not_continue(run: Run) -> Finding:
    version = f"version {run.version[:QUOTED]!r} of workflow {run.workflow_id!r}"
    problem = f"Run {run.id} can't continue: {version} is missing, or has other steps."
    return Finding(problem, "Put its row of pdflow.versions from a backup in its place.")


async def _emails(connection: Connection, limit: int | None) -> AsyncIterator[Finding]:
    """Find emails that can't be read, or that have been queued for long."""
    decoder, bad = Decoder(Email), list[str]()
    found = await connection.execute(
        "SELECT id, record FROM pdflow.emails ORDER BY created_at DESC LIMIT %s", (limit,)
    )
    async for email_id, record in found:
        try:
            decoder.decode(record)
        except (MsgspecError, ValueError, RecursionError):
            bad.append(email_id)
    if bad:
        yield Finding(f"Emails can't be read: {some(bad)}.", "Put their rows from a backup back.")
    found = await connection.execute(
        "SELECT count(*), min(created_at) FROM pdflow.emails "
        "WHERE status = 'queued' AND created_at < clock_timestamp() - %s::interval",
        (EMAIL_LATE,),
    )
    count, since = await one(found)
    if count:
        problem = (
            f"Emails queued for more than an hour: {count:,}; the first was made {_ago(since)}."
        )
        advice = "A process that has PDFlow.smtp_url delivers them; if one runs, see its log."
        yield Finding(problem, advice, grave=False)


def place_of(conninfo: str) -> str:
    """Return the host and the name of a database, without user and password."""
    given: dict[str, Any] = conninfo_to_dict(conninfo)
    host = given.get("host") or given.get("hostaddr") or "localhost"
    port = f":{given['port']}" if given.get("port") else ""
    return f"{host}{port}/{given.get('dbname') or given.get('user') or ''}"
