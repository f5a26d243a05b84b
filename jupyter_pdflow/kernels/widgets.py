"""The widgets that a step has made: their states as nbclient keeps them, and how they read as text."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from typing import Any, NamedTuple, TypeAlias

from msgspec import MsgspecError
from msgspec.json import encode

WIDGET_LIMIT = 2_000_000
"""Maximum number of bytes of states and buffers that are kept of one execution."""

TARGET = "jupyter.widget"
"""The comms of widgets; others are not kept."""

VIEW = "application/vnd.jupyter.widget-view+json"
"""The type of an output that shows a widget."""

STATE = "application/vnd.jupyter.widget-state+json"
"""The type of the states of widgets in a notebook's metadata."""

MODEL_BYTES = 200
"""What a widget counts besides its state."""

BAR_COLUMNS = 10
DEEPEST = 12
"""Maximum number of boxes in each other that are shown as text."""

_OUTPUT = ("@jupyter-widgets/output", "OutputModel")
_REFERENCE = "IPY_MODEL_"
_TAG = re.compile(r"<[^<>]*>")
_SPACES = {0x2007: " ", 0xA0: " "}
"""Spaces that keep their width in HTML."""

State: TypeAlias = dict[str, Any]


class Capture(NamedTuple):
    """A change of the message whose outputs an Output widget takes; None if it takes no more."""

    model_id: str
    message_id: str | None


class Widgets:
    """The states and buffers of widgets, by the ids of their models.

    A widget that does not fit is dropped, and its later changes are ignored.

    Parameters
    ----------
    limit : int
        Bytes to keep.

    Attributes
    ----------
    dropped : int
        Number of widgets that were dropped.
    """

    def __init__(self, limit: int = WIDGET_LIMIT) -> None:
        self.dropped = 0
        self._limit = limit
        self._size = 0
        self._states: dict[str, State] = {}
        self._buffers: dict[str, dict[str, dict[str, Any]]] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._closed: set[str] = set()

    def add(self, message: Mapping[str, Any]) -> Capture | None:
        """Add the change of a widget that a message of a comm brings; ignore other messages.

        Returns
        -------
        Capture or None
            If an Output widget begins or ends to take outputs.
        """
        kind, content = message["msg_type"], message["content"]
        model_id, data = content.get("comm_id"), content.get("data")
        if not isinstance(model_id, str) or not isinstance(data, dict):
            return None
        if kind == "comm_open" and content.get("target_name") == TARGET:
            self._open(model_id)
        if model_id not in self._states:
            return None
        if kind == "comm_close":
            self._closed.add(model_id)
            return None
        self._update(model_id, data, message.get("buffers") or [])
        return self._capture(model_id, data)

    def set_outputs(self, model_id: str, outputs: list[dict[str, Any]]) -> None:
        """Set what an Output widget shows."""
        if model_id in self._states:
            self._set(model_id, {"outputs": outputs})

    def outputs(self, model_id: str) -> list[dict[str, Any]]:
        """Return what an Output widget shows."""
        outputs = self._states.get(model_id, {}).get("outputs")
        return [each for each in outputs if _is_output(each)] if isinstance(outputs, list) else []

    def is_closed(self, model_id: str) -> bool:
        """Return whether a widget was closed; front ends show nothing in its place then."""
        return model_id in self._closed

    def metadata(self) -> dict[str, Any]:
        """Return the states as a notebook's metadata has them, by the ids of their models."""
        return {
            model_id: self._serialized(model_id, state)
            for model_id, state in self._states.items()
            if "_model_name" in state
        }

    def text(self, model_id: str) -> str | None:
        """Return a widget as text, as it is now; None if that is not known."""
        return text_of(model_id, self._states.get)

    def _open(self, model_id: str) -> None:
        if self._size + MODEL_BYTES > self._limit:
            self.dropped += model_id not in self._states
            return
        self._size += MODEL_BYTES
        self._states[model_id] = {}
        self._sizes[model_id] = {}

    def _update(self, model_id: str, data: dict[str, Any], buffers: list[Any]) -> None:
        if isinstance(data.get("state"), dict):
            self._set(model_id, data["state"])
        paths = data.get("buffer_paths")
        if isinstance(paths, list):
            for path, buffer in zip(paths, buffers, strict=False):
                self._set_buffer(model_id, path, buffer)

    def _set(self, model_id: str, changes: State) -> None:
        for name, value in changes.items():
            plain = plain_json(value)
            size = self._limit + 1 if plain is None else plain.size + len(name)
            if not self._keep(model_id, name, size):
                return
            self._states[model_id][name] = plain and plain.value

    def _set_buffer(self, model_id: str, path: Any, buffer: Any) -> None:
        plain = plain_json(path)
        name, encoded = f"buffer {path!r}", b64encode(bytes(buffer)).decode()
        if plain is not None and self._keep(model_id, name, len(encoded) + plain.size):
            found = {"data": encoded, "encoding": "base64", "path": plain.value}
            self._buffers.setdefault(model_id, {})[name] = found

    def _keep(self, model_id: str, name: str, size: int) -> bool:
        """Count a value of a widget; drop the widget if the value is not within the limit."""
        sizes = self._sizes.get(model_id)
        if sizes is None:
            return False
        self._size += size - sizes.get(name, 0)
        sizes[name] = size
        if self._size <= self._limit:
            return True
        self._size -= MODEL_BYTES + sum(sizes.values())
        del self._states[model_id], self._sizes[model_id]
        self._buffers.pop(model_id, None)
        self.dropped += 1
        return False

    def _capture(self, model_id: str, data: dict[str, Any]) -> Capture | None:
        known, changes = self._states.get(model_id), data.get("state")
        if known is None or not isinstance(changes, dict) or "msg_id" not in changes:
            return None
        if (known.get("_model_module"), known.get("_model_name")) != _OUTPUT:
            return None
        message_id = changes["msg_id"]
        return Capture(model_id, message_id if isinstance(message_id, str) and message_id else None)

    def _serialized(self, model_id: str, state: State) -> dict[str, Any]:
        buffers = self._buffers.get(model_id)
        return {
            "model_name": state.get("_model_name"),
            "model_module": state.get("_model_module"),
            "model_module_version": state.get("_model_module_version"),
            "state": dict(state),
            **({"buffers": list(buffers.values())} if buffers else {}),
        }


class PlainJSON(NamedTuple):
    """A value as JSON has it, and its size in bytes."""

    value: Any
    size: int


def plain_json(value: Any) -> PlainJSON | None:
    """Return a value as JSON that can be stored, with its size in bytes; None if it can't be."""
    try:
        data = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        found = json.loads(data)
        encode(found)
    except (TypeError, ValueError, OverflowError, RecursionError, MsgspecError):
        return None
    return PlainJSON(found, len(data))


# --- widgets as text ------------------------------------------------------------------


def text_of(model_id: str, state_of: Callable[[str], State | None], depth: int = 0) -> str | None:
    """Return a widget as text by its state; None for one that has no text.

    Parameters
    ----------
    model_id : str
        The id of its model.
    state_of : callable
        Returns the state of a model, or None if it is unknown.
    depth : int
        Number of boxes around it.
    """
    state = state_of(model_id)
    name = state.get("_model_name") if state else None
    if state is None or not isinstance(name, str) or depth > DEEPEST:
        return None
    if name in _SEPARATORS:
        parts = [text_of(child, state_of, depth + 1) for child in _children(state)]
        known = [part for part in parts if part is not None]
        return _SEPARATORS[name].join(known) if known and len(known) == len(parts) else None
    if name in ("FloatProgressModel", "IntProgressModel"):
        return _progress(state, alone=depth == 0)
    if name in ("HTMLModel", "HTMLMathModel", "LabelModel"):
        text = unescape(_TAG.sub("", str(state.get("value", ""))))
        return _described(state, text.translate(_SPACES))
    return _captured(state) if name == _OUTPUT[1] else None


_SEPARATORS = {"HBoxModel": "", "BoxModel": "", "VBoxModel": "\n"}
"""What is between the children of a box."""


def _children(state: State) -> Iterator[str]:
    children = state.get("children")
    for child in children if isinstance(children, list) else ():
        if isinstance(child, str):
            yield child.removeprefix(_REFERENCE)


def _progress(state: State, *, alone: bool) -> str | None:
    numbers = [state.get(name) for name in ("min", "max", "value")]
    known = [each for each in numbers if isinstance(each, int | float)]
    if len(known) < len(numbers):
        return None
    least, most, value = known
    done = 1.0 if most <= least else min(max((value - least) / (most - least), 0.0), 1.0)
    full = round(done * BAR_COLUMNS)
    bar = f"|{'█' * full}{' ' * (BAR_COLUMNS - full)}|"
    return _described(state, f"{done:.0%}{bar}" if alone else bar)


def _described(state: State, text: str) -> str:
    description = state.get("description")
    return f"{description} {text}" if isinstance(description, str) and description else text


def _captured(state: State) -> str | None:
    """Return what an Output widget has taken, as text."""
    outputs = state.get("outputs")
    texts = map(_output_text, outputs) if isinstance(outputs, list) else ()
    return "".join(texts).rstrip("\n") or None


def _is_output(output: Any) -> bool:
    if not isinstance(output, dict) or not isinstance(output.get("output_type"), str):
        return False
    is_stream = output["output_type"] == "stream"
    return not is_stream or all(isinstance(output.get(name), str) for name in ("name", "text"))


def _output_text(output: Any) -> str:
    if not _is_output(output):
        return ""
    if output["output_type"] == "stream":
        return str(output["text"])
    if output["output_type"] == "error":
        return f"{output.get('ename')}: {output.get('evalue')}\n"
    data = output.get("data")
    return f"{data.get('text/plain', '')}\n" if isinstance(data, dict) else ""
