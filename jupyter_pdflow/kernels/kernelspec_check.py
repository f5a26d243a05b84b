"""Finding out whether a kernelspec can carry out steps."""

from __future__ import annotations

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
