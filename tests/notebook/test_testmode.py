"""Test mode: a step cell executes its handler in the session."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from tests.notebook.conftest import CellResult, Kernel
from tests.notebook.testmode_helpers import (
    EXPORTS,
    SUSPEND,
    assert_stopped_quietly,
    notice_of,
    plain,
)


def test_a_step_runs_here_and_shows_its_exports(kernel: Kernel):
    ran = kernel.run(
        "%%step a\ndef handler(pd):\n    print(pd.context.test)\n    pd.export('n', '<b>')\n"
        "    return {'x': 1}"
    )

    assert ran.reply["status"] == "ok"
    assert ran.stdout == "True\n"
    assert ran.text == 'Exports of step a:\n  n = "<b>"\n  $return_value = {"x": 1}'
    assert "&lt;b&gt;" in ran.bundles[0]["text/html"]
    assert kernel.value(EXPORTS) == {"a": {"n": "<b>", "$return_value": {"x": 1}}}


def test_a_step_without_exports_shows_nothing(kernel: Kernel):
    assert kernel.run("%%step a\ndef handler(pd): pass").outputs == []


def test_steps_see_the_exports_of_other_steps_and_the_event(kernel: Kernel):
    kernel.run("%%step a\ndef handler(pd): return {'x': [1]}")
    ran = kernel.run(
        "%%step b\ndef handler(pd):\n    print(pd.steps.a.x, pd.steps['trigger']['event'], list(pd.steps))"
    )

    assert ran.stdout == "[1] {} ['trigger', 'a']\n"


def test_files_of_a_step_are_kept_for_the_next(kernel: Kernel):
    kernel.run("%%step a\ndef handler(pd):\n    (pd.files / 'model').write_text('kept')")
    ran = kernel.run(
        "%%step b\ndef handler(pd):\n    print((pd.files / 'model').read_text())\n"
        "    return pd.files / 'model'"
    )

    path = Path(kernel.value(EXPORTS)["b"]["$return_value"])
    assert ran.stdout == "kept\n"
    assert path.read_text() == "kept"
    assert path.parent.name.startswith("pdflow-")


def test_async_handlers_ipython_syntax_and_top_level_await(kernel: Kernel):
    ran = kernel.run(
        "%%step a\nimport asyncio\nawait asyncio.sleep(0)\nwords = !echo hello\n\n"
        "async def handler(pd):\n    await asyncio.sleep(0)\n    return words"
    )

    assert ran.text == 'Exports of step a:\n  $return_value = ["hello"]'


def test_a_stale_handler_does_not_count(kernel: Kernel):
    kernel.run("%%step a\ndef handler(pd): pass")
    ran = kernel.run("%%step b\nx = 1")

    assert ran.error is not None
    assert ran.error["traceback"] == [
        "StepError: Step 'b' defines no handler: write `def handler(pd):` in its cell."
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "A step cell has no name"),
        ("two words", "'two words' is not a step's name"),
        ("trigger", "can't be named 'trigger'"),
    ],
)
def test_a_bad_name_is_one_line(kernel: Kernel, name: str, message: str):
    ran = kernel.run(f"%%step {name}\ndef handler(pd): pass")

    assert ran.error is not None
    (line,) = ran.error["traceback"]
    assert message in line


def test_two_cells_of_one_name(kernel: Kernel):
    assert kernel.run("%%step a\ndef handler(pd): pass", "one").reply["status"] == "ok"
    assert kernel.run("%%step a\ndef handler(pd): 1", "one").reply["status"] == "ok"

    refused = kernel.run("%%step a\ndef handler(pd): print('ran')", "two")
    assert refused.reply["evalue"].startswith("Another cell is named step 'a' too")
    assert refused.stdout == ""
    # The other cell may be gone: running this one again settles it.
    assert kernel.run("%%step a\ndef handler(pd): pass", "two").reply["status"] == "ok"
    assert kernel.run("%%step a\ndef handler(pd): pass", "one").reply["status"] == "error"


def test_a_renamed_cell_frees_its_name(kernel: Kernel):
    kernel.run("%%step a\ndef handler(pd): pass", "one")
    kernel.run("%%step b\ndef handler(pd): pass", "one")

    assert kernel.run("%%step a\ndef handler(pd): pass", "two").reply["status"] == "ok"


def test_an_exception_shows_the_authors_frames_only(kernel: Kernel):
    ran = kernel.run(
        "%%step a\ndef inner():\n    return 1 / 0\n\nasync def handler(pd):\n    inner()"
    )

    assert ran.error is not None
    assert (ran.error["ename"], ran.error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert (ran.reply["ename"], ran.reply["status"]) == ("ZeroDivisionError", "error")
    text = plain(ran.error)
    assert "line 6, in handler" in text
    assert "line 3, in inner" in text
    assert text.count(" line ") == 2
    assert f"In[{ran.reply['execution_count']}]" in text
    for word in ("jupyter_pdflow", "await get_ipython", "asyncio"):
        assert word not in text


@pytest.mark.parametrize(
    ("body", "ename", "lines"),
    [
        ("def handler(:", "SyntaxError", ["line 2", "def handler(:"]),
        ("1 / 0", "ZeroDivisionError", ["line 2"]),
        ("def handler(pd): pd.flow.suspend(-1)", "ValueError", ["line 2, in handler"]),
        ("def handler(pd): return {1j: 1}", "ExportError", ["ExportError: $return_value"]),
        ("def handler(pd): raise ExceptionGroup('g', [KeyError(1)])", "ExceptionGroup", ["line 2"]),
        ("def handler(): pass", "StepError", ["StepError: handler must take one argument"]),
        ("def handler(pd): return 'x' * 6_000_001", "ExportError", ["the limit is 6,000,000"]),
    ],
)
def test_errors_of_every_kind(kernel: Kernel, body: str, ename: str, lines: list[str]):
    ran = kernel.run(f"%%step a\n{body}")

    assert ran.error is not None
    assert ran.error["ename"] == ename
    for line in lines:
        assert line in plain(ran.error)
    assert "jupyter_pdflow/" not in plain(ran.error)
    assert kernel.value(EXPORTS) == {}


def test_the_authors_exception_handler_is_kept(kernel: Kernel):
    kernel.run(
        "def mine(shell, kind, error, tb, tb_offset=None): print('mine', kind.__name__)\n"
        "get_ipython().set_custom_exc((ZeroDivisionError,), mine)"
    )
    kernel.run(SUSPEND)
    assert kernel.run("1 / 0").stdout == "mine ZeroDivisionError\n"
    assert kernel.run("%%step a\ndef handler(pd): 1 / 0").stdout == "mine ZeroDivisionError\n"
    kernel.run("get_ipython().set_custom_exc((), None)")
    assert kernel.run("1 / 0").error is not None


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(60)"])
def test_an_interrupt_stops_a_handler(kernel: Kernel, body: str):
    message_id = kernel.send(f"%%step a\ndef handler(pd):\n    print('on', flush=True)\n    {body}")
    kernel.wait_for_stream("on")
    kernel.manager.interrupt_kernel()
    reply = kernel.reply_to(message_id)
    kernel.until_idle(message_id)

    assert reply["content"]["ename"] == "KeyboardInterrupt"


def test_an_interrupt_stops_an_async_handler(kernel: Kernel):
    message_id = kernel.send(
        "%%step a\nimport asyncio\nasync def handler(pd):\n    print('on', flush=True)\n"
        "    await asyncio.sleep(60)"
    )
    kernel.wait_for_stream("on")
    kernel.manager.interrupt_kernel()
    reply = kernel.reply_to(message_id)
    kernel.until_idle(message_id)

    assert reply["content"]["ename"] == "KeyboardInterrupt"


CANCELED = """
import asyncio
async def handler(pd):
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future
"""


@pytest.mark.parametrize(
    "body",
    [
        CANCELED,
        "import asyncio\ndef handler(pd): raise asyncio.CancelledError",
        "import asyncio\nraise asyncio.CancelledError\ndef handler(pd): pass",
    ],
)
def test_canceling_without_an_interrupt_is_the_authors_error(kernel: Kernel, body: str):
    ran = kernel.run(f"%%step a\n{body}")

    assert ran.error is not None
    assert ran.error["ename"] == "CancelledError"
    test_an_interrupt_stops_an_async_handler(kernel)


FORKS_AND_AWAITS = """
import asyncio
async def handler(pd):
    child = os.fork()
    await asyncio.sleep(0)
    os.waitpid(child, 0)
    print("once")
"""


@pytest.mark.parametrize(
    "body",
    [
        "def handler(pd):\n    if (child := os.fork()): os.waitpid(child, 0)\n    print('once')",
        "if (child := os.fork()): os.waitpid(child, 0)\nprint('once')\ndef handler(pd): pass",
        FORKS_AND_AWAITS,
    ],
)
def test_a_forked_child_does_not_continue_as_a_second_kernel(kernel: Kernel, body: str):
    ran = kernel.run(f"%%step a\nimport os\n{body}")

    assert ran.error is None
    assert "once" in ran.stdout
    assert kernel.value("os.getpid()") == kernel.manager.provisioner.pid
    assert psutil.Process(kernel.manager.provisioner.pid).children() == []


def test_an_email_is_displayed_and_its_html_is_sandboxed(kernel: Kernel):
    ran = kernel.run(
        "%%step a\ndef handler(pd):\n"
        "    pd.send.email(subject='Hi', text='Yes?', html='<script>x</script>', to='a@example.com')"
    )

    assert "a@example.com" in ran.text
    assert "Subject: Hi" in ran.text
    assert "Yes?" in ran.text
    html = ran.bundles[0]["text/html"]
    assert "<script>" not in html
    assert '<iframe sandbox="" srcdoc="&lt;script&gt;' in html


def test_exit_ends_the_run_here(kernel: Kernel):
    ran = kernel.run("%%step a\ndef handler(pd): pd.flow.exit('nothing to do')")

    assert_stopped_quietly(ran)
    assert "would end here as succeeded: nothing to do. No later step would run" in ran.text
    assert "would end here as succeeded: nothing to do." in ran.reply["evalue"]


def test_a_run_all_stops_after_exit(kernel: Kernel):
    first = kernel.send("%%step a\ndef handler(pd): pd.flow.exit()")
    second = kernel.send("%%step b\ndef handler(pd): print('ran')")

    assert kernel.reply_to(first)["content"]["status"] == "error"
    assert kernel.reply_to(second)["content"]["status"] == "aborted"
    assert kernel.until_idle(second) == []


# --- the event, and missing exports -----------------------------------------------------

EVENT = "def handler(pd): return pd.steps['trigger']['event']"


def test_the_event_is_set_and_shown(kernel: Kernel):
    assert kernel.run("%pdflow event").text == "Event of test mode: {}"
    assert kernel.run(f"%%step a\n{EVENT}").text.endswith("$return_value = {}")

    ran = kernel.run('%pdflow event {"body": {"id": 1, "of": "<b>"}}')
    assert ran.text == 'Event of test mode: {"body": {"id": 1, "of": "<b>"}}'
    assert "&lt;b&gt;" in ran.bundles[0]["text/html"]
    assert kernel.run("%pdflow event").text == ran.text
    kernel.run(f"%%step a\n{EVENT}.body.id")
    assert kernel.value(EXPORTS)["a"]["$return_value"] == 1

    kernel.run("%pdflow event null")
    assert kernel.run("%pdflow event").text == "Event of test mode: null"


MISSING = "%%step b\ndef handler(pd):\n    x = 1\n    return pd.steps['ask']['$resume_data']"


def test_missing_resume_data_is_explained(kernel: Kernel):
    ran = kernel.run(MISSING)
    assert ran.error is not None
    assert ran.error["ename"] == "MissingKeyError"
    assert "There is no 'ask' here; there is 'trigger'." in ran.error["evalue"]
    assert "run its cell first" in ran.error["evalue"]
    assert "----> 4     return pd.steps['ask']['$resume_data']" in plain(ran.error)

    notice = notice_of(kernel.run("%%step ask\ndef handler(pd): pd.flow.suspend()"))
    ran = kernel.run(MISSING)
    assert ran.error is not None
    assert ran.error["ename"] == "MissingKeyError"
    assert ran.error["evalue"] == (
        "There is no '$resume_data' here yet. Step ask is waiting: press *as if resumed with* in "
        "its notice, or run `%pdflow answer` and then its cell again."
    )
    assert [one["output_type"] for one in ran.outputs] == ["error"]
    assert "----> 4     return pd.steps['ask']['$resume_data']" in plain(ran.error)
    assert "jupyter_pdflow/" not in plain(ran.error)
    attribute = kernel.run(MISSING.replace("['$resume_data']", ".other")).error
    assert attribute is not None
    assert attribute["evalue"] == "There is no 'other' here; there is '$return_value'."

    kernel.click(notice, "as if resumed with")
    assert kernel.run(MISSING).reply["status"] == "ok"


@pytest.mark.parametrize(
    ("access", "missing"),
    [
        ("['ask']['$resume_data']", "'$resume_data'"),
        (".ask['$decision']", "'$decision'"),
        (".ask.__getattr__('$resume_data')", "'$resume_data'"),
    ],
)
def test_each_access_says_which_step_waits(kernel: Kernel, access: str, missing: str):
    kernel.run("%%step ask\ndef handler(pd): pd.flow.suspend()")
    ran = kernel.run(f"%%step b\ndef handler(pd): return pd.steps{access}")

    assert ran.error is not None
    assert f"There is no {missing} here yet. Step ask is waiting: press" in ran.error["evalue"]


def stderr(ran: CellResult) -> str:
    return "".join(one["text"] for one in ran.outputs if one.get("name") == "stderr")


def test_a_step_that_is_run_while_one_above_waits_says_so(kernel: Kernel):
    below = "%%step b\ndef handler(pd): return (pd.steps.ask.get('$resume_data') or {})['body']"
    notice = notice_of(kernel.run("%%step ask\ndef handler(pd): pd.flow.suspend()", "one"))
    waits = (
        "Warning: Step ask is waiting: press *as if resumed with* in its notice, or run "
        "`%pdflow answer` and then its cell again.\n"
    )
    ran = kernel.run(below, "two")
    assert ran.error is not None
    assert stderr(ran) == waits

    kernel.click(notice, "as if canceled")
    assert stderr(kernel.run(below, "two")) == (
        "Warning: Step ask has ended the run, as if canceled: press another button of its notice, "
        "or run its cell again.\n"
    )
    kernel.click(notice, "as if resumed with")
    ran = kernel.run(below, "two")
    assert (ran.error, stderr(ran)) == (None, "")
    # The step that waits is below this one.
    kernel.run("%%step b\ndef handler(pd): pd.flow.suspend()", "two")
    assert stderr(kernel.run("%%step ask\ndef handler(pd): pass", "one")) == ""


@pytest.mark.parametrize("call", ["rerun", "delay"])
def test_the_export_of_a_run_that_is_to_come_is_advised(kernel: Kernel, call: str):
    kernel.run(f"%%step job\ndef handler(pd): pd.flow.{call}(1000)")
    ran = kernel.run("%%step b\ndef handler(pd): return pd.steps.job['$return_value']['x']")

    assert ran.error is not None
    assert stderr(ran) == (
        "Warning: Step job is waiting: press *as if the time ran out* in its notice, or run "
        "`%pdflow answer --timeout` and then its cell again.\n"
    )
    ran = kernel.run("%%step b\ndef handler(pd): return pd.steps.job.result")
    advised = call == "rerun"
    assert ran.error is not None
    assert ("Step job is waiting" in ran.error["evalue"]) is advised
    assert bool(stderr(ran)) is not advised


def test_steps_are_real_mappings_in_test_mode_too(kernel: Kernel):
    kernel.run("%%step ask\ndef handler(pd): pd.flow.suspend()")
    ran = kernel.run(
        "%%step a\nimport copy, json\ndef handler(pd):\n    s = pd.steps\n"
        "    return [json.loads(json.dumps(s)) == s, 'x' in s, s.get('x'), list(s.copy()), "
        "s.ask.get('$resume_data', 5), hasattr(s, 'x'), copy.deepcopy(s) == s, "
        "copy.copy(s.ask) == s.ask]"
    )
    assert ran.error is None
    assert kernel.value(EXPORTS)["a"]["$return_value"] == [
        True, False, None, ["trigger", "ask"], 5, False, True, True,
    ]  # fmt: skip


def test_the_extension_loads_twice_and_unloads(kernel: Kernel):
    kernel.run("%load_ext jupyter_pdflow")
    assert kernel.run("%%step a\ndef handler(pd): print(1)").stdout == "1\n"
    loaded = kernel.run("%reload_ext jupyter_pdflow").text
    assert "This notebook is in test mode. A cell whose first line is `%%step NAME`" in loaded
    kernel.run("%unload_ext jupyter_pdflow")
    assert kernel.run("%%step a\ndef handler(pd): pass").reply["status"] == "error"
    assert json.loads(kernel.run("print(int(hasattr(get_ipython(), 'pdflow')))").stdout) == 0


# --- the lines of %pdflow that need no server ------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%pdflow run {a}", "The event is not JSON"),
        ("%pdflow event {a}", 'write it as in `%pdflow event {"name": "value"}`'),
        ("%pdflow event [NaN]", "The event is not JSON (JSON has no NaN)"),
        ('%pdflow event "\\ud800"', "The event is not JSON"),
        ("%pdflow load", "Name the run to load"),
        ("%pdflow produktion", "There is no `%pdflow produktion`"),
        ("%pdflow test now", "`%pdflow test` takes no argument; remove 'now'"),
        ("%pdflow production", "ServerNotFoundError: No running Jupyter server was found"),
        ("%pdflow run", "ServerNotFoundError: No running Jupyter server was found"),
        ("%pdflow runs", "ServerNotFoundError: No running Jupyter server was found"),
        ("%pdflow load x", "ServerNotFoundError: No running Jupyter server was found"),
    ],
)
def test_lines_that_are_refused(kernel: Kernel, line: str, message: str):
    ran = kernel.run(line)

    assert ran.error is not None
    (line,) = ran.error["traceback"]
    assert message in line


def test_the_mode_and_help(kernel: Kernel):
    ran = kernel.run("%pdflow")
    assert "This session is in test mode. A cell whose first line is `%%step NAME`" in ran.text
    for verb in ("test", "event [JSON]", "production", "run [JSON]", "runs", "load RUN"):
        assert f"%pdflow {verb}" in ran.text
    assert "Test mode" in kernel.run("%pdflow test").text


def test_in_a_production_kernel_the_lines_do_nothing(kernel: Kernel):
    kernel.run("%unload_ext jupyter_pdflow\nimport os; os.environ['JUPYTER_PDFLOW_WORKER'] = '1'")
    try:
        assert kernel.run("%load_ext jupyter_pdflow").reply["status"] == "ok"
        for line in ("%pdflow", "%pdflow production", "%pdflow run {", "%pdflow anything"):
            ran = kernel.run(line)
            assert (ran.reply["status"], ran.outputs) == ("ok", [])
    finally:
        kernel.run("del os.environ['JUPYTER_PDFLOW_WORKER']")
