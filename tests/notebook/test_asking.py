"""Asking people in test mode: forms, approvers, rejections, titles."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.conftest import VIEW, CellResult, Kernel
from tests.notebook.testmode_helpers import EXPORTS, assert_stopped_quietly, notice_of

FORM = {
    "type": "object",
    "properties": {
        "account": {"enum": ["travel", "other"]},
        "amount": {"type": "number", "minimum": 1, "default": 120},
    },
    "required": ["account"],
}
ADA, BOB = "ada@example.org", "bob@example.org"


def ask(**arguments: Any) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return f"%%step ask\ndef handler(pd):\n    pd.flow.suspend({given})"


def exports_of(kernel: Kernel) -> Any:
    return kernel.value(EXPORTS)["ask"]


def buttons_of(kernel: Kernel, notice: dict[str, Any]) -> list[str]:
    states = kernel.widget_states(notice)
    return [state["description"] for state in states if state["_model_name"] == "ButtonModel"]


def emails_in(ran: CellResult) -> list[str]:
    return [bundle["text/plain"] for bundle in ran.bundles if VIEW not in bundle]


def test_a_message_is_shown_and_can_be_rejected(kernel: Kernel):
    notice = notice_of(kernel.run(ask(message="Publish **May**?\n\n<b>now</b>")))
    assert "Publish <strong>May</strong>?" in kernel.widget_text(notice)
    assert "<b>now</b>" not in kernel.widget_text(notice)
    kernel.click(notice, "as if rejected")

    assert "the run would be canceled here" in kernel.widget_text(notice)
    assert exports_of(kernel)["$decision"]["outcome"] == "rejected"


def test_a_pause_that_asks_nothing_can_not_be_rejected(kernel: Kernel):
    with_message = buttons_of(kernel, notice_of(kernel.run(ask(message="Now?"))))
    without = buttons_of(kernel, notice_of(kernel.run(ask())))

    assert set(with_message) - set(without) == {"as if rejected"}


def test_a_rejection_that_lets_the_run_continue(kernel: Kernel):
    notice = notice_of(kernel.run(ask(message="Now?", on_reject="resume")))
    kernel.click(notice, "as if rejected")

    assert "The next step can now be run." in kernel.widget_text(notice)
    exports = exports_of(kernel)
    assert exports["$decision"]["outcome"] == "rejected"
    assert exports["$resume_data"]["body"] is None


def test_an_invalid_answer_keeps_the_pause(kernel: Kernel):
    notice = notice_of(kernel.run(ask(form=FORM)))
    kernel.fill_form(notice, {"account": "home", "amount": 0})
    kernel.click(notice, "as if resumed with")
    text = kernel.widget_text(notice)
    assert "account: Choose one of: travel, other." in text
    assert "amount: Must be at least 1." in text
    assert "$resume_data" not in exports_of(kernel)

    kernel.fill_form(notice, {"account": "other"})
    kernel.click(notice, "as if resumed with")
    assert exports_of(kernel)["$resume_data"]["body"] == {"account": "other", "amount": 120}


def test_as_many_approvers_as_are_required_approve(kernel: Kernel):
    approvers = [ADA, "group:Chiefs", "carol"]
    notice = notice_of(kernel.run(ask(approvers=approvers, required=2)))
    assert "to be approved by 2 of" in kernel.widget_text(notice)
    kernel.click(notice, "as if resumed with")

    decision = exports_of(kernel)["$decision"]
    assert decision["outcome"] == "approved"
    assert [by["name"] for by in decision["by"]] == [ADA, "member 1 of chiefs"]
    assert [by["verified"] for by in decision["by"]] == [True, True]


def test_a_group_stands_for_several_people(kernel: Kernel):
    notice = notice_of(kernel.run(ask(approvers="group:chiefs", required=3)))
    kernel.click(notice, "as if resumed with")

    names = [by["name"] for by in exports_of(kernel)["$decision"]["by"]]
    assert names == [f"member {number} of chiefs" for number in (1, 2, 3)]


def test_an_approver_rejects(kernel: Kernel):
    notice = notice_of(kernel.run(ask(approvers=[ADA, BOB], required=2)))
    kernel.click(notice, "as if rejected")

    decision = exports_of(kernel)["$decision"]
    assert (decision["outcome"], decision["by"][0]["name"]) == ("rejected", ADA)


def test_silence_of_approvers_is_no_consent(kernel: Kernel):
    notice = notice_of(kernel.run(ask(approvers=[ADA], remind=1000)))
    kernel.click(notice, "as if the time ran out")

    assert "the run would be canceled here" in kernel.widget_text(notice)
    assert "No answer came in time." in kernel.widget_text(notice)


def test_emails_to_approvers_are_shown_without_links(kernel: Kernel):
    ran = kernel.run(ask(message="Pay **7 EUR**?", approvers=[ADA, BOB, "carol"]))

    first, second = emails_in(ran)
    assert f"To: {ADA}" in first
    assert f"To: {BOB}" in second
    for text in (first, second):
        assert "not sent in test" in text
        assert "Please decide: Pay 7 EUR?" in text
        assert "Approve: [personal link]" in text
        assert "Reject: [personal link]" in text
        assert "/pdflow/" not in text


def test_the_title_is_shown(kernel: Kernel):
    ran = kernel.run("%%step a\ndef handler(pd):\n    pd.title('Order  17')\n    return 1")

    assert ran.bundles[0]["text/plain"] == "Title of the run: Order 17"
    assert "$return_value = 1" in ran.text


def test_an_earlier_decision_is_advised(kernel: Kernel):
    kernel.run(ask(message="Now?"))
    ran = kernel.run("%%step tell\ndef handler(pd):\n    return pd.steps['ask']['$decision']")

    assert ran.error is not None
    assert "'$decision' here yet. Step ask is waiting: press *as if" in ran.error["evalue"]


# --- %pdflow answer ---------------------------------------------------------------------


def test_an_answer_lets_the_cells_below_run(kernel: Kernel):
    cells = [
        '%pdflow answer {"account": "travel"}',
        ask(form=FORM, approvers=[ADA]),
        "%%step tell\ndef handler(pd):\n    return pd.steps['ask']['$resume_data']['body']",
    ]
    messages = [kernel.send(cell) for cell in cells]
    replies = [kernel.reply_to(message)["content"]["status"] for message in messages]
    assert replies == ["ok", "ok", "ok"]
    assert kernel.value(EXPORTS)["tell"]["$return_value"] == {"account": "travel", "amount": 120}


def test_an_answer_is_used_up_and_says_what_it_did(kernel: Kernel):
    kernel.run("%pdflow answer 7")
    ran = kernel.run(ask())
    assert ran.reply["status"] == "ok"
    assert "`%pdflow answer` resumes it. Step ask has ended" in ran.text
    assert '"body": 7' in ran.text

    assert_stopped_quietly(kernel.run(ask()))


def test_no_data_is_none(kernel: Kernel):
    kernel.run("%pdflow answer")
    kernel.run(ask())

    assert exports_of(kernel)["$resume_data"]["body"] is None


@pytest.mark.parametrize(
    ("option", "arguments", "outcome", "stops"),
    [
        ("--reject", {"message": "Now?"}, "rejected", True),
        ("--reject", {"message": "Now?", "on_reject": "resume"}, "rejected", False),
        ("--reject", {}, "rejected", True),
        ("--timeout", {}, "timed_out", False),
        ("--timeout", {"on_timeout": "cancel"}, "timed_out", True),
    ],
)
def test_rejections_and_timeouts(
    kernel: Kernel, option: str, arguments: dict[str, Any], outcome: str, stops: bool
):
    kernel.run(f"%pdflow answer {option}")
    ran = kernel.run(ask(**arguments))

    assert exports_of(kernel)["$decision"]["outcome"] == outcome
    if stops:
        assert_stopped_quietly(ran)
        assert "the run would be canceled here" in ran.text
    else:
        assert ran.reply["status"] == "ok"


def test_a_timeout_that_fails_the_run_stops(kernel: Kernel):
    kernel.run("%pdflow answer --timeout")
    ran = kernel.run(ask(on_timeout="fail"))

    assert_stopped_quietly(ran)
    assert "the run would fail here: Step 'ask' was not resumed" in ran.text


def test_a_rerun_is_executed_again_by_an_answer(kernel: Kernel):
    poll = """%%step poll
def handler(pd):
    run = pd.context["run"]
    if "callback_request" not in run:
        pd.title("waits")
        pd.flow.rerun(1000)
    return run.get("callback_request", {}).get("body")"""
    kernel.run('%pdflow answer "done"')
    ran = kernel.run(poll)

    assert ran.reply["status"] == "ok"
    assert ran.text.count("Title of the run: waits") == 1
    assert kernel.value(EXPORTS)["poll"]["$return_value"] == "done"


def test_a_rerun_that_pauses_again_shows_its_notice(kernel: Kernel):
    kernel.run("%pdflow answer --timeout")
    ran = kernel.run("%%step poll\ndef handler(pd):\n    pd.flow.rerun(1000)")

    assert_stopped_quietly(ran)
    notice_of(ran)


def test_an_answer_that_does_not_match_the_form_is_one_line(kernel: Kernel):
    kernel.run('%pdflow answer {"account": "home", "amount": 0}')
    ran = kernel.run(ask(form=FORM))

    assert ran.error is not None
    (line,) = ran.error["traceback"]
    assert "`%pdflow answer` does not match the form of step 'ask'" in line
    assert "account: Choose one of: travel, other." in line
    assert "amount: Must be at least 1." in line
    notice = notice_of(ran)
    kernel.fill_form(notice, {"account": "other"})
    kernel.click(notice, "as if resumed with")
    assert exports_of(kernel)["$resume_data"]["body"]["account"] == "other"


def test_an_answer_that_is_not_json_is_one_line(kernel: Kernel):
    ran = kernel.run("%pdflow answer {account}")

    assert ran.error is not None
    (line,) = ran.error["traceback"]
    assert "The answer is not JSON" in line
    assert_stopped_quietly(kernel.run(ask()))


@pytest.mark.parametrize("body", ["pass", "pd.flow.exit()", "1 / 0"])
def test_an_answer_is_forgotten_with_a_warning(kernel: Kernel, body: str):
    kernel.run("%pdflow answer 1")
    ran = kernel.run(f"%%step a\ndef handler(pd):\n    {body}")
    printed = "".join(one["text"] for one in ran.outputs if one.get("name") == "stderr")
    assert "`%pdflow answer` is forgotten: step 'a' did not pause." in printed

    assert_stopped_quietly(kernel.run(ask()))
