"""What lists cost beside many runs and emails: the index, in a process of its own, no server."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from ulid import ULID

from benchmarks.figures import Figure, Figures, Goal
from benchmarks.product import temporary_folder
from jupyter_pdflow.rules.pauses import Pause
from jupyter_pdflow.rules.run import STATUSES, Run, Step
from jupyter_pdflow.stores import Email
from jupyter_pdflow.stores.tinydb.index import INDEX, Index
from jupyter_pdflow.stores.tinydb.index_database import RunQuery
from jupyter_pdflow.stores.tinydb.index_source import FolderSource
from jupyter_pdflow.stores.tinydb.layout import ACTIVE, DONE_EMAILS, FINISHED

RUNS, QUICK_RUNS = 100_000, 1_000
SAMPLES, QUICK = 200, 20
NOW = datetime(2026, 11, 27, tzinfo=UTC)
WORDS = [f"{syllable}{number}" for syllable in ("order", "ada", "invoice") for number in range(999)]
PROBE_SECONDS = 0.001
CHANGES_PER_SECOND = 400
WITHIN = (Goal("p50", 50.0),)
HELD = (Goal("p50", 20.0),)


class Pauses:
    """How late an event loop was, each time that it was asked.

    Attributes
    ----------
    found : list of float
        Milliseconds that the loop was late.
    held : list of float
        Milliseconds of processor time that the index's thread used meanwhile: the most for which it
        may have held the interpreter's lock. On a busy machine a pause is much longer than that,
        because the thread that holds the lock waits for a processor.
    """

    def __init__(self) -> None:
        self.found = [0.0]
        self.held = [0.0]

    async def probe(self) -> None:
        while True:
            began, used = time.perf_counter(), _index_seconds()
            await asyncio.sleep(PROBE_SECONDS)
            late = (time.perf_counter() - began - PROBE_SECONDS) * 1e3
            self.found.append(late)
            self.held.append(min(late, (_index_seconds() - used) * 1e3))

    def figures(self, name: str) -> list[Figure]:
        return [
            Figure(f"{name}: longest pause of the loop", "ms", [max(self.found)], goals=WITHIN),
            Figure(f"{name}: index's thread in a pause", "ms", [max(self.held)], goals=HELD),
        ]


def _index_seconds() -> float:
    """Return the processor time of the threads of indexes."""
    idents = [one.ident for one in threading.enumerate() if one.name.startswith("pdflow-index")]
    clocks = [time.pthread_getcpuclockid(ident) for ident in idents if ident is not None]
    return sum(map(time.clock_gettime, clocks))


@asynccontextmanager
async def pauses_of_loop() -> AsyncIterator[Pauses]:
    """Measure, within the block, how late the running event loop is, about each millisecond."""
    pauses = Pauses()
    probing = asyncio.create_task(pauses.probe())
    try:
        yield pauses
    finally:
        probing.cancel()


def measure(quick: bool) -> Figures:
    """Measure the making, the opening and the queries of an index."""
    count = QUICK_RUNS if quick else RUNS
    with temporary_folder() as folder:
        fill(folder, count)
        yield from asyncio.run(_measure(folder, count, QUICK if quick else SAMPLES))


def fill(folder: Path, count: int) -> None:
    """Write `count` runs, a tenth of them active, and half as many emails."""
    FolderSource(folder)  # makes the folders
    random.seed(1)
    for number in range(count):
        run = a_run(number)
        active = run.ended_at is None
        path = folder / (ACTIVE if active else FINISHED).name / f"{run.id}.jsonl"
        path.write_bytes(ACTIVE.dump(run, {}))
        if number % 2:
            email = _email(run)
            content = DONE_EMAILS.type.dump(email)
            (folder / DONE_EMAILS.name / f"{email.id}.json").write_bytes(content)


def a_run(number: int) -> Run:
    """Return a run of about 1.5 KB, as a file has it."""
    at = NOW + timedelta(seconds=number)
    status = random.choice(STATUSES[3:] if number % 10 else STATUSES[:3])
    pause = Pause(kind="suspend", step="ask", execution=1, since=at, deadline=at)
    return Run(
        id=str(ULID.from_datetime(at)),
        workflow_id=f"approval-{number % 20}",
        workflow_name=f"Approval {number % 20}",
        version="0123456789abcdef",
        steps=tuple(Step(name=name, started_at=at, ended_at=at) for name in ("ask", "go", "end")),
        created_at=at,
        updated_at=at,
        status=status,
        pause=pause if status == "paused" else None,
        ended_at=at if number % 10 else None,
        event={"text": " ".join(random.choices(WORDS, k=60)), "number": number},
    )


def _email(run: Run) -> Email:
    return Email(
        id=f"{run.id}-1-1-1",
        run_id=run.id,
        step="ask",
        to=["ada@example.org"],
        subject="Please approve",
        text="x" * 500,
        html=None,
        created_at=run.created_at,
        status="sent",
    )


async def _measure(folder: Path, count: int, samples: int) -> list[Figure]:
    async with pauses_of_loop() as pauses:
        await asyncio.sleep(3)
    figures = [Figure("an idle loop: longest pause", "ms", [max(pauses.found)], "baseline")]
    memory = psutil.Process().memory_info().rss
    for name in ("made", "compared with the files"):
        index = Index(folder, FolderSource(folder))
        async with pauses_of_loop() as pauses:
            began = time.perf_counter()
            index.start()
            (newest,) = await index.runs(RunQuery(limit=1))
            took = time.perf_counter() - began
        figures.append(Figure(f"{name}, {count:,} runs", "s", [took]))
        figures += pauses.figures(name)
        grown = (psutil.Process().memory_info().rss - memory) / 2**20
        figures.append(Figure(f"{name}: memory", "MB", [grown]))
        if name == "made":
            await index.close()
    figures.append(Figure("index.sqlite", "MB", [(folder / INDEX).stat().st_size / 2**20]))
    async with pauses_of_loop() as pauses:
        for name, ask in _questions(index, newest.id).items():
            figures.append(Figure(name, "ms", await _times(ask, samples)))
    figures += pauses.figures("queries")[:1]  # SQLite searches without the interpreter's lock
    figures += await _changes(index, samples)
    await index.close()
    return figures


def _questions(index: Index, newest: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    middle = str(ULID.from_datetime(NOW + timedelta(seconds=RUNS // 2)))
    later, earlier = NOW + timedelta(days=7), NOW - timedelta(days=7)

    def page(**query: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: index.runs(RunQuery(**query))

    return {
        "page of 50": page(),
        "page of 500": page(limit=500),
        "page of 50 from the middle": page(before=middle),
        "page of 50, failed": page(status="failed"),
        "page of 50, one workflow, paused": page(workflow_id="approval-10", pause="suspend"),
        "search, many found": page(search="ada"),
        "search, none found": page(search="nothing"),
        "emails, 50": index.emails,
        "emails of a run": lambda: index.emails(run_id=newest),
        "counts": index.counts,
        "ended before, 100 found": lambda: index.ended_before(later, 100),
        "ended before, none found": lambda: index.ended_before(earlier, 100),
    }


async def _times(ask: Callable[[], Awaitable[Any]], samples: int) -> list[float]:
    times = []
    for _ in range(samples):
        began = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - began) * 1e3)
    return times


async def _changes(index: Index, samples: int) -> list[Figure]:
    """Put runs at a busy server's rate, and ask for pages meanwhile."""
    put, pages = [], []
    async with pauses_of_loop() as pauses:
        for number in range(samples * 10):
            run = a_run(RUNS + number)
            began = time.perf_counter()
            index.put_run(run, (1, number, 1))
            put.append((time.perf_counter() - began) * 1e6)
            if number % 20 == 0:
                pages += await _times(lambda: index.runs(RunQuery()), 1)
            await asyncio.sleep(1 / CHANGES_PER_SECOND)
    return [
        Figure("put_run, on the loop", "µs", put),
        Figure(f"page of 50 beside {CHANGES_PER_SECOND} changes/s", "ms", pages),
        *pauses.figures("changes"),
    ]
