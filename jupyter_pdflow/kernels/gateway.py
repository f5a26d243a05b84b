"""Kernels of a kernel gateway.

Whether a kernel there is alive, a record of the kernels that were started there so that none is
left behind, and how long runs wait while the gateway is unavailable.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
from collections.abc import Callable
from logging import Logger
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import NoSuchKernel
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import GatewayError, KernelError

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""How often a gateway is asked about a kernel that executes something."""

REPLY_SECONDS = 5.0
"""How long a gateway may take to answer a question about a kernel."""

SILENT_SECONDS = 10.0
"""How long a gateway may not answer before it counts as ended."""

SHUT_DOWN_SECONDS = 15.0
"""How long a gateway may take to end a kernel; it gives a busy one 5 s."""

SWEEP_SECONDS = 30.0
"""How long to wait between two attempts to end the kernels that could not be ended."""

FIRST_SWEEP_SECONDS = 10.0
"""How long a new kernel waits until those of an earlier server are ended."""

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 10.0
"""The wait before an unavailable gateway is asked again doubles, up to the longest."""

UNAVAILABLE = frozenset({401, 403, 404, 408, 429, 502, 503, 504, 599})
"""HTTP statuses of a request for a kernel that say nothing about that kernel: ask again later.

404 is what Jupyter's client makes of a host name that can't be resolved. 403 may be the gateway's
limit of kernels.
"""

_KERNEL_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class GatewayWatch:
    """Asks a gateway at most every `POLL_SECONDS` whether one of its kernels is alive.

    Parameters
    ----------
    process : GatewayKernelManager
        Jupyter's manager of the kernel.
    """

    def __init__(self, process: Any) -> None:
        self._process = process
        self._asked_at = float("-inf")
        self._silent_since: float | None = None

    async def is_alive(self) -> bool:
        """Whether the kernel is alive, as far as is known.

        Raises
        ------
        GatewayError
            The gateway has not answered for `SILENT_SECONDS`.
        """
        now = asyncio.get_running_loop().time()
        if now - self._asked_at < POLL_SECONDS:
            return True
        self._asked_at = now
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                model = await self._process.refresh_model()
        except Exception as error:  # noqa: BLE001  clients of gateways differ in what they raise
            return self._is_assumed_alive(error)
        self._silent_since = None
        return model is not None and model.get("execution_state") != "dead"

    def _is_assumed_alive(self, error: Exception) -> bool:
        code = getattr(error, "status_code", 0)
        if 400 <= code < 500:  # noqa: PLR2004  the gateway runs, but refuses the question
            self._silent_since = None
            return True
        now = asyncio.get_running_loop().time()
        self._silent_since = self._silent_since or self._asked_at
        if now - self._silent_since < SILENT_SECONDS:
            return True
        raise GatewayError(unreachable_message(error))


class KernelRegistry:
    """The ids of the kernels that were started at a gateway, on disk so that a crash loses none.

    Parameters
    ----------
    folder : Path
        Holds a folder for each gateway, with an empty file for each kernel, named by its id.
    url : str
        The gateway's address.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder / hashlib.sha256(url.encode()).hexdigest()[:16]

    def add(self, kernel_id: str) -> None:
        """Record a kernel that has been started."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / kernel_id).touch(mode=0o600)

    def remove(self, kernel_id: str) -> None:
        """Remove a kernel that has been ended."""
        (self._folder / kernel_id).unlink(missing_ok=True)

    def kernel_ids(self) -> list[str]:
        """Return the ids of the kernels that were started and, as far as is known, not ended."""
        try:
            names = [path.name for path in self._folder.iterdir() if path.is_file()]
        except OSError:
            return []
        return [name for name in names if _KERNEL_ID.fullmatch(name)]


class _RecordsKernels:
    """Added to the server's class of kernel managers if that class asks a gateway."""

    _registry: KernelRegistry
    log: Logger
    kernel_spec_manager: Any

    async def start_kernel(self, **options: Any) -> str:
        """Start a kernel and record it.

        Raises
        ------
        NoSuchKernel
            The gateway has no such kernelspec.
        GatewayError
            The gateway can't be reached, or starts no kernels now.
        KernelError
            The gateway could not start this kernel.
        """
        try:
            kernel_id: str = await super().start_kernel(**options)  # type: ignore[misc]
        except HTTPError as error:
            if error.status_code in UNAVAILABLE:
                raise GatewayError(unreachable_message(error)) from None
            await self._check_kernelspec(str(options.get("kernel_name")))
            msg = f"The kernel gateway could not start a kernel: {_text_of(error)}"
            raise KernelError(msg) from None
        await self._record(self._registry.add, kernel_id)
        return kernel_id

    async def shutdown_kernel(self, kernel_id: str, now: bool = False, **options: Any) -> None:
        """End a kernel; one that can't be ended now stays recorded for the `Sweeper`."""
        try:
            async with asyncio.timeout(SHUT_DOWN_SECONDS):
                await super().shutdown_kernel(kernel_id, now=now, **options)  # type: ignore[misc]
        except (HTTPError, OSError, TimeoutError) as error:
            self.log.warning(
                "Kernel %s will be ended later: %s", kernel_id, unreachable_message(error)
            )
        else:
            await self._record(self._registry.remove, kernel_id)
        finally:
            self.remove_kernel(kernel_id)  # type: ignore[attr-defined]

    async def _check_kernelspec(self, kernel_name: str) -> None:
        with contextlib.suppress(HTTPError):
            try:
                await self.kernel_spec_manager.get_kernel_spec(kernel_name)
            except KeyError:
                raise NoSuchKernel(kernel_name) from None

    async def _record(self, change: Callable[[str], None], kernel_id: str) -> None:
        try:
            await asyncio.to_thread(change, kernel_id)
        except OSError as error:
            self.log.warning("The record of kernel %s could not be changed: %s", kernel_id, error)


def recording_manager_class(kind: type, registry: KernelRegistry) -> type:
    """Return a class of kernel managers that records the kernels it starts at a gateway.

    Parameters
    ----------
    kind : type
        The server's class of kernel managers.
    registry : KernelRegistry
        Where the kernels are recorded.
    """
    # Jupyter's class has one `_kernels` for all its managers. Without a dict of their own,
    # production kernels would be among the kernels that the server lists and culls.
    return type(kind.__name__, (_RecordsKernels, kind), {"_registry": registry, "_kernels": {}})


class Sweeper:
    """Ends the kernels that an earlier server left at the gateway, or that this one could not end.

    Parameters
    ----------
    manager : MultiKernelManager
        If its class is not a `recording_manager_class`, nothing is done.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._registry: KernelRegistry | None = getattr(manager, "_registry", None)
        self._first_done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start sweeping, until `stop`."""
        if self._registry is not None:
            self._task = asyncio.create_task(self._keep_sweeping(self._registry))

    async def wait_for_first_sweep(self) -> None:
        """Wait at most `FIRST_SWEEP_SECONDS` until the first sweep is over."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._first_done.wait(), FIRST_SWEEP_SECONDS)

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _keep_sweeping(self, registry: KernelRegistry) -> None:
        while True:
            for kernel_id in await asyncio.to_thread(registry.kernel_ids):
                if kernel_id not in self._manager:
                    await self._end(kernel_id)
            self._first_done.set()
            await asyncio.sleep(SWEEP_SECONDS)

    async def _end(self, kernel_id: str) -> None:
        try:
            # With an id, Jupyter takes over a kernel that exists; without that it can't shut it
            # down.
            await self._manager.start_kernel(kernel_id=kernel_id)
            await self._manager.shutdown_kernel(kernel_id, now=True)
        except Exception as error:  # noqa: BLE001  it is tried again
            logger.debug("Kernel %s can't be ended yet: %s", kernel_id, error)
        else:
            logger.info("Kernel %s, which a server had left at the gateway, was ended.", kernel_id)


class Outage:
    """A time in which the gateway starts no kernels; runs wait in the queue until it is over.

    Parameters
    ----------
    manager : MultiKernelManager
        The manager of production kernels.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._polling: asyncio.Task[None] | None = None

    async def wait_until_over(self) -> None:
        """Wait until the gateway can be reached again; return at once if there is no outage."""
        if self._polling is not None:
            await asyncio.wait([self._polling])

    def begin(self, error: GatewayError) -> None:
        """Begin an outage: the gateway started no kernel, or has ended."""
        if self._polling is not None and not self._polling.done():
            return
        if self._retry_seconds == FIRST_RETRY_SECONDS:
            logger.warning("Runs wait for the kernel gateway. %s", error)
        self._polling = asyncio.create_task(self._poll())

    def end(self) -> None:
        """End the outage, if there is one: the gateway has started a kernel."""
        if self._polling is not None:
            logger.warning("The kernel gateway starts kernels again; the runs continue.")
            self._polling.cancel()
        self._polling, self._retry_seconds = None, FIRST_RETRY_SECONDS

    async def stop(self) -> None:
        """Stop asking the gateway."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(REPLY_SECONDS):
                    await self._manager.kernel_spec_manager.list_kernel_specs()
                return


def unreachable_message(error: Exception) -> str:
    """Return the sentence for a gateway that starts no kernels now."""
    return (
        f"The kernel gateway can't be reached, or starts no kernels now ({_text_of(error)}). Check "
        "that it runs, and that its address and token are right."
    )


def _text_of(error: Exception) -> str:
    return str(error) or type(error).__name__


def is_local(manager: Any) -> bool:
    """Whether a manager starts its kernels itself, and not at a gateway."""
    from jupyter_server.gateway.managers import GatewayMappingKernelManager
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    return isinstance(manager, MappingKernelManager) and not isinstance(
        manager, GatewayMappingKernelManager
    )
