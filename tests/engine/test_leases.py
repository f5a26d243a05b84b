"""When a process renews its leases, takes over others, and gives up what it has lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Self, cast

from msgspec.structs import replace

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.leases import Leases
from jupyter_pdflow.exceptions import StorageUnavailableError
from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.transitions import apply
from jupyter_pdflow.stores import Lapsed, RunChange, WorkerState, change_of
from jupyter_pdflow.stores.base import Store
from tests.rules.support import START
from tests.stores.conformance import run_of
from tests.waiting import until

LEASE_SECONDS = 0.5


class SharedStore:
    """What `Leases` needs of a store that is shared."""

    lease_seconds = LEASE_SECONDS

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.fault: Exception | None = None
        self.renewed: list[set[str]] = []
        self.asked = 0
        self.told: asyncio.Queue[RunChange] = asyncio.Queue()

    async def renew(self, run_ids: Collection[str], worker: WorkerState | None) -> list[str]:
        if self.fault is not None:
            raise self.fault
        self.renewed.append(set(run_ids))
        return list(run_ids)

    async def lapsed(self, *_: Any) -> list[Lapsed]:
        self.asked += 1
        return []

    async def get(self, run_id: str) -> Run:
        if self.fault is not None:
            raise self.fault
        return self.runs[run_id]

    async def changes(self) -> AsyncIterator[RunChange]:
        async def listen() -> AsyncIterator[RunChange]:
            while True:
                yield await self.told.get()

        return listen()


class Process:
    """What a process executes, and which of it was interrupted."""

    def __init__(self) -> None:
        self.store = SharedStore()
        self.executing: dict[str, Run] = {}
        self.storing: set[str] = set()
        self.interrupted: list[str] = []

        async def take_over(_: Lapsed) -> None: ...

        self.leases = Leases(
            cast("Store", self.store),
            executing=lambda: self.executing,
            storing=lambda: self.storing,
            interrupt=self.interrupted.append,
            take_over=take_over,
            worker=lambda: None,
            clock=utc_now,
        )

    async def __aenter__(self) -> Self:
        await self.leases.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leases.close()

    async def begins(self, number: int) -> Run:
        run = apply(run_of(number), Begin(owner="me"), START).run
        self.executing[run.id] = self.store.runs[run.id] = run
        return run


async def test_only_what_is_executed_or_being_stored_is_renewed() -> None:
    """A run with a lease of this process that nobody executes is taken over, by whichever."""
    async with Process() as process:
        run = await process.begins(1)
        process.storing.add("kept")
        await until(lambda: process.store.renewed[-1:] == [{run.id, "kept"}])
        process.executing.clear()
        await until(lambda: process.store.renewed[-1] == {"kept"})


async def test_nothing_is_taken_over_before_the_others_could_renew_theirs() -> None:
    """All leases have lapsed when the store was away for long, and all processes are alive."""
    async with Process() as process:
        await asyncio.sleep(LEASE_SECONDS / 4)
        assert process.store.asked == 0
        await until(lambda: process.store.asked)
        process.store.fault = StorageUnavailableError("It is away.")
        await asyncio.sleep(1.5 * LEASE_SECONDS)
        asked, process.store.fault = process.store.asked, None
        await until(lambda: not process.store.fault and len(process.store.renewed))
        await asyncio.sleep(LEASE_SECONDS / 4)
        assert process.store.asked == asked
        await until(lambda: process.store.asked > asked)


async def test_the_next_step_of_this_process_is_not_interrupted() -> None:
    """Its begin is stored before this process has the answer."""
    async with Process() as process:
        run, other = await process.begins(1), await process.begins(2)
        queued = replace(change_of(run), status="queued")  # it is told late
        process.store.runs[run.id] = replace(run, position=1)
        await process.store.told.put(queued)
        process.store.runs[other.id] = replace(other, status="canceled", owner=None)
        await process.store.told.put(change_of(process.store.runs[other.id]))
        await until(lambda: process.interrupted)
        assert process.interrupted == [other.id]


async def test_the_changes_are_watched_after_an_error() -> None:
    async with Process() as process:
        run = await process.begins(1)
        process.store.fault = ZeroDivisionError()
        process.store.runs[run.id] = replace(run, status="canceled", owner=None)
        await process.store.told.put(change_of(process.store.runs[run.id]))
        await until(process.store.told.empty)
        await asyncio.sleep(0.01)
        process.store.fault = None
        await process.store.told.put(change_of(process.store.runs[run.id]))
        await until(lambda: process.interrupted == [run.id])
