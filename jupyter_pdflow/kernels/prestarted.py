"""Kernels that are started before a run needs them, and the check of their kernelspec."""

from __future__ import annotations

import asyncio
import tempfile
from logging import Logger
from typing import Any

from jupyter_core.utils import ensure_async
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import GatewayError, KernelError, KernelSpecError
from jupyter_pdflow.kernels.gateway import no_answer
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.manager import is_local

TAIL_LINES = 3


async def check_kernelspec(manager: Any, kernel_name: str, log: Logger) -> None:
    """Start a kernel and see whether this package is there.

    Raises
    ------
    KernelSpecError
        The kernelspec is missing, its kernel does not start, or lacks this package.
    GatewayError
        The kernel gateway can't be reached.
    """
    argv = await _argv(manager, kernel_name)
    reply = await _ask(manager, kernel_name, log)
    if reply.get("status") != "ok":
        raise KernelSpecError(_refusal(kernel_name, argv, reply))


async def _argv(manager: Any, kernel_name: str) -> list[str]:
    """Return the command of a kernelspec, which a gateway describes as JSON."""
    try:
        spec = await ensure_async(manager.kernel_spec_manager.get_kernel_spec(kernel_name))
    except KeyError:  # `NoSuchKernel` is one
        msg = (
            f'There is no kernelspec "{kernel_name}" on this server: choose another kernel for '
            "the notebook and save it, or install that one."
        )
        raise KernelSpecError(msg) from None
    except HTTPError as error:
        raise GatewayError(no_answer(error)) from None
    except Exception as error:  # noqa: BLE001  a kernelspec may be wrong in any way
        msg = f'The kernelspec "{kernel_name}" can\'t be read: {error}'
        raise KernelSpecError(msg) from None
    if isinstance(spec, dict):
        return list(map(str, spec.get("spec", {}).get("argv", [])))
    return list(spec.argv)


async def _ask(manager: Any, kernel_name: str, log: Logger) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as stderr:
        options = {"stderr": stderr} if is_local(manager) else {}
        try:
            kernel = await Kernel.start(manager, kernel_name, "", log, **options)
        except KernelError as error:
            msg = f'The kernelspec "{kernel_name}" can\'t be started: {_tail(stderr) or error}'
            raise KernelSpecError(msg) from None
    try:
        return await kernel.listen()
    finally:
        await kernel.close(now=True)


def _tail(stream: Any) -> str:
    stream.seek(0)
    lines = [line.strip() for line in stream if line.strip()]
    return " ".join(lines[-TAIL_LINES:])


def _refusal(kernel_name: str, argv: list[str], reply: dict[str, Any]) -> str:
    if not str(reply.get("evalue")).startswith("No module named 'jupyter_pdflow"):
        error = f"{reply.get('ename', 'it died')}: {reply.get('evalue', 'no reply')}"
        return f'The kernelspec "{kernel_name}" can\'t load jupyter_pdflow ({error}).'
    python = argv[0] if argv else "python"
    return (
        f'The kernelspec "{kernel_name}" has no jupyter_pdflow: install it into that '
        f"environment ({python} -m pip install jupyter_pdflow)."
    )


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
