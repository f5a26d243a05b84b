"""The services of a data directory: who may open them, how they are built, opened and closed.

One server at a time works on a data directory. `DataLock` is the lock of the directory,
`build_services` makes the services, and `ServiceManager` opens them as soon as the lock is free.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
from jupyter_pdflow.server.configuration import smtp_transport
from jupyter_pdflow.server.links.tokens import LINK_KEYS, Links
from jupyter_pdflow.server.public_url import ORIGIN_FILE, PublicAddress
from jupyter_pdflow.settings import Settings
from jupyter_pdflow.stores.tinydb import writer as writer_process
from jupyter_pdflow.stores.tinydb.folders import NOTE, RunFolders
from jupyter_pdflow.stores.tinydb.records import quarantine
from jupyter_pdflow.stores.tinydb.storage import in_thread, read_file
from jupyter_pdflow.stores.tinydb.store import TinyDBStore

logger = logging.getLogger(__name__)

WRITER_SECONDS = 1.0
"""How long to wait for the writer process of a server that was killed."""

RETRY_SECONDS = 2.0
"""Time between two attempts to take the lock of the data directory."""


class LockHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds a data directory; the ``url`` of a command is its name."""

    pid: int
    host: str
    url: str
    started_at: datetime


class DataLock:
    """The lock of a data directory; the operating system releases it when the process ends.

    Parameters
    ----------
    data_dir : Path
        The data directory. `acquire` makes it, for this user only, if it does not exist.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = FileLock(data_dir / "lock", thread_local=False, mode=0o600)
        self._writer_lock = FileLock(data_dir / writer_process.LOCK, mode=0o600)
        self._holder_file = data_dir / "lock.json"

    def holder(self) -> str | None:
        """Return a description of the process that holds the lock, or None if the lock is free."""
        if not Path(self._lock.lock_file).exists():
            return None
        try:
            with self._lock.acquire(timeout=0):
                return None
        except Timeout:
            return self._describe_holder()

    def acquire(self, url: str) -> None:
        """Acquire the lock, and store who holds it.

        Parameters
        ----------
        url : str
            The address of this server, or the name of this command.

        Raises
        ------
        DataDirLockedError
            Another process holds the lock; the message describes it.
        OSError
            The directory can't be written.
        """
        _make_private_folder(self._data_dir)
        self._acquire_lock()
        now = datetime.now(UTC)
        holder = LockHolder(pid=os.getpid(), host=socket.gethostname(), url=url, started_at=now)
        try:
            if os.path.lexists(self._holder_file) and not self._holder_file.is_file():
                quarantine(self._holder_file)
            self._holder_file.write_bytes(msgspec.json.encode(holder))
        except OSError:
            self._lock.release()
            raise

    @contextmanager
    def held(self, command: str) -> Iterator[None]:
        """Hold the lock for a command that needs no server.

        Raises
        ------
        DataDirLockedError
            A server or another command has it; the message says which one.
        """
        holder = self.holder()  # asked first, as `acquire` changes the directory's mode
        if holder is not None:
            msg = f"{self._data_dir} is in use by {holder}; stop that first, then do this again."
            raise DataDirLockedError(msg)
        self.acquire(command)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Release the lock if this process holds it."""
        if self._lock.is_locked:
            # Before the release: afterwards the file may be the next holder's.
            with suppress(OSError):
                self._holder_file.unlink()
            self._lock.release()

    def _acquire_lock(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            msg = (
                f"{self._data_dir} is in use by {self._describe_holder()}; "
                "stop that one, or set PDFlow.data_dir."
            )
            raise DataDirLockedError(msg) from error
        # The writer process of a killed server may outlive it, and still write what it was sent.
        try:
            self._wait_for_writer()
        except Timeout as error:
            self._lock.release()
            msg = (
                f"A server that has ended is still writing to {self._data_dir}; "
                "try again in a few seconds."
            )
            raise DataDirLockedError(msg) from error

    def _wait_for_writer(self) -> None:
        if Path(self._writer_lock.lock_file).exists():
            with self._writer_lock.acquire(timeout=WRITER_SECONDS):
                pass

    def _describe_holder(self) -> str:
        try:
            holder = msgspec.json.decode(read_file(str(self._holder_file)), type=LockHolder)
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
            return "another server"
        since = f"{holder.started_at:%Y-%m-%d %H:%M:%S} UTC"
        name = f"the server at {holder.url}" if "://" in holder.url else f"`{holder.url}`"
        return f"{name} (process {holder.pid} on {holder.host}, {since})"


def _make_private_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


class Services(NamedTuple):
    """All that works on a data directory."""

    service: Service
    links: Links
    address: PublicAddress
    pool: KernelPool
    kernel_manager: Any
    folders: RunFolders

    async def open(self) -> None:
        """Continue the work that the last server left."""
        self.pool.open()
        await in_thread(self.folders.open)
        await self.service.open()

    async def close(self) -> None:
        """Stop all work; paused runs wait for the next start."""
        await self.service.close()
        close_manager(self.kernel_manager)


def build_services(
    settings: Settings, serverapp: ServerApp, on_change: Callable[[Run], None]
) -> Services:
    """Return the services of a data directory, not opened yet.

    Parameters
    ----------
    settings : Settings
        What the owner has configured.
    serverapp : ServerApp
        The server that the services are part of.
    on_change : callable
        Called with a run each time it has changed.

    Raises
    ------
    KeyFileError
        The keys of links can't be used.
    """
    address = PublicAddress(
        settings.public_url,
        serverapp.connection_url,
        serverapp.base_url,
        settings.data_dir / ORIGIN_FILE,
    )
    links = Links(settings.data_dir / LINK_KEYS, address)
    outbox = Outbox(
        settings.data_dir,
        smtp_transport(settings.smtp_url),
        mail_from=settings.mail_from,
        mail_to=settings.mail_to,
        clock=utc_now,
        limits=settings.limits,
    )
    folders = RunFolders(settings.files_dir, settings.data_dir / NOTE)
    kernel_manager = production_manager(serverapp, settings.data_dir / "gateway_kernels")
    pool = KernelPool(
        kernel_manager,
        max_kernels=settings.max_kernels,
        idle_seconds=settings.idle_kernel_seconds,
        prestarted_kernels=settings.spare_kernels,
        limits=settings.limits,
    )
    service = Service(
        TinyDBStore(settings.data_dir),
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
        service=service,
        links=links,
        address=address,
        pool=pool,
        kernel_manager=kernel_manager,
        folders=folders,
    )


class ServiceManager:
    """Opens the services when the lock of the data directory is free, and closes them.

    Parameters
    ----------
    lock : DataLock
        The lock of the data directory.
    build : callable
        Returns the services; called while the lock is held.
    url : str
        This server's address; other servers that want the lock show it.
    """

    def __init__(self, lock: DataLock, build: Callable[[], Services], *, url: str) -> None:
        self._lock = lock
        self._build = build
        self._url = url
        self._opening = asyncio.Lock()
        self._services: Services | None = None
        self._locked_error: DataDirLockedError | None = None
        self._retry_at = 0.0
        self._stopping = False
        self._retrying: asyncio.Task[None] | None = None

    @property
    def opened(self) -> Services | None:
        """The services if they are open, else None."""
        return self._services

    def check(self) -> None:
        """Raise the error that keeps the services from being opened at all, if there is one."""

    async def services(self) -> Services:
        """Return the services; open them first if they are closed.

        Raises
        ------
        DataDirLockedError
            Another server holds the data directory. The lock is tried at most every
            `RETRY_SECONDS`.
        StoppingError
            This server is shutting down.
        """
        if self._services is not None:
            return self._services
        async with self._opening:
            if self._stopping:
                msg = "This server is shutting down; try again when it is back."
                raise StoppingError(msg)
            # Another request may have opened them while this one waited for `_opening`.
            if self._services is None:
                self._services = await self._open()
            return self._services

    def start(self) -> None:
        """Open the services in the background, as soon as the data directory can be used."""
        self._retrying = asyncio.create_task(self._open_with_retries(), name="open the services")

    async def close(self) -> None:
        """Close the services and release the lock."""
        if self._retrying is not None:
            self._retrying.cancel()
        async with self._opening:
            self._stopping = True
            # Steps that are ending now may still need the services, so `_services` stays until
            # they have stopped.
            if self._services is not None:
                await self._services.service.stop()
            services, self._services = self._services, None
            if services is not None:
                await services.close()
            self._lock.release()

    async def _open_with_retries(self) -> None:
        logged = ""
        while True:
            try:
                await self.services()
            except DataDirLockedError:
                pass  # `_acquire_lock` has logged it
            except OSError as error:
                if str(error) != logged:
                    logger.error("Workflows don't run on this server yet: %s", error)
                    logged = str(error)
            except PDFlowError as error:
                logger.error("Workflows don't run on this server. %s", error)
                return
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _open(self) -> Services:
        self._acquire_lock()
        try:
            services = self._build()
        except BaseException:
            self._lock.release()
            raise
        try:
            await services.open()
        except BaseException:
            await services.close()
            self._lock.release()
            raise
        return services

    def _acquire_lock(self) -> None:
        # Requests come at any rate, and an attempt may wait for a writer: not each one may try.
        if self._locked_error is not None and time.monotonic() < self._retry_at:
            raise self._locked_error
        try:
            self._lock.acquire(self._url)
        except DataDirLockedError as error:
            if self._locked_error is None:
                logger.warning("Workflows don't run on this server. %s", error)
            self._locked_error = error
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise
        if self._locked_error is not None:
            logger.info("The data directory is free; workflows now run on this server.")
        self._locked_error = None


class RefusingServiceManager(ServiceManager):
    """Refuses all work because a trait can't be used; does not touch the data directory.

    Parameters
    ----------
    error : PDFlowError
        The reason. It is logged once, and each route answers with it.
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
        """Do nothing, as no services are open."""
