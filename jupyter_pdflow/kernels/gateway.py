"""Kernels of a gateway: whether one lives, and that none is left behind there."""

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

ASK_SECONDS = 2.0
"""How often a gateway is asked about a kernel that executes something."""

ANSWER_SECONDS = 5.0
"""How long it may take to answer that."""

SILENT_SECONDS = 10.0
"""How long it may give no answer before it counts as ended."""

SHUT_DOWN_SECONDS = 15.0
"""How long it may take to end a kernel; a gateway gives a busy one 5 s."""

SWEEP_SECONDS = 30.0
"""Between two attempts to end the kernels that could not be ended."""

FIRST_SWEEP_SECONDS = 10.0
"""How long a new kernel waits for those of an earlier server to be ended."""

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
"""The pause before a gateway that was away is asked again doubles, from the first to the longest."""

AWAY = frozenset({401, 403, 404, 408, 429, 502, 503, 504, 599})
"""Answers to the request for a kernel that say nothing about that kernel: ask again later.

404 is what Jupyter's client makes of a host name that can't be resolved, 403 may be the gateway's
limit of kernels."""

_KERNEL_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class GatewayWatch:
    """Asks a gateway whether one of its kernels lives, not too often.

    Parameters
    ----------
    process : GatewayKernelManager
        Jupyter's manager of the kernel.
    """

    def __init__(self, process: Any) -> None:
        self._process = process
        self._asked = float("-inf")
        self._silent_since: float | None = None

    async def is_alive(self) -> bool:
        """Whether the kernel lives, as far as is known.

        Raises
        ------
        GatewayError
            The gateway has given no answer for `SILENT_SECONDS`.
        """
        now = asyncio.get_running_loop().time()
        if now - self._asked < ASK_SECONDS:
            return True
        self._asked = now
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                model = await self._process.refresh_model()
        except Exception as error:  # noqa: BLE001  clients of gateways differ in what they raise
            return self._is_taken_for_alive(error)
        self._silent_since = None
        return model is not None and model.get("execution_state") != "dead"

    def _is_taken_for_alive(self, error: Exception) -> bool:
        code = getattr(error, "status_code", 0)
        if 400 <= code < 500:  # noqa: PLR2004  it answers, though not that question
            self._silent_since = None
            return True
        now = asyncio.get_running_loop().time()
        self._silent_since = self._silent_since or self._asked
        if now - self._silent_since < SILENT_SECONDS:
            return True
        raise GatewayError(no_answer(error))


class KernelNotes:
    """Notes on disk which kernels were started at a gateway, so that none is forgotten there.

    Parameters
    ----------
    folder : Path
        Holds an empty file for each kernel, named by its id, in a folder of the gateway's own.
    url : str
        The gateway's address.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder / hashlib.sha256(url.encode()).hexdigest()[:16]

    def add(self, kernel_id: str) -> None:
        """Note a kernel that has been started."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / kernel_id).touch(mode=0o600)

    def remove(self, kernel_id: str) -> None:
        """Forget a kernel that has been ended."""
        (self._folder / kernel_id).unlink(missing_ok=True)

    def kernel_ids(self) -> list[str]:
        """List the kernels that were started and, as far as is known, not ended."""
        try:
            names = [path.name for path in self._folder.iterdir() if path.is_file()]
        except OSError:
            return []
        return [name for name in names if _KERNEL_ID.fullmatch(name)]


class _Noted:
    """What is added to the server's class of kernel managers where that asks a gateway."""

    _notes: KernelNotes
    log: Logger
    kernel_spec_manager: Any

    async def start_kernel(self, **options: Any) -> str:
        """Start a kernel and note it.

        Raises
        ------
        NoSuchKernel
            The gateway has no such kernelspec.
        GatewayError
            The gateway can't be reached, or gives no kernels now.
        KernelError
            It could not start this kernel.
        """
        try:
            kernel_id: str = await super().start_kernel(**options)  # type: ignore[misc]
        except HTTPError as error:
            if error.status_code in AWAY:
                raise GatewayError(no_answer(error)) from None
            await self._check_kernelspec(str(options.get("kernel_name")))
            msg = f"The kernel gateway could not start a kernel: {_words(error)}"
            raise KernelError(msg) from None
        await self._note(self._notes.add, kernel_id)
        return kernel_id

    async def shutdown_kernel(self, kernel_id: str, now: bool = False, **options: Any) -> None:
        """End a kernel; where that fails, its note stays, and it is tried again later."""
        try:
            async with asyncio.timeout(SHUT_DOWN_SECONDS):
                await super().shutdown_kernel(kernel_id, now=now, **options)  # type: ignore[misc]
        except (HTTPError, OSError, TimeoutError) as error:
            self.log.warning("Kernel %s will be ended later: %s", kernel_id, no_answer(error))
        else:
            await self._note(self._notes.remove, kernel_id)
        finally:
            self.remove_kernel(kernel_id)  # type: ignore[attr-defined]

    async def _check_kernelspec(self, kernel_name: str) -> None:
        with contextlib.suppress(HTTPError):
            try:
                await self.kernel_spec_manager.get_kernel_spec(kernel_name)
            except KeyError:
                raise NoSuchKernel(kernel_name) from None

    async def _note(self, change: Callable[[str], None], kernel_id: str) -> None:
        try:
            await asyncio.to_thread(change, kernel_id)
        except OSError as error:
            self.log.warning("Kernel %s could not be noted: %s", kernel_id, error)


def noting(kind: type, notes: KernelNotes) -> type:
    """Derive the class of managers that notes which kernels it has started at a gateway.

    Parameters
    ----------
    kind : type
        The server's class of kernel managers.
    notes : KernelNotes
        Where they are noted.
    """
    # `_kernels` is one dict for all managers of the class; these kernels are not the server's.
    return type(kind.__name__, (_Noted, kind), {"_notes": notes, "_kernels": {}})


class Sweeper:
    """Ends the kernels that an earlier server has left at the gateway, or this one could not end.

    Parameters
    ----------
    manager : MultiKernelManager
        Made by the class that `noting` gave; for another there is nothing to do.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._notes: KernelNotes | None = getattr(manager, "_notes", None)
        self._first = asyncio.Event()
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, and go on until `stop`."""
        if self._notes is not None:
            self._sweeping = asyncio.create_task(self._keep_sweeping(self._notes))

    async def first(self) -> None:
        """Wait, not too long, until all have been ended that could be."""
        if self._sweeping is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._first.wait(), FIRST_SWEEP_SECONDS)

    async def stop(self) -> None:
        """End no more."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])

    async def _keep_sweeping(self, notes: KernelNotes) -> None:
        while True:
            for kernel_id in await asyncio.to_thread(notes.kernel_ids):
                if kernel_id not in self._manager:
                    await self._end(kernel_id)
            self._first.set()
            await asyncio.sleep(SWEEP_SECONDS)

    async def _end(self, kernel_id: str) -> None:
        try:
            await self._manager.start_kernel(kernel_id=kernel_id)  # takes it up
            await self._manager.shutdown_kernel(kernel_id, now=True)
        except Exception as error:  # noqa: BLE001  it is tried again
            logger.debug("Kernel %s can't be ended yet: %s", kernel_id, error)
        else:
            logger.info("Kernel %s, which a server had left at the gateway, is ended.", kernel_id)


class Outage:
    """The time in which a gateway gives no kernels; runs wait in the queue until it is over.

    Parameters
    ----------
    manager : MultiKernelManager
        The manager of production kernels.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._pause = FIRST_PAUSE_SECONDS
        self._asking: asyncio.Task[None] | None = None

    async def over(self) -> None:
        """Wait until the gateway can be reached again, if it could not."""
        if self._asking is not None:
            await asyncio.wait([self._asking])

    def begins(self, error: GatewayError) -> None:
        """Note that the gateway gave no kernel, or has ended."""
        if self._asking is not None and not self._asking.done():
            return
        if self._pause == FIRST_PAUSE_SECONDS:
            logger.warning("Runs wait for the kernel gateway. %s", error)
        self._asking = asyncio.create_task(self._ask())

    def ends(self) -> None:
        """Note that the gateway gave a kernel."""
        if self._asking is not None:
            logger.warning("The kernel gateway gives kernels again; the runs go on.")
            self._asking.cancel()
        self._asking, self._pause = None, FIRST_PAUSE_SECONDS

    async def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._manager.kernel_spec_manager.list_kernel_specs()
                return


def no_answer(error: Exception) -> str:
    """Say that a gateway gives no kernels now, and what to do."""
    return (
        f"The kernel gateway can't be reached, or gives no kernels now ({_words(error)}); see that "
        "it runs and that its address and token are right."
    )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def is_local(manager: Any) -> bool:
    """Whether a manager starts its kernels itself, not by asking a gateway."""
    from jupyter_server.gateway.managers import GatewayMappingKernelManager
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    return isinstance(manager, MappingKernelManager) and not isinstance(
        manager, GatewayMappingKernelManager
    )
