"""Opens a data directory as a server does, in this process, and reads all that it shows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from jupyter_client.multikernelmanager import AsyncMultiKernelManager
from msgspec.json import encode

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import PDFlowError, StoredFileError
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.mail.smtp import SMTPTransport
from jupyter_pdflow.rules.events import Answer
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.api.models import (
    email_view,
    history_view,
    run_item,
    run_view,
    workflow_view,
)
from jupyter_pdflow.server.app import run_event
from jupyter_pdflow.server.executed_notebook import notebook_text
from jupyter_pdflow.server.links.tokens import Links
from jupyter_pdflow.stores import RunQuery, change_of
from jupyter_pdflow.stores.folders import FILES, RunFolders
from jupyter_pdflow.stores.tinydb.layout import DataLock
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from tests.rules.support import no_links

NOW = timedelta()
ALL = RunQuery(limit=500)


class Log(logging.Handler):
    """Keeps what is logged; tests look for tracebacks in it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def __enter__(self) -> Self:
        logging.getLogger("jupyter_pdflow").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("jupyter_pdflow").removeHandler(self)


class OpenServices(NamedTuple):
    service: Service
    links: Links


@asynccontextmanager
async def open_services(
    path: Path, smtp: str = "", later: timedelta = NOW
) -> AsyncIterator[OpenServices]:
    """Open a data directory, now or later; its queued runs find no kernel, and wait."""

    def clock() -> datetime:
        return utc_now() + later

    lock = DataLock(path)
    lock.acquire("test")
    links = Links.from_files(path / "link_keys", lambda: "http://localhost/")
    transport = SMTPTransport.at(smtp) if smtp else None
    pool = KernelPool(AsyncMultiKernelManager(), max_kernels=0, idle_seconds=1)
    store = TinyDBStore(path)
    outbox = Outbox(
        store, transport, mail_from="f@x.org", mail_to=[], clock=clock, links_for=no_links
    )
    folders = RunFolders(path / FILES)
    folders.open()
    engine = Service(store, pool, outbox, links.urls, folders=folders, clock=clock)
    try:
        await engine.open()
        yield OpenServices(engine, links)
    finally:
        await engine.close()
        lock.release()


async def read_all(services: OpenServices) -> None:
    """Read all lists, and each run, email and workflow in every form."""
    engine, urls = services.service, services.links.urls
    runs = await engine.runs(ALL)
    for run in runs:
        with suppress(StoredFileError):  # what lists show of it may be right all the same
            await read_run(services, await engine.run(run.id))
    encode([run_item(run, urls, {}) for run in runs])
    encode([email_view(email) for email in await engine.emails()])
    encode([workflow_view(workflow) for workflow in await engine.workflows()])


async def read_run(services: OpenServices, run: Run) -> None:
    encode(run_view(run, services.links.urls, {}))
    history = await services.service.history(run.id)
    encode([history_view(number, entry) for number, entry in history.items()])
    encode(run_event(change_of(run)))
    with suppress(PDFlowError):
        workflow = await services.service.workflow_of(run)
        outputs = await services.service.outputs(run.id)
        notebook_text(run, workflow, outputs)


async def decide_all(services: OpenServices) -> None:
    """Use both links of each pause, and cancel the runs that have not ended."""
    engine = services.service
    for run in await engine.runs(ALL):
        if run.pause is not None:
            await use_links(services, run.id, run.pause.step, run.pause.execution)
        with suppress(PDFlowError):
            await engine.cancel(run.id, "api", "x")


async def use_links(services: OpenServices, run_id: str, step: str, execution: int) -> None:
    """Resume and cancel a pause as its links do; it may be decided already."""
    engine = services.service
    for use in (engine.resume_pause, engine.cancel_pause):
        with suppress(PDFlowError):
            await use(run_id, step, execution, Answer("link", {"body": 1}))
    await asyncio.sleep(0)
