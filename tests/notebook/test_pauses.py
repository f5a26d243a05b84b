"""Pauses in test mode: the notice, its buttons, and reruns."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.conftest import Kernel
from tests.notebook.testmode_helpers import (
    EXPORTS,
    NOTICE,
    SUSPEND,
    assert_stopped_quietly,
    notice_of,
    plain,
)

SEEN = """\
%%step seen
def handler(pd):
    print(dict(pd.steps["approve"]))
"""


def test_a_pause_shows_the_notice_and_stops_the_queue(kernel: Kernel):
    ran = kernel.run(SUSPEND)

    assert_stopped_quietly(ran)
    notice_of(ran)
    assert ran.stdout == (
        "http://localhost:8888/pdflow/resume/test http://localhost:8888/pdflow/cancel/test\n"
    )
    assert kernel.value(EXPORTS) == {"approve": {"$return_value": {"asked": True}}}


def test_cells_that_are_queued_behind_a_pause_do_not_run(kernel: Kernel):
    slowly = SUSPEND.replace("pd):\n", "pd):\n    __import__('time').sleep(0.5)\n")
    first, second = kernel.send(slowly), kernel.send("ran = True")
    replies = [kernel.reply_to(message_id)["content"] for message_id in (first, second)]
    kernel.until_idle(first)
    kernel.until_idle(second)

    assert [reply["status"] for reply in replies] == ["error", "aborted"]
    assert kernel.value("'ran' in globals()") is False


def test_as_if_resumed(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    kernel.enter_text(notice, '{"approved": true}')
    kernel.click(notice, "as if resumed with")

    assert "The next step can now be run." in kernel.widget_text(notice)
    exports = kernel.value(EXPORTS)["approve"]
    assert exports["$return_value"] == {"asked": True}
    request = exports["$resume_data"]
    assert request["body"] == {"approved": True}
    assert set(request) == {"method", "path", "url", "query", "headers", "body", "client_ip"}
    assert "approved" in kernel.run(SEEN).stdout


def test_no_data_is_none(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    kernel.click(notice, "as if resumed with")

    assert kernel.value(EXPORTS)["approve"]["$resume_data"]["body"] is None


def test_invalid_json_can_be_corrected(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    kernel.enter_text(notice, "{approved}")
    kernel.click(notice, "as if resumed with")
    assert "The data is not JSON" in kernel.widget_text(notice)
    assert "$resume_data" not in kernel.value(EXPORTS)["approve"]

    kernel.enter_text(notice, "1")
    kernel.click(notice, "as if resumed with")
    assert kernel.value(EXPORTS)["approve"]["$resume_data"]["body"] == 1


def test_as_if_the_time_ran_out(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    kernel.click(notice, "as if the time ran out")

    assert kernel.value(EXPORTS)["approve"]["$resume_data"] is None


@pytest.mark.parametrize(
    ("on_timeout", "words"),
    [
        ("cancel", "the run would be canceled here"),
        ("fail", "the run would fail here: Step &#x27;a&#x27; was not resumed within 5 ms."),
    ],
)
def test_on_timeout(kernel: Kernel, on_timeout: str, words: str):
    call = f"pd.flow.suspend(5, on_timeout={on_timeout!r})"
    notice = notice_of(kernel.run(f"%%step a\ndef handler(pd): {call}"))
    kernel.click(notice, "as if the time ran out")

    assert words in kernel.widget_text(notice)


def test_as_if_canceled(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    kernel.click(notice, "as if canceled")

    assert "the run would be canceled here; no later step would run" in kernel.widget_text(notice)


def chosen(kernel: Kernel, notice: dict[str, Any]) -> list[str]:
    """Return the buttons that are marked as chosen."""
    states = kernel.widget_states(notice)
    return [state["description"] for state in states if state.get("icon") == "check"]


def test_what_was_chosen_stays_visible_and_can_be_chosen_again(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    assert chosen(kernel, notice) == []
    kernel.enter_text(notice, '{"approved": true}')
    kernel.click(notice, "as if resumed with")
    assert chosen(kernel, notice) == ["as if resumed with"]
    shown = "<b>Chosen: as if resumed with {&quot;approved&quot;: true}.</b> Step approve has ended"
    assert shown in kernel.widget_text(notice)

    kernel.click(notice, "as if the time ran out")
    assert chosen(kernel, notice) == ["as if the time ran out"]
    assert "<b>Chosen: as if the time ran out.</b> Step approve has" in kernel.widget_text(notice)
    exports = kernel.value(EXPORTS)["approve"]
    assert (exports["$resume_data"], exports["$decision"]["outcome"]) == (None, "timed_out")

    kernel.click(notice, "as if canceled")
    exports = kernel.value(EXPORTS)["approve"]
    assert ("$resume_data" in exports, exports["$decision"]["outcome"]) == (False, "canceled")

    kernel.enter_text(notice, "")
    kernel.click(notice, "as if resumed with")
    assert "Chosen: as if resumed with no data." in kernel.widget_text(notice)
    assert kernel.value(EXPORTS)["approve"]["$resume_data"]["body"] is None


def test_long_data_is_cut_where_it_is_shown(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    kernel.enter_text(notice, f'"{"x" * 1000}"')
    kernel.click(notice, "as if resumed with")

    assert f"{'x' * 79}…." in kernel.widget_text(notice)
    assert len(kernel.value(EXPORTS)["approve"]["$resume_data"]["body"]) == 1000


def test_a_choice_that_is_not_valid_leaves_the_one_before(kernel: Kernel):
    notice = notice_of(kernel.run(SUSPEND))
    kernel.click(notice, "as if the time ran out")
    kernel.enter_text(notice, "{no")
    kernel.click(notice, "as if resumed with")

    assert chosen(kernel, notice) == ["as if the time ran out"]
    assert "Chosen: as if the time ran out.</b> The data is not JSON" in kernel.widget_text(notice)
    assert kernel.value(EXPORTS)["approve"]["$resume_data"] is None


def test_a_failure_leaves_nothing_of_the_choice_before(kernel: Kernel):
    call = "pd.flow.suspend(5, on_timeout='fail')"
    notice = notice_of(kernel.run(f"%%step a\ndef handler(pd): {call}"))
    kernel.click(notice, "as if resumed with")
    assert "$resume_data" in kernel.value(EXPORTS)["a"]
    kernel.click(notice, "as if the time ran out")

    assert kernel.value(EXPORTS) == {"a": {}}


def test_an_older_notice_changes_nothing(kernel: Kernel):
    older, newer = notice_of(kernel.run(SUSPEND)), notice_of(kernel.run(SUSPEND))
    kernel.click(older, "as if resumed with")
    assert "newest notice" in kernel.widget_text(older)
    assert "$resume_data" not in kernel.value(EXPORTS)["approve"]

    kernel.click(newer, "as if resumed with")
    assert "$resume_data" in kernel.value(EXPORTS)["approve"]


def test_a_delay_leaves_no_resume_data_when_its_time_is_over(kernel: Kernel):
    notice = notice_of(kernel.run("%%step a\ndef handler(pd): pd.flow.delay(10)"))
    kernel.click(notice, "as if the time ran out")

    assert kernel.value(EXPORTS) == {"a": {}}


# --- reruns ----------------------------------------------------------------------------

RERUN = """\
%%step poll
{async_}def handler(pd):
    run = pd.context["run"]
    print("runs", run["runs"], "context", run["context"], run.get("callback_request", {{}}).get("body"))
    if run["runs"] == 1:
        pd.flow.rerun(1000, {{"hello": "world"}}, {retries})
    elif run["runs"] == 2 and "callback_request" not in run:
        {again}
    return run["runs"]
"""


def rerun(async_: str = "", retries: int = 3, again: str = "pd.flow.rerun(1000, None, 3)") -> str:
    return RERUN.format(async_=async_, retries=retries, again=again)


def bundle_in(output: dict[str, Any]) -> dict[str, Any]:
    return dict(output["data"])


@pytest.mark.parametrize("async_", ["", "async "])
def test_a_rerun_gets_the_values_of_production(kernel: Kernel, async_: str):
    ran = kernel.run(rerun(async_))
    assert ran.stdout == "runs 1 context None None\n"
    first = notice_of(ran)
    kernel.click(first, "as if the time ran out")
    printed, shown = kernel.wait_for_outputs(first, 2)
    assert printed["text"] == "runs 2 context {'hello': 'world'} None\n"

    second = bundle_in(shown)
    assert second["text/plain"] == NOTICE
    kernel.enter_text(second, '"done"')
    kernel.click(second, "as if resumed with")
    printed, shown = kernel.wait_for_outputs(second, 2)
    assert printed["text"] == "runs 3 context None done\n"
    assert "$return_value = 3" in shown["data"]["text/plain"]
    assert kernel.value(EXPORTS) == {"poll": {"$return_value": 3}}


def test_a_callback_skips_the_run_number_after_the_last_retry(kernel: Kernel):
    notice = notice_of(kernel.run(rerun(retries=1)))
    kernel.enter_text(notice, "[1]")
    kernel.click(notice, "as if resumed with")

    printed, _ = kernel.wait_for_outputs(notice, 2)
    assert printed["text"] == "runs 3 context {'hello': 'world'} [1]\n"


def test_a_call_beyond_max_retries_does_not_pause(kernel: Kernel):
    notice = notice_of(kernel.run(rerun(retries=1, again="pd.flow.rerun(1000, None, 1)")))
    kernel.click(notice, "as if the time ran out")

    _, warned, shown = kernel.wait_for_outputs(notice, 3)
    assert warned["name"] == "stderr"
    assert "used up" in warned["text"]
    assert shown["data"]["text/plain"] == "Exports of step poll:\n  $return_value = 2"


def test_zero_retries_never_pause(kernel: Kernel):
    ran = kernel.run("%%step a\ndef handler(pd):\n    pd.flow.rerun(1, None, 0)\n    return 1")

    assert ran.reply["status"] == "ok"
    assert ran.text == "Exports of step a:\n  $return_value = 1"


def test_another_choice_executes_a_rerun_again(kernel: Kernel):
    first = notice_of(kernel.run(rerun()))
    kernel.click(first, "as if the time ran out")
    _, shown = kernel.wait_for_outputs(first, 2)
    second = bundle_in(shown)
    kernel.click(second, "as if the time ran out")
    kernel.wait_for_outputs(second, 2)

    kernel.enter_text(first, '"called"')
    kernel.click(first, "as if resumed with")
    printed, shown = kernel.wait_for_outputs(first, 2)
    assert printed["text"] == "runs 2 context {'hello': 'world'} called\n"
    assert "$return_value = 2" in shown["data"]["text/plain"]
    assert kernel.value(EXPORTS) == {"poll": {"$return_value": 2}}
    text = kernel.wait_for_widget_text(first, "Step poll has ended")
    assert "Chosen: as if resumed with &quot;called&quot;." in text

    kernel.click(second, "as if canceled")
    assert "newest notice" in kernel.widget_text(second)
    kernel.click(first, "as if canceled")
    assert kernel.outputs(first) == []
    assert kernel.value(EXPORTS) == {"poll": {"$return_value": 1}}


def test_no_other_choice_counts_while_a_rerun_is_executed(kernel: Kernel):
    notice = notice_of(kernel.run(SLOW_RERUN))
    kernel.click(notice, "as if the time ran out")
    kernel.wait_until(lambda: disabled(kernel, notice), "the buttons are disabled")
    kernel.click(notice, "as if canceled")
    assert chosen(kernel, notice) == ["as if the time ran out"]
    ran = kernel.run("print('beside'); display('beside'); go.set()")
    assert (ran.stdout, ran.text) == ("beside\n", "'beside'")

    outputs = kernel.wait_for_outputs(notice, 3)
    assert outputs[0]["text"] == "waits\n"
    assert outputs[1]["name"] == "stderr"
    assert outputs[1]["text"].startswith("goes on\n")
    assert "$return_value = 2" in outputs[2]["data"]["text/plain"]
    kernel.wait_until(lambda: not disabled(kernel, notice), "the buttons are enabled")
    assert kernel.value(EXPORTS) == {"slow": {"$return_value": 2}}


SLOW_RERUN = """\
%%step slow
import asyncio, sys
go = asyncio.Event()
async def handler(pd):
    if pd.context.run.runs == 1:
        pd.flow.rerun(1000)
    else:
        print("waits")
        await go.wait()
        print("goes on", file=sys.stderr)
    return pd.context.run.runs
"""


def disabled(kernel: Kernel, notice: dict[str, Any]) -> bool:
    states = kernel.widget_states(notice)
    return all(state["disabled"] for state in states if state["_model_name"] == "ButtonModel")


def test_a_rerun_that_raises_shows_the_authors_frames(kernel: Kernel):
    notice = notice_of(kernel.run(rerun(again="raise RuntimeError('gave up')")))
    kernel.click(notice, "as if the time ran out")

    _, error = kernel.wait_for_outputs(notice, 2)
    assert (error["output_type"], error["ename"], error["evalue"]) == (
        "error",
        "RuntimeError",
        "gave up",
    )
    assert "in handler" in plain(error)
    assert "jupyter_pdflow" not in plain(error)
