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
    assert "Production mode" in ran.text
    assert "is deployed as version" in ran.text

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


def test_a_step_that_differs_is_refused(notebook: NotebookKernel):
    notebook.run(TELL.replace("print", "repr"))

    line = error_line(notebook.run("%pdflow production"))
    assert "Step 'tell' as run here differs from the saved notebook: save the notebook" in line
    assert "test mode" in notebook.run("%pdflow").text
    notebook.run(TELL)
    assert "Production mode" in notebook.run("%pdflow production").text


def test_a_step_that_is_not_saved_is_refused(notebook: NotebookKernel):
    more = "%%step more\ndef handler(pd): pass"
    notebook.run(more)
    assert "'more' was run here but is not in the saved" in error_line(
        notebook.run("%pdflow production")
    )

    notebook.save(LOAD, ASK, TELL, more)
    assert "Production mode" in notebook.run("%pdflow production").text


def test_a_step_that_was_deleted_and_saved_is_forgotten(notebook: NotebookKernel):
    notebook.run("%%step more\ndef handler(pd): pass")
    notebook.save(LOAD, ASK, TELL)

    assert "Production mode" in notebook.run("%pdflow production").text


def test_a_broken_notebook_is_refused(notebook: NotebookKernel):
    notebook.save(LOAD, ASK, ASK)

    assert "named step 'ask'" in error_line(notebook.run("%pdflow production"))


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
