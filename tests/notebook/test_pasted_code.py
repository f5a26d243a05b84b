"""Pasted code in a session runs as in a script, and its typical errors are explained."""

from __future__ import annotations

import sys

import pytest

from jupyter_pdflow.exceptions import NotebookError
from jupyter_pdflow.kernels.inside.cell import parse
from jupyter_pdflow.notebook.source import read_source
from tests.notebook.conftest import Kernel
from tests.notebook.test_headers import notebook
from tests.notebook.testmode_helpers import EXPORTS, plain

DOUBLE = """\
import asyncio

async def double(n):
    await asyncio.sleep(0)
    return 2 * n

"""
WAYS = (
    "[asyncio.run(double(1)), asyncio.get_event_loop().run_until_complete(double(2)), "
    "asyncio.run(double(3)), asyncio.get_event_loop().run_until_complete(double(4))]"
)


def test_asyncio_as_in_a_script(kernel: Kernel):
    ran = kernel.run(
        f"%%step a\n{DOUBLE}kept = asyncio.get_event_loop()\nfirst = {WAYS}\n"
        f"def handler(pd):\n    return first + {WAYS} + [kept.run_until_complete(double(5))]"
    )
    assert ran.error is None
    assert kernel.value(EXPORTS)["a"]["$return_value"] == [2, 4, 6, 8, 2, 4, 6, 8, 10]
    after = kernel.run("import asyncio; await asyncio.sleep(0); print(asyncio.get_running_loop())")
    assert after.error is None


def test_a_cell_that_awaits_and_an_async_handler_have_the_kernels_loop(kernel: Kernel):
    ran = kernel.run(
        f"%%step a\n{DOUBLE}await double(1)\nhere = asyncio.get_running_loop()\n"
        "async def handler(pd):\n    return [here is asyncio.get_running_loop(), await double(2)]"
    )
    assert ran.error is None
    assert kernel.value(EXPORTS)["a"]["$return_value"] == [True, 4]


@pytest.mark.parametrize(
    "end",
    [
        "asyncio.run(wait())\ndef handler(pd): pass",
        "def handler(pd): asyncio.get_event_loop().run_until_complete(wait())",
    ],
)
def test_an_interrupt_ends_what_runs_in_a_loop(kernel: Kernel, end: str):
    wait = "async def wait():\n    print('on', flush=True)\n    await asyncio.sleep(60)\n"
    message_id = kernel.send(f"%%step a\nimport asyncio\n{wait}{end}")
    kernel.wait_for_stream("on")
    kernel.manager.interrupt_kernel()
    reply = kernel.reply_to(message_id)
    kernel.until_idle(message_id)

    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert (
        kernel.run(f"%%step b\nimport asyncio\nasyncio.run(asyncio.sleep(0))\n{PASS}").error is None
    )


PASS = "def handler(pd): pass"


# --- if __name__ == "__main__" ---------------------------------------------------------


@pytest.mark.parametrize(
    "test",
    [
        '__name__ == "__main__"',
        "'__main__' == __name__",
        "(__name__ == '__main__') and print",
        "False:\n    pass\nelif __name__ == '__main__'",
    ],
)
def test_a_main_block_is_left_out(kernel: Kernel, test: str):
    ran = kernel.run(
        f"%%step a\nprint(__name__)\nif {test}:\n    print('by hand')\nelse:\n    print('else')\n{PASS}"
    )
    assert ran.error is None
    assert ran.stdout == "__main__\nelse\n"


@pytest.mark.parametrize(
    "kept",
    [
        "if __name__ != 'other':\n    print('kept')",
        "if __name__ == '__main__' or x:\n    print('kept')",
        "def f():\n    if __name__ == '__main__':\n        print('kept')\nf()",
        "if __name__ == '__main__':\n    pass\nelif __name__:\n    print('kept')",
    ],
)
def test_other_conditions_are_kept(kernel: Kernel, kept: str):
    assert kernel.run(f"%%step a\n{kept}\n{PASS}").stdout == "kept\n"


def test_the_lines_keep_their_numbers(kernel: Kernel):
    ran = kernel.run("%%step a\nif __name__ == '__main__':\n    pass\n\n1 / 0")

    assert ran.error is not None
    assert "----> 5 1 / 0" in plain(ran.error)


def test_a_handler_in_a_main_block_does_not_count(kernel: Kernel):
    cell = "%%step a\nif __name__ == '__main__':\n    def handler(pd): pass"
    message = "Step 'a' defines no handler"

    assert message in kernel.run(cell).reply["evalue"]
    with pytest.raises(NotebookError, match=message):
        read_source(notebook(cell))


# --- f-strings of Python 3.12 ----------------------------------------------------------

SEED = """\
%%step a
def handler(pd: 'pipedream'):
    urls = pd.flow.suspend()
    pd.send.email(
      subject="Please approve this important workflow",
      text=f"Click here to approve the workflow: ${urls["resume_url"]}, and cancel here: ${urls["cancel_url"]}"
    )
    # Pipedream suspends your workflow at the end of the step
"""
NEWER = "Python 3.12 or newer reads it"
IS_OLD = sys.version_info < (3, 12)


def refusal(*cells: str) -> str:
    try:
        read_source(notebook(*cells))
    except NotebookError as error:
        return str(error)
    return ""


def test_the_f_string_of_the_pipedream_page(kernel: Kernel):
    executed, deployed = kernel.run(SEED).reply["evalue"], refusal(SEED)

    assert (NEWER in executed, NEWER in deployed) == (IS_OLD, IS_OLD)
    assert ("'a' has a syntax error in line 6: " in deployed) is IS_OLD
    assert ("line 6" in executed) is IS_OLD
    assert (NEWER in refusal('x = f"{y["z"]}"', SEED)) is IS_OLD


@pytest.mark.parametrize(
    "newer",
    ["f'{x['a']['b']}'", "rf'{x['a']}'", "F'{f'{x}'}'", "f'{x:{'10'}}'", "f\"{'\\n'.join(x)}\""],
)
def test_f_strings_that_newer_pythons_read(newer: str):
    try:
        parse(f"y = (1,\n{newer})")
        message = ""
    except SyntaxError as error:
        message = str(error.msg)
    assert (NEWER in message) is IS_OLD


@pytest.mark.parametrize(
    "broken", ["f'{x'", "f'{x['", "f'{x}", "print('x' 'y)", "f'{}'", "x['a'] y['b']", "f'{a}' f'"]
)
def test_sources_that_no_python_reads(broken: str):
    with pytest.raises(SyntaxError) as raised:
        parse(broken)
    assert NEWER not in str(raised.value.msg)


# --- pandas as pd ----------------------------------------------------------------------


def test_pd_is_not_pandas(kernel: Kernel):
    kernel.run("import pandas as pd")
    ran = kernel.run("%%step a\ndef handler(pd):\n    rows = 1\n    return pd.read_csv('x.csv')")

    assert ran.error is not None
    assert "pd is the argument of this step's handler here, not pandas" in ran.error["evalue"]
    assert "import pandas under another name" in ran.error["evalue"]
    assert "----> 4     return pd.read_csv('x.csv')" in plain(ran.error)
