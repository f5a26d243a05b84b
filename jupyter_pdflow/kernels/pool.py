"""Kernels for production runs: few, warm where it helps, shared fairly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeAlias

from msgspec import Struct

from jupyter_pdflow.exceptions import (
    GatewayError,
    GatewayUnavailableError,
    KernelError,
    KernelSpecError,
    PDFlowError,
)
from jupyter_pdflow.kernels.gateway import Outage, Sweeper, is_local
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.manager import Prestarted, check_kernelspec
from jupyter_pdflow.kernels.slots import FairQueue
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

STOPPING = "The server is stopping."


_Version: TypeAlias = tuple[str, str]


class _Turn(Struct, eq=False):
    """Someone who waits: the answer is an idle kernel, or None for leave to start one."""

    workflow: Workflow
    answer: asyncio.Future[Kernel | None]


class KernelPool:
    """At most so many kernels, each for one run at a time.

    An idle kernel is kept warm for the version whose setup it has run. It goes when nobody
    has used it for a time, or when another version needs its place.

    Parameters
    ----------
    manager : MultiKernelManager
        Who starts the kernels; see `jupyter_pdflow.kernels.manager.production_manager`.
    max_kernels : int
        How many there may be, those that start or end included.
    idle_seconds : float
        How long an idle kernel is kept.
    spare_kernels : int
        How many more are kept started, for runs that find none that is warm.
    """

    def __init__(
        self,
        manager: Any,
        *,
        max_kernels: int,
        idle_seconds: float,
        spare_kernels: int = 0,
        limits: Limits = LIMITS,
    ) -> None:
        self._limits = limits
        self._manager = manager
        self._max = max_kernels
        self._idle_seconds = idle_seconds
        self._prestarted = Prestarted(manager, spare_kernels if is_local(manager) else 0, limits)
        self._count = 0
        self._closing = 0
        self._busy: set[Kernel] = set()
        self._idle: dict[Kernel, float] = {}
        self._queue: FairQueue[_Version, _Turn] = FairQueue()
        self._turn_ends: dict[Kernel, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._checked: set[str] = set()
        self._checking = asyncio.Lock()
        self._sweeper = Sweeper(manager)
        self._outage = Outage(manager)

    def open(self) -> None:
        """End what an earlier server has left at its gateway, if it had one."""
        self._sweeper.start()

    async def check(self, kernel_name: str) -> None:
        """Make sure that a kernelspec can carry out steps; one that can is not asked again.

        Raises
        ------
        KernelSpecError
            It is missing, its kernel does not start, or its environment lacks this package.
        GatewayError
            The kernel gateway can't be reached.
        """
        async with self._checking:
            if kernel_name not in self._checked:
                await check_kernelspec(self._manager, kernel_name)
                self._checked.add(kernel_name)
        self.prestart(kernel_name)

    def prestart(self, kernel_name: str) -> None:
        """Have spare kernels of this kernelspec ready, where any are wanted."""
        self._prestarted.keep(kernel_name)

    def take(self, workflow: Workflow) -> Kernel | None:
        """Take a kernel that is idle and warm for exactly this version, if there is one."""
        for kernel in reversed(self._idle):
            if kernel.workflow is not None and _key(kernel.workflow) == _key(workflow):
                del self._idle[kernel]
                if kernel.alive:
                    self._busy.add(kernel)
                    return kernel
                self._drop(kernel)
                return self.take(workflow)
        return None

    async def acquire(self, workflow: Workflow, cwd_path: str) -> Kernel:
        """Get a kernel that has run the setup of this version, when it is this one's turn.

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
            None for a slot. What it gives goes back by `release`, or unused by `give_back`.

        Raises
        ------
        KernelError
            The pool is shut down.
        """
        if self._max == 0:
            raise KernelError(STOPPING)
        kernel = self.take(workflow)
        if kernel is None:
            await self._sweeper.first()
            await self._outage.over()
            kernel = await self._wait(workflow)
        return kernel

    def give_back(self, kernel: Kernel | None) -> None:
        """Give back what `reserve` gave, or `start` made of it."""
        if kernel is not None:
            self.release(kernel)
        else:
            self._free_slot()

    def release(self, kernel: Kernel) -> None:
        """Give a kernel back; one that has died is dropped."""
        if kernel not in self._busy:
            return
        self._busy.remove(kernel)
        if kernel.is_fresh and kernel.workflow is not None and self._max:
            self._idle[kernel] = asyncio.get_running_loop().time()
            self._dispatch()
            self._set_timer()
        else:
            self._end(kernel)

    async def shutdown(self) -> None:
        """End all kernels; who waits for one gets `KernelError`."""
        self._max = 0
        await self._sweeper.stop()
        await self._outage.stop()
        while len(self._queue):
            answer = self._queue.take().answer
            if not answer.done():
                answer.set_exception(KernelError(STOPPING))
        if self._timer is not None:
            self._timer.cancel()
        for kernel in [*self._idle, *self._busy]:
            self._drop(kernel)
        self._idle.clear()
        self._busy.clear()
        await self._prestarted.shutdown()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- places -----------------------------------------------------------------------

    async def _wait(self, workflow: Workflow) -> Kernel | None:
        """Wait for one's turn: an idle kernel, or a place to start one in."""
        turn = _Turn(workflow, asyncio.get_running_loop().create_future())
        self._queue.put(_key(workflow), turn)
        self._dispatch()
        try:
            return await turn.answer
        except asyncio.CancelledError:
            self._queue.remove(_key(workflow), turn)
            if turn.answer.done() and not turn.answer.cancelled():
                self.give_back(turn.answer.result())
            raise

    def _dispatch(self) -> None:
        """Answer those who wait, as far as there are kernels and places; else make room."""
        for kernel in list(self._idle):
            self._serve_warm(kernel)
        while self._queue and self._count < self._max:
            turn = self._queue.take()
            if not turn.answer.done():
                self._count += 1
                turn.answer.set_result(None)
        while self._idle and self._closing < len(self._queue):
            kernel = next(iter(self._idle))
            del self._idle[kernel]
            self._drop(kernel)

    def _serve_warm(self, kernel: Kernel) -> None:
        """Give an idle kernel to the next who waits for its version, while it has its turn."""
        if kernel.workflow is None or not kernel.alive:
            return
        version = _key(kernel.workflow)
        is_over = asyncio.get_running_loop().time() > self._turn_ends[kernel]
        if is_over and self._queue.has_others(version) and not self._queue.is_turn_of(version):
            return
        turn = self._next_of(version)
        if turn is not None:
            del self._idle[kernel]
            self._busy.add(kernel)
            turn.answer.set_result(kernel)

    def _next_of(self, version: _Version) -> _Turn | None:
        """Take out the next who waits for a version; some may have given up just now."""
        is_turn = self._queue.is_turn_of(version)
        turn = self._queue.take() if is_turn else self._queue.take_of(version)
        return self._next_of(version) if turn is not None and turn.answer.done() else turn

    def _free_slot(self) -> None:
        self._count -= 1
        self._dispatch()

    async def start(self, workflow: Workflow, cwd_path: str) -> Kernel:
        """Start a kernel in a slot that `reserve` gave; it is to `prepare` next.

        Where that fails, which it does as `acquire`, the slot is free again.
        """
        kernel = self._prestarted.take(workflow.source.kernel_name)
        if kernel is None:
            kernel = await self._start_new(workflow.source.kernel_name, cwd_path)
        self._busy.add(kernel)
        self._turn_ends[kernel] = (
            asyncio.get_running_loop().time() + self._limits.kernel_turn_seconds
        )
        return kernel

    async def prepare(self, kernel: Kernel, workflow: Workflow, cwd_path: str) -> None:
        """Run the setup in a kernel, unless it has done that.

        Where that fails, which it does as `acquire`, the kernel is dropped and its slot is free.
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
        """Get a fresh kernel in the place of one that is stale; raises as `acquire`.

        Where that fails, the slot is free.
        """
        self._busy.discard(kernel)
        self._count += 1  # for as long as the old one takes to end
        self._drop(kernel)
        fresh = await self.start(workflow, cwd_path)
        await self.prepare(fresh, workflow, cwd_path)
        return fresh

    async def _replace(self, workflow: Workflow) -> None:
        """Have a kernel ready for a version whose last one was stale, if there is room."""
        if self._queue or self._count >= self._max:
            return
        self._count += 1
        try:
            kernel = await self.start(workflow, workflow.path)
            await self.prepare(kernel, workflow, workflow.path)
        except PDFlowError as error:
            logger.debug("No kernel could be prepared for %s: %s", workflow.id, error)
        else:
            self.release(kernel)

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
            self._outage.begins(error)
            self._free_slot()
            raise GatewayUnavailableError(str(error)) from None
        except BaseException:
            self._free_slot()
            raise
        self._outage.ends()
        return kernel

    # --- the end of kernels -----------------------------------------------------------

    def _end(self, kernel: Kernel) -> None:
        if kernel.gateway_error is not None:
            self._outage.begins(kernel.gateway_error)
        self._drop(kernel)

    def _drop(self, kernel: Kernel) -> None:
        self._turn_ends.pop(kernel, None)
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


def _key(workflow: Workflow) -> _Version:
    return workflow.id, workflow.version
