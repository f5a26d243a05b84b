"""What every store has to do: tests that a test class of each store inherits."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_pdflow.exceptions import (
    NotFoundError,
    RunActiveError,
    RunDeletedError,
    StorageUnavailableError,
)
from jupyter_pdflow.rules.events import Begin, Cancel, Event, Finish, LeaseLapsed, Resume
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import EmailRequest, Error, Outcome, Run
from jupyter_pdflow.rules.transitions import apply_all, new_run
from jupyter_pdflow.rules.workflow import Source, StepSource
from jupyter_pdflow.stores import (
    Email,
    IdempotencyKey,
    RunQuery,
    ScheduleMark,
    StepOutputs,
    VersionSummary,
    summary_of,
)
from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.stores.counts import CountQuery, Counts
from tests.rules.support import START, workflow

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
EARLIEST = datetime(1, 1, 1, tzinfo=timezone(14 * HOUR))
LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-14 * HOUR))
TEXT = {"output_type": "stream", "name": "stdout", "text": "Hi"}

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def run_of(number: int, event: Any = None, workflow_id: str = "w") -> Run:
    """Return a new run; the number orders runs by their ids and times."""
    run = new_run(f"run-{number:04}", workflow("a", "b"), event, START + number * SECOND).run
    return replace(run, workflow_id=workflow_id, workflow_name=workflow_id)


def suspended(ms: int = 3_600_000, *subjects: str) -> Outcome:
    emails = [EmailRequest(subject=subject, text="Please", to=["a@b.c"]) for subject in subjects]
    return Outcome(flow=PauseCall(kind="suspend", ms=ms), emails=emails)


def finish(run: Run, outcome: Outcome | None = None) -> Finish:
    return Finish(
        step=run.current.name,
        execution=run.execution,
        attempt=run.attempt,
        outcome=outcome or Outcome(),
    )


async def change(store: Store, run_id: str, *events: Event, at: int = 0) -> Run:
    """Apply events to a run, `at` seconds after it was created, and commit."""
    async with store.transaction(run_id) as transaction:
        run = transaction.run
        whole = apply_all(run, events, run.created_at + at * SECOND)
        await transaction.commit(whole.run, whole.entries)
    return whole.run


async def step(store: Store, run_id: str, outcome: Outcome | None = None, at: int = 0) -> Run:
    run = await change(store, run_id, Begin(owner=store.owner), at=at)
    return await change(store, run_id, finish(run, outcome), at=at)


async def created(store: Store, number: int = 1, event: Any = None, **more: Any) -> Run:
    return await store.create(run_of(number, event, **more))


async def paused(store: Store, number: int = 1, ms: int = 3_600_000, *subjects: str) -> Run:
    run = await created(store, number)
    return await step(store, run.id, suspended(ms, *subjects))


async def ended(store: Store, number: int = 1, *subjects: str) -> Run:
    run = await created(store, number)
    await step(store, run.id, Outcome(emails=suspended(1, *subjects).emails))
    return await step(store, run.id)


def source(text: str = "1") -> Source:
    steps = (StepSource(name="a", source=f"def handler(pd): return {text}"),)
    return Source(kernel_name="python3", setup=(), steps=steps)


class StoreConformance:
    """The tests. A subclass says how its store is made, opened again, and broken."""

    @abstractmethod
    def make(self) -> Store:
        """Return a store, not open, that finds what earlier ones have left in this test."""

    @abstractmethod
    def broken(self, store: Store) -> AbstractContextManager[None]:
        """Let every write of a store fail, as a full disk does."""

    async def let_leases_lapse(self) -> None:
        """Wait until the leases of processes that are gone have lapsed."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = self.make()
        await store.open()
        self.opened = [store]
        yield store
        await self.opened[-1].close()

    async def restart(self) -> Store:
        """Close the store, and open it again."""
        await self.opened[-1].close()
        store = self.make()
        await store.open()
        self.opened.append(store)
        return store

    async def before_and_after_a_restart(self, store: Store) -> AsyncIterator[Store]:
        yield store
        yield await self.restart()

    # --- runs ---

    async def test_a_run_is_read_as_it_was_stored(self, store: Store) -> None:
        run = await created(store, event={"amount": 7})
        assert await store.get(run.id) == run
        run = await step(store, run.id, suspended())
        assert replace(await store.get(run.id), outbox=[]) == replace(run, outbox=[])
        stored = await store.get(run.id)
        assert await (await self.restart()).get(run.id) == stored

    async def test_an_ended_run_is_read_as_it_was_stored(self, store: Store) -> None:
        run = await ended(store)
        assert run.status == "succeeded"
        assert await store.get(run.id) == run
        assert await (await self.restart()).get(run.id) == run

    @pytest.mark.parametrize("run_id", ["unknown", "", "..", "a/b", "é\0", "x" * 5000])
    async def test_an_unknown_run(self, store: Store, run_id: str) -> None:
        await created(store)
        with pytest.raises(NotFoundError):
            await store.get(run_id)
        with pytest.raises(NotFoundError):
            await store.history(run_id)
        with pytest.raises(NotFoundError):
            async with store.transaction(run_id):
                pass
        assert isinstance((await store.delete([run_id]))[run_id], NotFoundError)

    async def test_a_transaction_without_a_commit_changes_nothing(self, store: Store) -> None:
        run = await created(store)
        async with store.transaction(run.id) as transaction:
            assert transaction.run == run
        with pytest.raises(RuntimeError):
            async with store.transaction(run.id):
                raise RuntimeError
        assert await store.get(run.id) == run
        assert await change(store, run.id, Begin(owner="o")) != run

    async def test_transactions_of_one_run_wait_for_each_other(self, store: Store) -> None:
        run = await created(store)

        async def add_one() -> None:
            async with store.transaction(run.id) as transaction:
                count = transaction.run.attempt
                await asyncio.sleep(0)
                await transaction.commit(replace(transaction.run, attempt=count + 1))

        await asyncio.gather(*(add_one() for _ in range(50)))
        assert (await store.get(run.id)).attempt == 51

    async def test_transactions_of_other_runs_do_not_wait(self, store: Store) -> None:
        first, second = await created(store, 1), await created(store, 2)
        async with store.transaction(first.id), asyncio.timeout(10):
            assert (await change(store, second.id, Begin(owner="o"))).status == "running"

    async def test_one_of_many_events_decides(self, store: Store) -> None:
        run = await paused(store)
        request = {"body": None}

        async def resume() -> bool:
            event = Resume(step="a", execution=1, by="link", request=request)
            try:
                await change(store, run.id, event)
            except Exception:  # noqa: BLE001  the pause is decided
                return False
            return True

        assert sum(await asyncio.gather(*(resume() for _ in range(20)))) == 1
        assert [each.resolution for each in (await store.get(run.id)).decisions] == ["resumed"]

    async def test_a_commit_that_fails_changes_nothing(self, store: Store) -> None:
        run = await created(store)
        run = await change(store, run.id, Begin(owner=store.owner))
        history = await store.history(run.id)
        outcome = suspended(1000, "Please")
        with self.broken(store):
            with pytest.raises(StorageUnavailableError):
                await change(store, run.id, finish(run, outcome))
            with pytest.raises(StorageUnavailableError):
                await created(store, 2)
        assert await store.get(run.id) == run
        assert await store.history(run.id) == history
        assert await store.next_deadline() is None
        assert await store.emails(10) == []
        assert [each.id for each in await store.list(RunQuery())] == [run.id]
        store = await self.restart()
        assert await store.get(run.id) == run
        assert [each.id for each in await store.list(RunQuery())] == [run.id]
        await change(store, run.id, finish(run, outcome))
        assert [email.subject for email in await store.emails(10)] == ["Please"]

    @settings(
        max_examples=30,
        deadline=None,
        # Each store runs this test, in a class of its own.
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(event=values, exports=st.dictionaries(st.text(), values, max_size=3))
    def test_any_data_survives(self, event: Any, exports: dict[str, Any]) -> None:
        async def check() -> None:
            store = self.make()
            await store.open()
            number = await self.free_number(store)
            run = await created(store, number, event)
            run = await step(store, run.id, Outcome(exports=exports))
            await store.close()
            store = self.make()
            await store.open()
            assert await store.get(run.id) == run
            await store.close()

        asyncio.run(check())

    async def free_number(self, store: Store) -> int:
        newest = await store.list(RunQuery(limit=1))
        return int(newest[0].id.removeprefix("run-")) + 1 if newest else 1

    async def test_large_data_survives(self, store: Store) -> None:
        run = await created(store, event={"text": "ü" * 3_000_000})
        run = await step(store, run.id, suspended())
        assert replace(await store.get(run.id), outbox=[]) == run
        assert (await (await self.restart()).get(run.id)).event == run.event

    # --- history and outputs ---

    async def test_history_is_numbered_and_kept(self, store: Store) -> None:
        run = run_of(1)
        begun = apply_all(run, [Begin(owner="o")], run.created_at)
        await store.create(begun.run, begun.entries)
        await change(store, run.id, finish(begun.run))
        await step(store, run.id)
        names = ["begin", "finish", "begin", "finish"]
        expected = dict(enumerate(names, 1))
        history = await store.history(run.id)
        assert {number: entry.event for number, entry in history.items()} == expected
        assert await (await self.restart()).history(run.id) == history

    async def test_the_newest_entries_are_kept(self, store: Store) -> None:
        run = run_of(1)
        entry = apply_all(run, [Begin(owner="o")], run.created_at).entries[0]
        await store.create(run, [entry] * 900)
        for count in (300, 1):
            async with store.transaction(run.id) as transaction:
                await transaction.commit(replace(run, attempt=count), [entry] * count)
        assert list(await store.history(run.id)) == list(range(202, 1202))

    async def test_outputs_are_stored_by_execution(self, store: Store) -> None:
        run = await created(store)

        async def show(step: str, execution: int, text: str) -> None:
            shown = StepOutputs(step=step, execution=execution, outputs=[{**TEXT, "text": text}])
            async with store.transaction(run.id) as transaction:
                await transaction.commit(transaction.run, (), shown)

        await show("a", 1, "first")
        await show("a", 2, "second")
        await show("b", 2, "other")
        await show("a", 1, "again")
        found = (await store.outputs(run.id)).by_step()
        assert sorted(each["text"] for each in found["a"]) == ["again", "second"]
        assert found["b"] == [{**TEXT, "text": "other"}]
        store = await self.restart()
        assert (await store.outputs(run.id)).by_step() == found
        assert await store.get(run.id) == run

    async def test_outputs_have_their_attempt_and_widgets(self, store: Store) -> None:
        run = await created(store)
        state = {"model_name": "A", "state": {"value": [1, "ü", None]}}
        shown = StepOutputs(step="a", execution=1, attempt=3, outputs=[TEXT], widgets={"m": state})
        async with store.transaction(run.id) as transaction:
            await transaction.commit(transaction.run, (), shown)
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            kept = await store.outputs(run.id)
            assert (kept.shown, kept.widgets()) == ([shown], {"m": state})

    async def test_the_tag_changes_with_the_outputs(self, store: Store) -> None:
        with pytest.raises(NotFoundError):
            await store.outputs_tag("none")
        run = await created(store)
        tags = [await store.outputs_tag(run.id)]
        assert await store.outputs_tag(run.id) == tags[0]
        for execution in (1, 2, 2):  # without a change of the run
            shown = StepOutputs(step="a", execution=execution, outputs=[TEXT])
            async with store.transaction(run.id) as transaction:
                await transaction.commit(transaction.run, (), shown)
            tags.append(await store.outputs_tag(run.id))
        await change(store, run.id, Begin(owner=store.owner), at=1)
        tags.append(await store.outputs_tag(run.id))
        assert len(set(tags)) == len(tags)

    # --- lists ---

    async def test_lists_are_newest_first_and_have_pages(self, store: Store) -> None:
        runs = [await created(store, number) for number in range(5)]
        ids = [run.id for run in reversed(runs)]
        assert [run.id for run in await store.list(RunQuery())] == ids
        page = await store.list(RunQuery(limit=2, before=ids[1]))
        assert [run.id for run in page] == ids[2:4]
        assert page[0] == summary_of(await store.get(ids[2]))

    async def test_the_newest_id_is_the_greatest_ulid(self, store: Store) -> None:
        ids = ["01M8F1FT4TCH0KP3RZPQ2DMJ33", "01M8F1FT4TCH0KP3RZPQ2DMJ34", "zzz", "8" + "0" * 25]
        ids += [
            "0YZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01M8F1FT4TCH0KP3RZPQ2DMJ3U",
            "01m8f1ft4tch0kp3rzpq2dmj35",
        ]
        for run_id in ids:
            await store.create(replace(run_of(1), id=run_id))
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            assert await store.newest() == ids[1]
        await change(store, ids[1], Cancel(by="api"))
        assert await store.newest() == ids[1]
        assert await store.delete([ids[1]]) == {}
        assert await store.newest() == ids[0]

    async def test_lists_follow_each_commit(self, store: Store) -> None:
        run = await created(store)
        for status, events in {
            "running": [Begin(owner="o")],
            "canceled": [Cancel(by="api")],
        }.items():
            await change(store, run.id, *events)
            assert [each.status for each in await store.list(RunQuery())] == [status]
            assert [each.id for each in await store.list(RunQuery(status=status))] == [run.id]  # type: ignore[arg-type]
        assert await store.list(RunQuery(status="queued")) == []

    async def test_lists_are_filtered(self, store: Store) -> None:
        queued = await created(store, 1, {"customer": "Ada Lovelace"}, workflow_id="orders")
        other = await created(store, 2, {"customer": "Bob"}, workflow_id="returns")
        waiting = await paused(store, 3)
        for query, expected in [
            (RunQuery(status="queued"), [other, queued]),
            (RunQuery(workflow_id="orders"), [queued]),
            (RunQuery(pause="suspend"), [waiting]),
            (RunQuery(pause="rerun"), []),
            (RunQuery(search="LOVELACE ada"), [queued]),
            (RunQuery(search="returns"), [other]),
            (RunQuery(search="' OR 1=1 --"), []),
            (RunQuery(search="%"), []),
        ]:
            assert [run.id for run in await store.list(query)] == [run.id for run in expected]

    async def test_a_search_of_many_words(self, store: Store) -> None:
        run = await created(store, event={"text": "order"})
        found = await store.list(RunQuery(search="order " * 5_000))
        assert [each.id for each in found] == [run.id]

    async def test_a_search_finds_titles_events_workflows_and_ids(self, store: Store) -> None:
        run = replace(run_of(1, {"customer": "Ada", "items": ["Nail", 4711]}, "orders"), id="r-A1")
        run = await store.create(replace(run, workflow_name="Monthly Orders"))
        titled = await created(store, 2, {"about": "r-A1"})
        await step(store, titled.id, replace(suspended(), title="Invoice of March"))
        for search, found in {
            "march INVOICE": [titled],
            "monthly": [run],
            "ada 4711": [run],
            "nail march": [],
            "r-A1": [titled, run],  # as a word of an event, and as an id
            " r-A1 ": [titled, run],
            "r-A": [titled],
            "run-0002": [titled],
            "run-0002 march": [],
            "run-0002\0": [],
            "": [titled, run],
        }.items():
            listed = await store.list(RunQuery(search=search))
            assert sorted(each.id for each in listed) == sorted(each.id for each in found), search
            counts = await store.counts(CountQuery(search=search))
            assert sum(counts.statuses.values()) == len(found), search
        assert await store.list(RunQuery(search="run-0002", status="queued")) == []

    async def test_runs_of_a_time_are_listed(self, store: Store) -> None:
        ids = [(await created(store, number)).id for number in range(5)]
        since, until = START + SECOND, START + 4 * SECOND
        for query, expected in [
            (RunQuery(since=since), ids[:0:-1]),
            (RunQuery(until=until), ids[3::-1]),
            (RunQuery(since=since, until=until), ids[3:0:-1]),
            (RunQuery(since=since, until=until, limit=2), ids[3:1:-1]),
            (RunQuery(since=since, until=until, limit=2, before=ids[2]), [ids[1]]),
            (RunQuery(since=since, before="run-0003x"), ids[3:0:-1]),
            (RunQuery(since=since, status="paused"), []),
            (RunQuery(since=until, until=since), []),
            (RunQuery(since=EARLIEST, until=LATEST), ids[::-1]),
        ]:
            assert [run.id for run in await store.list(query)] == expected, query
        elsewhere = RunQuery(until=since.astimezone(timezone(14 * HOUR)))
        assert [run.id for run in await store.list(elsewhere)] == ids[:1]

    async def test_runs_of_a_clock_that_was_set_back_are_listed(self, store: Store) -> None:
        for number, at in enumerate([2, 3, 1, 3]):
            created_at = START + at * SECOND
            await store.create(replace(run_of(number), created_at=created_at))
        ids, before = list[str](), None
        while page := await store.list(RunQuery(since=START, limit=1, before=before)):
            before = page[0].id
            ids.append(before)
        assert ids == ["run-0003", "run-0001", "run-0000", "run-0002"]

    async def test_counts(self, store: Store) -> None:
        await created(store, 1)
        await created(store, 2, workflow_id="v")
        await paused(store, 3, 1000, "Please")
        await store.create(replace(run_of(4), status="paused"))  # not in a suspend
        counts = await store.counts()
        assert counts.statuses == {"queued": 2, "paused": 2}
        assert counts.of_status("queued") == {"w": 1, "v": 1}
        assert counts.waiting == 1
        own = counts.workflows["w"]
        assert (own.name, own.statuses) == ("w", {"queued": 1, "paused": 2})
        assert (own.waiting, own.newest, own.days) == (1, "run-0004", [])
        assert counts.listed() == ["w", "v"]
        assert await store.email_counts() == {"queued": 1}
        assert await store.oldest_queued() == START + SECOND

    async def test_counts_are_filtered(self, store: Store) -> None:
        await created(store, 1, {"customer": "Ada"})
        await created(store, 2, {"customer": "Bob"}, workflow_id="v")
        await ended(store, 3)
        for query, expected in [
            (CountQuery(workflow_id="w"), {"w": {"queued": 1, "succeeded": 1}}),
            (CountQuery(search="ada"), {"w": {"queued": 1}}),
            (CountQuery(search="' OR 1=1 --"), {}),
            (CountQuery(workflow_id="w", search="bob"), {}),
            (CountQuery(since=START + 2 * SECOND), {"v": {"queued": 1}, "w": {"succeeded": 1}}),
            (CountQuery(until=START + 2 * SECOND), {"w": {"queued": 1}}),
            (CountQuery(workflow_id="\0"), {}),
        ]:
            counts = await store.counts(query)
            found = {one: counted.statuses for one, counted in counts.workflows.items()}
            assert found == expected, query

    async def test_runs_of_each_day_are_counted(self, store: Store) -> None:
        first, midnight = START.date(), datetime.combine(START.date(), time(), UTC)
        hours = [-1, 0, 1, 23, 24, 14 * 24 - 1, 14 * 24]
        for number, hour in enumerate(hours):
            run = replace(run_of(number), created_at=midnight + hour * HOUR)
            await store.create(run)
        await change(store, "run-0001", Cancel(by="api"))
        await step(store, "run-0002", Outcome(error=Error(ename="E", evalue="", traceback=[])))
        last = first + 13 * DAY
        for offset, expected in {
            0: [(first, 0, 1, 1, 1), (first + DAY, 0, 0, 0, 1), (last, 0, 0, 0, 1)],
            60: [(first, 0, 1, 1, 1), (first + DAY, 0, 0, 0, 2)],
            -60: [(first, 0, 1, 0, 2), (last, 0, 0, 0, 2)],
        }.items():
            counts = await store.counts(CountQuery(first_day=first, offset=offset))
            assert counts.workflows["w"].days == expected, offset
            assert sum(counts.statuses.values()) == len(hours)
        query = CountQuery(first_day=first, since=midnight + 24 * HOUR, workflow_id="w")
        days = (await store.counts(query)).workflows["w"].days
        assert days == [(first + DAY, 0, 0, 0, 1), (last, 0, 0, 0, 1)]
        assert (await store.counts(CountQuery(first_day=first - 99 * DAY))).workflows[
            "w"
        ].days == []

    async def test_a_deployed_workflow_is_counted_by_its_name(self, store: Store) -> None:
        workflow, _ = await store.deploy("reports/Weekly sales.ipynb", source(), START)
        await created(store, 1, workflow_id=workflow.id)
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            counted = (await store.counts()).workflows[workflow.id]
            assert counted.name == workflow.name

    async def test_an_empty_store(self, store: Store) -> None:
        assert await store.newest() is None
        assert await store.list(RunQuery()) == []
        assert await store.counts() == Counts()
        assert await store.email_counts() == {}
        assert await store.oldest_queued() is None
        assert await store.next_deadline() is None
        assert await store.next_email_at() is None
        assert await store.workflows() == []

    # --- work ---

    async def test_paused_runs_are_due_in_order(self, store: Store) -> None:
        late, soon = await paused(store, 1, 60_000), await paused(store, 2, 1_000)
        assert soon.pause is not None
        assert late.pause is not None
        first = soon.pause.deadline
        assert await store.next_deadline() == first
        again = late.pause.deadline + DAY
        assert await store.due(first - SECOND, 9, again) == []
        assert await store.due(late.pause.deadline, 1, again) == [soon.id]
        assert await store.due(late.pause.deadline, 9, again) == [late.id]
        assert await store.next_deadline() == again
        store = await self.restart()
        assert await store.next_deadline() in (first, again)
        assert sorted(await store.due(again, 9, again + DAY)) == sorted([soon.id, late.id])

    async def test_a_decided_run_is_not_due(self, store: Store) -> None:
        run = await paused(store)
        resume = Resume(step="a", execution=1, by="link", request={"body": None})
        await change(store, run.id, resume)
        assert await store.next_deadline() is None

    async def test_ready_runs_are_found_at_the_start(self, store: Store) -> None:
        first, second = await created(store, 1), await created(store, 2)
        await paused(store, 3)
        await ended(store, 4)
        store = await self.restart()
        assert await store.ready() == [first.id, second.id]

    async def test_attempts_of_the_last_process_have_lapsed(self, store: Store) -> None:
        run = await created(store)
        run = await change(store, run.id, Begin(owner=store.owner))
        await created(store, 2)
        owner = store.owner
        store = await self.restart()
        assert store.owner != owner
        await self.let_leases_lapse()
        (lapsed,) = await store.lapsed(START + DAY, 9)
        assert lapsed == (run.id, "a", 1, 1)
        assert await store.lapsed(START + DAY, 9) == []
        event = LeaseLapsed(step=lapsed.step, execution=lapsed.execution, attempt=lapsed.attempt)
        assert (await change(store, run.id, event)).attempt == 2

    async def test_changes_are_told(self, store: Store) -> None:
        changes = await store.changes()
        run = await created(store)
        await step(store, run.id, suspended())
        async with asyncio.timeout(10):
            told = [await anext(changes) for _ in range(3)]
        assert [each.status for each in told] == ["queued", "running", "paused"]
        assert (told[2].run_id, told[2].step, told[2].pause_kind) == (run.id, "a", "suspend")

    # --- emails ---

    async def test_emails_of_a_commit_are_taken_over_once(self, store: Store) -> None:
        run = await paused(store, 1, 1000, "first", "second")
        assert (await store.get(run.id)).outbox == []
        assert [email.subject for email in await store.emails(10)] == ["second", "first"]
        async with store.transaction(run.id) as transaction:  # the same emails again
            await transaction.commit(replace(transaction.run, outbox=run.outbox, attempt=2))
        assert len(await store.emails(10)) == 2
        email = await store.email(run.outbox[0].id)
        assert (email.run_id, email.step, email.to) == (run.id, "a", ["a@b.c"])
        assert (email.subject, email.text, email.status) == ("first", "Please", "queued")
        store = await self.restart()
        assert len(await store.emails(10)) == 2
        assert await store.email(email.id) == email

    async def test_emails_of_a_run_that_has_ended(self, store: Store) -> None:
        run = await ended(store, 1, "bye")
        assert [email.run_id for email in await store.emails(10)] == [run.id]
        assert await store.ready() == []

    async def test_emails_of_one_run(self, store: Store) -> None:
        first = await paused(store, 1, 1000, "first", "second")
        other = await ended(store, 2, "other")
        for run, expected in ((first, ["second", "first"]), (other, ["other"])):
            listed = await store.emails(10, run.id)
            assert [email.subject for email in listed] == expected
        assert [email.subject for email in await store.emails(1, first.id)] == ["second"]
        for run_id in ("run-000", "unknown", "", "a\0b", "%"):
            assert await store.emails(10, run_id) == []

    async def test_unknown_emails(self, store: Store) -> None:
        for email_id in ("unknown", "../../etc/passwd", ""):
            with pytest.raises(NotFoundError):
                await store.email(email_id)

    async def test_queued_emails_are_due(self, store: Store) -> None:
        await paused(store, 1, 1000, "first")
        await paused(store, 2, 1000, "second")
        now = START + HOUR
        assert await store.next_email_at() == START + SECOND
        due = await store.due_emails(now, 1, now + DAY)
        due += await store.due_emails(now, 9, now + DAY)
        assert [email.subject for email in due] == ["first", "second"]
        assert await store.due_emails(now, 9, now + DAY) == []

    async def test_an_email_is_due_until_it_is_sent(self, store: Store) -> None:
        await paused(store, 1, 1000, "please")
        now = START + HOUR
        (email,) = await store.due_emails(now, 9, now + DAY)
        await store.put_email(replace(email, attempts=1, error="busy"), now + HOUR)
        assert await store.next_email_at() == now + HOUR
        assert (await store.email(email.id)).error == "busy"
        assert (await store.emails(9))[0].attempts == 1
        await store.put_email(replace(email, attempts=2, status="sent"), None)
        assert await store.next_email_at() is None
        assert await store.email_counts() == {"sent": 1}
        store = await self.restart()
        assert await store.next_email_at() is None
        assert (await store.email(email.id)).status == "sent"

    async def test_queued_emails_are_due_after_a_restart(self, store: Store) -> None:
        await paused(store, 1, 1000, "please")
        store = await self.restart()
        now = START + 365 * DAY * 20
        assert [email.subject for email in await store.due_emails(now, 9, now + DAY)] == ["please"]

    # --- removal ---

    async def test_an_ended_run_is_removed_with_all_that_belongs_to_it(self, store: Store) -> None:
        run, other = await ended(store, 1, "bye"), await ended(store, 2, "other")
        async with store.transaction(run.id) as transaction:
            shown = StepOutputs(step="a", execution=1, outputs=[TEXT])
            await transaction.commit(transaction.run, (), shown)
        assert (await store.outputs(run.id)).by_step()
        assert await store.delete([run.id]) == {}
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            with pytest.raises(NotFoundError):
                await store.get(run.id)
            assert (await store.outputs(run.id)).by_step() == {}
            assert [each.id for each in await store.list(RunQuery())] == [other.id]
            assert [email.run_id for email in await store.emails(9)] == [other.id]
        late = Email(
            id=run.outbox[0].id if run.outbox else f"{run.id}-1-0-0",
            run_id=run.id,
            step="a",
            to=[],
            subject="bye",
            text="",
            html=None,
            created_at=START,
            status="sent",
        )
        await store.put_email(late, None)  # it was being sent
        with pytest.raises(NotFoundError):
            await store.email(late.id)

    async def test_an_active_run_is_not_removed(self, store: Store) -> None:
        run, gone = await paused(store, 1), await ended(store, 2)
        failed = await store.delete([run.id, gone.id])
        assert {run_id: type(error) for run_id, error in failed.items()} == {run.id: RunActiveError}
        assert [each.id for each in await store.list(RunQuery())] == [run.id]

    async def test_old_runs_are_found(self, store: Store) -> None:
        old = [await ended(store, number) for number in range(4)]
        await ended(store, 5, "queued")
        await paused(store, 6)
        moment = START + HOUR
        ids = [run.id for run in old]
        assert await store.ended_before(moment, 9) == ids
        assert await store.ended_before(moment, 2) == ids[:2]
        assert await store.ended_before(moment, 9, ids[1]) == ids[2:]
        assert await store.ended_before(START + 2 * SECOND, 9) == ids[:2]

    # --- keys and marks ---

    async def test_the_same_key_gives_the_same_run(self, store: Store) -> None:
        key = IdempotencyKey(scope="w", key="order 7\0é", expires_at=START + DAY)
        run = await store.create(run_of(1), key=key)
        assert (await store.create(run_of(2), key=key)).id == run.id
        await change(store, run.id, Begin(owner="o"))
        again = await store.create(run_of(3), key=key)
        assert (again.id, again.status) == (run.id, "running")
        other = IdempotencyKey(scope="v", key=key.key, expires_at=key.expires_at)
        assert (await store.create(run_of(4), key=other)).id == "run-0004"
        store = await self.restart()
        assert (await store.create(run_of(5), key=key)).id == run.id
        assert len(await store.list(RunQuery())) == 2

    async def test_a_key_expires(self, store: Store) -> None:
        key = IdempotencyKey(scope="w", key="k", expires_at=START + 2 * SECOND)
        await store.create(run_of(1), key=key)
        assert (await store.create(run_of(2), key=key)).id == "run-0002"
        await store.remove_expired(START + HOUR)
        assert (await store.create(run_of(3), key=key)).id == "run-0003"

    async def test_a_key_of_a_deleted_run_starts_no_other(self, store: Store) -> None:
        key = IdempotencyKey(scope="w", key="k", expires_at=START + DAY)
        run = await store.create(run_of(1), key=key)
        await change(store, run.id, Cancel(by="api"))
        assert await store.delete([run.id]) == {}
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            with pytest.raises(RunDeletedError):
                await store.create(run_of(2), key=key)
            assert await store.list(RunQuery()) == []

    async def test_many_requests_with_one_key_start_one_run(self, store: Store) -> None:
        key = IdempotencyKey(scope="w", key="k", expires_at=START + DAY)
        found = await asyncio.gather(
            *(store.create(run_of(number), key=key) for number in range(20))
        )
        assert len({run.id for run in found}) == 1
        assert len(await store.list(RunQuery())) == 1

    async def test_marks_of_schedules(self, store: Store) -> None:
        for number, trigger in enumerate(("t1", "t2", "t1"), 1):
            at = START + number * HOUR
            mark = ScheduleMark(workflow_id="w", trigger_id=trigger, at=at)
            key = IdempotencyKey(scope="w", key=f"{trigger} {at}", expires_at=at + DAY)
            await store.create(run_of(number), key=key, mark=mark)
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            assert await store.schedule_marks("w") == {
                "t1": START + 3 * HOUR,
                "t2": START + 2 * HOUR,
            }
            assert await store.schedule_marks("v") == {}

    # --- workflows ---

    async def test_versions_of_workflows(self, store: Store) -> None:
        first, is_new = await store.deploy("a.ipynb", source(), START)
        assert is_new
        assert await store.deploy("a.ipynb", source(), START + HOUR) == (first, False)
        second, is_new = await store.deploy("a.ipynb", source("2"), START + HOUR)
        assert is_new
        await store.deploy("b.ipynb", source(), START)
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            assert await store.workflow(first.id) == second
            assert await store.workflow(first.id, first.version) == first
            assert [each.path for each in await store.workflows()] == ["a.ipynb", "b.ipynb"]
            with pytest.raises(NotFoundError):
                await store.workflow("unknown")
            with pytest.raises(NotFoundError):
                await store.workflow(first.id, "unknown")

    async def test_versions_have_numbers(self, store: Store) -> None:
        deployed = [
            (await store.deploy("a.ipynb", source(text), START + hours * HOUR))[0]
            for hours, text in enumerate(("1", "2", "3"))
        ]
        assert [each.number for each in deployed] == [1, 2, 3]
        assert (await store.deploy("b.ipynb", source("2"), START))[0].number == 1
        again = await store.deploy("a.ipynb", source("2"), START + 9 * HOUR)
        assert again == (deployed[1], True)
        assert (await store.deploy("a.ipynb", source("2"), START + 9 * HOUR)) == (
            deployed[1],
            False,
        )
        workflow_id = deployed[0].id
        async for store in self.before_and_after_a_restart(store):  # noqa: B020, PLR1704
            assert await store.workflow(workflow_id) == deployed[1]
            assert await store.deployed("a.ipynb") == deployed[1]
            assert await store.deployed("unknown.ipynb") is None
            versions = await store.versions(workflow_id, 9)
            assert versions == [
                VersionSummary(
                    version=each.version,
                    number=each.number,
                    created_at=each.created_at,
                    current=each.number == 2,
                )
                for each in reversed(deployed)
            ]
            assert await store.versions(workflow_id, 2) == versions[:2]
            with pytest.raises(NotFoundError):
                await store.versions("unknown", 9)
        fourth, _ = await store.deploy("a.ipynb", source("4"), START)
        assert fourth.number == 4

    async def test_numbers_of_the_versions_of_runs(self, store: Store) -> None:
        first, _ = await store.deploy("a.ipynb", source("1"), START)
        second, _ = await store.deploy("a.ipynb", source("2"), START)
        other, _ = await store.deploy("b.ipynb", source("2"), START)
        keys = [(each.id, each.version) for each in (first, second, other)]
        unknown = [(first.id, "unknown"), ("unknown", first.version), ("", "")]
        assert await store.version_numbers([]) == {}
        for _ in range(2):
            found = await store.version_numbers([*keys, *unknown])
            assert found == dict(zip(keys, (1, 2, 1), strict=True))
        third, _ = await store.deploy("a.ipynb", source("3"), START)
        assert await store.version_numbers([(third.id, third.version)]) == {
            (third.id, third.version): 3
        }

    async def test_two_deploys_at_once_never_share_a_number(self, store: Store) -> None:
        found = await asyncio.gather(
            *(store.deploy("a.ipynb", source(str(number % 8)), START) for number in range(16))
        )
        by_version = {workflow.version: workflow.number for workflow, _ in found}
        assert sorted(by_version.values()) == list(range(1, 9))
        assert {workflow.number for workflow, _ in found} == set(range(1, 9))
