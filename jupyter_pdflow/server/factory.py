"""Puts together what works on a data directory."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger

from jupyter_server.serverapp import ServerApp

from jupyter_pdflow.engine.engine import Engine
from jupyter_pdflow.engine.mailbox import Mailbox
from jupyter_pdflow.engine.timers import utc_now
from jupyter_pdflow.kernels.manager import production_manager
from jupyter_pdflow.kernels.pool import KernelPool
from jupyter_pdflow.rules.run import Run
from jupyter_pdflow.server.addresses import MEMORY, PublicAddress
from jupyter_pdflow.server.keeper import House
from jupyter_pdflow.server.settings import Plan, post_of
from jupyter_pdflow.server.tokens import Links
from jupyter_pdflow.store.folders import NOTE, RunFolders
from jupyter_pdflow.store.tinydb_store import TinyDBStore


def build_house(
    plan: Plan, serverapp: ServerApp, on_change: Callable[[Run], None], log: Logger
) -> House:
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
    post = post_of(plan.smtp_url)
    memory = plan.data_dir / MEMORY
    address = PublicAddress(plan.public_url, serverapp.connection_url, serverapp.base_url, memory)
    links = Links(plan.data_dir / "link_keys", address, log)
    mailbox = Mailbox(
        plan.data_dir,
        post,
        mail_from=plan.mail_from,
        mail_to=plan.mail_to,
        clock=utc_now,
        log=log,
    )
    store = TinyDBStore(plan.data_dir, log)
    folders = RunFolders(plan.files_dir, log, plan.data_dir / NOTE)
    manager = production_manager(serverapp, plan.data_dir / "gateway_kernels")
    pool = KernelPool(
        manager,
        max_kernels=plan.max_kernels,
        idle_seconds=plan.idle_kernel_seconds,
        log=log,
        spare_kernels=plan.spare_kernels,
    )
    engine = Engine(
        store,
        pool,
        mailbox,
        links.urls,
        on_change,
        folders=folders,
        keep_days=plan.keep_days,
        max_crashes=plan.max_crashes,
        log=log,
    )
    return House(
        engine=engine, links=links, address=address, pool=pool, manager=manager, folders=folders
    )
