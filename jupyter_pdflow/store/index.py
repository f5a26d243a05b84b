"""Which runs there are: what a list needs to know before it opens a run's file."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator
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
        self._same: dict[Entry | None, Entry | None] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._entries

    def set(self, run_id: str, entry: Entry | None) -> None:
        """Note what is known of a run."""
        if run_id in self._entries:
            if self._entries[run_id] == entry:
                return
            self.remove(run_id)
        entry = self._same.setdefault(entry, entry)  # 100,000 equal ones would keep gc busy
        insort(self._ids.setdefault(entry, []), run_id)
        self._entries[run_id] = entry

    def learn(self, run_id: str, entry: Entry) -> None:
        """Note what was read of a run, unless it is gone or more is known of it by now."""
        if self._entries.get(run_id, entry) is None:
            self.set(run_id, entry)

    def is_known(self, run_id: str) -> bool:
        """Whether more is known of a run than that it has ended."""
        return self._entries.get(run_id) is not None

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        ids = self._ids[self._entries.pop(run_id)]
        del ids[bisect_left(ids, run_id)]

    def remove_all(self, run_ids: Collection[str]) -> None:
        """Forget runs; where they are neighbours, as the oldest are, it costs little for each."""
        gone = {run_id for run_id in run_ids if run_id in self._entries}
        for entry in {self._entries.pop(run_id) for run_id in gone}:
            ids = self._ids[entry]
            span = slice(bisect_left(ids, min(gone)), bisect_right(ids, max(gone)))
            ids[span] = [run_id for run_id in ids[span] if run_id not in gone]

    def find(
        self, status: RunStatus | None, workflow_id: str | None, before: str | None
    ) -> Iterator[str]:
        """Go through the ids that may fit, newest first; entries may be set meanwhile."""
        fitting = [ids for entry, ids in self._ids.items() if fits(entry, status, workflow_id)]
        return merge(*(_downwards(ids, before) for ids in fitting), reverse=True)


def fits(entry: Entry | None, status: RunStatus | None, workflow_id: str | None) -> bool:
    """Tell whether a run may be one of those that are looked for."""
    if entry is None:
        return status is None or status in ENDED
    return status in (None, entry.status) and workflow_id in (None, entry.workflow_id)


def _downwards(ids: list[str], before: str | None) -> Iterator[str]:
    position = len(ids) if before is None else bisect_left(ids, before)
    while position > 0:
        position -= 1
        yield ids[position]
