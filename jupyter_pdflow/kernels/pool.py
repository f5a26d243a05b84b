"""The pool of kernels for production runs: few kernels, kept warm, one run at a time in each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from jupyter_pdflow.exceptions import (
    GatewayError,
    GatewayUnavailableError,
    KernelError,
    KernelSpecError,
    PDFlowError,
)
from jupyter_pdflow.kernels.gateway import Outage, Sweeper, is_local
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.manager import PrestartedKernels, check_kernelspec, find_kernelspec
from jupyter_pdflow.kernels.slots import SlotRequest, Slots, VersionKey, version_key
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

STOPPING = "The server is stopping."


class KernelPool:
    """A limited number of kernels, each for one run at a time.

    An idle kernel is kept warm for the version whose setup it has run. It is closed when it was
    idle for some time, or when a request for another version needs its slot.

    Parameters
    ----------
    manager : MultiKernelManager
        Starts the kernels; see `jupyter_pdflow.kernels.manager.production_manager`.
    max_kernels : int
        Maximum number of kernels, those that start or end included; 0 to execute nothing.
    idle_seconds : float
        How long an idle kernel is kept.
    prestarted_kernels : int
        Number of kernels beyond these that are kept started, for runs that find no warm one.
    """

    def __init__(
        self,
        manager: Any,
        *,
        max_kernels: int,
        idle_seconds: float,
        prestarted_kernels: int = 0,
        limits: Limits = LIMITS,
    ) -> None:
        self.max_kernels = max_kernels
        self._limits = limits
        self._manager = manager
        self._idle_seconds = idle_seconds
        count = prestarted_kernels if is_local(manager) else 0
        self._prestarted = PrestartedKernels(manager, count, limits)
        self._slots = Slots(max_kernels, limits.kernel_turn_seconds)
        self._closing = 0
        self._busy: set[Kernel] = set()
        self._idle: dict[Kernel, float] = {}
        self._reserving: set[asyncio.Future[Kernel | None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._checked: set[str] = set()
        self._checking = asyncio.Lock()
        self._sweeper = Sweeper(manager)
        self._outage = Outage(manager)

    def open(self) -> None:
        """Start ending the kernels that an earlier server has left at a gateway, if any."""
        self._sweeper.start()

    async def check(self, kernel_name: str) -> None:
        """Check that a kernelspec can execute steps; one that was found good is not started again.

        A pool without kernels can't know: its runs are executed elsewhere.

        Raises
        ------
        KernelSpecError
            It is missing, its kernel does not start, or its environment lacks this package.
        GatewayError
            The kernel gateway can't be reached.
        """
        async with self._checking:
            if kernel_name not in self._checked and self.max_kernels:
                await check_kernelspec(self._manager, kernel_name)
                self._checked.add(kernel_name)
        self.prestart(kernel_name)

    async def find(self, kernel_name: str) -> None:
        """Check that a kernelspec is there, and start nothing; errors as for `check`."""
        if kernel_name not in self._checked and self.max_kernels:
            await find_kernelspec(self._manager, kernel_name)

    def prestart(self, kernel_name: str) -> None:
        """Start kernels of this kernelspec ahead of runs, if the pool keeps prestarted ones."""
        if self.max_kernels:
            self._prestarted.prestart(kernel_name)

    def stop(self) -> None:
        """Grant nothing from now on. Requests are dropped; a `reserve` fails with `KernelError`."""
        self._slots.maximum = 0
        self._slots.drop_all()
        for granted in self._reserving:
            if not granted.done():
                granted.set_exception(KernelError(STOPPING))

    async def shutdown(self) -> None:
        """Grant nothing any more, as `stop`, and end all kernels."""
        self.stop()
        await self._sweeper.stop()
        await self._outage.stop()
        if self._timer is not None:
            self._timer.cancel()
        for kernel in [*self._idle, *self._busy]:
            self._drop(kernel)
        self._idle.clear()
        self._busy.clear()
        await self._prestarted.shutdown()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- getting a kernel, and giving it back -----------------------------------------

    def take(self, version: VersionKey) -> Kernel | None:
        """Return a kernel that is idle and warm for exactly this version, or None."""
        for kernel in reversed(self._idle):
            if _is_warm_for(version, kernel):
                del self._idle[kernel]
                if kernel.alive:
                    self._busy.add(kernel)
                    return kernel
                self._drop(kernel)
                return self.take(version)
        return None

    async def acquire(self, workflow: Workflow, cwd_path: str) -> Kernel:
        """Wait for a kernel that has run the setup of this version.

        Parameters
        ----------
        workflow : Workflow
            The version.
        cwd_path : str
            The notebook, or the directory to start in, as Jupyter's contents API names it.

        Raises
        ------
        KernelSpecError
            The kernelspec is missing.
        KernelError
            The kernel did not start, or the setup raised; ``error`` is the author's then.
        GatewayError
            The gateway ended while the setup ran.
        GatewayUnavailableError
            The gateway can't be reached; the next `reserve` waits until it can.
        """
        kernel = await self.reserve(workflow) or await self.start(workflow, cwd_path)
        await self.prepare(kernel, workflow, cwd_path)
        return kernel

    async def reserve(self, workflow: Workflow) -> Kernel | None:
        """Wait for a kernel that is warm for this version, or for a slot to `start` one in.

        Returns
        -------
        Kernel or None
            None for a slot. The caller has to `release` a kernel; one that is not used, or a slot,
            to `give_back`.

        Raises
        ------
        KernelError
            The pool is shut down.
        """
        if self._slots.maximum == 0:
            raise KernelError(STOPPING)
        version = version_key(workflow)
        await self.wait_for_gateway(version)
        reservation = _Reservation(version, asyncio.get_running_loop().create_future())
        granted = reservation.granted
        self._reserving.add(granted)
        try:
            self.request(reservation)
            return await granted
        except asyncio.CancelledError:
            self.withdraw(reservation)
            # It may have been granted in the same iteration of the event loop; that would be lost.
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.give_back(granted.result())
            raise
        finally:
            self._reserving.discard(granted)

    async def wait_for_gateway(self, version: VersionKey) -> None:
        """Wait until the gateway, if there is one, can start a kernel for a request.

        A version for which a warm kernel is idle needs no start.
        """
        if not any(map(partial(_is_warm_for, version), self._idle)):
            await self._sweeper.wait_for_first_sweep()
            await self._outage.wait_until_over()

    def request(self, request: SlotRequest) -> None:
        """Grant a request what `reserve` returns, now or later, unless the pool stops."""
        self._slots.add(request)
        self._dispatch()

    def withdraw(self, request: SlotRequest) -> None:
        """Remove a request, if it still waits."""
        self._slots.withdraw(request)

    async def start(self, workflow: Workflow, cwd_path: str) -> Kernel:
        """Start a kernel in a slot that `reserve` gave; the caller has to `prepare` it next.

        Raises
        ------
        PDFlowError
            As `acquire`; the slot is free again.
        """
        kernel = self._prestarted.take(workflow.source.kernel_name)
        if kernel is None:
            kernel = await self._start_new(workflow.source.kernel_name, cwd_path)
        self._busy.add(kernel)
        self._slots.begin_turn(kernel)
        return kernel

    async def prepare(self, kernel: Kernel, workflow: Workflow, cwd_path: str) -> None:
        """Run the setup in a kernel, unless it has run.

        Raises
        ------
        PDFlowError
            As `acquire`; the kernel is dropped, and its slot becomes free.
        """
        if kernel.workflow is not None:
            return
        try:
            await kernel.prepare(workflow, self._manager.cwd_for_path(cwd_path))
        except BaseException:
            self._busy.discard(kernel)
            self._end(kernel)
            raise

    async def exchange(self, kernel: Kernel, workflow: Workflow, cwd_path: str) -> Kernel:
        """Return a fresh kernel in the slot of one that is stale.

        Raises
        ------
        PDFlowError
            As `acquire`; the slot is free.
        """
        self._busy.discard(kernel)
        # The stale kernel holds a slot of its own until it has ended, beyond the maximum if need
        # be: the run must not wait in the queue again in the middle of its steps.
        self._slots.used += 1
        self._drop(kernel)
        fresh = await self.start(workflow, cwd_path)
        await self.prepare(fresh, workflow, cwd_path)
        return fresh

    def give_back(self, kernel: Kernel | None) -> None:
        """Give back what `reserve` returned, or the kernel that `start` put into the slot."""
        if kernel is not None:
            self.release(kernel)
        else:
            self._free_slot()

    def release(self, kernel: Kernel) -> None:
        """Give a kernel back; one that has died is dropped."""
        if kernel not in self._busy:
            return
        self._busy.remove(kernel)
        if kernel.is_fresh and kernel.workflow is not None and self._slots.maximum:
            self._idle[kernel] = asyncio.get_running_loop().time()
            self._dispatch()
            self._set_timer()
        else:
            self._end(kernel)

    # --- slots ------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Grant idle kernels and free slots; close idle kernels that requests can't use."""
        for kernel in list(self._idle):
            if self._slots.grant(kernel):
                del self._idle[kernel]
                self._busy.add(kernel)
        self._slots.grant_free()
        # Each kernel that is being closed frees a slot soon, so it counts for one request.
        while self._idle and self._closing < self._slots.waiting:
            kernel = next(iter(self._idle))
            del self._idle[kernel]
            self._drop(kernel)

    def _free_slot(self) -> None:
        self._slots.used -= 1
        self._dispatch()

    # --- the start of kernels ---------------------------------------------------------

    async def _start_new(self, kernel_name: str, cwd_path: str) -> Kernel:
        from jupyter_client.kernelspec import NoSuchKernel

        try:
            kernel = await Kernel.start(self._manager, kernel_name, cwd_path, self._limits)
        except NoSuchKernel:
            self._free_slot()
            msg = (
                f"There is no kernelspec {kernel_name!r} any more; install it, or deploy with "
                "another."
            )
            raise KernelSpecError(msg) from None
        except GatewayError as error:
            self._outage.begin(error)
            self._free_slot()
            raise GatewayUnavailableError(str(error)) from None
        except BaseException:
            self._free_slot()
            raise
        self._outage.end()
        return kernel

    async def _replace(self, workflow: Workflow) -> None:
        """Prepare a kernel for a version whose last one was stale, if a slot is free."""
        if self._slots.waiting or not self._slots.has_free:
            return
        self._slots.used += 1
        try:
            kernel = await self.start(workflow, workflow.path)
            await self.prepare(kernel, workflow, workflow.path)
        except PDFlowError as error:
            logger.debug("No kernel could be prepared for %s: %s", workflow.id, error)
        else:
            self.release(kernel)

    # --- the end of kernels -----------------------------------------------------------

    def _end(self, kernel: Kernel) -> None:
        """Drop a kernel that can't be used again; begin an outage if its gateway is the cause."""
        if kernel.gateway_error is not None:
            self._outage.begin(kernel.gateway_error)
        self._drop(kernel)

    def _drop(self, kernel: Kernel) -> None:
        """Close a kernel in the background; its slot is free once it has ended."""
        self._slots.end_turn(kernel)
        self._closing += 1
        self._spawn(self._close(kernel))

    async def _close(self, kernel: Kernel) -> None:
        try:
            await kernel.close()
        except Exception:
            logger.exception("A production kernel could not be closed")
        finally:
            self._closing -= 1
            self._free_slot()
        if kernel.is_stale and kernel.workflow is not None:
            await self._replace(kernel.workflow)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_timer(self) -> None:
        if self._timer is not None or not self._idle:
            return
        oldest = next(iter(self._idle.values()))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(oldest + self._idle_seconds, self._cull)

    def _cull(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for kernel, since in list(self._idle.items()):
            if since + self._idle_seconds <= now:
                del self._idle[kernel]
                self._drop(kernel)
        self._set_timer()


def _is_warm_for(version: VersionKey, kernel: Kernel) -> bool:
    return kernel.workflow is not None and version_key(kernel.workflow) == version


@dataclass(eq=False)
class _Reservation:
    """A request whose caller awaits `granted`."""

    version: VersionKey
    granted: asyncio.Future[Kernel | None]

    def grant(self, kernel: Kernel | None) -> bool:
        # A canceled future is done before its task runs and withdraws the request.
        if self.granted.done():
            return False
        self.granted.set_result(kernel)
        return True
