"""The services of a data directory: who may open them, how they are built, opened and closed.

One server at a time works on a data directory. `DataLock` is the lock of the directory,
`build_services` makes the services, and `ServiceManager` opens them as soon as the lock is free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from jupyter_server.serverapp import ServerApp

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.queue import Queue
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.exceptions import (
    DataDirLockedError,
    PDFlowError,
    StoppingError,
    StorageUnavailableError,
)
from jupyter_pdflow.kernels.manager import close_manager, production_manager
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Outbox
from jupyter_pdflow.rules.people import Directory
from jupyter_pdflow.server.configuration import smtp_transport
from jupyter_pdflow.server.health import Snapshot
from jupyter_pdflow.server.links.tokens import LINK_KEYS, Links, refuse_older_versions
from jupyter_pdflow.server.metrics import FAILED_RUNS, LAPSED_LEASES, READY_SECONDS
from jupyter_pdflow.server.public_url import ORIGIN_FILE, PublicAddress
from jupyter_pdflow.settings import Settings
from jupyter_pdflow.stores import RunChange
from jupyter_pdflow.stores.base import Store
from jupyter_pdflow.stores.folders import NOTE, RunFolders
from jupyter_pdflow.stores.tinydb.layout import DataLock
from jupyter_pdflow.stores.tinydb.store import TinyDBStore
from jupyter_pdflow.threads import in_thread

logger = logging.getLogger(__name__)


RETRY_SECONDS = 2.0
"""Time between two attempts to take the lock of the data directory."""


class Services(NamedTuple):
    """All that works on a data directory."""

    store: Store
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

    async def snapshot(self) -> Snapshot:
        """Return how this server and the workers are doing."""
        counts = await self.store.counts()
        return Snapshot(
            store=self.store.kind,
            available=self.store.available,
            runs=counts.statuses,
            queued=counts.of_status("queued"),
            oldest_queued_at=await self.store.oldest_queued(),
            emails=await self.store.email_counts(),
            workers=await self.service.workers(),
        )


async def build_services(settings: Settings, serverapp: ServerApp) -> Services:
    """Return the services of a data directory or of a database, not opened yet.

    Parameters
    ----------
    settings : Settings
        What the owner has configured.
    serverapp : ServerApp
        The server that the services are part of.

    Raises
    ------
    KeyFileError
        The keys of links can't be used.
    StorageUnavailableError, SchemaError, ConfigurationError
        The database can't be used.
    """
    folders = RunFolders(settings.files_dir, settings.data_dir / NOTE)
    if settings.database_url:
        # Imported here, as only its extra installs what it needs.
        from jupyter_pdflow.server.shared import open_shared

        parts = await open_shared(settings, folders, serverapp)
    else:
        parts = _own_parts(settings, folders, serverapp)
    settings = parts.settings
    kernel_manager = production_manager(
        serverapp, settings.data_dir / "gateway_kernels", shared=bool(settings.database_url)
    )
    pool = KernelPool(
        kernel_manager,
        max_kernels=settings.max_kernels,
        idle_seconds=settings.idle_kernel_seconds,
        prestarted_kernels=settings.spare_kernels,
        limits=settings.limits,
    )
    service = Service(
        parts.store,
        pool,
        _build_outbox(settings, parts),
        parts.links.urls,
        folders=folders,
        keep_days=settings.keep_days,
        max_crashes=settings.max_crashes,
        on_begin=READY_SECONDS.observe,
        on_failed=lambda run: FAILED_RUNS.labels(run.workflow_id).inc(),
        on_lapsed=lambda _: LAPSED_LEASES.inc(),
        queue=parts.queue,
        worker_name=settings.worker_name,
        directory=Directory(people=settings.people, groups=settings.groups),
        limits=settings.limits,
    )
    return Services(
        store=parts.store,
        service=service,
        links=parts.links,
        address=parts.address,
        pool=pool,
        kernel_manager=kernel_manager,
        folders=folders,
    )


class Parts(NamedTuple):
    """What differs between a data directory and a database."""

    store: Store
    links: Links
    address: PublicAddress
    queue: Queue | None
    settings: Settings


def _own_parts(settings: Settings, folders: RunFolders, serverapp: ServerApp) -> Parts:
    address = PublicAddress(
        settings.public_url,
        serverapp.connection_url,
        serverapp.base_url,
        settings.data_dir / ORIGIN_FILE,
    )
    links = Links.from_files(settings.data_dir / LINK_KEYS, address)
    refuse_older_versions(settings.data_dir / LINK_KEYS)
    store = TinyDBStore(settings.data_dir, folders, limits=settings.limits)
    return Parts(store, links, address, None, settings)


def _build_outbox(settings: Settings, parts: Parts) -> Outbox:
    transport = smtp_transport(settings.smtp_url)
    return Outbox(
        parts.store,
        transport,
        mail_from=settings.mail_from,
        mail_to=settings.mail_to,
        clock=utc_now,
        links_for=parts.links.personal_urls,
        # In a database, the emails are those of all processes: one that can send them does so.
        delivers=transport is not None or not settings.database_url,
        limits=settings.limits,
    )


class ServiceManager:
    """Opens the services when the lock of the data directory is free, and closes them.

    Parameters
    ----------
    lock : DataLock or None
        The lock of the data directory; None if several servers may work on the same store.
    build : callable
        Returns the services in a coroutine; called while the lock is held.
    on_change : callable
        Called with each change of a run.
    url : str
        This server's address; other servers that want the lock show it.
    """

    def __init__(
        self,
        lock: DataLock | None,
        build: Callable[[], Awaitable[Services]],
        on_change: Callable[[RunChange], None],
        *,
        url: str,
    ) -> None:
        self._lock = lock
        self._build = build
        self._on_change = on_change
        self._url = url
        self._following: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._services: Services | None = None
        self._locked_error: DataDirLockedError | None = None
        self._unavailable: StorageUnavailableError | None = None
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
        StorageUnavailableError
            The data directory or the database can't be used. The database is tried at most every
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

    async def drain(self) -> None:
        """Begin no further step, and wait until those that are executing have ended."""
        if self._services is not None:
            await self._services.service.drain()

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
            if self._following is not None:
                self._following.cancel()
            self._release_lock()

    async def _open_with_retries(self) -> None:
        logged = ""
        while True:
            try:
                await self.services()
            except DataDirLockedError:
                pass  # `_acquire_lock` has logged it
            except PDFlowError as error:
                if not self._may_be_fixed(error):
                    logger.error("Workflows don't run on this server. %s", error)
                    return
                if str(error) != logged:
                    logger.error("Workflows don't run on this server yet: %s", error)
                    logged = str(error)
            except Exception:
                logger.exception("Workflows don't run on this server yet.")
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _may_be_fixed(self, error: PDFlowError) -> bool:
        """Whether it may work later: what a database lacks, `jupyter pdflow migrate` adds."""
        return self._lock is None or isinstance(error, StorageUnavailableError)

    async def _open(self) -> Services:
        if self._unavailable is not None and time.monotonic() < self._retry_at:
            raise self._unavailable
        try:
            return await self._open_locked()
        except StorageUnavailableError as error:
            if self._lock is None:
                # An attempt may take seconds, and requests wait for each other's.
                self._unavailable, self._retry_at = error, time.monotonic() + RETRY_SECONDS
            raise
        except OSError as error:
            reason = error.strerror or error
            msg = f"The data directory can't be used: {reason}. Nothing was changed."
            raise StorageUnavailableError(msg) from error

    async def _open_locked(self) -> Services:
        self._acquire_lock()
        try:
            services = await self._build()
        except BaseException:
            self._release_lock()
            raise
        try:
            changes = await services.service.changes()
            following = self._follow(changes)
            self._following = asyncio.create_task(following, name="follow the changes of runs")
            await services.open()
        except BaseException:
            if self._following is not None:
                self._following.cancel()
            await services.close()
            self._release_lock()
            raise
        return services

    async def _follow(self, changes: AsyncIterator[RunChange]) -> None:
        async for change in changes:
            try:
                self._on_change(change)
            except Exception:
                logger.exception("Live views are not told that run %s has changed.", change.run_id)

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _acquire_lock(self) -> None:
        if self._lock is None:
            return
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
