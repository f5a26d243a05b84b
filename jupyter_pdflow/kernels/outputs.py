"""The channels of a kernel, and the outputs that arrive on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from queue import Empty
from typing import Any, TypeAlias

from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_core.utils import ensure_async

from jupyter_pdflow.exceptions import ClosedByGatewayError, GatewayError

Message: TypeAlias = dict[str, Any]

OUTPUT_LIMIT = 2_000_000
"""Maximum number of bytes of outputs that are kept of one execution."""

_POLL_SECONDS = 0.02
_CLOSED = "The kernel gateway has ended, or has closed the connection with the kernel."
_DISPLAYED = ("display_data", "execute_result")


class Channels:
    """The shell and iopub channels of a kernel, between `start` and `stop`.

    Jupyter's client of a gateway blocks while it connects, sends and closes, so that is done in a
    thread.

    Parameters
    ----------
    client : AsyncKernelClient
        Jupyter's client of the kernel.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._is_gateway_client = hasattr(client, "response_router")
        self._connecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start both channels.

        Raises
        ------
        GatewayError
            The gateway can't be reached.
        """
        if not self._is_gateway_client:
            await ensure_async(self._start())
            return
        self._connecting = asyncio.create_task(asyncio.to_thread(asyncio.run, self._start()))
        try:
            await asyncio.shield(self._connecting)
        except Exception as error:  # noqa: BLE001  its client raises what its parts do
            msg = f"The kernel gateway can't be reached: {error}"
            raise GatewayError(msg) from None
        # The client sets the time that a kernel may take to start as the timeout of every read; a
        # step that publishes nothing for longer would lose its connection.
        self._client.channel_socket.settimeout(None)

    def _start(self) -> Any:
        return self._client.start_channels(stdin=False, hb=False, control=False)

    @property
    def shell(self) -> Any:
        """The shell channel."""
        return self._client.shell_channel

    @property
    def iopub(self) -> Any:
        """The iopub channel."""
        return self._client.iopub_channel

    def message(self, kind: str, content: Message) -> Message:
        """Return a message for the shell channel."""
        message: Message = self._client.session.msg(kind, content)
        if self._is_gateway_client:  # without it, the gateway logs the message with its secrets
            message["channel"] = "shell"
        return message

    async def send(self, message: Message) -> None:
        """Send a message on the shell channel.

        Raises
        ------
        ClosedByGatewayError
            The gateway has closed the connection.
        """
        if not self._is_gateway_client:
            self.shell.send(message)
            return
        try:
            await asyncio.to_thread(self.shell.send, message)
        except Exception as error:
            raise ClosedByGatewayError(_CLOSED) from error

    async def next(self, channel: Any) -> Message:
        """Wait for the next message of a channel and return it.

        Raises
        ------
        ClosedByGatewayError
            The gateway has closed the connection.
        """
        if isinstance(channel, AsyncZMQSocketChannel):
            # `get_msg` polls the socket before each read; the read itself waits too.
            received = await channel.socket.recv_multipart()
            _, parts = channel.session.feed_identities(received)
            message: Message = channel.session.deserialize(parts)
            return message
        while True:
            try:
                message = await ensure_async(channel.get_msg(timeout=0))
            except Empty:
                await asyncio.sleep(_POLL_SECONDS)
            except RuntimeError:
                raise ClosedByGatewayError(_CLOSED) from None
            else:
                return message

    async def stop(self) -> None:
        """Stop the channels and free what they took."""
        if not self._is_gateway_client:
            self._client.stop_channels()
        elif self._connecting is not None:
            await asyncio.wait([self._connecting])
            # A client that has never connected raises when it is stopped.
            if self._connecting.exception() is None:
                await asyncio.to_thread(self._client.stop_channels)
        self._client.context.destroy(linger=0)


class OutputCollector:
    """The outputs of one execution, as nbformat has them.

    Outputs beyond the limit are dropped, and a last output says how many bytes that were. Errors
    are always kept.

    Parameters
    ----------
    limit : int
        Bytes to keep.
    """

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self._limit = limit
        self._start()

    def _start(self) -> None:
        self._outputs: list[dict[str, Any]] = []
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self._size = 0
        self._dropped = 0
        self._clear_next = False

    def add(self, message: Mapping[str, Any]) -> None:
        """Add the output of an iopub message; other messages are ignored."""
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self._clear(wait=bool(content.get("wait")))
        elif kind == "update_display_data":
            self._update(message)
        elif kind in ("stream", "error", *_DISPLAYED):
            if self._clear_next:
                self._start()
            self._append(message)

    def drop(self, size: int) -> None:
        """Count bytes that the kernel has dropped already."""
        self._dropped += size

    def finish(self) -> list[dict[str, Any]]:
        """Return the outputs as plain JSON values."""
        outputs = [_join_text(output) for output in self._outputs]
        if self._dropped:
            limit = f"{self._limit / 1_000_000:g} MB"
            text = f"… output of {self._dropped:,} more bytes was dropped (limit {limit})\n"
            outputs.append({"output_type": "stream", "name": "stderr", "text": text})
        return outputs

    def _clear(self, *, wait: bool) -> None:
        if wait:
            self._clear_next = True
        else:
            self._start()

    def _append(self, message: Mapping[str, Any]) -> None:
        if message["msg_type"] == "stream":
            self._append_text(message["content"]["name"], message["content"]["text"])
            return
        output, size = _output(message)
        if message["msg_type"] != "error" and not self._keep(size):
            return
        self._outputs.append(output)
        name = _display_id(message)
        if name is not None:
            self._displays.setdefault(name, []).append(output)

    def _append_text(self, name: str, text: str) -> None:
        data = text.encode("utf-8", "replace")
        kept = data[: max(0, self._limit - self._size)]
        self._size += len(kept)
        self._dropped += len(data) - len(kept)
        if not kept:
            return
        last = self._outputs[-1] if self._outputs else {}
        if last.get("name") != name:
            last = {"output_type": "stream", "name": name, "text": []}
            self._outputs.append(last)
        last["text"].append(kept)

    def _update(self, message: Mapping[str, Any]) -> None:
        """Replace the data of every output with this display id."""
        outputs = self._displays.get(_display_id(message) or "", [])
        if not outputs:
            return
        new, size = _output({**message, "msg_type": "display_data"})
        if not self._keep(size * len(outputs)):
            return
        for output in outputs:
            self._size -= _size(output)
            output.update(data=new["data"], metadata=new["metadata"])

    def _keep(self, size: int) -> bool:
        """Count an output of this size; return whether it is within the limit."""
        if self._size + size > self._limit:
            self._dropped += size
            return False
        self._size += size
        return True


def _output(message: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    from nbformat.v4 import output_from_msg

    kind = message["msg_type"]
    header = {**message.get("header", {}), "msg_type": kind}
    output: Any = output_from_msg(  # type: ignore[no-untyped-call]
        {"header": header, "content": message["content"]}
    )
    data = _bytes(output)
    return json.loads(data), len(data)


def _bytes(output: Mapping[str, Any]) -> bytes:
    return json.dumps(output, ensure_ascii=False).encode("utf-8", "replace")


def _size(output: Mapping[str, Any]) -> int:
    return len(_bytes(output))


def _display_id(message: Mapping[str, Any]) -> str | None:
    name = (message["content"].get("transient") or {}).get("display_id")
    return name if isinstance(name, str) else None


def _join_text(output: dict[str, Any]) -> dict[str, Any]:
    """Join the parts of a stream's text; the limit may have cut the last one within a character."""
    if output["output_type"] != "stream":
        return output
    text = b"".join(output["text"]).decode("utf-8", "replace")
    return {**output, "text": _apply_carriage_returns(text) if "\r" in text else text}


def _apply_carriage_returns(text: str) -> str:
    """Overwrite text after carriage returns as a terminal does, for progress bars."""
    return "\n".join(map(_overwritten, text.split("\n")))


def _overwritten(line: str) -> str:
    visible = ""
    for part in line.split("\r"):
        visible = part + visible[len(part) :]
    return visible
