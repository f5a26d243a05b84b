"""Kernels that are started before anyone needs them."""

from __future__ import annotations

import asyncio
from logging import Logger
from typing import Any

from jupyter_pdflow.kernels.kernel import Kernel

REPLACE_AFTER = 1.0
"""Seconds until a spare kernel that was taken is replaced: the run that took it goes first."""


class Prestarted:
    """Keeps so many kernels of the kernelspec that was asked for last, without any setup.

    Parameters
    ----------
    manager : MultiKernelManager
        Who starts them.
    count : int
        How many to keep; with 0 there never is one.
    log : Logger
        Where trouble with starting is told.
    """

    def __init__(self, manager: Any, count: int, log: Logger) -> None:
        self._manager = manager
        self._count = count
        self._log = log
        self._name = ""
        self._ready: list[Kernel] = []
        self._keeping: asyncio.Task[None] | None = None

    def take(self, kernel_name: str) -> Kernel | None:
        """Take a spare kernel of a kernelspec, if there is one, and see to the next."""
        if not self._count:
            return None
        fits = self._name == kernel_name
        kernel = next((kernel for kernel in self._ready if fits and kernel.alive), None)
        if kernel is not None:
            self._ready.remove(kernel)
        self.keep(kernel_name, after=REPLACE_AFTER)
        return kernel

    def keep(self, kernel_name: str, *, after: float = 0.0) -> None:
        """Keep kernels of this kernelspec from now on; start them after so many seconds."""
        self._name = kernel_name
        if self._count and (self._keeping is None or self._keeping.done()):
            self._keeping = asyncio.create_task(self._keep(after))

    async def shutdown(self) -> None:
        """End them all, and start no more."""
        self._count = 0
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._end(self._ready)

    async def _keep(self, after: float) -> None:
        await asyncio.sleep(after)
        try:
            await self._end([kernel for kernel in self._ready if not self._fits(kernel)])
            while len(self._ready) < self._count:
                self._ready.append(await self._start(self._name))
        except Exception:  # noqa: BLE001  runs start kernels themselves then, and tell why not
            self._log.exception("A spare kernel could not be started")

    async def _start(self, kernel_name: str) -> Kernel:
        kernel = await Kernel.start(self._manager, kernel_name, None, self._log)
        try:
            await kernel.listen()
        except BaseException:
            await kernel.close(now=True)
            raise
        return kernel

    def _fits(self, kernel: Kernel) -> bool:
        return kernel.alive and kernel.name == self._name

    async def _end(self, kernels: list[Kernel]) -> None:
        for kernel in list(kernels):
            self._ready.remove(kernel)
            await kernel.close(now=True)
