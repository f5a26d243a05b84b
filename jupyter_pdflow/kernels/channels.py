"""The shell and the iopub channel of a kernel: sockets, or a gateway's WebSocket."""

from __future__ import annotations

import asyncio
from queue import Empty
from typing import Any, TypeAlias

from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_core.utils import ensure_async

from jupyter_pdflow.exceptions import GatewayError

Message: TypeAlias = dict[str, Any]

_QUEUE_SECONDS = 0.02


class ClosedByGatewayError(GatewayError):
    """The gateway has ended, or has closed its connection with a kernel."""


class Channels:
    """Two channels of a kernel. Made by `start`, ended by `stop`.

    Jupyter's client of a gateway blocks while it connects, sends and closes; it does so in a
    thread here.

    Parameters
    ----------
    client : AsyncKernelClient
        Jupyter's client of the kernel.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._is_gateways = hasattr(client, "response_router")
        self._connecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start both channels.

        Raises
        ------
        GatewayError
            The gateway can't be reached.
        """
        if not self._is_gateways:
            await ensure_async(self._start())
            return
        self._connecting = asyncio.create_task(asyncio.to_thread(asyncio.run, self._start()))
        try:
            await asyncio.shield(self._connecting)
        except Exception as error:  # noqa: BLE001  its client raises what its parts do
            msg = f"The kernel gateway can't be reached: {error}"
            raise GatewayError(msg) from None
        # Else a step that is silent for longer than a kernel may take to start loses it.
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
        """Make a message for the shell channel."""
        message: Message = self._client.session.msg(kind, content)
        if self._is_gateways:  # else the gateway logs the message, and what is secret in it
            message["channel"] = "shell"
        return message

    async def send(self, message: Message) -> None:
        """Send a message on the shell channel.

        Raises
        ------
        ClosedByGatewayError
            The gateway has closed the connection.
        """
        if not self._is_gateways:
            self.shell.send(message)
            return
        try:
            await asyncio.to_thread(self.shell.send, message)
        except Exception as error:
            raise ClosedByGatewayError(_CLOSED) from error

    async def next(self, channel: Any) -> Message:
        """Wait for a message of one of the channels.

        Raises
        ------
        ClosedByGatewayError
            The gateway has closed the connection.
        """
        if isinstance(channel, AsyncZMQSocketChannel):
            received = await channel.socket.recv_multipart()
            _, parts = channel.session.feed_identities(received)
            message: Message = channel.session.deserialize(parts)
            return message
        while True:
            try:
                message = await ensure_async(channel.get_msg(timeout=0))
            except Empty:
                await asyncio.sleep(_QUEUE_SECONDS)
            except RuntimeError:
                raise ClosedByGatewayError(_CLOSED) from None
            else:
                return message

    async def stop(self) -> None:
        """Stop the channels and free what they took."""
        if not self._is_gateways:
            self._client.stop_channels()
        elif self._connecting is not None:
            await asyncio.wait([self._connecting])
            if self._connecting.exception() is None:
                await asyncio.to_thread(self._client.stop_channels)
        self._client.context.destroy(linger=0)


_CLOSED = "The kernel gateway has ended, or has closed the connection with the kernel."
