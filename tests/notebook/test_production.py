"""Production mode in a notebook of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient

from tests.notebook.conftest import VIEW, CellResult, Kernel
from tests.servers import JupyterServer, write_notebook

LOAD = "%load_ext jupyter_pdflow"
ASK = """\
%%step ask
def handler(pd):
    pd.flow.suspend()
    return {"event": pd.steps.trigger.event}
"""
TELL = """\
%%step tell
def handler(pd):
    print(pd.steps["trigger"]["event"], pd.steps["ask"]["event"])
    return pd.steps["ask"]["$resume_data"]
"""


class NotebookKernel(Kernel):
    """The client of a kernel that a server has started for a notebook."""

    def attach(self, server: JupyterServer, path: Path) -> None:
        self.server, self.path = server, path

    def save(self, *cells: str) -> None:
        write_notebook(self.path, cells)

    @property
    def name(self) -> str:
        return self.path.stem

    def workflows(self) -> list[Any]:
        """Return the workflow of this notebook, if it is deployed."""
        path = self.path.relative_to(self.server.root).as_posix()
        found = self.server.api("GET", "/workflows").json()
        return [workflow for workflow in found if workflow["path"] == path]


@pytest.fixture
def notebook(server: JupyterServer, request: pytest.FixtureRequest) -> Iterator[NotebookKernel]:
    """Save a notebook of two steps and start its kernel, as JupyterLab does."""
    name = request.node.name.removeprefix("test_").partition("[")[0]
    path = write_notebook(server.root / "folder" / f"{name}.ipynb", [LOAD, ASK, TELL])
    body = {
        "path": f"folder/{name}.ipynb",
        "name": path.name,
        "type": "notebook",
        "kernel": {"name": "python3"},
    }
    session = server.http.post("/api/sessions", json=body, headers=server.headers).json()
    file = next(server.folder.rglob(f"kernel-{session['kernel']['id']}.json"))
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    try:
        kernel = NotebookKernel(client, None)  # type: ignore[arg-type]
        kernel.attach(server, path)
        kernel.wait_until_ready()
        assert kernel.run(LOAD).reply["status"] == "ok"
        yield kernel
    finally:
        client.stop_channels()
        client.context.destroy(linger=0)
        server.http.delete(f"/api/sessions/{session['id']}", headers=server.headers)


def view_of(ran: CellResult) -> dict[str, Any]:
    assert ran.error is None, ran.error
    return next(bundle for bundle in ran.bundles if VIEW in bundle)


def error_line(ran: CellResult) -> str:
    assert ran.error is not None, ran.outputs
    (line,) = ran.error["traceback"]
    return str(line)


def run_id_of(ran: CellResult) -> str:
    return ran.text.split()[1]


def test_from_test_mode_to_production_and_back(notebook: NotebookKernel):
    ran = notebook.run("%pdflow production")
    (workflow,) = notebook.workflows()
    first, second = ran.bundles
    version = f"version 1 ({workflow['version']})"
    assert first["text/plain"] == f"Production mode: {notebook.name} is deployed as {version}."
    assert "Step cells show its latest run" in second["text/plain"]

    assert "no production run yet" in notebook.run(ASK).text
    assert "no production run yet" in notebook.run("%pdflow runs").text
    run_id = run_id_of(notebook.run('%pdflow run {"n": 1}'))
    notebook.server.wait_run(run_id, "paused")

    step = notebook.run(ASK)
    assert step.reply["status"] == "ok"
    assert f"Step ask in run {run_id}" in step.text
    assert "paused" in step.text
    assert notebook.value("'handler' in globals()") is False

    path = f"runs/{run_id}/resume"
    notebook.request(view_of(step), "POST", path, {"data": None, "by": "button"})
    notebook.server.wait_run(run_id, "succeeded")
    assert "Step tell" in notebook.run(TELL).text
    assert run_id in notebook.run("%pdflow runs").text

    assert "Test mode" in notebook.run("%pdflow test").text
    assert "Workflow execution canceled" in notebook.run(ASK).text


def spec_of(notebook: NotebookKernel, bundle: dict[str, Any]) -> dict[str, Any]:
    """Return what a live view's page draws."""
    return dict(notebook.widgets[bundle[VIEW]["model_id"]]["view"])


def test_a_step_cell_follows_the_latest_run(notebook: NotebookKernel):
    notebook.run("%pdflow production")
    ran = notebook.run(ASK)
    spec = spec_of(notebook, view_of(ran))
    (workflow,) = [one["id"] for one in workflows(notebook)]
    assert spec == {
        "kind": "step",
        "follow": True,
        "workflow": workflow,
        "step": "ask",
        "run": None,
        "probe": f"workflows/{workflow}",
    }
    assert notebook.server.api("GET", f"/{spec['probe']}").status_code == 200

    run_id = run_id_of(notebook.run("%pdflow run"))
    notebook.server.wait_run(run_id, "paused")
    display_id = ran.outputs[0]["transient"]["display_id"]
    notebook.send_to_view(view_of(ran), {"method": "settled"})
    shown = notebook.wait_until(lambda: notebook.displays.get(display_id), "an update")
    assert f"Step ask in run {run_id}" in shown["text/plain"]
    spec = spec_of(notebook, view_of(notebook.run(ASK)))
    assert (spec["run"], spec["probe"]) == (run_id, f"runs/{run_id}")


def test_a_step_that_the_latest_run_lacks(notebook: NotebookKernel):
    notebook.run("%pdflow production")
    run_id = run_id_of(notebook.run("%pdflow run"))
    ran = notebook.run("%%step more\ndef handler(pd): pass")

    assert ran.text == f"The latest production run, {run_id}, has no step more."
    assert spec_of(notebook, view_of(ran))["step"] == "more"


def workflows(notebook: NotebookKernel) -> list[dict[str, Any]]:
    found = notebook.server.api("GET", "/workflows").json()
    return [one for one in found if one["name"] == notebook.name]


def shown_below(notebook: NotebookKernel, request: str, line: str) -> list[dict[str, Any]]:
    """Execute a line, and return what the kernel shows below the cell of an earlier request."""
    message_id, messages = notebook.send(line), []
    while True:
        message = notebook.client.get_iopub_msg(timeout=20)
        notebook.record(message)
        parent = message["parent_header"].get("msg_id")
        if parent == request:
            messages.append(message)
        elif parent == message_id and message["content"].get("execution_state") == "idle":
            notebook.reply_to(message_id)
            return messages


def test_production_replaces_what_test_mode_has_shown(notebook: NotebookKernel):
    request = notebook.send(ASK, "one")
    notebook.reply_to(request)
    notebook.until_idle(request)
    assert notebook.run(TELL).reply["status"] == "error"  # a cell that is not known

    cleared, shown = shown_below(notebook, request, "%pdflow production")
    assert (cleared["msg_type"], cleared["content"]["wait"]) == ("clear_output", True)
    assert "There is no production run yet" in shown["content"]["data"]["text/plain"]
    assert spec_of(notebook, shown["content"]["data"])["step"] == "ask"
    assert notebook.run("print('here')").stdout == "here\n"
    assert shown_below(notebook, request, "%pdflow production") == []


def test_a_step_that_was_loaded_does_not_wait(notebook: NotebookKernel):
    notebook.run("%pdflow production")
    run_id = run_id_of(notebook.run("%pdflow run"))
    notebook.server.wait_run(run_id, "paused")
    notebook.server.api("POST", f"/runs/{run_id}/resume", {"data": [1]})
    notebook.server.wait_run(run_id, "succeeded")
    notebook.run("%pdflow test")
    notebook.run(ASK)
    notebook.run(f"%pdflow load {run_id}")

    tested = notebook.run(TELL)
    assert tested.error is None
    assert [one for one in tested.outputs if one.get("name") == "stderr"] == []


def test_a_misplaced_header_keeps_the_session_in_test_mode(notebook: NotebookKernel):
    notebook.save(LOAD, ASK, f"# tell them\n{TELL}")

    line = error_line(notebook.run("%pdflow production"))
    assert "Cell 3 of the notebook has a step's header in line 2 that would not count" in line
    assert "This session is in test mode." in notebook.run("%pdflow").text


def test_load_brings_a_run_into_the_session(notebook: NotebookKernel):
    notebook.run("%pdflow production")
    run_id = run_id_of(notebook.run('%pdflow run {"n": 7}'))
    notebook.server.wait_run(run_id, "paused")
    notebook.server.api("POST", f"/runs/{run_id}/resume", {"data": [1]})
    notebook.server.wait_run(run_id, "succeeded")

    notebook.run("%pdflow test")
    ran = notebook.run(f"%pdflow load {run_id}")
    assert "ask, tell" in ran.text
    tested = notebook.run(TELL)
    assert tested.stdout == "{'n': 7} {'n': 7}\n"
    assert '"body": [1]' in tested.text


def refusal(notebook: NotebookKernel) -> str:
    """Check that the toolbar can show a refusal as a whole; return it."""
    ran = notebook.run("%pdflow production")
    line = error_line(ran)
    assert ran.error is not None
    assert line == f"NotebookError: {ran.error['evalue']}"
    assert "\n" not in line
    assert len(f"Not switched to production: {ran.error['evalue']}") <= 140
    return str(ran.error["evalue"])


def test_a_step_that_was_run_with_unsaved_changes_is_refused(notebook: NotebookKernel):
    changed = TELL.replace("print", "repr")
    notebook.run(changed)

    assert refusal(notebook) == (
        "Step 'tell' was run here with unsaved changes. Save the notebook, then deploy again."
    )
    assert "test mode" in notebook.run("%pdflow").text
    notebook.save(LOAD, ASK, changed)
    assert "Production mode" in notebook.run("%pdflow production").text


def test_a_step_that_was_edited_and_saved_is_refused_until_it_is_run(notebook: NotebookKernel):
    notebook.run(TELL)
    changed = TELL.replace("print", "repr")
    notebook.save(LOAD, ASK, changed)

    expected = "Step 'tell' was edited after it was run here. Run its cell, then deploy again."
    assert refusal(notebook) == expected
    notebook.run(changed)
    assert "Production mode" in notebook.run("%pdflow production").text


def test_an_edited_step_can_be_deployed_again_in_production_mode(notebook: NotebookKernel):
    notebook.run(ASK)
    notebook.run("%pdflow production")
    changed = ASK.replace("event", "event ")
    assert "no production run yet" in notebook.run(changed).text

    assert "unsaved changes" in refusal(notebook)
    notebook.save(LOAD, changed, TELL)
    assert "as version 2 (" in notebook.run("%pdflow production").text
    notebook.save(LOAD, ASK, TELL)
    assert "Run its cell" in refusal(notebook)
    notebook.run(ASK)
    assert "as version 1 (" in notebook.run("%pdflow production").text


def test_a_long_name_leaves_room_for_what_to_do(notebook: NotebookKernel):
    long = TELL.replace("tell", "t" * 300)
    notebook.run(long)
    assert "Save the notebook" in refusal(notebook)
    notebook.save(LOAD, ASK, long.replace("print", "repr"))
    assert "Run its cell" in refusal(notebook)


def test_a_step_that_is_not_saved_is_refused(notebook: NotebookKernel):
    more = "%%step more\ndef handler(pd): pass"
    notebook.run(more)
    assert refusal(notebook) == (
        "Step 'more' was run here but is not saved. Save the notebook, then deploy again."
    )

    notebook.save(LOAD, ASK, TELL, more)
    assert "Production mode" in notebook.run("%pdflow production").text


def test_a_step_that_was_deleted_and_saved_is_forgotten(notebook: NotebookKernel):
    notebook.run("%%step more\ndef handler(pd): pass")
    notebook.save(LOAD, ASK, TELL)

    assert "Production mode" in notebook.run("%pdflow production").text


def test_a_broken_notebook_is_refused(notebook: NotebookKernel):
    notebook.save(LOAD, ASK, ASK)

    assert "named step 'ask'" in refusal(notebook)


def test_a_renamed_notebook_is_found(notebook: NotebookKernel):
    path = f"folder/{notebook.name}.ipynb"
    sessions = notebook.server.http.get("/api/sessions", headers=notebook.server.headers).json()
    session = next(one for one in sessions if one["path"] == path)
    for url in (f"/api/contents/{path}", f"/api/sessions/{session['id']}"):
        body = {"path": "folder/other name.ipynb"}
        notebook.server.http.patch(url, json=body, headers=notebook.server.headers)

    assert "other name is deployed" in notebook.run("%pdflow production").text


def test_run_before_production(notebook: NotebookKernel):
    line = error_line(notebook.run("%pdflow run"))

    assert "is not deployed yet: run `%pdflow production` first." in line


def test_run_in_test_mode_uses_what_is_deployed(notebook: NotebookKernel):
    notebook.run("%pdflow production")
    notebook.run("%pdflow test")

    assert "Run " in notebook.run("%pdflow run").text


def test_an_unknown_run(notebook: NotebookKernel):
    assert "nothing" in error_line(notebook.run("%pdflow load nothing"))


def test_test_links_are_those_of_the_server(notebook: NotebookKernel):
    ran = notebook.run("%%step a\ndef handler(pd): print(pd.flow.suspend()['resume_url'])")
    url = ran.stdout.strip()

    assert url == f"{notebook.server.url}/pdflow/resume/test"
    answer = notebook.server.http.get(url)
    assert answer.status_code < 500


def test_an_answer_does_nothing_in_production(notebook: NotebookKernel):
    notebook.save(LOAD, "%pdflow answer 1", ASK, TELL)
    notebook.run("%pdflow answer 2")
    notebook.run("%pdflow production")
    ran = notebook.run("%pdflow answer 3")
    assert (ran.reply["status"], ran.outputs) == ("ok", [])
    run_id = run_id_of(notebook.run("%pdflow run"))
    # The setup has run by now, with a `%pdflow answer` of its own.
    assert notebook.server.wait_run(run_id, "paused")["pause"]["step"] == "ask"

    notebook.run("%pdflow test")
    assert "Workflow execution canceled" in notebook.run(ASK).text
