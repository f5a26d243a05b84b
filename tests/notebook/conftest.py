"""Real kernels, and a client that acts as a front end does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from jupyter_client import BlockingKernelClient, KernelManager

from tests.servers import wait_until

T = TypeVar("T")
VIEW = "application/vnd.jupyter.widget-view+json"
SECONDS = 20.0
RESET = """\
%reset -f
%reload_ext jupyter_pdflow
"""


@dataclass
class CellResult:
    """The reply to a cell, and its outputs."""

    reply: dict[str, Any]
    outputs: list[dict[str, Any]]

    @property
    def error(self) -> dict[str, Any] | None:
        return next((one for one in self.outputs if one["output_type"] == "error"), None)

    @property
    def stdout(self) -> str:
        return "".join(one["text"] for one in self.outputs if one.get("name") == "stdout")

    @property
    def bundles(self) -> list[dict[str, Any]]:
        """The mimebundles displayed."""
        return [one["data"] for one in self.outputs if "data" in one]

    @property
    def text(self) -> str:
        return "\n".join(bundle["text/plain"] for bundle in self.bundles)


@dataclass
class Kernel:
    """A kernel's client, with the state of the widgets as a front end keeps it."""

    client: BlockingKernelClient
    manager: KernelManager
    widgets: dict[str, dict[str, Any]] = field(default_factory=dict)
    responses: dict[str, dict[str, Any]] = field(default_factory=dict)
    displays: dict[str, dict[str, Any]] = field(default_factory=dict)

    def wait_until_ready(self) -> None:
        """Wait until the kernel's messages arrive: those before the subscription are lost."""

        def answered() -> bool:
            self.client.kernel_info()
            with suppress(Empty):
                return bool(self.client.get_iopub_msg(timeout=0.5))
            return False

        wait_until(answered, "the kernel answers", 60)

    def run(self, code: str, cell_id: str | None = None) -> CellResult:
        """Execute a cell and wait for its end."""
        message_id = self.send(code, cell_id)
        reply = self.reply_to(message_id)
        return CellResult(reply["content"], self.until_idle(message_id))

    def reply_to(self, message_id: str) -> dict[str, Any]:
        """Wait for the reply to a request."""
        while True:
            reply: dict[str, Any] = self.client.get_shell_msg(timeout=SECONDS)
            if reply["parent_header"]["msg_id"] == message_id:
                return reply

    def send(self, code: str, cell_id: str | None = None) -> str:
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": True}
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def wait_for_stream(self, text: str) -> None:
        """Wait until the kernel has printed something."""
        printed = ""
        while text not in printed:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]

    def value(self, expression: str) -> Any:
        """Evaluate an expression in the kernel, through JSON."""
        ran = self.run(f"import json as _json; print(_json.dumps({expression}))")
        return json.loads(ran.stdout)

    def until_idle(self, message_id: str) -> list[dict[str, Any]]:
        outputs = []
        while True:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            self.record(message)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return outputs
            if kind in ("stream", "display_data", "execute_result", "error"):
                outputs.append({"output_type": kind, **content})

    def record(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "comm_open":
            self.widgets[content["comm_id"]] = dict(content["data"]["state"])
        elif message["msg_type"] == "comm_msg" and content["data"].get("method") == "update":
            self.widgets[content["comm_id"]].update(content["data"]["state"])
        elif message["msg_type"] == "comm_msg" and content["data"].get("method") == "custom":
            self.responses[content["data"]["content"]["id"]] = content["data"]["content"]
        elif message["msg_type"] == "update_display_data":
            self.displays[content["transient"]["display_id"]] = content["data"]

    def arrived_messages(self) -> Iterator[dict[str, Any]]:
        """Yield the messages that have arrived."""
        while self.client.iopub_channel.msg_ready():
            yield self.client.get_iopub_msg(timeout=SECONDS)

    # --- widgets ----------------------------------------------------------------------

    def widget_states(self, bundle: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the states of a displayed widget and of its descendants."""
        found, ids = [], [bundle[VIEW]["model_id"]]
        while ids:
            model_id = ids.pop(0)
            state = self.widgets[model_id]
            found.append({**state, "id": model_id})
            ids += [child.removeprefix("IPY_MODEL_") for child in state.get("children", [])]
        return found

    def find_widget(self, bundle: dict[str, Any], **traits: Any) -> dict[str, Any]:
        """Return the state of the only widget with these traits in a displayed one."""
        states = [
            state
            for state in self.widget_states(bundle)
            if all(state.get(k) == v for k, v in traits.items())
        ]
        assert len(states) == 1, states
        return states[0]

    def click(self, bundle: dict[str, Any], description: str) -> None:
        """Press a button as a front end does, and wait until the kernel has handled this."""
        button = self.find_widget(bundle, description=description, _model_name="ButtonModel")
        self._message(button["id"], {"method": "custom", "content": {"event": "click"}})

    def enter_text(self, bundle: dict[str, Any], text: str) -> None:
        """Enter a text into the text field."""
        field_id = self.find_widget(bundle, _model_name="TextareaModel")["id"]
        data = {"method": "update", "state": {"value": text}, "buffer_paths": []}
        self._message(field_id, data)

    def fill_form(self, bundle: dict[str, Any], answer: dict[str, Any]) -> None:
        """Fill in the form of a notice, as its page does."""
        form = self.find_widget(bundle, view={"kind": "form"})["id"]
        content = {"method": "answer", "args": [answer, []]}
        self._message(form, {"method": "custom", "content": content})

    def _message(self, comm_id: str, data: dict[str, Any]) -> None:
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.shell_channel.send(message)
        self.until_idle(message["header"]["msg_id"])

    def request(self, bundle: dict[str, Any], method: str, *args: Any) -> dict[str, Any]:
        """Send a live view's request through the kernel, as its page does, and return the answer."""
        number = uuid4().hex
        self.send_to_view(bundle, {"id": number, "method": method, "args": list(args)})
        return self.wait_until(lambda: self.responses.pop(number, None), f"an answer to {args}")

    def send_to_view(self, bundle: dict[str, Any], content: Any) -> None:
        """Send a widget a message."""
        data = {"method": "custom", "content": content}
        self._message(bundle[VIEW]["model_id"], data)

    def widget_text(self, bundle: dict[str, Any]) -> str:
        """Return the texts of all HTML widgets in a displayed one."""
        states = [one for one in self.widget_states(bundle) if one["_model_name"] == "HTMLModel"]
        return "\n".join(state["value"] for state in states)

    def outputs(self, bundle: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the outputs in the output area of a displayed widget."""
        return list(self.find_widget(bundle, _model_name="OutputModel")["outputs"])

    def wait_for_outputs(self, bundle: dict[str, Any], number: int = 1) -> list[dict[str, Any]]:
        """Wait until the output area of a displayed widget has this many outputs."""
        return self.wait_until(
            lambda: self.outputs(bundle) if len(self.outputs(bundle)) >= number else None,
            f"{number} outputs",
        )

    def wait_for_widget_text(self, bundle: dict[str, Any], words: str) -> str:
        """Wait until the text of a displayed widget contains `words`."""
        found = lambda: self.widget_text(bundle) if words in self.widget_text(bundle) else None
        return self.wait_until(found, f"the widget shows {words!r}")

    def wait_until(self, check: Callable[[], T], what: str) -> T:
        """Record the kernel's messages until `check` returns something true, and return that."""

        def record_and_check() -> T:
            for message in self.arrived_messages():
                self.record(message)
            return check()

        return wait_until(record_and_check, what, SECONDS)


@pytest.fixture(scope="module")
def kernel_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Start one kernel for the module; it and servers do not know of each other."""
    manager = KernelManager(kernel_name="python3", transport="ipc")
    empty_runtime_dir = {"JUPYTER_RUNTIME_DIR": str(tmp_path_factory.mktemp("runtime"))}
    manager.start_kernel(env={**os.environ, **empty_runtime_dir})
    client = manager.blocking_client()
    client.start_channels()
    try:
        kernel = Kernel(client, manager)
        kernel.wait_until_ready()
        yield kernel
    finally:
        client.stop_channels()
        client.context.destroy(linger=0)
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.fixture
def kernel(kernel_process: Kernel) -> Kernel:
    """Return a kernel with a fresh session."""
    ran = kernel_process.run(RESET)
    assert ran.reply["status"] == "ok", ran
    return kernel_process
