"""Counts are made one at a time, and shared by those who ask for the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from jupyter_pdflow.engine.counting import Counting
from jupyter_pdflow.exceptions import StoppingError, StorageUnavailableError
from jupyter_pdflow.stores.counts import ALL, CountQuery, Counts, WorkflowCounts

OTHER = CountQuery(workflow_id="w")


class Store:
    """Counts how often it counts, which takes until `go` is set."""

    def __init__(self) -> None:
        self.begun: list[CountQuery] = []
        self.at_once = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def counts(self, query: CountQuery) -> Counts:
        self.begun.append(query)
        self.at_once += 1
        assert self.at_once == 1
        try:
            await self.go.wait()
        finally:
            self.at_once -= 1
        if self.error is not None:
            raise self.error
        number = len(self.begun)
        return Counts(workflows={"w": WorkflowCounts(name="w", waiting=number)})


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def counting(store: Store) -> AsyncIterator[Counting]:
    counting = Counting(store.counts)
    yield counting
    await counting.close()


async def begun(store: Store, count: int) -> None:
    async with asyncio.timeout(10):
        while len(store.begun) < count:
            await asyncio.sleep(0.001)


async def test_who_asks_meanwhile_shares_the_next_count(store: Store, counting: Counting) -> None:
    first = asyncio.create_task(counting.counts(ALL))
    await begun(store, 1)
    later = [asyncio.create_task(counting.counts(CountQuery())) for _ in range(5)]
    await asyncio.sleep(0)
    store.go.set()
    assert (await first).waiting == 1
    # Not the count that had begun before they asked.
    assert [(await each).waiting for each in later] == [2] * 5
    assert store.begun == [ALL, ALL]
    assert (await counting.counts(ALL)).waiting == 3


async def test_other_queries_wait_for_their_turn(store: Store, counting: Counting) -> None:
    asked = [asyncio.create_task(counting.counts(query)) for query in (ALL, OTHER, ALL, OTHER)]
    await begun(store, 1)
    store.go.set()
    assert sorted([(await each).waiting for each in asked]) == [1, 1, 2, 2]
    assert store.begun == [ALL, OTHER]


async def test_an_error_is_that_of_all_who_share_it(store: Store, counting: Counting) -> None:
    store.error = StorageUnavailableError("The disk is full.")
    store.go.set()
    for error in await asyncio.gather(
        counting.counts(ALL), counting.counts(ALL), return_exceptions=True
    ):
        assert isinstance(error, StorageUnavailableError)
    store.error = None
    assert (await counting.counts(ALL)).waiting == 2


async def test_a_caller_that_is_canceled_takes_nothing_from_others(
    store: Store, counting: Counting
) -> None:
    gone, stays = (asyncio.create_task(counting.counts(ALL)) for _ in range(2))
    await begun(store, 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    store.go.set()
    assert (await stays).waiting == 1


async def test_a_stop_answers_who_waits(store: Store, counting: Counting) -> None:
    asked = [asyncio.create_task(counting.counts(query)) for query in (ALL, OTHER)]
    await begun(store, 1)
    await counting.close()
    for error in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(error, StoppingError)
