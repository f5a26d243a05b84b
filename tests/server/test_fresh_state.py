"""A run sees the state that the setup left, whichever kernel executes it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers import JupyterServer

SETUP = """import random
import numpy as np
np.random.seed(0)
class Model:
    def __init__(self):
        self.trees = None
    def fit(self, trees):
        self.trees = trees
        return self
model = Model().fit(20)
"""
EVALUATE = """%%step evaluate
def handler(pd):
    trees = pd.steps.trigger.event.get("trees")
    if trees:
        model.fit(trees)
    return {"trees": model.trees, "drawn": np.random.rand()}
"""
APPROVE = """%%step approve
def handler(pd):
    pd.flow.suspend()
"""
PUBLISH = """%%step publish
def handler(pd):
    return {"approved": pd.steps.evaluate.trees, "published": model.trees, "drawn": np.random.rand()}
"""


@pytest.fixture(scope="module")
def release(server: JupyterServer) -> Any:
    return server.deploy("release", [SETUP, EVALUATE, APPROVE, PUBLISH])


def resume_and_publish(server: JupyterServer, run: Any) -> Any:
    server.api("POST", f"/runs/{run['id']}/resume", {})
    return server.wait_run(run["id"], "succeeded")["steps"][2]["exports"]["$return_value"]


def test_each_run_sees_the_state_that_the_setup_left(server: JupyterServer, release: Any) -> None:
    events = [5, None, 7, 9, None, 3, 11, 13, None, 15]
    for pair in zip(events[::2], events[1::2], strict=True):
        runs = [server.run(release, {"trees": trees} if trees else {}) for trees in pair]
        paused = [server.wait_run(run["id"], "paused") for run in runs]
        found = [resume_and_publish(server, run) for run in paused]
        assert [one["approved"] for one in found] == [trees or 20 for trees in pair]
        assert [one["published"] for one in found] == [20, 20]
        drawn = {run["steps"][0]["exports"]["$return_value"]["drawn"] for run in paused}
        assert drawn | {one["drawn"] for one in found} == {0.5488135039273248}


def test_a_step_that_changes_the_setups_state_warns(server: JupyterServer, release: Any) -> None:
    run = server.wait_run(server.run(release, {"trees": 5})["id"], "paused")
    notebook = server.api("GET", f"/runs/{run['id']}/notebook").json()
    texts = [
        "".join(output["text"]) for cell in notebook["cells"] for output in cell.get("outputs", [])
    ]
    (text,) = texts
    assert text.startswith("Warning: `model` was made by the setup and changed by this step")
    resume_and_publish(server, run)


def test_the_next_step_of_the_same_run_has_a_fresh_kernel(server: JupyterServer) -> None:
    first = "%%step first\ndef handler(pd):\n    import os\n    names.append(1)\n    return [os.getpid(), names]"
    second = "%%step second\ndef handler(pd):\n    import os\n    return [os.getpid(), names]"
    workflow = server.deploy("two", ["names = []", first, second])
    for _ in range(2):
        ended = server.wait_run(server.run(workflow)["id"], "succeeded")
        (one, changed), (two, kept) = (step["exports"]["$return_value"] for step in ended["steps"])
        assert (changed, kept) == ([1], [])
        assert one != two
