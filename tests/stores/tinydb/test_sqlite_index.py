"""The index answers as a plain list would, and keeps up with the files whatever happens to it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_pdflow.exceptions import IndexUnavailableError
from jupyter_pdflow.rules.run import ENDED, STATUSES, Error, Pause, Run, Step, Usage
from jupyter_pdflow.stores import Email, summary_of
from jupyter_pdflow.stores.tinydb import index_file
from jupyter_pdflow.stores.tinydb.index import INDEX, Index
from jupyter_pdflow.stores.tinydb.index_database import RunQuery
from jupyter_pdflow.stores.tinydb.index_source import (
    AnyRun,
    EmailSummary,
    FolderSource,
    fold,
    search_text,
)
from jupyter_pdflow.stores.tinydb.layout import (
    ACTIVE,
    DONE_EMAILS,
    FINISHED,
    QUEUED_EMAILS,
    DataDir,
    RecordFolder,
)
from jupyter_pdflow.stores.tinydb.storage import write_record
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from jupyter_pdflow.stores.tinydb.writer import Stamp, stamp_of

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def make_run(run_id: str = "a", status: Any = "succeeded", **fields: Any) -> Run:
    run = Run(
        id=run_id,
        workflow_id="orders",
        workflow_name="Orders",
        version="1",
        steps=(Step(name="approve", exports={"big": "x" * 100}),),
        created_at=NOW,
        updated_at=NOW,
        status=status,
        ended_at=NOW if status in ENDED else None,
        pause=pause_of("suspend") if status == "paused" else None,
    )
    return replace(run, **fields)


def pause_of(kind: Any) -> Pause:
    return Pause(kind=kind, step="approve", execution=1, since=NOW, deadline=NOW)


def make_email(email_id: str = "a-1-1-1", status: Any = "queued", at: datetime = NOW) -> Email:
    return Email(
        id=email_id,
        run_id=email_id.rsplit("-", 3)[0],
        step="approve",
        to=["ada@example.org"],
        subject="Please",
        text="x" * 1000,
        html=None,
        created_at=at,
        status=status,
    )


def brief(email: Email) -> EmailSummary:
    return EmailSummary(**{name: getattr(email, name) for name in EmailSummary.__struct_fields__})


class MemorySource:
    """A source in memory, which counts what is read."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[AnyRun, Stamp]] = {}
        self.emails: dict[str, tuple[Email, Stamp]] = {}
        self.read: list[str] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self._stamps = 0

    def put(self, record: Run | Email) -> Stamp:
        self._stamps += 1
        stamp = (1, self._stamps, 1)
        if isinstance(record, Run):
            self.runs[record.id] = record, stamp
        else:
            self.emails[record.id] = record, stamp
        return stamp

    def run_stamps(self) -> Iterator[tuple[str, Stamp]]:
        self.gate.wait(20)
        yield from [(run_id, stamp) for run_id, (_, stamp) in self.runs.items()]

    def email_stamps(self) -> Iterator[tuple[str, Stamp]]:
        yield from [(email_id, stamp) for email_id, (_, stamp) in self.emails.items()]

    def run(self, run_id: str) -> tuple[AnyRun, Stamp] | None:
        self.read.append(run_id)
        self.threads.add(threading.current_thread().name)
        return self.runs.get(run_id)

    def email(self, email_id: str) -> tuple[Email, Stamp] | None:
        self.read.append(email_id)
        return self.emails.get(email_id)

    def store(self, index: Index, *records: Run | Email) -> None:
        """Store records, and tell the index, as a store does after a commit."""
        for record in records:
            stamp = self.put(record)
            if isinstance(record, Run):
                index.put_run(record, stamp)
            else:
                index.put_email(record, stamp)


OpenIndex = Callable[..., Index]


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
async def open_index(tmp_path: Path, source: MemorySource) -> AsyncIterator[OpenIndex]:
    opened = []

    def make(given_source: Any = source, folder: Path = tmp_path) -> Index:
        index = Index(folder, given_source)
        opened.append(index)
        index.start()
        return index

    yield make
    for index in opened:
        source.gate.set()
        if not index._thread._shutdown:
            await index.close()


async def ids(found: Awaitable[Any]) -> list[str]:
    return [one.id for one in await found]


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
    source.runs.clear()
    source.emails.clear()
    index.remove_runs(["a"])
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
    assert await index.newest_run() == "3"


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
    assert await index.newest_run() is None
    empty = await index.counts()
    assert (empty.runs, empty.queued, empty.emails, empty.oldest_queued) == ({}, {}, {}, None)
    for number, status in enumerate(["queued", "queued", "paused", "failed"]):
        at = NOW + timedelta(microseconds=1 + number)
        source.store(index, make_run(str(number), status, updated_at=at))
    source.store(index, make_email("a-1-1-1"))
    source.store(index, make_email("a-1-1-2", "failed"))
    counts = await index.counts()
    assert counts.runs == {"queued": 2, "paused": 1, "failed": 1}
    assert counts.queued == {"orders": 2}
    assert counts.emails == {"queued": 1, "failed": 1}
    assert counts.oldest_queued == NOW + timedelta(microseconds=1)


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
    assert await index.newest_run() == "2"


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
moments = st.integers(0, 4).map(lambda seconds: NOW + timedelta(seconds=seconds))


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
changes = st.lists(st.one_of(any_runs(), any_emails, removals, st.none()), max_size=30)
optional = st.none
queries = st.fixed_dictionaries(
    {
        "status": st.one_of(optional(), statuses),
        "workflow_id": st.one_of(optional(), workflows),
        "pause": st.one_of(optional(), kinds),
        "before": st.one_of(optional(), run_ids),
        "limit": st.integers(1, 4),
        "search": st.one_of(optional(), st.lists(words, max_size=2).map(" ".join)),
    }
)


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
        found.sort(key=lambda run: run.id, reverse=True)
        return [summary_of(run) for run in found[: query["limit"]]]

    def _matches(self, run: Run, query: dict[str, Any]) -> bool:
        text = fold(" ".join([run.workflow_name, *run.event]))
        return (
            query["status"] in (None, run.status)
            and query["workflow_id"] in (None, run.workflow_id)
            and query["pause"] in (None, run.pause and run.pause.kind)
            and (query["before"] is None or run.id < query["before"])
            and all(word in text for word in fold(query["search"] or "").split())
        )

    def emails(self, run_id: str | None) -> list[EmailSummary]:
        found = [one for one in self._emails.values() if run_id in (None, one.run_id)]
        found.sort(key=lambda one: (one.created_at, one.id), reverse=True)
        return [brief(email) for email in found]

    def ended_before(self, moment: datetime) -> list[str]:
        queued = {one.run_id for one in self._emails.values() if one.status == "queued"}
        ended = [run for run in self._runs.values() if run.ended_at and run.ended_at < moment]
        return sorted(run.id for run in ended if run.id not in queued)

    def count(self, status: str) -> tuple[int, int]:
        return tuple(  # type: ignore[return-value]
            sum(one.status == status for one in records.values())
            for records in (self._runs, self._emails)
        )


async def _answers_agree(
    folder: Path,
    made: list[Any],
    query: dict[str, Any],
    moment: datetime,
    *,
    again: bool,
) -> None:
    """Make changes, None being a flush; compare all answers, also after a restart if `again`."""
    source, plain = MemorySource(), PlainList()
    index = Index(folder, source)
    index.start()
    for change in made:
        if change is None:
            await index.newest_run()
            continue
        plain.change(change)
        if isinstance(change, Run | Email):
            source.store(index, change)
        else:
            for run_id in change:
                source.runs.pop(run_id, None)
            source.emails = {
                key: pair for key, pair in source.emails.items() if pair[0].run_id not in change
            }
            index.remove_runs(change)
    if again:
        await index.newest_run()
        await index.close()
        source.read.clear()
        index = Index(folder, source)
    try:
        assert await index.runs(RunQuery(**query)) == plain.runs(query)
        for run_id in (None, "a", "a-1"):
            assert await index.emails(run_id=run_id) == plain.emails(run_id)
        assert await index.ended_before(moment, 99) == plain.ended_before(moment)
        counts = await index.counts()
        for status in (*STATUSES, "sent"):
            found = counts.runs.get(status, 0), counts.emails.get(status, 0)
            assert found == plain.count(status)
        assert not (again and source.read)  # every stamp was stored
    finally:
        await index.close()


@settings(max_examples=150, deadline=None)
@given(changes, queries, moments, st.booleans())
def test_the_answers_are_those_of_a_plain_list(  # type: ignore[no-untyped-def]
    tmp_path_factory, made, query, moment, again
) -> None:
    folder = tmp_path_factory.mktemp("index")
    asyncio.run(_answers_agree(folder, made, query, moment, again=again))
    shutil.rmtree(folder)


# --- keeping up with the files --------------------------------------------------------


async def test_a_new_index_reads_everything_in_its_own_thread(
    open_index: OpenIndex, source: MemorySource
) -> None:
    for number in range(250):
        source.put(make_run(f"{number:03}"))
    source.put(make_email("000-1-1-1"))
    index = open_index()
    assert len(await index.runs(RunQuery(limit=500))) == 250
    assert len(await index.emails()) == 1
    assert {name.rpartition("_")[0] for name in source.threads} == {"pdflow-index"}


async def test_after_a_close_only_what_differs_is_read(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    for run_id in "abcd":
        source.store(index, make_run(run_id))
    source.store(index, make_email("b-1-1-1"))
    await index.newest_run()
    source.put(make_run("e"))
    index.put_run(make_run("e"), None)  # the state of its file is not known
    await index.close()
    source.read.clear()
    del source.runs["a"], source.emails["b-1-1-1"]
    source.put(make_run("b", "failed"))
    source.put(make_run("f"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["f", "e", "d", "c", "b"]
    assert await ids(index.runs(RunQuery(status="failed"))) == ["b"]
    assert await index.emails() == []
    assert sorted(source.read) == ["a", "b", "b-1-1-1", "e", "f"]


async def test_changes_during_the_reading_of_files_are_seen(
    open_index: OpenIndex, source: MemorySource
) -> None:
    for run_id in "abc":
        source.put(make_run(run_id, "running"))
    source.gate.clear()
    index = open_index()
    asking = asyncio.create_task(ids(index.runs(RunQuery())))
    source.store(index, make_run("b"))
    source.store(index, make_run("d"))
    del source.runs["c"]
    index.remove_runs(["c"])
    await asyncio.sleep(0.15)  # longer than changes are gathered
    assert not asking.done()
    source.gate.set()
    assert await asking == ["d", "b", "a"]
    assert await ids(index.runs(RunQuery(status="running"))) == ["a"]


async def test_changes_are_written_without_a_query(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    await index.newest_run()
    source.store(index, make_run("a"))
    source.store(index, make_run("b"))
    copy = tmp_path / "copy"
    for _ in range(200):
        await asyncio.sleep(0.02)
        shutil.copy(tmp_path / INDEX, copy)
        with sqlite3.connect(copy) as reader:
            found = reader.execute("SELECT id FROM runs ORDER BY id").fetchall()
        reader.close()
        if found == [("a",), ("b",)]:
            return
    pytest.fail("nothing was written")


def remove(path: Path) -> None:
    path.unlink()


def garble(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(path.stat().st_size - 100))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_empty_file(path: Path) -> None:
    path.unlink()
    path.touch()


DAMAGES = [remove, garble, truncate, overwrite, replace_by_folder, replace_by_empty_file]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("when", ["open", "closed"])
async def test_a_file_that_is_deleted_or_damaged_is_made_anew(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource, damage: Any, when: str
) -> None:
    index = open_index()
    for number in range(300):
        run = make_run(f"{number:03}", event=[str(number)])
        source.store(index, run)
    assert len(await index.runs(RunQuery(limit=500))) == 300
    if when == "closed":
        await index.close()
    damage(tmp_path / INDEX)
    if when == "closed":
        index = open_index()
    source.store(index, make_run("new"))
    assert len(await index.runs(RunQuery(limit=500))) == 301
    assert await ids(index.runs(RunQuery(search="299"))) == ["299"]
    assert (await index.counts()).runs == {"succeeded": 301}


async def test_a_write_that_finds_the_file_deleted_has_it_made_anew(
    tmp_path: Path,
    open_index: OpenIndex,
    source: MemorySource,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = open_index()
    await index.newest_run()
    (tmp_path / INDEX).unlink()
    source.store(index, make_run("a"))
    for _ in range(200):
        await asyncio.sleep(0.02)
        if "made anew" in caplog.text:
            break
    source.store(index, make_run("b"))
    assert await ids(index.runs(RunQuery())) == ["b", "a"]


async def test_a_file_of_another_version_is_made_anew(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    source.put(make_run("a"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["a"]
    await index.close()
    with sqlite3.connect(tmp_path / INDEX) as other:
        other.execute("PRAGMA user_version = 7")
        other.execute("UPDATE runs SET summary = '{}'")
    other.close()
    assert await ids(open_index().runs(RunQuery())) == ["a"]


async def test_a_summary_that_can_not_be_read_has_the_file_made_anew(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    source.put(make_run("a"))
    index = open_index()
    assert await ids(index.runs(RunQuery())) == ["a"]
    index._file.connection.execute("UPDATE runs SET summary = '{\"id\": 1}'")
    assert await ids(index.runs(RunQuery())) == ["a"]


async def test_an_index_that_can_not_be_made_is_an_error_until_it_can(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put(make_run("a"))
    full = sqlite3.OperationalError("database or disk is full")

    def fail(*_: object, **__: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(index_file.sqlite3, "connect", fail)
        index = open_index()
        for _ in range(2):
            with pytest.raises(IndexUnavailableError, match="the server's log"):
                await index.runs(RunQuery())
        source.store(index, make_run("b"))
    assert await ids(index.runs(RunQuery())) == ["b", "a"]


async def test_a_source_that_fails_for_now_costs_nothing_that_is_indexed(
    open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    assert await ids(index.runs(RunQuery())) == ["a"]
    await index.close()
    source.put(make_run("b"))

    def fail(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(source, "run", fail)
        index = open_index()
        with pytest.raises(IndexUnavailableError):
            await index.runs(RunQuery())
    source.read.clear()
    assert await ids(index.runs(RunQuery())) == ["b", "a"]
    assert source.read == ["b"]


# --- kills and power cuts -------------------------------------------------------------


async def leave_unclosed(index: Index) -> None:
    """End an index as a kill would: nothing is written any more, and nothing noted."""
    await index.newest_run()
    index._updating = None
    index._file._disconnect()


async def test_after_a_kill_only_what_differs_is_read(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    for run_id in "abc":
        source.store(index, make_run(run_id))
    await leave_unclosed(index)
    source.read.clear()
    source.put(make_run("b", "failed"))  # stored, and killed before it was written to the index
    again = open_index()
    assert await ids(again.runs(RunQuery(status="failed"))) == ["b"]
    assert source.read == ["b"]


async def test_after_a_power_cut_everything_is_read(
    open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    for run_id in "abc":
        source.store(index, make_run(run_id))
    await leave_unclosed(index)
    source.read.clear()
    monkeypatch.setattr(index_file, "_boot", lambda: "another one")
    assert await ids(open_index().runs(RunQuery())) == ["c", "b", "a"]
    assert source.read == ["a", "b", "c"]


async def test_after_a_close_and_a_restart_of_the_machine_nothing_is_read(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    await index.newest_run()
    await index.close()
    source.read.clear()
    monkeypatch.setattr(index_file, "_boot", lambda: "second")
    again = open_index()
    assert await ids(again.runs(RunQuery())) == ["a"]
    assert source.read == []
    await leave_unclosed(again)  # what was synced at the close says nothing about what came then
    monkeypatch.setattr(index_file, "_boot", lambda: "third")
    assert await ids(open_index().runs(RunQuery())) == ["a"]
    assert source.read == ["a"]


async def test_a_copy_of_the_file_is_not_trusted(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    source.store(index, make_run("a"))
    await index.newest_run()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / INDEX, copy)
    source.read.clear()
    assert await ids(open_index(folder=copy).runs(RunQuery())) == ["a"]
    assert source.read == ["a"]


WRITES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from jupyter_pdflow.stores.tinydb.index import Index
from tests.stores.tinydb.test_sqlite_index import MemorySource, make_run

async def main():
    source, number = MemorySource(), 0
    index = Index(Path(sys.argv[1]), source)
    index.start()
    while True:
        for number in range(number, number + 50):
            source.store(index, make_run(f"{number:06}", event=["word"] * 100))
        number += 1
        await index.newest_run()
        print(number, flush=True)

asyncio.run(main())
"""


def write_until_killed(folder: Path) -> int:
    """Return how many runs another process has surely written before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_UNTIL_KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        answered = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
    return answered[-1]


async def test_a_process_that_is_killed_leaves_whole_rows(
    tmp_path: Path, open_index: OpenIndex, source: MemorySource
) -> None:
    count = await asyncio.to_thread(write_until_killed, tmp_path)
    for number in range(count):
        source.put(make_run(f"{number:06}", event=["word"] * 100))
    index = open_index()
    assert (await index.counts()).runs == {"succeeded": count}
    assert len(await index.runs(RunQuery(limit=9_999, search="word"))) == count
    assert all(run_id >= f"{count:06}" for run_id in source.read)  # the others were not lost


# --- the folders of a data directory --------------------------------------------------


async def test_the_index_of_a_data_directory(tmp_path: Path, open_index: OpenIndex) -> None:
    store = TinyDBStore(tmp_path)
    assert list(store.active()) == []
    await store.put(make_run("a", "paused", event={"text": "Find me"}))
    await store.put(make_run("b"))
    await store.finish(make_run("b"))
    await store.close()
    data = DataDir(tmp_path)
    for email, folder in (
        (make_email("a-1-1-1"), QUEUED_EMAILS),
        (make_email("b-1-1-1"), DONE_EMAILS),
    ):
        data.write(folder, email.id, email)
    index = open_index(FolderSource(tmp_path))
    assert await ids(index.runs(RunQuery())) == ["b", "a"]
    assert await ids(index.runs(RunQuery(search="find"))) == ["a"]
    assert await index.runs(RunQuery(status="paused")) == [summary_of(make_run("a", "paused"))]
    assert await ids(index.emails()) == ["b-1-1-1", "a-1-1-1"]


async def test_files_of_both_formats_and_unreadable_ones(
    tmp_path: Path, open_index: OpenIndex, caplog: pytest.LogCaptureFixture
) -> None:
    source = FolderSource(tmp_path)
    finished = tmp_path / FINISHED.name
    old = b'{"run":{"1":{"format":1,"id":"old",%b}}}' % (
        b'"workflow_id":"w","workflow_name":"W","version":"1","steps":[],"status":"failed",'
        b'"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","event":"Hay"'
    )
    (finished / "old.json").write_bytes(old)
    (finished / "bad.jsonl").write_bytes(b"{}\n")
    (finished / "folder.jsonl").mkdir()
    (finished / "no id!.jsonl").write_bytes(b"{}\n")
    (finished / "half.json.tmp").write_bytes(b"{}")
    index = open_index(source)
    with caplog.at_level(logging.WARNING):
        assert await ids(index.runs(RunQuery(search="hay"))) == ["old"]
    assert "bad.jsonl" in caplog.text
    assert "folder" not in caplog.text
    assert await ids(index.runs(RunQuery())) == ["old"]


async def test_a_run_that_moves_while_it_is_read_is_found(tmp_path: Path) -> None:
    source, data = FolderSource(tmp_path), DataDir(tmp_path)
    data.write(ACTIVE, "a", make_run("a"))
    stamps = source.run_stamps()
    assert next(stamps)[0] == "a"
    data.file(ACTIVE, "a").rename(tmp_path / FINISHED.name / "a.jsonl")
    assert [run_id for run_id, _ in stamps] == ["a"]
    found = source.run("a")
    assert found is not None
    assert found[1] == stamp_of(tmp_path / FINISHED.name / "a.jsonl")
    assert source.run("unknown") is None


async def test_the_newer_of_two_files_of_a_run_counts(
    tmp_path: Path, open_index: OpenIndex
) -> None:
    source, data = FolderSource(tmp_path), DataDir(tmp_path)
    folder: RecordFolder[Run] = ACTIVE
    data.write(folder, "a", make_run("a", "paused"))
    fields = b'{"id":"a","workflow_id":"w","workflow_name":"W","version":"1","steps":[]}'
    write_record(tmp_path / ACTIVE.name / "a.json", fields, "run")
    for _ in range(2):  # it is read again at each start, until one of the files has gone
        index = open_index(source)
        assert await ids(index.runs(RunQuery(status="paused"))) == ["a"]
        await index.close()


# --- beside the event loop ------------------------------------------------------------


async def test_the_loop_continues_while_an_index_is_made(
    open_index: OpenIndex, source: MemorySource
) -> None:
    source.gate.clear()
    index = open_index()
    asking = asyncio.create_task(index.newest_run())
    for _ in range(100):
        await asyncio.sleep(0)
        source.store(index, make_run("a", "running"))
    source.gate.set()
    assert await asking == "a"


async def test_a_canceled_query_loses_no_change(
    open_index: OpenIndex, source: MemorySource
) -> None:
    index = open_index()
    await index.newest_run()
    source.store(index, make_run("a"))
    asking = asyncio.create_task(index.newest_run())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await index.newest_run() == "a"


async def test_a_close_while_files_are_read_stops_the_reading(
    open_index: OpenIndex, source: MemorySource
) -> None:
    for number in range(1_000):
        source.put(make_run(f"{number:04}"))
    index = open_index()
    while not source.read:
        await asyncio.sleep(0)
    await index.close()
    assert len(source.read) < 1_000
    source.read.clear()
    again = open_index()
    assert len(await again.runs(RunQuery(limit=2_000))) == 1_000
    assert len(source.read) < 1_000  # what was read before the close is kept
