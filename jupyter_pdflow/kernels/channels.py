"""The shell and iopub channels of a kernel, on this machine or behind a gateway."""

from __future__ import annotations

import asyncio
from queue import Empty
from typing import Any, TypeAlias

from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_core.utils import ensure_async

from jupyter_pdflow.exceptions import ClosedByGatewayError, GatewayError

Message: TypeAlias = dict[str, Any]

_POLL_SECONDS = 0.02
_CLOSED = "The kernel gateway has ended, or has closed the connection with the kernel."


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
