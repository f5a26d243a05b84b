"""How production kernels are made: their manager, their kernelspec, and some started ahead."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_core.utils import ensure_async
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import GatewayError, KernelError, KernelSpecError
from jupyter_pdflow.kernels.gateway import KernelNotes, is_local, no_answer, noting
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

PREFIX = "pdflow-"
LOCK = "owner.lock"


class RuntimeDirectory:
    """A new directory below `parent`, until `remove`; clears those whose owners have died.

    A server that was killed can't remove its own. The system has freed its lock, though.
    """

    def __init__(self, parent: Path) -> None:
        _clear_abandoned(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = FileLock(self.path / LOCK, thread_local=False, mode=0o600)
        self._lock.acquire()

    def remove(self) -> None:
        """Remove the directory and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def _clear_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*/{LOCK}"):
        if _is_mine(path):
            _remove_if_abandoned(path)


def _is_mine(path: Path) -> bool:
    """Whether this user made it: in the system's folder there may be those of others."""
    return os.name != "posix" or path.lstat().st_uid == path.parent.lstat().st_uid == os.getuid()


def _remove_if_abandoned(path: Path) -> None:
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return
    shutil.rmtree(path.parent, ignore_errors=True)
    lock.release()


SOCKET_PATH_LIMIT = 100
"""Bytes that the path of a Unix socket may have, on every system."""
_NAME = "kernel-00000000-0000-0000-0000-000000000000-ipc-9"


def production_manager(serverapp: Any, notes: Path | None = None) -> Any:
    """Make a kernel manager of the class that the server has, for production runs.

    Its kernels are not culled, not restarted, and not among the server's sessions. Those on
    this machine talk through Unix sockets in a directory that only the user can read.

    Parameters
    ----------
    serverapp : jupyter_server.serverapp.ServerApp
        The server.
    notes : Path, optional
        A folder to note in which kernels a gateway has started, so that none is left there.

    Returns
    -------
    MultiKernelManager
        To be closed with `close_manager`.
    """
    kind = type(serverapp.kernel_manager)
    if notes is not None and not is_local(serverapp.kernel_manager):
        kind = noting(kind, KernelNotes(notes, _gateway_url()))
    options = {
        "parent": serverapp,
        "log": serverapp.log,
        "kernel_spec_manager": serverapp.kernel_spec_manager,
        "connection_dir": serverapp.runtime_dir,
        "cull_idle_timeout": 0,
        "use_pending_kernels": False,
    }
    traits = kind.class_trait_names()
    manager = kind(**{name: value for name, value in options.items() if name in traits})
    if is_local(manager):
        _keep_private(manager, serverapp.runtime_dir)
    return manager


def close_manager(manager: Any) -> None:
    """Free what a manager holds when its kernels have ended."""
    if not manager.context.closed:
        manager.context.destroy(linger=0)
    private = getattr(manager.kernel_manager_factory, "private", None)
    if private is not None:
        private.remove()


def _gateway_url() -> str:
    from jupyter_server.gateway.gateway_client import GatewayClient

    return str(GatewayClient.instance().url)


class _Factory:
    """Makes the manager of one kernel, with Unix sockets where that kernel is local."""

    def __init__(self, create: Callable[..., Any], private: RuntimeDirectory) -> None:
        self._create = create
        self.private = private

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kernel = self._create(*args, **kwargs)
        kernel.autorestart = False
        path = Path(kernel.connection_file).with_suffix("")
        if _is_local_python(kernel) and len(str(path)) + len("-ipc-9") < SOCKET_PATH_LIMIT:
            kernel.transport = "ipc"
            kernel.ip = f"{path}-ipc"
        return kernel


def _keep_private(manager: Any, runtime_dir: str) -> None:
    private = RuntimeDirectory(_short_parent(Path(runtime_dir)))
    manager.connection_dir = str(private.path)
    manager.kernel_manager_factory = _Factory(manager.kernel_manager_factory, private)


def _short_parent(runtime_dir: Path) -> Path:
    """Choose a directory in which the path of a socket is short enough, if it can be."""
    fits = len(str(runtime_dir / f"{PREFIX}00000000" / _NAME)) < SOCKET_PATH_LIMIT
    return runtime_dir if fits else Path(tempfile.gettempdir())


def _is_local_python(kernel: Any) -> bool:
    """Whether the kernel's process sees our directory: not in a container or elsewhere."""
    try:
        spec = kernel.kernel_spec
    except KeyError:
        return False
    factory = KernelProvisionerFactory.instance(parent=kernel.parent)
    chosen = spec.metadata.get("kernel_provisioner", {}).get("provisioner_name")
    provisioner = chosen or factory.default_provisioner_name
    runs_python = bool(spec.argv) and Path(spec.argv[0]).name.startswith("python")
    return os.name == "posix" and provisioner == "local-provisioner" and runs_python


TAIL_LINES = 3


async def check_kernelspec(manager: Any, kernel_name: str) -> None:
    """Start a kernel and see whether this package is there.

    Raises
    ------
    KernelSpecError
        The kernelspec is missing, its kernel does not start, or lacks this package.
    GatewayError
        The kernel gateway can't be reached.
    """
    argv = await _argv(manager, kernel_name)
    reply = await _ask(manager, kernel_name)
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


async def _ask(manager: Any, kernel_name: str) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as stderr:
        options: dict[str, Any] = {"stderr": stderr} if is_local(manager) else {}
        try:
            kernel = await Kernel.start(manager, kernel_name, "", **options)
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


class Prestarted:
    """Keeps so many kernels of the kernelspec that was asked for last, without any setup.

    Parameters
    ----------
    manager : MultiKernelManager
        Who starts them.
    count : int
        How many to keep; with 0 there never is one.
    """

    def __init__(self, manager: Any, count: int, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._manager = manager
        self._count = count
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
        self.keep(kernel_name, after=self._limits.prestart_seconds)
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
        except Exception:
            logger.exception("A spare kernel could not be started")

    async def _start(self, kernel_name: str) -> Kernel:
        kernel = await Kernel.start(self._manager, kernel_name, None, self._limits)
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
