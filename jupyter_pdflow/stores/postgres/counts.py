"""Conditions on the rows of runs, and their numbers, on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeAlias

import psycopg

from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.stores import RunQuery
from jupyter_pdflow.stores.counts import DAYS, CountQuery, CountRow, Counts, DayCounts, counts_of
from jupyter_pdflow.stores.postgres.database import Connection, is_text
from jupyter_pdflow.stores.search import run_id_in, words_of

COUNT_SECONDS = 3
"""Maximum time of each statement that counts."""

COUNTS_SECONDS = 2.0 * COUNT_SECONDS + 2
"""Maximum time of counting runs, and those of each day."""

Condition: TypeAlias = tuple[Any, ...]
"""A condition of a statement and its values; one whose only value is None is left out."""


class Where(NamedTuple):
    """A WHERE clause, and the values of its parameters."""

    text: str
    values: list[Any]


def filters(query: RunQuery | CountQuery) -> list[Condition]:
    """Return the conditions of the filters that lists and counts have in common."""
    found: list[Condition] = [
        ("workflow_id = %s", query.workflow_id),
        ("created_at >= %s", query.since),
        ("created_at < %s", query.until),
    ]
    search = query.search or ""
    words = words_of(search)
    if words:
        contained = " AND ".join(["position(%s in search) > 0"] * len(words))
        found.append((f"({contained} OR id = %s)", *words, run_id_in(search)))
    return found


def where_of(conditions: list[Condition]) -> Where | None:
    """Return the clause of the conditions that have values; None if no row can meet them."""
    given = [(condition, values) for condition, *values in conditions if values != [None]]
    values = [value for _, values in given for value in values]
    if any(isinstance(value, str) and not is_text(value) for value in values):
        return None
    clause = " AND ".join(condition for condition, _ in given)
    return Where(f"WHERE {clause}" if clause else "", values)


async def count_runs(connection: Connection, query: CountQuery) -> Counts:
    """Return numbers of runs by workflow and status, and those of each day.

    Raises
    ------
    StorageUnavailableError
        It takes too long.
    """
    where = where_of(filters(query))
    if where is None:
        return Counts()
    try:
        async with connection.transaction():
            await connection.execute(_SET_TIMEOUT)
            return await _count(connection, query, where)
    except psycopg.errors.QueryCanceled:
        msg = (
            f"Counting the runs took more than {COUNT_SECONDS} s; count those of one workflow or "
            "of a shorter time."
        )
        # `from None`: the database works.
        raise StorageUnavailableError(msg) from None


async def _count(connection: Connection, query: CountQuery, where: Where) -> Counts:
    found = await connection.execute(_COUNT.format(where=where.text).encode(), where.values)
    counts = counts_of([CountRow(*row) async for row in found])
    listed = counts.listed()
    named = await connection.execute(_PATHS, (listed,))
    async for workflow_id, path in named:
        counts.workflows[workflow_id].name = PurePosixPath(path).stem
    for workflow_id, day in await _count_days(connection, query, listed):
        counts.workflows[workflow_id].days.append(day)
    return counts


async def _count_days(
    connection: Connection, query: CountQuery, workflow_ids: list[str]
) -> list[tuple[str, DayCounts]]:
    first, days = query.first_day, query.days()
    if first is None or days is None:
        return []
    where = where_of([*filters(query), ("workflow_id = ANY(%s)", workflow_ids)])
    if where is None:
        return []
    statement = _COUNT_DAYS.format(where=where.text).encode()
    found = await connection.execute(statement, [DAYS - 1, *where.values, days[0], days[0]])
    return [
        (workflow_id, DayCounts(first + timedelta(days=number), *numbers))
        async for workflow_id, number, *numbers in found
    ]


_SET_TIMEOUT = f"SET LOCAL statement_timeout = '{COUNT_SECONDS} s'"

_COUNT = """
SELECT workflow_id, status, count(*), count(*) FILTER (WHERE pause = 'suspend'), max(id)
FROM pdflow.runs {where} GROUP BY workflow_id, status
"""

_PATHS = "SELECT id, path FROM pdflow.workflows WHERE id = ANY(%s)"

# Day by day: the planner knows how many workflows there are, so it needs no sort.
_COUNT_DAYS = """
SELECT counted.workflow_id, day, succeeded, failed, canceled, active
FROM generate_series(0, %s::integer) AS day CROSS JOIN LATERAL (
    SELECT workflow_id,
        count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'canceled') AS canceled,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'paused')) AS active
    FROM pdflow.runs {where}
        AND created_at >= %s + day * interval '24 hours'
        AND created_at < %s + (day + 1) * interval '24 hours'
    GROUP BY workflow_id) AS counted
ORDER BY counted.workflow_id, day
"""
