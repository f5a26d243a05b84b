"""The index of runs against a plain list of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_pdflow.store.index import Entry, Index, fits

ENTRIES = [
    Entry("paused", "a"),
    Entry("paused", "b"),
    Entry("running", "a"),
    Entry("succeeded", "a"),
    Entry("failed", "b"),
    None,
]
entries = st.sampled_from(ENTRIES)
ids = st.text("0123456789", min_size=1, max_size=3)
statuses = st.sampled_from([None, "paused", "running", "succeeded", "failed", "canceled"])
workflows = st.sampled_from([None, "a", "b", "c"])
changes = st.lists(st.tuples(ids, st.one_of(entries, st.just("remove"))), max_size=40)


@given(changes, statuses, workflows, st.one_of(st.none(), ids))
def test_finds_what_a_plain_list_finds(changes, status, workflow_id, before) -> None:  # type: ignore[no-untyped-def]
    index, known = Index(), {}
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
            if fits(entry, status, workflow_id) and (before is None or run_id < before)
        ),
        reverse=True,
    )
    assert list(index.find(status, workflow_id, before)) == expected
    assert set(index.ended()) == {
        run_id
        for run_id, entry in known.items()
        if entry is None or entry.status in ("succeeded", "failed")
    }


def test_entries_may_be_set_while_ids_are_gone_through() -> None:
    index = Index()
    for number in range(100):
        index.set(f"{number:03}", None)
    found = []
    for run_id in index.find(None, None, None):
        found.append(run_id)
        index.set(run_id, ENTRIES[int(run_id) % 5])
    assert found == [f"{number:03}" for number in reversed(range(100))]
