"""What is stored of a run when the storage, a gateway or the server fails meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_pdflow.exceptions import (
    ConflictError,
    GatewayUnavailableError,
    KernelError,
    PDFlowError,
    StorageUnavailableError,
    StoredFileError,
)
from jupyter_pdflow.rules.events import Begin
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.rules.transitions import apply
from tests.engine.fakes import Engine, deploy
from tests.stores.memory import Data
from tests.waiting import until


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = Engine(tmp_path, Data())
    await engine.service.open()
    yield engine
    await engine.service.close()


async def start(engine: Engine, steps: int = 1) -> Run:
    return await engine.service.start((await deploy(engine.store, "w", steps)).id)


async def succeeded(engine: Engine, run: Run) -> Run:
    ended = await engine.becomes(run.id, "succeeded")
    await until(lambda: not engine.service.busy)
    return ended


UNREADABLE = StoredFileError("r.jsonl can't be read: Input/output error")
FAULTS = [
    UNREADABLE,
    StorageUnavailableError("The data directory can't be used."),
    ConflictError("The run was changed."),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_an_outcome_is_stored_after_errors(
    engine: Engine, fault: PDFlowError, warm: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if warm:
        await succeeded(engine, await start(engine, 2))

    async def fail() -> None:
        engine.pool.step = _nothing
        engine.store.faults = [fault] * 3

    engine.pool.step = fail
    run = await start(engine, 2)
    ended = await succeeded(engine, run)
    assert [step.exports for step in ended.steps] == [{"from": "s0"}, {"from": "s1"}]
    assert (ended.attempt, ended.crashes) == (1, 0)
    assert engine.pool.executed[-2:] == [run.id] * 2
    errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert len(errors) == (fault is UNREADABLE)


async def test_a_run_whose_outcome_can_not_be_stored_keeps_no_kernel(engine: Engine) -> None:
    async def fail() -> None:
        engine.pool.step = _nothing
        engine.store.faults = [UNREADABLE] * 1_000

    engine.pool.step = fail
    run = await start(engine)
    await until(lambda: engine.pool._idle)
    assert (await engine.service.run(run.id)).status == "running"
    assert engine.service.busy
    engine.store.faults = []
    assert (await succeeded(engine, run)).steps[0].exports == {"from": "s0"}


async def test_a_kernel_that_can_not_be_prepared_fails_the_step(engine: Engine) -> None:
    async def fail() -> None:
        msg = "no kernel"
        raise KernelError(msg)

    engine.pool.setup = fail
    ended = await engine.becomes((await start(engine)).id, "failed")
    assert ended.error is not None
    assert (ended.error.evalue, ended.error.step) == ("no kernel", "s0")


async def test_a_begin_that_can_not_be_stored_fails_no_step(engine: Engine) -> None:
    workflow = await deploy(engine.store, "w")
    engine.store.faults = [UNREADABLE]
    run = await engine.service.start(workflow.id)
    await until(lambda: not engine.service.busy)
    assert (await engine.service.run(run.id)).status == "queued"


async def test_a_conflict_is_retried_at_once(tmp_path: Path) -> None:
    engine = Engine(tmp_path, Data(), storage_retry_seconds=60)
    await engine.service.open()
    workflow = await deploy(engine.store, "w")
    engine.store.faults = [FAULTS[2], None, FAULTS[2]]
    await succeeded(engine, await engine.service.start(workflow.id))
    await engine.service.close()


async def test_a_run_that_another_process_has_begun_is_not_executed(engine: Engine) -> None:
    async def other_begins(run_id: str) -> Run | None:
        run = engine.store.data.runs[run_id]
        engine.store.data.runs[run_id] = apply(run, Begin(owner="other"), run.updated_at).run
        return await begin(run_id)

    begin = engine.service.begin
    engine.service.begin = other_begins  # type: ignore[method-assign]
    run = await start(engine)
    await until(lambda: not engine.service.busy)
    assert (await engine.service.run(run.id)).owner == "other"
    assert engine.pool.executed == []


async def test_a_late_outcome_does_not_execute_the_attempt_of_another_process(
    engine: Engine,
) -> None:
    async def lapses() -> None:
        run = engine.store.data.runs[engine.pool.executed[0]]
        requeued = await engine.service.requeue(run)
        begun = apply(requeued, Begin(owner="other"), run.updated_at).run
        engine.store.data.runs[run.id] = begun

    engine.pool.step = lapses
    run = await start(engine, 2)
    await until(lambda: engine.pool.executed and not engine.service.busy)
    assert engine.pool.executed == [run.id]
    stored = await engine.service.run(run.id)
    assert (stored.owner, stored.attempt, stored.steps[0].exports) == ("other", 2, {})


async def test_a_run_whose_setup_runs_counts_as_executing(engine: Engine) -> None:
    go = asyncio.Event()

    async def setup() -> None:
        await go.wait()

    engine.pool.setup = setup
    run = await start(engine)
    await engine.becomes(run.id, "running")
    assert engine.service.worker().busy == 1
    go.set()
    await succeeded(engine, run)
    assert engine.service.worker().busy == 0


async def test_a_gateway_that_fails_while_the_server_stops_is_no_crash(tmp_path: Path) -> None:
    engine = Engine(tmp_path, Data())
    await engine.service.open()
    go = asyncio.Event()

    async def step() -> None:
        await go.wait()
        msg = "The gateway can't be reached."
        raise GatewayUnavailableError(msg)

    engine.pool.step = step
    run = await start(engine)
    await engine.becomes(run.id, "running")
    engine.store.faults = [FAULTS[1]] * 3
    go.set()
    await until(lambda: len(engine.store.faults) < 3)  # the requeue was tried
    await engine.service.close()
    stored = engine.store.data.runs[run.id]
    assert (stored.status, stored.attempt, stored.crashes) == ("queued", 2, 0)


async def _nothing() -> None:
    pass
