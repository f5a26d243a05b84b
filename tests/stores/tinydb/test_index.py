"""The index of runs finds what a search in a plain list finds."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.stores.tinydb.runs import IndexEntry, RunIndex, may_match

ENTRIES = [
    IndexEntry("paused", "a"),
    IndexEntry("paused", "b"),
    IndexEntry("running", "a"),
    IndexEntry("succeeded", "a"),
    IndexEntry("failed", "b"),
    None,
]
entries = st.sampled_from(ENTRIES)
ids = st.text("0123456789", min_size=1, max_size=3)
statuses = st.sampled_from([None, "paused", "running", "succeeded", "failed", "canceled"])
workflows = st.sampled_from([None, "a", "b", "c"])
changes = st.lists(st.tuples(ids, st.one_of(entries, st.just("remove"))), max_size=40)


@given(changes, statuses, workflows, st.one_of(st.none(), ids))
def test_finds_what_a_plain_list_finds(changes, status, workflow_id, before) -> None:  # type: ignore[no-untyped-def]
    index, known = RunIndex(), {}
    for run_id, entry in changes:
        if entry != "remove":
            index.set(run_id, entry)
            known[run_id] = entry
        elif run_id in known:
            index.remove(run_id)
            del known[run_id]
    expected = sorted(
        (
            run_id
            for run_id, entry in known.items()
            if may_match(entry, status, workflow_id) and (before is None or run_id < before)
        ),
        reverse=True,
    )
    assert list(index.find(status, workflow_id, before)) == expected
    index.remove_all([*list(known)[::2], "unknown"])
    assert set(index.find(None, None, None)) == set(list(known)[1::2])


def test_completing_does_not_replace_an_entry_that_was_set_meanwhile() -> None:
    index = RunIndex()
    index.set("1", None)
    index.set("2", ENTRIES[3])
    for run_id in ("1", "2", "removed"):
        index.complete(run_id, ENTRIES[4])
    assert list(index.find("failed", None, None)) == ["1"]
    assert [index.is_known(run_id) for run_id in ("1", "2", "removed")] == [True, True, False]
    assert "removed" not in index


def test_removing_many_runs_takes_linear_time() -> None:
    index, ids = RunIndex(), [f"{number:06}" for number in range(200_000)]
    for run_id in ids:
        index.set(run_id, None)
    began = time.perf_counter()
    for start in range(0, len(ids), 100):
        index.remove_all(ids[start : start + 100])
    assert time.perf_counter() - began < 5  # one by one through a list it would take minutes
    assert list(index.find(None, None, None)) == []


def test_entries_may_be_set_during_an_iteration() -> None:
    index = RunIndex()
    for number in range(100):
        index.set(f"{number:03}", None)
    found = []
    for run_id in index.find(None, None, None):
        found.append(run_id)
        index.set(run_id, ENTRIES[int(run_id) % 5])
    assert found == [f"{number:03}" for number in reversed(range(100))]
