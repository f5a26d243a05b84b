"""Ids of runs sort by the time of their start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ulid import ULID

from jupyter_pdflow.engine.local_queue import Ids

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_ids_sort_by_time_even_when_the_clock_is_set_back() -> None:
    ids = Ids()
    made = [ids.new(now) for now in (NOW, NOW, NOW + HOUR, NOW, NOW + HOUR, NOW + 2 * HOUR)]
    assert made == sorted(set(made))
    assert ULID.from_str(made[-1]).datetime == NOW + 2 * HOUR


def test_ids_are_greater_than_those_of_an_earlier_server() -> None:
    before = Ids().new(NOW)
    assert Ids(after=[before]).new(NOW - HOUR) > before


def test_foreign_ids_are_ignored() -> None:
    for foreign in ("copy of a run", "7" + "Z" * 25, "Z" * 26):
        ids = Ids(after=[foreign])
        assert ids.new(NOW) < ids.new(NOW)


def test_processes_with_slow_clocks_make_different_ids() -> None:
    """All have read the same newest id, of a process whose clock is fast."""
    newest = Ids().new(NOW + HOUR)
    made = [Ids(after=[newest], shared=True).new(NOW) for _ in range(100)]
    assert len(set(made)) == len(made)
    assert min(made) > newest
