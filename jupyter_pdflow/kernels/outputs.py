"""The outputs of one execution, from the messages that its kernel publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from jupyter_pdflow.kernels.terminal import TerminalText, moves
from jupyter_pdflow.kernels.widgets import VIEW, Capture, PlainJSON, Widgets, plain_json

OUTPUT_LIMIT = 2_000_000
"""Maximum number of bytes of outputs that are kept of one execution."""

_DISPLAYED = ("display_data", "execute_result")
_SHOWN = ("stream", "error", *_DISPLAYED)


class Budget:
    """The size of all outputs of an execution.

    Attributes
    ----------
    left : int
        Number of bytes that may still be kept.
    dropped : int
        Number of bytes that were not kept.
    """

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.dropped = 0

    @property
    def is_spent(self) -> bool:
        """Whether not even a short text can be kept any more."""
        return self.left <= 0 < self.dropped

    def take(self, size: int) -> bool:
        """Count an output of this size; return whether it is within the limit."""
        if size > self.left:
            self.dropped += size
            return False
        self.left -= size
        return True


class OutputCollector:
    """The outputs of one execution, as nbformat has them, and its widgets.

    Outputs beyond the limit are dropped, and a last output says how many bytes that were. Errors
    are always kept.

    Parameters
    ----------
    limit : int
        Bytes to keep.

    Attributes
    ----------
    version : int
        Grows with each change.
    widgets : Widgets
        The widgets that the execution has made.
    """

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self.version = 0
        self.widgets = Widgets()
        self._limit = limit
        self._budget = Budget(limit)
        self._main = OutputList(self._budget)
        # Output widgets take the outputs of a message in place of the cell; the last one counts.
        self._captured: dict[str, OutputList] = {}
        self._captures: list[Capture] = []

    def add(self, message: Mapping[str, Any]) -> None:
        """Add the output, or the change of a widget, of an iopub message; ignore other messages."""
        kind = message["msg_type"]
        if kind.startswith("comm_"):
            self._add_comm(message)
        elif kind == "update_display_data":
            for outputs in (self._main, *self._captured.values()):
                outputs.update(message)
        elif kind not in (*_SHOWN, "clear_output") or not self._add_output(message):
            return
        self.version += 1

    def drop(self, size: int) -> None:
        """Count bytes that the kernel has dropped already."""
        self._budget.dropped += size

    def finish(self) -> list[dict[str, Any]]:
        """Return the outputs as plain JSON values, as they are now."""
        self._update_captured()
        outputs = self._with_texts(self._main.rendered())
        if self._budget.dropped:
            limit = f"{self._limit / 1_000_000:g} MB"
            dropped = f"output of {self._budget.dropped:,} more bytes was dropped (limit {limit})"
            outputs.append(_note(dropped))
        if self.widgets.dropped:
            outputs.append(_note(f"the state of {self.widgets.dropped:,} widgets was too large"))
        return outputs

    def _add_comm(self, message: Mapping[str, Any]) -> None:
        capture = self.widgets.add(message)
        if capture is None:
            return
        self._captures = [each for each in self._captures if each.model_id != capture.model_id]
        if capture.message_id is not None:
            self._captures.append(capture)
            if capture.model_id not in self._captured:
                shown = self.widgets.outputs(capture.model_id)
                self._captured[capture.model_id] = OutputList(self._budget, shown)

    def _add_output(self, message: Mapping[str, Any]) -> bool:
        """Add an output, or clear those before; return whether that changes what is shown."""
        parent = message.get("parent_header", {}).get("msg_id")
        taking = [each.model_id for each in self._captures if each.message_id == parent]
        outputs = self._captured[taking[-1]] if taking else self._main
        if message["msg_type"] == "clear_output":
            outputs.clear(wait=bool(message["content"].get("wait")))
            return True
        return outputs.append(message)

    def _update_captured(self) -> None:
        """Put what Output widgets have taken into their states."""
        for model_id, outputs in self._captured.items():
            if outputs.changed:
                self.widgets.set_outputs(model_id, outputs.rendered())

    def _with_texts(self, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Show widgets as they are now also as text, for front ends that have no widgets.

        A widget that was closed is not shown.
        """
        found, left = [], self._limit
        for output in outputs:
            model_id = _model_id(output)
            if model_id is not None and self.widgets.is_closed(model_id):
                continue
            text = None if model_id is None else self.widgets.text(model_id)
            if text is not None and len(text) <= left:
                left -= len(text)
                output = {**output, "data": {**output["data"], "text/plain": text}}  # noqa: PLW2901
            found.append(output)
        return found


class OutputList:
    """Outputs in their order: those of a cell, or those that an Output widget shows.

    Parameters
    ----------
    budget : Budget
        What the outputs count against.
    shown : sequence of dict
        The first ones; they count elsewhere.

    Attributes
    ----------
    changed : bool
        Whether they have changed since `rendered`.
    """

    def __init__(self, budget: Budget, shown: Sequence[dict[str, Any]] = ()) -> None:
        self.changed = False
        self._budget = budget
        self._outputs = [_writable(output) for output in shown]
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self._size = 0
        self._clear_next = False

    def rendered(self) -> list[dict[str, Any]]:
        """Return the outputs as plain JSON values."""
        self.changed = False
        return [
            {**output, "text": str(output["text"])} if _is_stream(output) else dict(output)
            for output in self._outputs
        ]

    def append(self, message: Mapping[str, Any]) -> bool:
        """Append the output of a message, as far as it fits.

        Returns
        -------
        bool
            Whether that changes what is shown, besides how much was dropped.
        """
        if self._clear_next:
            self.clear()
        self.changed = True
        if message["msg_type"] == "stream":
            return self._append_text(message["content"]["name"], message["content"]["text"])
        plain, size = _output(message)
        output = dict(plain)  # an update changes it
        if message["msg_type"] != "error" and not self._take(size):
            return self._budget.dropped == size
        self._outputs.append(output)
        name = _display_id(message)
        if name is not None:
            self._displays.setdefault(name, []).append(output)
        return True

    def update(self, message: Mapping[str, Any]) -> None:
        """Replace the data of every output with the display id of a message."""
        outputs = self._displays.get(_display_id(message) or "", [])
        if not outputs:
            return
        new, size = _output({**message, "msg_type": "display_data"})
        if not self._take(size * len(outputs)):
            return
        self.changed = True
        for output in outputs:
            before = plain_json(output)
            self._take(-before.size if before else 0)
            output.update(data=new["data"], metadata=new["metadata"])

    def clear(self, *, wait: bool = False) -> None:
        """Remove the outputs; with `wait`, when the next one comes."""
        self._clear_next = wait
        if wait:
            return
        self.changed = True
        self._outputs, self._displays = [], {}
        self._take(-self._size)
        self._budget.dropped = 0

    def _take(self, size: int) -> bool:
        taken = self._budget.take(size)
        self._size += size if taken else 0
        return taken

    def _append_text(self, name: str, text: str) -> bool:
        data = text.encode("utf-8", "replace")
        text = data.decode()
        shown = self._last_stream(name)
        if self._budget.is_spent and (shown is None or not moves(text)):
            self._budget.dropped += len(data)
            return False
        if shown is None:
            if text.startswith("\r"):
                self._take_back(name)
            shown = TerminalText()
            self._outputs.append({"output_type": "stream", "name": name, "text": shown})
        before = shown.size
        shown.write(text)
        self._budget.dropped += shown.cut(before + self._budget.left)
        self._take(shown.size - before)
        return True

    def _last_stream(self, name: str) -> TerminalText | None:
        """Return the last output if it is the stream of that name, else None."""
        last = self._outputs[-1] if self._outputs else None
        if last is None or not _is_stream(last) or last["name"] != name:
            return None
        stream: TerminalText = last["text"]
        return stream

    def _take_back(self, name: str) -> None:
        """Remove the last line of an earlier output that is about to be drawn again.

        A progress bar on stderr would leave a line at each print to stdout.
        """
        for index in range(len(self._outputs) - 1, -1, -1):
            output = self._outputs[index]
            if not _is_stream(output):
                return
            if output["name"] == name:
                before = output["text"].size
                output["text"].drop_last_line()
                self._take(output["text"].size - before)
                if not output["text"].size:
                    self._remove(index)
                return

    def _remove(self, index: int) -> None:
        """Remove a stream, and join those before and after it."""
        del self._outputs[index]
        pair = self._outputs[max(0, index - 1) : index + 1]
        names = {output.get("name") for output in pair}
        if len(pair) > 1 and len(names) == 1 and all(map(_is_stream, pair)):
            first, second = (output["text"] for output in pair)
            before = first.size + second.size
            first.write(str(second))
            self._take(first.size - before)
            del self._outputs[index]


def _note(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stderr", "text": f"… {text}\n"}


def _is_stream(output: Mapping[str, Any]) -> bool:
    return bool(output["output_type"] == "stream")


def _writable(output: dict[str, Any]) -> dict[str, Any]:
    """Return an output whose text can be continued, if it is a stream."""
    if not _is_stream(output):
        return output
    text = TerminalText()
    text.write(output["text"])
    return {**output, "text": text}


def _model_id(output: Mapping[str, Any]) -> str | None:
    """Return the id of the widget that an output shows, or None."""
    data = output.get("data")
    view = data.get(VIEW) if isinstance(data, dict) else None
    model_id = view.get("model_id") if isinstance(view, dict) else None
    return model_id if isinstance(model_id, str) else None


def _output(message: Mapping[str, Any]) -> PlainJSON:
    from nbformat.v4 import output_from_msg

    kind = message["msg_type"]
    header = {**message.get("header", {}), "msg_type": kind}
    message = {"header": header, "content": message["content"]}
    plain = None
    with suppress(RecursionError):
        plain = plain_json(output_from_msg(message))  # type: ignore[no-untyped-call]
    return plain or PlainJSON(_UNSTORABLE, len(str(_UNSTORABLE)))


_UNSTORABLE = {
    "output_type": "display_data",
    "data": {"text/plain": "[This output can't be stored: it is nested too deeply, or too large.]"},
    "metadata": {},
}


def _display_id(message: Mapping[str, Any]) -> str | None:
    name = (message["content"].get("transient") or {}).get("display_id")
    return name if isinstance(name, str) else None
