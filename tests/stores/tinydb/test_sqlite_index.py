"""The index answers what a plain list would, whatever users type."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_pdflow.rules.run import ENDED, STATUSES, Error, Run, Usage
from jupyter_pdflow.stores import Email, RunQuery, summary_of
from jupyter_pdflow.stores.counts import CountQuery, Counts, DayCounts, WorkflowCounts
from jupyter_pdflow.stores.search import fold, search_text
from jupyter_pdflow.stores.tinydb.index import INDEX, Index
from jupyter_pdflow.stores.tinydb.index_source import EmailSummary
from tests.stores.tinydb.indexed import (
    NOW,
    MemorySource,
    OpenIndex,
    brief,
    ids,
    kill,
    make_email,
    make_run,
    pause_of,
)

# --- queries --------------------------------------------------------------------------


async def test_a_summary_comes_back_whole(open_index: OpenIndex, source: MemorySource) -> None:
    index = open_index()
    error = Error(ename="E", evalue='"quoted" \x00 \n ☃ \U0001f600', traceback=["a", "b\\"])
    run = make_run(error=error, reason="why", usage=Usage(credits=2**53, compute_ms=1))
    source.store(index, run)
    assert await index.runs(RunQuery()) == [summary_of(run)]
    email = replace(make_email(), to=["a@b", "c@d"], error="no\x00")
    source.store(index, email)
    assert await index.emails() == [brief(email)]


async def test_a_query_sees_every_change_that_came_before_it(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    for status in ("queued", "running", "succeeded"):
        source.store(index, make_run("a", status))
        assert await ids(index.runs(RunQuery(status=status))) == ["a"]
    source.store(index, make_email("a-1-1-1"))
    assert await ids(index.emails(run_id="a")) == ["a-1-1-1"]
    source.remove(index, "a")
    assert await index.runs(RunQuery()) == []
    assert await index.emails() == []


async def test_runs_are_filtered_and_come_in_pages(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    source.store(index, make_run("1", "paused"))
    source.store(index, make_run("2", "paused", pause=pause_of("delay")))
    source.store(index, make_run("3", "failed", workflow_id="other"))
    assert await ids(index.runs(RunQuery(limit=2))) == ["3", "2"]
    assert await ids(index.runs(RunQuery(limit=2, before="2"))) == ["1"]
    assert await ids(index.runs(RunQuery(status="paused", pause="delay"))) == ["2"]
    assert await ids(index.runs(RunQuery(status="failed", pause="delay"))) == []
    assert await ids(index.runs(RunQuery(workflow_id="orders", pause="suspend"))) == ["1"]
    assert await ids(index.runs(RunQuery(workflow_id="other", status="failed"))) == ["3"]


async def test_emails_are_sorted_by_time_and_come_in_pages(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    for minutes, email_id in enumerate(["b-1-1-1", "a-1-1-1", "c-1-1-1", "a-1-1-2"]):
        source.store(index, make_email(email_id, at=NOW + timedelta(minutes=minutes)))
    assert await ids(index.emails(limit=2)) == ["a-1-1-2", "c-1-1-1"]
    assert await ids(index.emails(limit=2, before="c-1-1-1")) == ["a-1-1-1", "b-1-1-1"]
    assert await ids(index.emails(run_id="a")) == ["a-1-1-2", "a-1-1-1"]
    assert await index.emails(before="unknown") == []


async def test_counts(open_index: OpenIndex, source: MemorySource) -> None:
    index = open_index()
    assert (await index.counts()).workflows == await index.email_counts() == {}
    assert await index.oldest_queued() is None
    for number, status in enumerate(["queued", "queued", "paused", "failed"]):
        at = NOW + timedelta(microseconds=1 + number)
        source.store(index, make_run(str(number), status, updated_at=at))
    source.store(index, make_email("a-1-1-1"))
    source.store(index, make_email("a-1-1-2", "failed"))
    counts = await index.counts()
    assert counts.statuses == {"queued": 2, "paused": 1, "failed": 1}
    assert counts.of_status("queued") == {"orders": 2}
    assert await index.email_counts() == {"queued": 1, "failed": 1}
    assert await index.oldest_queued() == NOW + timedelta(microseconds=1)


async def test_runs_that_ended_before_a_time_are_found_by_id(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    for number, run_id in enumerate(["c", "a", "b"]):
        source.store(index, make_run(run_id, ended_at=NOW + timedelta(seconds=number)))
    source.store(index, make_run("old", "failed", ended_at=None, updated_at=NOW))
    source.store(index, make_run("d", "paused", updated_at=NOW - timedelta(days=9)))
    assert await index.ended_before(NOW, 10) == []
    assert await index.ended_before(NOW + timedelta(microseconds=1), 10) == ["c", "old"]
    later = NOW + timedelta(days=1)
    assert await index.ended_before(later, 3) == ["a", "b", "c"]
    assert await index.ended_before(later, 3, after="b") == ["c", "old"]
    source.store(index, make_email("c-1-1-1"), make_email("old-1-1-1", "sent"))
    assert await index.ended_before(later, 10, after="b") == ["old"]


# --- search ---------------------------------------------------------------------------


class TitledRun(Run, frozen=True, kw_only=True):
    title: str | None = None


async def test_a_search_looks_at_title_workflow_and_event(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    event = {"customer": {"name": "Müller & Söhne", "vip": True}, "items": ["Nail", 4711]}
    source.store(index, make_run("1", event=event))
    titled = TitledRun(**{name: getattr(make_run("2"), name) for name in Run.__struct_fields__})
    source.store(index, replace(titled, title="Invoice of March"))
    source.store(index, make_run("3", workflow_name="Deliveries"))
    for words, found in {
        "MÜLLER": ["1"],
        "471": ["1"],
        "nail söhne": ["1"],
        "nail march": [],
        "march inv": ["2"],
        "orders": ["2", "1"],
        "deliver": ["3"],
        "customer": [],  # a key
        "true": [],
        " \t ": ["3", "2", "1"],
    }.items():
        assert await ids(index.runs(RunQuery(search=words))) == found, words


@pytest.mark.parametrize("search", ["order " * 5_000, "o" * 100_000, "\ufdfa" * 1_000], ids=len)
async def test_a_long_search_costs_nothing_that_is_indexed(
    open_index: OpenIndex, source: MemorySource, search: str
) -> None:
    index = open_index()
    source.store(index, make_run("1"))
    await index.counts()
    source.read.clear()
    found = await ids(index.runs(RunQuery(search=search)))
    assert found == (["1"] if search.startswith("order") else [])
    assert source.read == []


HOSTILE = ["%", "_", "'", '"', "*", "NEAR(a b)", "a OR b", "-a", "\\", "\0", "';DROP TABLE runs;--"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_users_type_is_text_only(
    open_index: OpenIndex, source: MemorySource, text: str
) -> None:
    index = open_index()
    source.store(index, make_run("1", event=[f"x{text}y"]))
    source.store(index, make_run("2", event=["plain"]))
    assert await ids(index.runs(RunQuery(search=f"x{text}y"))) == ["1"]
    assert await index.runs(RunQuery(workflow_id=text, status=text)) == []  # type: ignore[arg-type]
    assert await index.emails(run_id=text, before=text) == []
    assert await ids(index.runs(RunQuery())) == ["2", "1"]


def test_the_text_of_a_run_is_bounded() -> None:
    deep: Any = "found"
    for _ in range(250):
        deep = [deep, {"key": "x"}]
    assert search_text(make_run(event=deep)).startswith("orders found x x")
    assert len(search_text(make_run(event=["word"] * 10_000))) <= 1_000
    assert len(search_text(make_run(event="y" * 10_000_000))) <= 1_000
    assert search_text(make_run(event=[None, True, 1.5, "x"])) == "orders 1.5 x"


# --- the same answers as a plain list -------------------------------------------------

run_ids = st.sampled_from([*"abcdef", "a-1", "B"])
words = st.sampled_from(["one", "Two", "ß", "%", "e t"])
statuses = st.sampled_from(STATUSES)
workflows = st.sampled_from(["v", "w"])
kinds = st.sampled_from(["suspend", "delay", "rerun"])
moments = st.sampled_from([0, 1, 2, 3, 90_000]).map(
    lambda seconds: NOW + timedelta(seconds=seconds)
)
offsets = st.sampled_from([0, 60, -12 * 60, 14 * 60])


@st.composite
def any_runs(draw: st.DrawFn) -> Run:
    status = draw(statuses)
    return make_run(
        draw(run_ids),
        status,
        workflow_id=draw(workflows),
        event=draw(st.lists(words, max_size=3)),
        pause=pause_of(draw(kinds)) if status == "paused" else None,
        ended_at=draw(moments) if status in ENDED else None,
        created_at=draw(moments),
        updated_at=draw(moments),
    )


any_emails = st.builds(
    lambda run_id, n, status, at: make_email(f"{run_id}-1-1-{n}", status, at),
    run_ids,
    st.integers(0, 2),
    st.sampled_from(["queued", "sent", "failed"]),
    moments,
)
removals = st.lists(run_ids, max_size=3)
accidents = st.sampled_from(["query", "delete the file", "kill", "restart"])
changes = st.lists(st.one_of(any_runs(), any_emails, removals, accidents), max_size=30)
optional = st.none
queries = st.fixed_dictionaries(
    {
        "status": st.one_of(optional(), statuses),
        "workflow_id": st.one_of(optional(), workflows),
        "pause": st.one_of(optional(), kinds),
        "before": st.one_of(optional(), run_ids),
        "limit": st.integers(1, 4),
        "since": st.one_of(optional(), moments),
        "until": st.one_of(optional(), moments),
        "search": st.one_of(optional(), run_ids, st.lists(words, max_size=2).map(" ".join)),
    }
)


FILTERS = ("status", "workflow_id", "pause", "since", "until", "before", "search")


def _order(query: dict[str, Any]) -> Callable[[Run], Any]:
    if query["since"] is None and query["until"] is None:
        return lambda run: run.id
    return lambda run: (run.created_at, run.id)


def _count_day(counts: WorkflowCounts, run: Run, offset: int) -> None:
    day = (run.created_at + timedelta(minutes=offset)).date()
    days = {each.day: each for each in counts.days}
    before = days.get(day, DayCounts(day, 0, 0, 0, 0))
    name = run.status if run.status in ENDED else "active"
    days[day] = before._replace(**{name: getattr(before, name) + 1})
    counts.days[:] = [days[each] for each in sorted(days)]


class PlainList:
    """What the index has to answer, by loops over all runs and emails."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._emails: dict[str, Email] = {}

    def change(self, change: Run | Email | list[str]) -> None:
        if isinstance(change, Run):
            self._runs[change.id] = change
        elif isinstance(change, Email):
            self._emails[change.id] = change
        else:
            for run_id in change:
                self._runs.pop(run_id, None)
                for email in [one for one in self._emails.values() if one.run_id == run_id]:
                    del self._emails[email.id]

    def runs(self, query: dict[str, Any]) -> list[Any]:
        found = [run for run in self._runs.values() if self._matches(run, query)]
        found.sort(key=_order(query), reverse=True)
        return [summary_of(run) for run in found[: query["limit"]]]

    def _matches(self, run: Run, query: dict[str, Any]) -> bool:
        text = fold(" ".join([run.workflow_name, *run.event]))
        return (
            query["status"] in (None, run.status)
            and query["workflow_id"] in (None, run.workflow_id)
            and query["pause"] in (None, run.pause and run.pause.kind)
            and (query["since"] is None or run.created_at >= query["since"])
            and (query["until"] is None or run.created_at < query["until"])
            and self._comes_after(run, query)
            and (
                all(word in text for word in fold(query["search"] or "").split())
                or query["search"] == run.id
            )
        )

    def _comes_after(self, run: Run, query: dict[str, Any]) -> bool:
        before = self._runs.get(query["before"])
        if query["before"] is None or before is None:
            return query["before"] is None or run.id < query["before"]
        return bool(_order(query)(run) < _order(query)(before))

    def emails(self, run_id: str | None) -> list[EmailSummary]:
        found = [one for one in self._emails.values() if run_id in (None, one.run_id)]
        found.sort(key=lambda one: (one.created_at, one.id), reverse=True)
        return [brief(email) for email in found]

    def ended_before(self, moment: datetime) -> list[str]:
        queued = {one.run_id for one in self._emails.values() if one.status == "queued"}
        ended = [run for run in self._runs.values() if run.ended_at and run.ended_at < moment]
        return sorted(run.id for run in ended if run.id not in queued)

    def count_emails(self, status: str) -> int:
        return sum(one.status == status for one in self._emails.values())

    def counts(self, query: CountQuery) -> Counts:
        found: dict[str, WorkflowCounts] = {}
        every = {name: getattr(query, name, None) for name in FILTERS}
        runs = sorted(self._runs.values(), key=lambda run: run.id)
        for run in (run for run in runs if self._matches(run, every)):
            counts = found.setdefault(run.workflow_id, WorkflowCounts(name=run.workflow_id))
            counts.statuses[run.status] = counts.statuses.get(run.status, 0) + 1
            counts.waiting += bool(run.pause and run.pause.kind == "suspend")
            counts.newest = run.id
            _count_day(counts, run, query.offset)
        return Counts(workflows=found)


class Played:
    """An index, what is stored beside it, and the plain list, which all get the same changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._source = MemorySource()
        self._plain = PlainList()
        self._open()

    def _open(self) -> None:
        self._index = Index(self._folder, self._source)
        self._index.start()

    async def play(self, change: Any) -> None:
        if change == "query":
            await self._index.counts()
        elif change == "delete the file":
            (self._folder / INDEX).unlink(missing_ok=True)
        elif change == "kill":
            await kill(self._index)
            self._open()
        elif change == "restart":
            await self._index.close()
            self._open()
        else:
            self._plain.change(change)
            if isinstance(change, list):
                self._source.remove(self._index, *change)
            else:
                self._source.store(self._index, change)

    async def compare(self, query: dict[str, Any], moment: datetime, offset: int) -> None:
        index, plain = self._index, self._plain
        assert await index.runs(RunQuery(**query)) == plain.runs(query)
        for run_id in (None, "a", "a-1"):
            assert await index.emails(run_id=run_id) == plain.emails(run_id)
        assert await index.ended_before(moment, 99) == plain.ended_before(moment)
        counted = CountQuery(
            **{name: query[name] for name in ("workflow_id", "search", "since", "until")},
            first_day=NOW.date() - timedelta(days=1),
            offset=offset,
        )
        assert await index.counts(counted) == plain.counts(counted)
        emails = await index.email_counts()
        for status in (*STATUSES, "sent"):
            assert emails.get(status, 0) == plain.count_emails(status)

    async def restart_reads_nothing(self) -> bool:
        """Whether the state of each file is known after an orderly close."""
        await self._index.close()
        self._source.read.clear()
        self._open()
        await self._index.counts()
        return not self._source.read

    async def close(self) -> None:
        await self._index.close()


async def _answers_agree(
    folder: Path, made: list[Any], query: dict[str, Any], moment: datetime, offset: int
) -> None:
    played = Played(folder)
    try:
        for change in made:
            await played.play(change)
        await played.compare(query, moment, offset)
        assert await played.restart_reads_nothing()
        await played.compare(query, moment, offset)
    finally:
        await played.close()


@settings(max_examples=120, deadline=None)
@given(changes, queries, moments, offsets)
def test_the_answers_are_those_of_a_plain_list(  # type: ignore[no-untyped-def]
    tmp_path_factory, made, query, moment, offset
) -> None:
    folder = tmp_path_factory.mktemp("index")
    asyncio.run(_answers_agree(folder, made, query, moment, offset))
    shutil.rmtree(folder)
