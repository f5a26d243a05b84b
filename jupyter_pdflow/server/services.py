"""The one server of a data directory: its lock, and the services that work on it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from filelock import FileLock, Timeout
from jupyter_server.serverapp import ServerApp

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import DataDirLockedError, PDFlowError, StoppingError
from jupyter_pdflow.kernels.manager import close_manager, production_manager
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.configuration import transport_of
from jupyter_pdflow.server.links.tokens import Links
from jupyter_pdflow.server.public_url import MEMORY, PublicAddress
from jupyter_pdflow.settings import Settings
from jupyter_pdflow.stores.tinydb import writer as writer_process
from jupyter_pdflow.stores.tinydb.folders import NOTE, RunFolders
from jupyter_pdflow.stores.tinydb.records import quarantine
from jupyter_pdflow.stores.tinydb.storage import in_thread, read_file
from jupyter_pdflow.stores.tinydb.store import TinyDBStore

logger = logging.getLogger(__name__)

WRITER_SECONDS = 1.0
"""How long the writer of a server that has just died may take to end."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The server that holds a data directory; a command has its name as ``url``."""

    pid: int
    host: str
    url: str
    started_at: datetime


class DataLock:
    """The lock of a data directory; the system frees it when its process dies.

    Whoever takes it makes the directory, for this user only, where it is missing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = FileLock(data_dir / "lock", thread_local=False, mode=0o600)
        self._writer = FileLock(data_dir / writer_process.LOCK, mode=0o600)
        self._note = data_dir / "lock.json"

    def holder(self) -> str | None:
        """Say who holds the lock; None where nobody does."""
        if not Path(self._lock.lock_file).exists():
            return None
        try:
            with self._lock.acquire(timeout=0):
                return None
        except Timeout:
            return self._who()

    def take(self, url: str) -> None:
        """Take the lock and note who holds it.

        Raises
        ------
        DataDirLockedError
            Another server has it; the message says which one.
        OSError
            The directory can't be written.
        """
        _make_private(self._data_dir)
        self._acquire()
        now = datetime.now(UTC)
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), url=url, started_at=now)
        try:
            if os.path.lexists(self._note) and not self._note.is_file():
                quarantine(self._note)
            self._note.write_bytes(msgspec.json.encode(holder))
        except OSError:
            self._lock.release()
            raise

    def free(self) -> None:
        """Let go of the lock, if it is held."""
        if self._lock.is_locked:
            with suppress(OSError):  # an old note does no harm
                self._note.unlink()
            self._lock.release()

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            msg = (
                f"{self._data_dir} is in use by {self._who()}; "
                "stop that one, or set PDFlow.data_dir."
            )
            raise DataDirLockedError(msg) from error
        try:
            self._wait_for_writer()
        except Timeout as error:
            self._lock.release()
            msg = f"A server that has died is still writing to {self._data_dir}; try again soon."
            raise DataDirLockedError(msg) from error

    def _wait_for_writer(self) -> None:
        if Path(self._writer.lock_file).exists():
            with self._writer.acquire(timeout=WRITER_SECONDS):
                pass

    def _who(self) -> str:
        try:
            holder = msgspec.json.decode(read_file(str(self._note)), type=Holder)
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
            return "another server"
        since = f"{holder.started_at:%Y-%m-%d %H:%M:%S} UTC"
        who = f"the server at {holder.url}" if "://" in holder.url else f"`{holder.url}`"
        return f"{who} (process {holder.pid} on {holder.host}, {since})"


def _make_private(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


def build_services(
    settings: Settings, serverapp: ServerApp, on_change: Callable[[Run], None]
) -> Services:
    """Make all that carries runs on; nothing is started yet.

    Parameters
    ----------
    plan : Plan
        What the owner has configured.
    serverapp : ServerApp
        The server that all of it lives in.
    on_change : callable
        Called with a run each time it has changed.
    """
    memory = settings.data_dir / MEMORY
    address = PublicAddress(
        settings.public_url, serverapp.connection_url, serverapp.base_url, memory
    )
    links = Links(settings.data_dir / "link_keys", address)
    outbox = Outbox(
        settings.data_dir,
        transport_of(settings.smtp_url),
        mail_from=settings.mail_from,
        mail_to=settings.mail_to,
        clock=utc_now,
        limits=settings.limits,
    )
    store = TinyDBStore(settings.data_dir)
    folders = RunFolders(settings.files_dir, settings.data_dir / NOTE)
    manager = production_manager(serverapp, settings.data_dir / "gateway_kernels")
    pool = KernelPool(
        manager,
        max_kernels=settings.max_kernels,
        idle_seconds=settings.idle_kernel_seconds,
        spare_kernels=settings.spare_kernels,
        limits=settings.limits,
    )
    engine = Service(
        store,
        pool,
        outbox,
        links.urls,
        on_change,
        folders=folders,
        keep_days=settings.keep_days,
        max_crashes=settings.max_crashes,
        limits=settings.limits,
    )
    return Services(
        engine=engine, links=links, address=address, pool=pool, manager=manager, folders=folders
    )


RETRY_SECONDS = 2.0
"""Between two looks whether another server has let go of the data."""


class Services(NamedTuple):
    """What works on a data directory."""

    engine: Service
    links: Links
    address: PublicAddress
    pool: KernelPool
    manager: Any
    folders: RunFolders

    async def open(self) -> None:
        """Take up the work as the last server left it."""
        self.pool.open()
        await in_thread(self.folders.open)
        await self.engine.open()

    async def close(self) -> None:
        """Stop all work; paused runs wait for the next start."""
        await self.engine.close()
        close_manager(self.manager)


class ServiceManager:
    """Opens the services when the lock of its data directory is free, and closes it.

    Parameters
    ----------
    lock : DataLock
        The lock of the data directory.
    build : callable
        Makes the services; called when the lock is held.
    url : str
        This server's address, told to others that want the lock.
    """

    def __init__(self, lock: DataLock, build: Callable[[], Services], *, url: str) -> None:
        self._lock = lock
        self._build = build
        self._url = url
        self._opening = asyncio.Lock()
        self._services: Services | None = None
        self._refusal: DataDirLockedError | None = None
        self._retry_at = 0.0
        self._stopping = False
        self._waiting: asyncio.Task[None] | None = None

    @property
    def present(self) -> Services | None:
        """The services, if they are open."""
        return self._services

    def check(self) -> None:
        """Raise the error for which the services can never be opened, if there is one."""

    async def services(self) -> Services:
        """Get the services, opening them if need be.

        Raises
        ------
        DataDirLockedError
            Another server holds the data; tried again at most every `RETRY_SECONDS`.
        StoppingError
            This server is shutting down.
        """
        if self._services is not None:
            return self._services
        async with self._opening:
            if self._stopping:
                msg = "This server is shutting down; try again when it is back."
                raise StoppingError(msg)
            if self._services is None:
                self._services = await self._open()
            return self._services

    def start(self) -> None:
        """Open the services as soon as that is possible; the log says why it is not yet."""
        self._waiting = asyncio.create_task(self._keep_trying(), name="open the data directory")

    async def close(self) -> None:
        """Close the services and let go of the data; while steps end, they are still open."""
        if self._waiting is not None:
            self._waiting.cancel()
        async with self._opening:
            self._stopping = True
            if self._services is not None:
                await self._services.engine.stop()
            services, self._services = self._services, None
            if services is not None:
                await services.close()
            self._lock.free()

    async def _keep_trying(self) -> None:
        told = ""
        while True:
            try:
                await self.services()
            except DataDirLockedError:
                pass  # `_take_lock` has said so
            except OSError as error:
                if str(error) != told:
                    logger.error("Workflows don't run on this server yet: %s", error)
                    told = str(error)
            except PDFlowError as error:
                logger.error("Workflows don't run on this server. %s", error)
                return
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _open(self) -> Services:
        self._take_lock()
        try:
            services = self._build()
        except BaseException:
            self._lock.free()
            raise
        try:
            await services.open()
        except BaseException:
            await services.close()
            self._lock.free()
            raise
        return services

    def _take_lock(self) -> None:
        if self._refusal is not None and time.monotonic() < self._retry_at:
            raise self._refusal
        try:
            self._lock.take(self._url)
        except DataDirLockedError as error:
            if self._refusal is None:
                logger.warning("Workflows don't run on this server. %s", error)
            self._refusal = error
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise
        if self._refusal is not None:
            logger.info("The data directory is free; workflows now run on this server.")
        self._refusal = None


class ClosedKeeper(ServiceManager):
    """Refuses all work where a trait can't be used, and touches nothing of the data directory.

    Parameters
    ----------
    error : PDFlowError
        Why; the log says it once, and each route answers with it.
    """

    def __init__(self, error: PDFlowError) -> None:
        self._error = error
        self._services = None

    def check(self) -> None:
        """Raise the error."""
        raise self._error

    async def services(self) -> Services:
        """Raise the error."""
        raise self._error

    def start(self) -> None:
        """Log the error."""
        logger.error("Workflows don't run on this server. %s", self._error)

    async def close(self) -> None:
        """Do nothing: nothing is open."""
