"""A worker: a Jupyter server without HTTP, which executes steps for the others of a database."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

from jupyter_server.serverapp import ServerApp
from prometheus_client import start_http_server
from traitlets import Int

from jupyter_pdflow.exceptions import ConfigurationError, UsageError
from jupyter_pdflow.server.app import PDFlow
from jupyter_pdflow.settings import DATABASE_URL_VARIABLE

EXTENSION = "jupyter_pdflow"


class ExtensionServer(ServerApp):
    """A Jupyter server with this extension only, whatever others its configuration names.

    Its name stays that of a Jupyter server, so it reads the same configuration files.
    """

    def init_server_extensions(self) -> None:
        """Load this extension."""
        self.jpserver_extensions = {EXTENSION: True}
        super().init_server_extensions()


class WorkerApp(ExtensionServer):
    """A Jupyter server that listens on no port; its kernels and its configuration are as usual."""

    metrics_port = Int(
        0,
        min=0,
        max=65_535,
        help="Port of 127.0.0.1 on which the metrics are served, for Prometheus; 0 for none.",
    ).tag(config=True)

    def init_signal(self) -> None:
        """Leave the signals to `run`, which needs an event loop."""

    def start(self) -> None:
        """Execute steps until a signal ends it."""
        self.io_loop.run_sync(self.run)

    async def run(self) -> None:
        """Execute steps; end after the first signal when those that execute have ended.

        A second signal ends it at once: its steps are then executed again elsewhere.
        """
        signals = _Signals()
        signals.listen()
        if self.metrics_port:
            start_http_server(self.metrics_port, addr="127.0.0.1")
        self.log.info(
            "This worker executes steps of the queues %s.", ", ".join(self._pdflow.queues)
        )
        await self.extension_manager.start_all_extensions()  # type: ignore[no-untyped-call]
        await signals.first.wait()
        self.log.info("Waiting for the steps that are executing; a second signal ends them.")
        await _first_of(self._pdflow.service_manager.drain(), signals.second.wait())
        await self.cleanup_extensions()
        await self.cleanup_kernels()

    @property
    def _pdflow(self) -> PDFlow:
        app = self.extension_manager.extension_apps[EXTENSION]
        found = next(iter(app))
        assert isinstance(found, PDFlow)  # noqa: S101  for the type checker
        return found


def work(arguments: Sequence[str]) -> None:
    """Run a worker in this process until a signal ends it.

    Parameters
    ----------
    arguments : sequence of str
        Options of Jupyter Server and of this extension.

    Raises
    ------
    UsageError
        There is no database.
    ConfigurationError
        A trait can't be used.
    """
    server = WorkerApp.instance()
    server.initialize([*arguments], find_extensions=False, new_httpserver=False)
    settings = server._pdflow.checked_settings()
    if not settings.database_url:
        msg = (
            "A worker needs the database of the servers that it works for: give --database-url, "
            f"${DATABASE_URL_VARIABLE}, or PDFlow.database_url in Jupyter's configuration files."
        )
        raise UsageError(msg)
    if settings.max_kernels < 1:
        raise ConfigurationError(trait="max_kernels", has_to_be="at least 1 for a worker")
    server.start()


class _Signals:
    """The first and the second signal that ask this process to end."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._note)

    def _note(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


async def _first_of(*coroutines: Any) -> None:
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
