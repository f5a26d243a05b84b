"""Capture what one task of a session writes and displays, while cells can run beside it.

IPython's own ``capture_output`` is for the time in which nothing else runs: it captures what other
cells show too, and while its publisher is in place a kernel can't handle any message.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from IPython.core.displaypub import DisplayPublisher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

Output = dict[str, Any]
"""An output in nbformat 4."""

_outputs: ContextVar[list[Output] | None] = ContextVar("pdflow_outputs", default=None)
"""The outputs that this task has shown so far, or None if they are not captured."""


@contextmanager
def capturing(shell: InteractiveShell) -> Iterator[list[Output]]:
    """Capture what this task, and those that it starts, write and display.

    Yields
    ------
    list of dict
        The outputs so far, in nbformat 4 and in their order.
    """
    outputs: list[Output] = []
    token = _outputs.set(outputs)
    _Installed.add(shell)
    try:
        yield outputs
    finally:
        _Installed.remove(shell)
        _outputs.reset(token)


class _Installed:
    """The streams and the publisher in place of the kernel's own, while anything is captured."""

    users = 0

    @classmethod
    def add(cls, shell: InteractiveShell) -> None:
        cls.users += 1
        if cls.users == 1:
            sys.stdout, sys.stderr = _Stream("stdout"), _Stream("stderr")
            shell.display_pub = _Publisher(shell.display_pub)

    @classmethod
    def remove(cls, shell: InteractiveShell) -> None:
        cls.users -= 1
        if cls.users > 0:
            return
        # What the author's code has put in their place stays there.
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, _Stream):
                setattr(sys, name, stream.own)
        if isinstance(shell.display_pub, _Publisher):
            shell.display_pub = shell.display_pub.own


class _Stream:
    """A stream that captures what is written by a task that is captured."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.own: Any = getattr(sys, name)

    def write(self, text: str) -> int:
        outputs = _outputs.get()
        if outputs is None:
            return int(self.own.write(text))
        if outputs and outputs[-1].get("name") == self._name:
            outputs[-1]["text"] += text
        else:
            outputs.append({"output_type": "stream", "name": self._name, "text": text})
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)


class _Publisher(DisplayPublisher):
    """A publisher that captures what is displayed by a task that is captured."""

    def __init__(self, own: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.own = own

    def publish(self, data: Any, metadata: Any = None, *args: Any, **options: Any) -> None:
        outputs = _outputs.get()
        if outputs is None:
            self.own.publish(data, metadata, *args, **options)
        else:
            shown = {"output_type": "display_data", "data": data, "metadata": metadata or {}}
            outputs.append(shown)

    def clear_output(self, wait: bool = False) -> None:
        outputs = _outputs.get()
        if outputs is None:
            self.own.clear_output(wait)
        else:
            outputs.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)
