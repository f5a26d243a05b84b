"""Test mode warns of changes that production would not keep, and restores what it can."""

from __future__ import annotations

from typing import Any

from tests.notebook.conftest import CellResult, Kernel

MODEL = """
import random
from sklearn.linear_model import LinearRegression
model = LinearRegression().fit([[0], [1]], [0, 1])
names = []
limit = 1
random.seed(5)
"""


def warnings_in(ran: CellResult) -> list[str]:
    text = "".join(one["text"] for one in ran.outputs if one.get("name") == "stderr")
    return text.splitlines()


def step(kernel: Kernel, body: str, name: str = "a") -> CellResult:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return kernel.run(f"%%step {name}\ndef handler(pd):\n{lines}")


def test_a_model_that_a_step_refits_causes_a_warning(kernel: Kernel) -> None:
    kernel.run(MODEL)
    ran = step(kernel, "model.fit([[0], [1]], [0, 2])\nreturn model.predict([[1]])[0]")
    (line,) = warnings_in(ran)
    assert line == (
        "Warning: `model` was made by the setup and changed by this step; later steps and runs don't "
        "see that. Export it, or save it below `pd.files`."
    )


def test_a_step_that_changes_nothing_causes_no_warning(kernel: Kernel) -> None:
    kernel.run(MODEL)
    assert (
        warnings_in(
            step(kernel, "mine = list(names)\nmine.append(1)\nreturn model.predict([[1]])[0]")
        )
        == []
    )


def test_a_global_that_a_handler_sets_causes_a_warning_and_is_removed(kernel: Kernel) -> None:
    kernel.run(MODEL)
    ran = step(kernel, "global limit, extra\nlimit, extra = 5, 6")
    assert [line.partition(";")[0] for line in warnings_in(ran)] == [
        "Warning: The handler has set the global `limit`",
        "Warning: The handler has set the global `extra`",
    ]
    assert kernel.value("[limit, 'extra' in globals()]") == [1, False]


def test_definitions_of_a_step_cell_are_kept_and_attributed_to_it(kernel: Kernel) -> None:
    kernel.run("%%step a\ncache = []\ndef handler(pd): pass")
    assert kernel.value("cache") == []
    (line,) = warnings_in(step(kernel, "cache.append(1)", "b"))
    assert line.startswith("Warning: `cache` was made by the cell of step 'a' and changed by this")


def test_names_that_are_kept_may_change(kernel: Kernel) -> None:
    kernel.run("%keep names\nnames = []")
    assert warnings_in(step(kernel, "names.append(1)")) == []
    assert kernel.run("%keep 1x").error is not None


def test_random_states_directory_and_environment_are_restored(kernel: Kernel) -> None:
    kernel.run(MODEL + "\nimport os\nhere = os.getcwd()")
    draw = "import os, random\nos.chdir('/')\nos.environ['ODD'] = '1'\nreturn random.random()"
    first, second = step(kernel, draw), step(kernel, draw)
    assert first.text == second.text
    assert kernel.value("[os.getcwd() == here, 'ODD' in os.environ]") == [True, False]


def test_a_thread_left_running_causes_a_warning(kernel: Kernel) -> None:
    body = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True, name='mine').start()"
    (line,) = warnings_in(step(kernel, body))
    assert line.startswith("Warning: This step has left the thread 'mine' running")


def test_local_modules_are_watched(kernel: Kernel, tmp_path: Any) -> None:
    (tmp_path / "local_helpers.py").write_text("cache = []\n")
    kernel.run(
        f"import os, sys\nos.chdir({str(tmp_path)!r}); sys.path.insert(0, '')\nimport local_helpers"
    )
    (line,) = warnings_in(step(kernel, "local_helpers.cache.append(1)"))
    assert (
        "`local_helpers` was made by the setup and changed by this step (in `local_helpers.cache`)"
        in line
    )
    kernel.run("os.chdir('/')")
