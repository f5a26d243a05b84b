"""One production kernel, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from logging import Logger
from queue import Empty
from typing import Any, NamedTuple

import msgspec
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_core.utils import ensure_async

from jupyter_pdflow.exceptions import KernelError
from jupyter_pdflow.kernels.messages import (
    EXECUTE,
    METADATA,
    MIMETYPE,
    PREPARE,
    RESULT,
    Answer,
    Failure,
    Preparation,
)
from jupyter_pdflow.kernels.outputs import Outputs
from jupyter_pdflow.rules.run import Error, Execution, Outcome
from jupyter_pdflow.rules.workflow import Workflow

START_SECONDS = 60.0
GRACE_SECONDS = 5.0
"""How long an interrupted step may take to stop before its kernel is killed."""
_DEATH_SECONDS = 0.5
_IDLE_SECONDS = 2.0
_SHORTLY_SECONDS = 0.2
_POLL_SECONDS = 30.0
_QUEUE_SECONDS = 0.02


class StepResult(NamedTuple):
    """What an execution came to, and its outputs as nbformat has them."""

    outcome: Outcome
    outputs: list[dict[str, Any]]


class Kernel:
    """A kernel process with its channels. Made by `start`, ended by `close`.

    Parameters
    ----------
    manager : MultiKernelManager
        Manager that has started it.
    kernel_id : str
        Its id there.
    log : Logger
        Where trouble is told that concerns no one step.
    """

    def __init__(self, manager: Any, kernel_id: str, log: Logger) -> None:
        self.workflow: Workflow | None = None
        self._manager = manager
        self._id = kernel_id
        self._log = log
        self._process = manager.get_kernel(kernel_id)
        self._client = self._process.client()
        self._reader: asyncio.Task[None] | None = None
        self._message_id = ""
        self._outputs = Outputs()
        self._idle = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._interrupted = False
        self._dead = False

    @classmethod
    async def start(
        cls, manager: Any, kernel_name: str, path: str | None, log: Logger, **options: Any
    ) -> Kernel:
        """Start a kernel and wait until it answers.

        Parameters
        ----------
        manager : MultiKernelManager
            Who starts it.
        kernel_name : str
            Its kernelspec.
        path : str or None
            The notebook whose directory it works in, as Jupyter's contents API names it.
        **options
            More for the manager's ``start_kernel``.

        Raises
        ------
        NoSuchKernel
            The kernelspec is missing.
        KernelError
            It did not start, or did not answer in time.
        """
        kernel_id = await _start_process(manager, kernel_name, path, options)
        kernel = cls(manager, kernel_id, log)
        try:
            await kernel._connect()
        except (RuntimeError, TimeoutError) as error:
            await kernel.close(now=True)
            why = str(error) or f"it did not answer within {START_SECONDS:g} s"
            msg = f"The kernel {kernel_name!r} did not start: {why}. The server's log says more."
            raise KernelError(msg) from None
        except BaseException:
            await kernel.close(now=True)
            raise
        return kernel

    @property
    def alive(self) -> bool:
        """Whether the kernel can still execute, as far as can be told without asking it."""
        process = getattr(getattr(self._process, "provisioner", None), "process", None)
        return not self._dead and (process is None or process.poll() is None)

    @property
    def busy(self) -> bool:
        """Whether it is executing something."""
        return not self._done.is_set()

    async def prepare(self, workflow: Workflow) -> None:
        """Run the setup of a workflow's version, whose steps can be executed from then on.

        Raises
        ------
        KernelError
            A setup cell raised, its ``error`` says what; or the kernel died.
        """
        source = workflow.source
        preparation = Preparation(setup=source.setup, steps=source.steps)
        reply = await self.request(PREPARE, msgspec.json.encode(preparation).decode())
        if reply is None:
            msg = f"The kernel died while it ran the setup: {self._how_it_died()}."
            raise KernelError(msg)
        failure = _result(reply, Failure)
        if isinstance(failure, Error):
            msg = f"The setup could not be run: {failure.ename}: {failure.evalue}"
            raise KernelError(msg, failure)
        if failure is not None:
            error = failure.error
            msg = f"Setup cell {failure.cell} failed: {error.ename}: {error.evalue}"
            raise KernelError(msg, error)
        self.workflow = workflow

    async def execute(self, execution: Execution) -> StepResult:
        """Execute a step.

        Returns
        -------
        StepResult
            Whatever happens: a kernel that dies makes an ``error`` too.
        """
        reply = await self.request(EXECUTE, msgspec.json.encode(execution).decode())
        if reply is None:
            outcome = Outcome(error=self._death_of(execution.step))
        else:
            found = _result(reply, Answer)
            answer = Answer(outcome=Outcome(error=found)) if isinstance(found, Error) else found
            self._outputs.drop(answer.dropped)
            outcome = answer.outcome
        return StepResult(outcome, self._outputs.finish())

    async def request(self, code: str, payload: str = "") -> dict[str, Any] | None:
        """Have code executed with a payload beside it; this gives the reply, None if it died."""
        self._interrupted = False
        self._done.clear()
        self._idle.clear()
        self._outputs = Outputs()
        try:
            return await self._request(code, payload)
        except BaseException:  # nobody knows what it is doing now
            self._dead = True
            raise
        finally:
            self._message_id = ""
            self._done.set()

    async def interrupt(self, grace: float = GRACE_SECONDS) -> None:
        """Interrupt what the kernel executes, and kill the kernel if that does not stop it.

        Parameters
        ----------
        grace : float
            Seconds that it may take to stop.
        """
        if not self.busy:
            return
        self._interrupted = True
        try:
            await ensure_async(self._process.interrupt_kernel())
            await asyncio.wait_for(self._done.wait(), grace)
        except TimeoutError:
            await self._kill()
        except RuntimeError:
            self._log.debug("Kernel %s had ended before it was interrupted", self._id)

    async def close(self, *, now: bool = False) -> None:
        """End the kernel and free what it took; `now` gives it no time to clean up."""
        now = now or self.busy or not self.alive
        self._dead = True
        await self._shut_down(now=now)
        await self._done.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._client.stop_channels()
        self._client.context.destroy(linger=0)

    # --- messages ---------------------------------------------------------------------

    async def _connect(self) -> None:
        await ensure_async(self._client.start_channels(stdin=False, hb=False, control=False))
        self._reader = asyncio.create_task(self._read_iopub())
        async with asyncio.timeout(START_SECONDS):
            while not self._idle.is_set():
                self._message_id = self._client.kernel_info()
                if await self._reply_or_death() is None:
                    msg = f"it died before it answered: {self._how_it_died()}"
                    raise RuntimeError(msg)
                await _wait(self._idle, _SHORTLY_SECONDS)

    async def _request(self, code: str, payload: str) -> dict[str, Any] | None:
        content = {
            "code": code,
            "silent": False,
            "store_history": False,
            "user_expressions": {"result": RESULT},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        session = self._client.session
        message = session.msg("execute_request", content, metadata={METADATA: payload})
        self._message_id = message["header"]["msg_id"]
        self._client.shell_channel.send(message)
        reply = await self._reply_or_death()
        await _wait(self._idle, _IDLE_SECONDS if reply else _SHORTLY_SECONDS)
        return reply

    async def _reply_or_death(self) -> dict[str, Any] | None:
        task = asyncio.create_task(self._reply())
        try:
            while not task.done():
                await asyncio.wait([task], timeout=_DEATH_SECONDS)
                if not task.done() and not await ensure_async(self._process.is_alive()):
                    self._dead = True
                    return None
            return task.result()
        except RuntimeError:  # a gateway has closed the connection
            self._dead = True
            return None
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _reply(self) -> dict[str, Any]:
        while True:
            message = await _next(self._client.shell_channel)
            if message["parent_header"].get("msg_id") == self._message_id:
                content: dict[str, Any] = message["content"]
                return content

    async def _read_iopub(self) -> None:
        while True:
            try:
                message = await _next(self._client.iopub_channel)
                if message["parent_header"].get("msg_id") == self._message_id:
                    self._note(message)
            except RuntimeError:  # a gateway has closed the connection
                return
            except Exception:  # noqa: BLE001  one bad message must not end the reading
                self._log.exception("A message of kernel %s could not be read", self._id)

    def _note(self, message: dict[str, Any]) -> None:
        if message["msg_type"] != "status":
            self._outputs.add(message)
        elif message["content"]["execution_state"] == "idle":
            self._idle.set()

    # --- the end ----------------------------------------------------------------------

    async def _kill(self) -> None:
        self._dead = True
        await self._shut_down(now=True)

    async def _shut_down(self, *, now: bool) -> None:
        if self._id not in self._manager:
            return
        try:
            await ensure_async(self._manager.shutdown_kernel(self._id, now=now))
        except Exception:  # noqa: BLE001  managers differ in what they raise
            self._log.exception("Kernel %s could not be shut down", self._id)

    def _death_of(self, step: str) -> Error:
        if self._interrupted:
            text = f"Step {step!r} was interrupted; it did not stop, so its kernel was killed."
            return Error(ename="KeyboardInterrupt", evalue=text)
        text = f"The kernel died while it executed step {step!r}: {self._how_it_died()}."
        return Error(ename="KernelDied", evalue=text)

    def _how_it_died(self) -> str:
        process = getattr(getattr(self._process, "provisioner", None), "process", None)
        code = getattr(process, "returncode", None)
        if code is None:
            return "it does not say how"
        if code == -signal.SIGKILL:
            return "it was killed (SIGKILL), perhaps because memory ran out"
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"its process exited with status {code}"


async def _start_process(
    manager: Any, kernel_name: str, path: str | None, options: dict[str, Any]
) -> str:
    starting = asyncio.ensure_future(
        ensure_async(manager.start_kernel(kernel_name=kernel_name, path=path, **options))
    )
    try:
        return str(await asyncio.shield(starting))
    except OSError as error:
        msg = f"The kernel {kernel_name!r} can't be started: {error}"
        raise KernelError(msg) from None
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await ensure_async(manager.shutdown_kernel(await starting, now=True))
        raise


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def _next(channel: Any) -> dict[str, Any]:
    """Wait for a message of a channel: a socket, or the queue that a gateway's client has."""
    is_socket = isinstance(channel, AsyncZMQSocketChannel)
    while True:
        try:
            message: dict[str, Any] = await ensure_async(
                channel.get_msg(timeout=_POLL_SECONDS if is_socket else 0)
            )
        except Empty:
            await asyncio.sleep(0 if is_socket else _QUEUE_SECONDS)
        else:
            return message


def _result(reply: dict[str, Any], kind: type) -> Any:
    """Decode what the worker says in a reply; an `Error` when it could not say it."""
    found = (reply.get("user_expressions") or {}).get("result") or reply
    text = (found.get("data") or {}).get(MIMETYPE)
    if text is not None:
        return msgspec.json.decode(text, type=kind | None)
    ename = found.get("ename") or reply.get("ename") or "KernelError"
    evalue = found.get("evalue") or reply.get("evalue") or "The kernel gave no outcome."
    return Error(ename=str(ename), evalue=str(evalue))
