"""Which runs there are: what a list needs to know before it opens a run's file."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import merge
from typing import NamedTuple

from jupyter_pdflow.rules.run import ENDED, RunStatus


class Entry(NamedTuple):
    """What is known of a run."""

    status: RunStatus
    workflow_id: str


class Index:
    """Run ids by status and workflow, in order of their times.

    Of a run whose file has not been read yet, nothing but the id is known, and that it has ended.
    A change costs the same, or nearly so, beside any number of other runs.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry | None] = {}
        self._ids: dict[Entry | None, list[str]] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._entries

    def set(self, run_id: str, entry: Entry | None) -> None:
        """Note what is known of a run."""
        if run_id in self._entries:
            if self._entries[run_id] == entry:
                return
            self.remove(run_id)
        insort(self._ids.setdefault(entry, []), run_id)
        self._entries[run_id] = entry

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        ids = self._ids[self._entries.pop(run_id)]
        del ids[bisect_left(ids, run_id)]

    def find(
        self, status: RunStatus | None, workflow_id: str | None, before: str | None
    ) -> Iterator[str]:
        """Go through the ids that may fit, newest first; entries may be set meanwhile."""
        fitting = [ids for entry, ids in self._ids.items() if fits(entry, status, workflow_id)]
        return merge(*(_downwards(ids, before) for ids in fitting), reverse=True)

    def ended(self) -> list[str]:
        """List the runs that have ended."""
        return [id_ for entry, ids in self._ids.items() if _has_ended(entry) for id_ in ids]


def fits(entry: Entry | None, status: RunStatus | None, workflow_id: str | None) -> bool:
    """Tell whether a run may be one of those that are looked for."""
    if entry is None:
        return status is None or status in ENDED
    return status in (None, entry.status) and workflow_id in (None, entry.workflow_id)


def _has_ended(entry: Entry | None) -> bool:
    return entry is None or entry.status in ENDED


def _downwards(ids: list[str], before: str | None) -> Iterator[str]:
    position = len(ids) if before is None else bisect_left(ids, before)
    while position > 0:
        position -= 1
        yield ids[position]
