"""How production kernels are made.

The manager that starts them, the private directory of their sockets, the check of a kernelspec, and
kernels that are started ahead of the runs that need them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_core.utils import ensure_async
from tornado.web import HTTPError

from jupyter_pdflow.exceptions import GatewayError, KernelError, KernelSpecError
from jupyter_pdflow.kernels.gateway import (
    KernelRegistry,
    is_local,
    recording_manager_class,
    unreachable_message,
)
from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

PREFIX = "pdflow-"
LOCK = "owner.lock"

SOCKET_PATH_LIMIT = 100
"""Bytes that the path of a Unix socket may have on every system."""

TAIL_LINES = 3
"""Lines of a kernel's stderr that the error of a kernelspec quotes."""

_LONGEST_SOCKET_NAME = "kernel-00000000-0000-0000-0000-000000000000-ipc-9"


# --- the manager ----------------------------------------------------------------------


def production_manager(
    serverapp: Any, registry_folder: Path | None = None, *, shared: bool = False
) -> Any:
    """Make a kernel manager of the server's own class, for production runs.

    Its kernels are not culled, not restarted, and not among the server's sessions. Those on
    this machine communicate through Unix sockets in a directory that only the user can read.

    Parameters
    ----------
    serverapp : jupyter_server.serverapp.ServerApp
        The server.
    registry_folder : Path, optional
        Where to record the kernels that are started at a gateway, so that none is left there.
    shared : bool
        Whether other processes use that folder; each has a part of it then.

    Returns
    -------
    MultiKernelManager
        To be closed with `close_manager`.
    """
    kind = type(serverapp.kernel_manager)
    part = None
    if registry_folder is not None and not is_local(serverapp.kernel_manager):
        if shared:
            part = FolderPart(registry_folder)
            registry_folder = part.path
        kind = recording_manager_class(kind, KernelRegistry(registry_folder, _gateway_url()))
    options = {
        "parent": serverapp,
        "log": serverapp.log,
        "kernel_spec_manager": serverapp.kernel_spec_manager,
        "connection_dir": serverapp.runtime_dir,
        "cull_idle_timeout": 0,
        "use_pending_kernels": False,
    }
    # A class that another package provides may lack some of these traits, and refuses them then.
    traits = kind.class_trait_names()
    manager = kind(**{name: value for name, value in options.items() if name in traits})
    if is_local(manager):
        _use_runtime_directory(manager, serverapp.runtime_dir)
    manager.registry_part = part
    return manager


def close_manager(manager: Any) -> None:
    """Free what a manager holds; call it when its kernels have ended."""
    if not manager.context.closed:
        manager.context.destroy(linger=0)
    if manager.registry_part is not None:
        manager.registry_part.release()
    directory = getattr(manager.kernel_manager_factory, "runtime_directory", None)
    if directory is not None:
        directory.remove()


class FolderPart:
    """The first part of a folder that no other process uses; it is used by this one now.

    A part whose process was killed is used again: the system has released its lock.
    """

    def __init__(self, folder: Path) -> None:
        for number in count():
            self.path = folder / f"part-{number}"
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = FileLock(self.path / LOCK, thread_local=False, mode=0o600)
            with suppress(Timeout):
                self._lock.acquire(timeout=0)
                return

    def release(self) -> None:
        """Leave the part to other processes."""
        self._lock.release()


def _gateway_url() -> str:
    from jupyter_server.gateway.gateway_client import GatewayClient

    return str(GatewayClient.instance().url)


def _use_runtime_directory(manager: Any, runtime_dir: str) -> None:
    directory = RuntimeDirectory(_short_parent(Path(runtime_dir)))
    manager.connection_dir = str(directory.path)
    manager.kernel_manager_factory = _KernelFactory(manager.kernel_manager_factory, directory)


def _short_parent(runtime_dir: Path) -> Path:
    """Return a directory in which the path of a socket is short enough, if there is one."""
    longest = runtime_dir / f"{PREFIX}00000000" / _LONGEST_SOCKET_NAME
    fits = len(str(longest)) < SOCKET_PATH_LIMIT
    return runtime_dir if fits else Path(tempfile.gettempdir())


class _KernelFactory:
    """Makes the manager of one kernel, with Unix sockets if that kernel is local."""

    def __init__(self, create: Callable[..., Any], runtime_directory: RuntimeDirectory) -> None:
        self._create = create
        self.runtime_directory = runtime_directory

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kernel = self._create(*args, **kwargs)
        # A restarted kernel would have run no setup: the pool replaces one that has died.
        kernel.autorestart = False
        path = Path(kernel.connection_file).with_suffix("")
        if _is_local_python(kernel) and len(str(path)) + len("-ipc-9") < SOCKET_PATH_LIMIT:
            kernel.transport = "ipc"
            kernel.ip = f"{path}-ipc"
        return kernel


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


# --- the directory of its sockets -----------------------------------------------------


class RuntimeDirectory:
    """A new directory that only the user can read, until `remove`.

    Removes the directories beside it whose owners have died: a server that was killed can't remove
    its own, but the system has released its lock.

    Parameters
    ----------
    parent : Path
        Where to make it.
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
    """Whether this user made a directory: the system's temporary folder has those of others."""
    return os.name != "posix" or path.lstat().st_uid == path.parent.lstat().st_uid == os.getuid()


def _remove_if_abandoned(path: Path) -> None:
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return
    shutil.rmtree(path.parent, ignore_errors=True)
    lock.release()


# --- the check of a kernelspec --------------------------------------------------------


async def check_kernelspec(manager: Any, kernel_name: str) -> None:
    """Start a kernel and check that it can import this package.

    Raises
    ------
    KernelSpecError
        The kernelspec is missing, its kernel does not start, or lacks this package.
    GatewayError
        The kernel gateway can't be reached.
    """
    argv = await find_kernelspec(manager, kernel_name)
    reply = await _load_worker(manager, kernel_name)
    if reply.get("status") != "ok":
        raise KernelSpecError(_load_failure(kernel_name, argv, reply))


async def find_kernelspec(manager: Any, kernel_name: str) -> list[str]:
    """Return the command of a kernelspec.

    Raises
    ------
    KernelSpecError
        It is missing, or can't be read.
    GatewayError
        The kernel gateway can't be reached.
    """
    try:
        spec = await ensure_async(manager.kernel_spec_manager.get_kernel_spec(kernel_name))
    except KeyError:  # `NoSuchKernel` is one
        msg = (
            f'There is no kernelspec "{kernel_name}" on this server: choose another kernel for '
            "the notebook and save it, or install that one."
        )
        raise KernelSpecError(msg) from None
    except HTTPError as error:
        raise GatewayError(unreachable_message(error)) from None
    except Exception as error:  # noqa: BLE001  a kernelspec may be wrong in any way
        msg = f'The kernelspec "{kernel_name}" can\'t be read: {error}'
        raise KernelSpecError(msg) from None
    if isinstance(spec, dict):  # from a gateway
        return list(map(str, spec.get("spec", {}).get("argv", [])))
    return list(spec.argv)


async def _load_worker(manager: Any, kernel_name: str) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as stderr:
        options: dict[str, Any] = {"stderr": stderr} if is_local(manager) else {}
        try:
            kernel = await Kernel.start(manager, kernel_name, "", **options)
        except KernelError as error:
            msg = f'The kernelspec "{kernel_name}" can\'t be started: {_tail(stderr) or error}'
            raise KernelSpecError(msg) from None
    try:
        return await kernel.load_worker()
    finally:
        await kernel.close(now=True)


def _tail(stream: Any) -> str:
    stream.seek(0)
    lines = [line.strip() for line in stream if line.strip()]
    return " ".join(lines[-TAIL_LINES:])


def _load_failure(kernel_name: str, argv: list[str], reply: dict[str, Any]) -> str:
    if not str(reply.get("evalue")).startswith("No module named 'jupyter_pdflow"):
        error = f"{reply.get('ename', 'it died')}: {reply.get('evalue', 'no reply')}"
        return f'The kernelspec "{kernel_name}" can\'t load jupyter_pdflow ({error}).'
    python = argv[0] if argv else "python"
    return (
        f'The kernelspec "{kernel_name}" has no jupyter_pdflow: install it into that '
        f"environment ({python} -m pip install jupyter_pdflow)."
    )


# --- kernels that are started ahead ---------------------------------------------------


class PrestartedKernels:
    """Keeps kernels started that have run no setup yet, of the kernelspec that was used last.

    Parameters
    ----------
    manager : MultiKernelManager
        Starts them.
    count : int
        Number of kernels to keep; 0 for none.
    """

    def __init__(self, manager: Any, count: int, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._manager = manager
        self._count = count
        self._name = ""
        self._ready: list[Kernel] = []
        self._starting: asyncio.Task[None] | None = None

    def take(self, kernel_name: str) -> Kernel | None:
        """Return a prestarted kernel of a kernelspec, or None; start the next one later."""
        if not self._count:
            return None
        fits = self._name == kernel_name
        kernel = next((kernel for kernel in self._ready if fits and kernel.alive), None)
        if kernel is not None:
            self._ready.remove(kernel)
        self.prestart(kernel_name, after=self._limits.prestart_seconds)
        return kernel

    def prestart(self, kernel_name: str, *, after: float = 0.0) -> None:
        """Keep kernels of this kernelspec from now on.

        Parameters
        ----------
        kernel_name : str
            The kernelspec.
        after : float
            Seconds to wait before kernels are started.
        """
        self._name = kernel_name
        if self._count and (self._starting is None or self._starting.done()):
            self._starting = asyncio.create_task(self._start_all(after))

    async def shutdown(self) -> None:
        """End all prestarted kernels, and start no more."""
        self._count = 0
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._end(self._ready)

    async def _start_all(self, after: float) -> None:
        await asyncio.sleep(after)
        try:
            await self._end([kernel for kernel in self._ready if not self._fits(kernel)])
            while len(self._ready) < self._count:
                self._ready.append(await self._start(self._name))
        except Exception:
            logger.exception("A kernel could not be started ahead")

    async def _start(self, kernel_name: str) -> Kernel:
        # No notebook yet: `Kernel.prepare` changes to its directory.
        kernel = await Kernel.start(self._manager, kernel_name, None, self._limits)
        try:
            await kernel.load_worker()
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
