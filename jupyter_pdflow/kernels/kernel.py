"""One production kernel, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_core.utils import ensure_async

from jupyter_pdflow.exceptions import GatewayError, KernelError, PDFlowError
from jupyter_pdflow.kernels.connection import UNREADABLE_REPLY, Connection
from jupyter_pdflow.kernels.gateway import GatewayWatch, is_local
from jupyter_pdflow.kernels.inside.processes import end_descendants
from jupyter_pdflow.kernels.messages import (
    Kind,
    Preparation,
    SetupFailure,
    WorkerReply,
    WorkerRequest,
)
from jupyter_pdflow.kernels.outputs import OutputCollector
from jupyter_pdflow.pd.inputs import given_inputs
from jupyter_pdflow.rules.run import Error, Execution, Outcome
from jupyter_pdflow.rules.workflow import Workflow
from jupyter_pdflow.settings import LIMITS, Limits

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long a kernel may take to start and to reply."""

GRACE_SECONDS = 5.0
"""How long an interrupted step may take to stop before its kernel is killed."""


class StepResult(NamedTuple):
    """The outcome of an execution, and what it has shown.

    Attributes
    ----------
    outputs : sequence of dict
        The outputs as nbformat has them.
    widgets : mapping of str to dict
        The widgets as a notebook's metadata has them, by the ids of their models.
    """

    outcome: Outcome
    outputs: Sequence[dict[str, Any]] = ()
    widgets: Mapping[str, dict[str, Any]] = MappingProxyType({})


class Kernel:
    """A kernel process with its connection, between `start` and `close`.

    Parameters
    ----------
    manager : MultiKernelManager
        The manager that has started the kernel.
    kernel_id : str
        The kernel's id in the manager.
    name : str
        The name of its kernelspec.

    Attributes
    ----------
    workflow : Workflow or None
        The version whose setup it has run.
    is_stale : bool
        Whether a step has changed what the setup left.
    outputs : OutputCollector
        What the latest execution has shown so far.
    """

    def __init__(self, manager: Any, kernel_id: str, name: str, limits: Limits = LIMITS) -> None:
        self.name = name
        self.workflow: Workflow | None = None
        self.is_stale = False
        self._manager = manager
        self._id = kernel_id
        self._process = manager.get_kernel(kernel_id)
        self._watch = None if is_local(manager) else GatewayWatch(self._process)
        self._connection = Connection(self._process.client(), self._is_alive, limits)
        self.outputs = OutputCollector()
        self._has_worker = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._interrupted = False
        self._is_dead = False

    @classmethod
    async def start(
        cls,
        manager: Any,
        kernel_name: str,
        path: str | None,
        limits: Limits = LIMITS,
        **options: Any,
    ) -> Kernel:
        """Start a kernel and wait until it answers.

        Parameters
        ----------
        manager : MultiKernelManager
            Starts the kernel.
        kernel_name : str
            The name of its kernelspec.
        path : str or None
            The notebook whose directory it works in, as Jupyter's contents API names it.
        limits : Limits
            ``reply_bytes`` is the maximum size of its replies.
        **options
            More arguments for the manager's ``start_kernel``.

        Raises
        ------
        NoSuchKernel
            The kernelspec is missing.
        KernelError
            The kernel did not start, or did not answer in time.
        GatewayError
            Its gateway can't be reached, or ended meanwhile.
        """
        kernel_id = await _start_process(manager, kernel_name, path, options)
        kernel = cls(manager, kernel_id, kernel_name, limits)
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
        """Whether the kernel can still execute, as far as is known without a request to it."""
        process = getattr(getattr(self._process, "provisioner", None), "process", None)
        is_connected = not self._is_dead and self._connection.disconnect is None
        return is_connected and (process is None or process.poll() is None)

    @property
    def is_fresh(self) -> bool:
        """Whether the kernel is alive and still as the setup left it."""
        return self.alive and not self.is_stale

    @property
    def busy(self) -> bool:
        """Whether the kernel is executing a request."""
        return not self._is_idle.is_set()

    @property
    def gateway_error(self) -> GatewayError | None:
        """The error if the kernel can't be reached because of its gateway, or None."""
        end = self._connection.disconnect
        return GatewayError(end.reason) if end is not None and end.by_gateway else None

    async def load_worker(self) -> dict[str, Any]:
        """Load the worker and return the content of the kernel's reply, with its ``status``."""
        with self._marked_busy():
            reply = await self._connection.load_worker(self._socket_path())
        self._has_worker = reply.get("status") == "ok"
        return reply

    async def prepare(self, workflow: Workflow, cwd: str | None = None) -> None:
        """Run the setup of a workflow's version; then its steps can be executed.

        Parameters
        ----------
        workflow : Workflow
            The version.
        cwd : str, optional
            The directory to change to, for a kernel that was started in another one.

        Raises
        ------
        KernelError
            A setup cell raised, and ``error`` is what it raised; or the kernel died.
        GatewayError
            Its gateway ended meanwhile.
        """
        if not self._has_worker:
            content = await self.load_worker()
            self._check_gateway()
            _check_loaded(content, self._exit_reason())
        self.outputs, source = OutputCollector(), workflow.source
        preparation = Preparation(
            setup=source.setup, steps=source.steps, modules=source.modules, cwd=cwd
        )
        reply = await self._request("prepare", preparation)
        if reply is None:
            msg = f"The kernel died while it ran the setup: {self._exit_reason()}."
            raise KernelError(msg)
        if reply.error is not None:
            msg = f"The setup could not be run: {reply.error.ename}: {reply.error.evalue}"
            raise KernelError(msg, reply.error)
        failure = self._read(reply, SetupFailure | None)
        if failure is not None:
            error = failure.error
            msg = f"Setup cell {failure.cell} failed: {error.ename}: {error.evalue}"
            raise KernelError(msg, error)
        self.workflow = workflow

    async def execute(
        self, execution: Execution, outputs: OutputCollector | None = None
    ) -> StepResult:
        """Execute a step.

        Parameters
        ----------
        execution : Execution
            What to execute.
        outputs : OutputCollector, optional
            Collects what it shows; nothing before is in it.

        Returns
        -------
        StepResult
            Also if the kernel dies: its outcome has an ``error`` then.

        Raises
        ------
        GatewayError
            Its gateway ended meanwhile, so the outcome of the step is unknown.
        """
        self.outputs = outputs or OutputCollector()
        reply = await self._request("execute", execution)
        if reply is None:
            outcome = Outcome(error=self._death_error(execution.step))
        else:
            self.outputs.drop(reply.dropped)
            outcome = self._read_outcome(reply)
        # The outputs first: they complete the states of Output widgets.
        return StepResult(outcome, self.outputs.finish(), self.outputs.widgets.metadata())

    async def interrupt(self, grace: float = GRACE_SECONDS) -> None:
        """Interrupt what the kernel executes; kill the kernel if that does not stop in time.

        Parameters
        ----------
        grace : float
            How many seconds it may take to stop.
        """
        if not self.busy:
            return
        self._interrupted = True
        try:
            await ensure_async(self._process.interrupt_kernel())
            await asyncio.wait_for(self._is_idle.wait(), grace)
        except TimeoutError:
            await self._kill()
        except RuntimeError:
            logger.debug("Kernel %s had ended before it was interrupted", self._id)
        except Exception as error:  # noqa: BLE001  gateways differ in what they raise
            logger.warning("Kernel %s can't be interrupted: %s", self._id, error)
            await self._kill()

    async def close(self, *, now: bool = False) -> None:
        """End the kernel and free what it took; with `now`, it has no time to clean up."""
        now = now or self.busy or not self.alive
        self._is_dead = True
        if self._interrupted:
            await self._end_children()
        await self._shut_down(now=now)
        await self._is_idle.wait()
        await self._connection.close()

    # --- messages ---------------------------------------------------------------------

    async def _connect(self) -> None:
        async with asyncio.timeout(START_SECONDS):
            if not await self._connection.open():
                self._check_gateway()
                msg = f"it died before it answered: {self._exit_reason()}"
                raise RuntimeError(msg)

    async def _request(self, kind: Kind, data: msgspec.Struct) -> WorkerReply | None:
        # A kernel without a socket may be on another machine, where inputs.toml does not exist.
        reads_inputs = kind != "execute" or self._connection.has_socket
        inputs = None if reads_inputs else await asyncio.to_thread(given_inputs)
        raw = msgspec.Raw(msgspec.json.encode(data))
        request = WorkerRequest(id=uuid4().hex, kind=kind, data=raw, inputs=inputs)
        self._interrupted = False
        with self._marked_busy():
            reply = await self._connection.request(request, self.outputs.add)
        self._is_dead = self._is_dead or reply is None
        self.is_stale = reply is not None and reply.stale
        self._check_gateway()
        return reply

    def _read_outcome(self, reply: WorkerReply) -> Outcome:
        if reply.error is not None:
            return Outcome(error=reply.error)
        try:
            outcome: Outcome = self._read(reply, Outcome)
        except KernelError as error:
            return Outcome(error=Error(ename="KernelDied", evalue=str(error)))
        return outcome

    def _read(self, reply: WorkerReply, kind: Any) -> Any:
        """Decode the data of a reply; a kernel whose data can't be decoded is not used again."""
        try:
            return msgspec.json.decode(reply.data, type=kind)
        except (msgspec.MsgspecError, RecursionError):
            self._is_dead = True
            msg = f"The kernel was ended: {UNREADABLE_REPLY}."
            raise KernelError(msg) from None

    def _check_gateway(self) -> None:
        if self.gateway_error is not None:
            raise self.gateway_error

    @contextlib.contextmanager
    def _marked_busy(self) -> Iterator[None]:
        self._is_idle.clear()
        try:
            yield
        except BaseException:  # its request may still be executing
            self._is_dead = True
            raise
        finally:
            self._is_idle.set()

    def _socket_path(self) -> Path | None:
        if getattr(self._process, "transport", "") != "ipc":
            return None
        return Path(self._process.connection_file).with_suffix(".sock")

    async def _is_alive(self) -> bool:
        if self._watch is not None:
            return await self._watch.is_alive()
        return bool(await ensure_async(self._process.is_alive()))

    # --- the end ----------------------------------------------------------------------

    async def _kill(self) -> None:
        self._is_dead = True
        await self._end_children()
        await self._shut_down(now=True)

    async def _end_children(self) -> None:
        """End the processes that an interrupted step has started, daemons included."""
        process = getattr(getattr(self._process, "provisioner", None), "process", None)
        if process is not None and is_local(self._manager):
            await asyncio.to_thread(end_descendants, process.pid)

    async def _shut_down(self, *, now: bool) -> None:
        if self._id not in self._manager:
            return
        try:
            await ensure_async(self._manager.shutdown_kernel(self._id, now=now))
        except Exception:
            logger.exception("Kernel %s could not be shut down", self._id)

    def _death_error(self, step: str) -> Error:
        if self._interrupted:
            text = f"Step {step!r} was interrupted; it did not stop, so its kernel was killed."
            return Error(ename="KeyboardInterrupt", evalue=text)
        text = f"The kernel died while it executed step {step!r}: {self._exit_reason()}."
        return Error(ename="KernelDied", evalue=text)

    def _exit_reason(self) -> str:
        process = getattr(getattr(self._process, "provisioner", None), "process", None)
        code = getattr(process, "returncode", None)
        if code is None:
            if self._connection.disconnect is not None:
                return self._connection.disconnect.reason
            return (
                "the reason is unknown" if self._watch is None else "its gateway no longer has it"
            )
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
        # If this is canceled in between, the process starts nevertheless, and must be ended below.
        kernel_id = str(await asyncio.shield(starting))
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await ensure_async(manager.shutdown_kernel(await starting, now=True))
        raise
    except (NoSuchKernel, PDFlowError):
        raise
    except Exception as error:  # noqa: BLE001  a kernelspec may be wrong in any way
        msg = f"The kernel {kernel_name!r} can't be started: {str(error) or type(error).__name__}"
        raise KernelError(msg) from None
    if is_local(manager):
        # Jupyter reads each message of a kernel a second time to cull idle ones; these are not
        # culled.
        manager.stop_watching_activity(kernel_id)
    return kernel_id


def _check_loaded(content: dict[str, Any], exit_reason: str) -> None:
    if content.get("status") != "ok":
        why = f"{content['ename']}: {content['evalue']}" if content else exit_reason
        msg = f"The kernel could not load jupyter_pdflow: {why}."
        raise KernelError(msg)
