"""Runs and emails for tests of the store on TinyDB, and faults of its disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from jupyter_pdflow.engine.local_queue import Ids
from jupyter_pdflow.rules.events import Cancel
from jupyter_pdflow.rules.history import HistoryEntry
from jupyter_pdflow.rules.run import EmailRequest, OutboxMessage, Run
from jupyter_pdflow.rules.transitions import apply, new_run
from jupyter_pdflow.stores.tinydb import appended
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.rules.support import START, workflow

IDS = Ids()
"""Ids in the order in which they are made, also within a millisecond."""


def run_of(**fields: Any) -> Run:
    """Return a new run."""
    now = datetime.now(UTC)
    run = new_run(IDS.new(now), workflow("a"), {"é": [1, None, 2.5]}, now).run
    return replace(run, **fields)


def canceled(run: Run) -> Run:
    return apply(run, Cancel(by="api"), START).run


def message(run_id: str, number: int = 0, **email: Any) -> OutboxMessage:
    """Return an email of a step's outcome."""
    email = {"subject": "Please approve", "text": "Yes", "to": ["a@example.org"], **email}
    return OutboxMessage(
        id=f"{run_id}-1-0-{number}",
        run_id=run_id,
        step="a",
        created_at=datetime.now(UTC),
        email=EmailRequest(**email),
    )


async def make(store: TinyDBStore, *, ended: bool = False, **fields: Any) -> Run:
    """Store a new run."""
    run = await store.create(run_of(**fields))
    return await commit(store, canceled(run)) if ended else run


async def commit(store: TinyDBStore, run: Run, entries: Sequence[HistoryEntry] = ()) -> Run:
    """Store the next state of a run."""
    async with store.transaction(run.id) as transaction:
        await transaction.commit(run, entries)
    return run


@contextmanager
def failing(function: str, suffix: str = "") -> Iterator[None]:
    """Let a function of the system fail as on a full disk, for paths that end so."""
    place, name = (appended, "sync_data") if function == "fdatasync" else (os, function)
    works = getattr(place, name)

    def fail(*arguments: Any) -> Any:
        if str(arguments[0]).endswith(suffix):
            raise OSError(errno.ENOSPC, "No space left on device")
        return works(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(place, name, fail)
        yield
