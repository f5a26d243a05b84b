"""Numbers of runs: by workflow and status, those that wait for an answer, and those of each day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from msgspec import Struct

DAYS = 14
"""Number of days whose runs are counted one by one."""

MAX_OFFSET = 24 * 60
"""Maximum number of minutes between a client's time and UTC."""

WORKFLOWS_LISTED = 200
"""Maximum number of workflows whose days are counted: those with the newest runs."""


class CountQuery(Struct, frozen=True, kw_only=True):
    """Which runs to count; None for all. `RunQuery` describes the filters.

    Attributes
    ----------
    first_day : date or None
        The first of the `DAYS` days whose runs are counted one by one; no day is, if None.
    offset : int
        Number of minutes that the days begin before those of UTC: 60 for those of UTC+01:00.
    """

    workflow_id: str | None = None
    search: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    first_day: date | None = None
    offset: int = 0

    def days(self) -> tuple[datetime, datetime] | None:
        """Return when the first day begins, and when the last one ends; None if there are none."""
        if self.first_day is None:
            return None
        midnight = datetime.combine(self.first_day, time(), UTC) - timedelta(minutes=self.offset)
        return midnight, midnight + timedelta(days=DAYS)


ALL = CountQuery()
"""All runs, and no days."""


class DayCounts(NamedTuple):
    """Numbers of runs that were created on one day, by what became of them."""

    day: date
    succeeded: int
    failed: int
    canceled: int
    active: int


class WorkflowCounts(Struct, kw_only=True):
    """Numbers of runs of one workflow.

    Attributes
    ----------
    name : str
        The name of the workflow; its id if the workflow is not stored, or not listed.
    statuses : dict of str to int
        Runs by status; a status without runs is left out.
    waiting : int
        Runs that are paused until a person or a request answers: in a ``suspend``.
    newest : str
        The greatest id of these runs.
    days : list of DayCounts
        The days with runs, oldest first.
    """

    name: str
    statuses: dict[str, int] = {}
    waiting: int = 0
    newest: str = ""
    days: list[DayCounts] = []


class Counts(Struct, frozen=True, kw_only=True):
    """Numbers of runs by the id of their workflow."""

    workflows: dict[str, WorkflowCounts] = {}

    @property
    def statuses(self) -> dict[str, int]:
        """Runs of all workflows by status; a status without runs is left out."""
        found: Counter[str] = Counter()
        for workflow in self.workflows.values():
            found.update(workflow.statuses)
        return dict(found)

    @property
    def waiting(self) -> int:
        """Runs of all workflows that are paused until a person or a request answers."""
        return sum(workflow.waiting for workflow in self.workflows.values())

    def of_status(self, status: str) -> dict[str, int]:
        """Return the numbers of runs with a status by workflow, if there are any."""
        found = self.workflows.items()
        return {one: counts.statuses[status] for one, counts in found if status in counts.statuses}

    def listed(self) -> list[str]:
        """Return the ids of the workflows with the newest runs, at most `WORKFLOWS_LISTED`."""
        ids = sorted(self.workflows, key=lambda one: self.workflows[one].newest, reverse=True)
        return ids[:WORKFLOWS_LISTED]


class CountRow(NamedTuple):
    """The runs of a workflow with one status, as databases count them; see `WorkflowCounts`."""

    workflow_id: str
    status: str
    number: int
    waiting: int
    newest: str


def counts_of(rows: list[CountRow]) -> Counts:
    """Return the numbers of runs by workflow, still without names and days."""
    found: dict[str, WorkflowCounts] = {}
    for row in rows:
        workflow = found.setdefault(row.workflow_id, WorkflowCounts(name=row.workflow_id))
        workflow.statuses[row.status] = row.number
        workflow.waiting += row.waiting
        workflow.newest = max(workflow.newest, row.newest)
    return Counts(workflows=found)
