"""The manager of production kernels, and the directory of their sockets."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from jupyter_pdflow.kernels.gateway import KernelNotes, noting

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


def is_local(manager: Any) -> bool:
    """Whether a manager starts its kernels itself, not by asking a gateway."""
    from jupyter_server.gateway.managers import GatewayMappingKernelManager
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    return isinstance(manager, MappingKernelManager) and not isinstance(
        manager, GatewayMappingKernelManager
    )


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
