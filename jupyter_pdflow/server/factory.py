"""Puts together what works on a data directory."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger

from jupyter_server.serverapp import ServerApp

from jupyter_pdflow.clock import utc_now
from jupyter_pdflow.engine.service import Service
from jupyter_pdflow.kernels.manager import production_manager
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.mail.outbox import Mailbox
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.public_url import MEMORY, PublicAddress
from jupyter_pdflow.server.services import Services
from jupyter_pdflow.server.settings import Settings, transport_of
from jupyter_pdflow.server.tokens import Links
from jupyter_pdflow.store.folders import NOTE, RunFolders
from jupyter_pdflow.store.tinydb_store import TinyDBStore


def build_services(
    settings: Settings, serverapp: ServerApp, on_change: Callable[[Run], None], log: Logger
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
    post = transport_of(settings.smtp_url)
    memory = settings.data_dir / MEMORY
    address = PublicAddress(
        settings.public_url, serverapp.connection_url, serverapp.base_url, memory
    )
    links = Links(settings.data_dir / "link_keys", address, log)
    mailbox = Mailbox(
        settings.data_dir,
        post,
        mail_from=settings.mail_from,
        mail_to=settings.mail_to,
        clock=utc_now,
        log=log,
    )
    store = TinyDBStore(settings.data_dir, log)
    folders = RunFolders(settings.files_dir, log, settings.data_dir / NOTE)
    manager = production_manager(serverapp, settings.data_dir / "gateway_kernels")
    pool = KernelPool(
        manager,
        max_kernels=settings.max_kernels,
        idle_seconds=settings.idle_kernel_seconds,
        log=log,
        spare_kernels=settings.spare_kernels,
    )
    engine = Service(
        store,
        pool,
        mailbox,
        links.urls,
        on_change,
        folders=folders,
        keep_days=settings.keep_days,
        max_crashes=settings.max_crashes,
        log=log,
    )
    return Services(
        engine=engine, links=links, address=address, pool=pool, manager=manager, folders=folders
    )
