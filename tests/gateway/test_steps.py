"""Steps in kernels behind a gateway: what they see, and their outputs."""

from __future__ import annotations

import json
import stat
from datetime import date

from tests.gateway.conftest import SECRET, TOUCH_MARK, Pair, files_with, step
from tests.servers import wait_until, write_notebook

INPUTS = """
day = 2026-11-27
[slack."$auth"]
oauth_access_token = {env = "SLACK_TOKEN"}
[other]
key = {env = "NOT_SET_ANYWHERE"}
[here]
key = {env = "OF_THE_GATEWAY"}
"""


def test_files_are_kept_over_a_pause(pair: Pair) -> None:
    saves = step("(pd.files / 'model').write_text('kept')\npd.flow.suspend()", "save")
    loads = step("return [(pd.files / 'model').read_text(), pd.files]", "load")
    run = pair.server.run(pair.server.deploy("files", [saves, loads]))
    pair.server.wait_run(run["id"], "paused")
    assert pair.server.api("POST", f"/runs/{run['id']}/resume", {}).is_success
    folder = pair.server.data_dir / "files" / run["id"]
    exports = pair.end(run)["steps"][1]["exports"]
    assert exports == {"$return_value": ["kept", str(folder)]}


def test_files_that_the_kernel_does_not_see_fail_the_step(pair: Pair) -> None:
    mark = pair.server.data_dir / "files" / ".id"
    text = mark.read_text()
    mark.write_text("the folder of another machine")
    run = pair.end(pair.server.run(pair.server.deploy("far", [step("pd.files")])))
    mark.write_text(text)
    assert run["error"]["ename"] == "FolderError"
    assert "This kernel does not see" in run["error"]["evalue"]
    assert "set PDFlow.files_dir" in run["error"]["evalue"]


def test_pause_resume_and_outputs(pair: Pair) -> None:
    asks = step("print('asked')\npd.flow.suspend()\nreturn 'ü' * 3", "ask")
    uses = step(
        "from IPython.display import HTML, display\ndisplay(HTML('<b>displayed</b>'))\n"
        "return [pd.steps.ask['$return_value'], pd.steps.ask['$resume_data'].body]",
        "use",
    )
    run = pair.server.run(pair.server.deploy("pauses", [asks, uses]))
    paused = pair.server.wait_run(run["id"], "paused")
    answer = pair.server.http.post(paused["pause"]["resume_url"], json={"yes": 1})
    assert answer.status_code == 200
    run = pair.end(run)
    assert run["steps"][1]["exports"] == {"$return_value": ["üüü", {"yes": 1}]}
    executed_notebook = json.dumps(pair.server.api("GET", f"/runs/{run['id']}/notebook").json())
    assert "asked" in executed_notebook
    assert "<b>displayed</b>" in executed_notebook


def test_kernel_works_in_the_directory_of_the_notebook(pair: Pair) -> None:
    folder = pair.server.root / "sub folder"
    folder.mkdir()
    (folder / "helpers.py").write_text("ANSWER = 42")
    cells = ["import os, helpers", step("return [os.getcwd(), helpers.ANSWER]")]
    run = pair.end(pair.server.run(pair.server.deploy("sub folder/where", cells)))
    assert run["steps"][0]["exports"] == {"$return_value": [str(folder), 42]}


def test_inputs_are_those_of_the_server_and_are_stored_nowhere(pair: Pair) -> None:
    path = pair.server.data_dir / "inputs.toml"
    path.write_text(INPUTS)
    path.chmod(0o644)
    body = (
        "token = pd.inputs['slack']['$auth']['oauth_access_token']\n"
        "print(pd.inputs, pd.inputs['slack'])\n"
        "return [token[::-1], list(pd.inputs), pd.inputs['day'].isoformat(),\n"
        "    pd.inputs['here']['key'], pd.inputs['env']['OF_THE_GATEWAY'],\n"
        "    'SLACK_TOKEN' in pd.inputs['env']]"
    )
    run = pair.end(pair.server.run(pair.server.deploy("inputs", [step(body)])))
    assert run["steps"][0]["exports"]["$return_value"] == [
        SECRET[::-1],
        ["env", "day", "slack", "other", "here"],
        date(2026, 11, 27).isoformat(),
        "there",
        "there",
        False,
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files_with(pair.server.folder, SECRET) == []
    assert files_with(pair.gateway.folder, SECRET) == []
    assert SECRET not in pair.server.api("GET", f"/runs/{run['id']}/notebook").text


def test_errors_of_missing_inputs_are_those_of_a_local_kernel(pair: Pair) -> None:
    path = pair.server.data_dir / "inputs.toml"
    workflow = pair.server.deploy("missing", [step("return pd.inputs[pd.steps.trigger.event]")])
    for content, key, message in [
        (INPUTS, "other", "variable NOT_SET_ANYWHERE, which is not set where the server or the"),
        (INPUTS, "github", f"Add it to {path}."),
        ("slack = ", "slack", f"{path} can't be read"),
    ]:
        path.write_text(content)
        run = pair.end(pair.server.run(workflow, key))
        assert run["error"]["ename"] == "InputsError"
        assert message in run["error"]["evalue"]
    path.unlink()


def test_large_events_and_values(pair: Pair) -> None:
    event = {"text": "ü" * 1_000_000, "rows": list(range(100_000))}
    run = pair.server.run(
        pair.server.deploy("large", [step("return pd.steps.trigger.event")]), event
    )
    assert pair.end(run)["steps"][0]["exports"]["$return_value"] == event


def test_step_that_is_silent_for_long_keeps_its_kernel(pair: Pair) -> None:
    run = pair.server.run(pair.server.deploy("silent", [step("import time\ntime.sleep(4.5)")]))
    run = pair.end(run)
    assert run["status"] == "succeeded"
    assert "is queued again" not in pair.server.log()


def test_cancel_interrupts_the_step_and_keeps_the_kernel(pair: Pair) -> None:
    sleeps = step(
        TOUCH_MARK + "if pd.steps.trigger.event: time.sleep(60)\nreturn __import__('os').getpid()"
    )
    workflow = pair.server.deploy("sleeps", [sleeps])
    pid = pair.end(pair.server.run(workflow))["steps"][0]["exports"]
    run = pair.begin(workflow, 1)
    pair.server.api("POST", f"/runs/{run['id']}/cancel", {"reason": "enough"})
    assert pair.server.get_run(run["id"])["status"] == "canceled"
    assert pair.end(pair.server.run(workflow))["steps"][0]["exports"] == pid


def test_kernels_of_runs_are_not_listed_by_the_server(pair: Pair) -> None:
    pair.end(pair.server.run(pair.server.deploy("one", [step("return 1")])))
    assert pair.gateway.kernel_ids() != []
    own = pair.server.http.get("/api/kernels", headers=pair.server.headers).json()
    assert own == []


def test_kernelspec_that_the_gateway_lacks(pair: Pair) -> None:
    write_notebook(pair.server.root / "spec.ipynb", [step("return 1")], "no_such")
    answer = pair.server.api("POST", "/workflows", {"path": "spec.ipynb"})
    assert answer.status_code == 422
    assert answer.json()["reason"] == "bad_kernelspec"
    assert 'no kernelspec "no_such"' in answer.json()["message"]


def test_kernelspec_that_was_removed_from_the_gateway_fails_the_run_with_a_clear_error(
    pair: Pair,
) -> None:
    spec = pair.gateway.add_kernelspec("removed")
    workflow = pair.server.deploy(
        "removed", [step("pd.flow.suspend()"), step("return 1", "b")], "removed"
    )
    run = pair.server.wait_run(pair.server.run(workflow)["id"], "paused")
    pair.end(pair.server.run(pair.server.deploy("other", [step("return 1")])))
    spec.unlink()
    pair.server.api("POST", f"/runs/{run['id']}/resume", {})
    run = pair.end(run)
    assert run["error"]["ename"] == "KernelSpecError"
    assert "There is no kernelspec 'removed' any more" in run["error"]["evalue"]


def test_no_kernel_is_left_when_the_server_stops(pair: Pair) -> None:
    pair.end(pair.server.run(pair.server.deploy("last", [step("return 1")])))
    assert pair.gateway.kernel_ids() != []
    pair.server.stop()
    wait_until(lambda: pair.gateway.kernel_ids() == [], "the gateway has no kernel")
    assert pair.registered_kernel_ids() == []
