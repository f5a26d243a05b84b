"""`Pd`: values, pauses, exports and emails."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import orjson
import pytest

from jupyter_pdflow.exceptions import ExportError, StepOverError
from jupyter_pdflow.pd.call import call_handler
from jupyter_pdflow.pd.pd import Pd
from jupyter_pdflow.rules.pauses import PauseCall
from jupyter_pdflow.rules.run import EmailRequest, ExitCall
from tests.pd.conftest import MakePd

EVENT = {"order": {"id": 7, "lines": [{"sku": "x"}]}, "items": [1]}


# --- values ---------------------------------------------------------------------------


def test_values_are_reached_as_attribute_and_item(make_pd: MakePd) -> None:
    pd = make_pd(event=EVENT)
    assert pd.steps["trigger"]["event"]["order"]["lines"][0]["sku"] == "x"
    assert pd.steps.trigger.event.order.lines[0].sku == "x"
    assert pd.context.run.runs == pd.context["run"]["runs"] == 1


def test_values_are_real_mappings(make_pd: MakePd) -> None:
    event = make_pd(event=EVENT).steps.trigger.event
    assert event == EVENT
    assert list(event) == ["order", "items"]
    assert "order" in event
    assert "other" not in event
    assert event.get("other", 1) == 1
    assert {**event} == EVENT
    assert repr(event) == repr(EVENT)
    assert json.loads(json.dumps(event)) == orjson.loads(orjson.dumps(event)) == EVENT
    for same in (
        copy.copy(event),
        copy.deepcopy(event),
        event.copy(),
        pickle.loads(pickle.dumps(event)),
    ):
        assert same == EVENT
        assert same.order.id == 7


def test_names_of_dict_methods_are_items_only(make_pd: MakePd) -> None:
    event = make_pd(event=EVENT).steps.trigger.event
    assert event["items"] == [1]
    assert dict(event.items()) == EVENT


def test_error_about_a_missing_name_lists_the_others(make_pd: MakePd) -> None:
    steps = make_pd(steps={"fetch": {}}).steps
    with pytest.raises(KeyError) as by_item:
        steps["feetch"]
    with pytest.raises(AttributeError) as by_attribute:
        steps.feetch  # noqa: B018
    for caught in (by_item, by_attribute):
        assert str(caught.value) == "There is no 'feetch' here; there is 'trigger', 'fetch'."


def test_names_are_completed(make_pd: MakePd) -> None:
    pd = make_pd(event={"order": 1, "not a name": 2})
    assert "order" in dir(pd.steps.trigger.event)
    assert "not a name" not in dir(pd.steps.trigger.event)
    assert pd.steps.trigger.event._ipython_key_completions_() == ["order", "not a name"]


# --- steps and context ----------------------------------------------------------------


def test_exports_of_a_step_win_over_the_keys_that_it_returned(make_pd: MakePd) -> None:
    exports = {"$return_value": {"a": 1, "b": 2}, "b": 3, "$resume_data": {"body": None}}
    step = make_pd(steps={"s": exports}).steps["s"]
    assert step["$return_value"] == {"a": 1, "b": 2}
    assert (step["a"], step.b, step["$resume_data"].body) == (1, 3, None)


@pytest.mark.parametrize("value", [None, 0, "text", [1, 2]])
def test_any_return_value_can_be_read(make_pd: MakePd, value: Any) -> None:
    exports = {} if value is None else {"$return_value": value}
    assert make_pd(steps={"s": exports}).steps.s["$return_value"] == value


def test_context(make_pd: MakePd) -> None:
    context = make_pd(test=True, attempt=2, runs=3, context={"a": 1}).context
    assert context == {
        "id": "r-2",
        "trace_id": "r",
        "ts": "2026-01-02T03:04:05.678Z",
        "workflow_id": "w",
        "workflow_name": "W",
        "version": "v",
        "test": True,
        "attempt": 2,
        "run": {"runs": 3, "context": {"a": 1}},
    }
    assert context.run.context.a == 1


def test_callback_request_exists_only_after_a_request(make_pd: MakePd) -> None:
    request = {"method": "POST", "body": {"status": "done"}}
    assert "callback_request" not in make_pd(runs=2).context.run
    called_back = make_pd(runs=2, called_back=True, callback_request=request).context.run
    assert called_back["callback_request"].body.status == "done"
    assert make_pd(called_back=True).context.run["callback_request"] is None


# --- flow -----------------------------------------------------------------------------

LINKS = {"resume_url": "http://resume", "cancel_url": "http://cancel"}
DAY = 86_400_000


@pytest.mark.parametrize(
    ("call", "record"),
    [
        (lambda flow: flow.suspend(), PauseCall(kind="suspend", ms=DAY)),
        (lambda flow: flow.suspend(1000), PauseCall(kind="suspend", ms=1000)),
        (
            lambda flow: flow.suspend(timeout=5, on_timeout="fail"),
            PauseCall(kind="suspend", ms=5, on_timeout="fail"),
        ),
        (lambda flow: flow.rerun(10), PauseCall(kind="rerun", ms=10)),
        (
            lambda flow: flow.rerun(10, {"a": (1,)}, 3),
            PauseCall(kind="rerun", ms=10, context={"a": [1]}, max_retries=3),
        ),
        (
            lambda flow: flow.retry(10, None, maxRetries=0),
            PauseCall(kind="rerun", ms=10, max_retries=0),
        ),
        (lambda flow: flow.delay(1.5), PauseCall(kind="delay", ms=1)),
        (lambda flow: flow.delay(0), PauseCall(kind="delay", ms=0)),
    ],
)
def test_pause_calls(pd: Pd, call: Any, record: PauseCall) -> None:
    links = call(pd.flow)
    assert links == LINKS
    assert links.resume_url == "http://resume"
    assert pd.flow.call == record


def test_last_of_several_pauses_counts_with_a_warning(
    pd: Pd, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pd.flow.call is None
    assert pd.flow.suspend() == LINKS
    assert capsys.readouterr().err == ""
    for _ in range(3):
        assert pd.flow.rerun(1) == LINKS
    assert pd.flow.call == PauseCall(kind="rerun", ms=1)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Warning: pd.flow.rerun replaces the pd.flow.suspend that this step")
    assert second.startswith("Warning: pd.flow.rerun replaces the pd.flow.rerun that this step")


@pytest.mark.parametrize("pause", ["suspend", "rerun", "delay"])
def test_exit_wins_over_every_pause_whatever_the_order(
    pd: Pd, capsys: pytest.CaptureFixture[str], pause: str
) -> None:
    call = getattr(pd.flow, pause)
    call(50)
    pd.flow.exit("no files")
    assert call(50) == LINKS
    assert pd.flow.call == ExitCall(exit_reason="no files")
    assert capsys.readouterr().err == (
        f"Warning: pd.flow.exit was called before, so pd.flow.{pause} does not pause the run.\n"
    )


def test_warning_that_all_reruns_are_used_up(
    make_pd: MakePd, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pd(reruns=2, runs=3).flow.rerun(1, None, 3)
    assert capsys.readouterr().err == ""
    make_pd(reruns=3, runs=4).flow.retry(1, None, 3)
    warning = "Warning: All reruns of this step (maxRetries=3) are used up: the run continues "
    assert capsys.readouterr().err.startswith(warning)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("pd.flow.suspend", lambda pd: pd.flow.suspend()),
        ("pd.flow.rerun", lambda pd: pd.flow.rerun(1)),
        ("pd.flow.delay", lambda pd: pd.flow.delay(1)),
        ("pd.flow.exit", lambda pd: pd.flow.exit()),
        ("pd.send.email", lambda pd: pd.send.email("s", to="a@b")),
        ("pd.export", lambda pd: pd.export("a", 1)),
        ("pd.respond", lambda pd: pd.respond({"status": 200})),
    ],
)
async def test_calls_after_the_step_is_over_raise(pd: Pd, name: str, call: Any) -> None:
    outcome = await call_handler(lambda pd: pd.steps.trigger.event, pd)
    assert outcome.error is None
    with pytest.raises(StepOverError, match=f"{name} was called after its step was over"):
        call(pd)
    assert (outcome.flow, outcome.emails, outcome.exports) == (None, [], {})
    assert pd.context.run.runs == 1


async def test_pd_is_over_after_an_error(pd: Pd) -> None:
    await call_handler(lambda pd: 1 / 0, pd)
    with pytest.raises(StepOverError):
        pd.flow.suspend()


def test_respond_only_warns(pd: Pd, capsys: pytest.CaptureFixture[str]) -> None:
    pd.respond({"status": 200, "headers": {}, "body": "ok"})
    pd.respond({"status": 200})
    assert capsys.readouterr().err.count("Warning: pd.respond does nothing here") == 1
    assert pd.exports == {}


def test_warning_about_a_lost_number(pd: Pd, capsys: pytest.CaptureFixture[str]) -> None:
    pd.export("score", [1.0, float("nan")])
    pd.flow.rerun(1, {"a": float("inf")})
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Warning: score[1] is NaN")
    assert second.startswith("Warning: context.a is NaN")


@pytest.mark.parametrize(
    ("call", "kind", "argument"),
    [
        (lambda flow: flow.suspend(0), ValueError, "timeout"),
        (lambda flow: flow.suspend("1000"), ValueError, "timeout"),
        (lambda flow: flow.suspend(366 * DAY), ValueError, "timeout"),
        (lambda flow: flow.suspend(on_timeout="stop"), ValueError, "on_timeout"),
        (lambda flow: flow.rerun(-1), ValueError, "delay"),
        (lambda flow: flow.rerun(1, None, -1), ValueError, "maxRetries"),
        (lambda flow: flow.rerun(1, None, 2.5), ValueError, "maxRetries"),
        (lambda flow: flow.rerun(1, None, True), ValueError, "maxRetries"),
        (lambda flow: flow.rerun(1, {"rows": [{1}]}), ExportError, r"context\.rows\[0\] is a set"),
        (lambda flow: flow.delay(float("nan")), ValueError, "ms"),
        (lambda flow: flow.exit(3), TypeError, "reason"),
        (lambda flow: flow.exit("x" * 1_001), ValueError, "reason may have 1,000 characters"),
    ],
)
def test_error_names_the_bad_argument(
    pd: Pd, call: Any, kind: type[Exception], argument: str
) -> None:
    with pytest.raises(kind, match=argument):
        call(pd.flow)
    assert pd.flow.call is None


# --- exports and emails ---------------------------------------------------------------


def test_export(pd: Pd) -> None:
    pd.export("rows", [{"n": 1}])
    pd.export("rows", [{"n": 2}])
    assert pd.exports == {"rows": [{"n": 2}]}


def test_export_keeps_the_value_as_it_was(pd: Pd) -> None:
    rows = [1]
    pd.export("rows", rows)
    rows.append(2)
    assert pd.exports == {"rows": [1]}


@pytest.mark.parametrize("name", ["x", "two words", "kebab-case", "größe"])
def test_names_of_exports(pd: Pd, name: str) -> None:
    pd.export(name, 1)
    assert pd.exports == {name: 1}


@pytest.mark.parametrize("name", ["$mine", "$return_value", "", 3, None])
def test_bad_names_of_exports(pd: Pd, name: Any) -> None:
    with pytest.raises(ExportError, match="does not begin with"):
        pd.export(name, 1)


def test_context_of_the_trigger_has_the_run(pd: Pd) -> None:
    context = pd.steps["trigger"]["context"]
    assert (context["id"], context["ts"]) == (pd.context.trace_id, pd.context.ts)


def test_bad_export_is_refused_at_the_call(pd: Pd) -> None:
    with pytest.raises(ExportError, match=r"rows\.first is a set"):
        pd.export("rows", {"first": set()})
    assert pd.exports == {}


def test_emails(pd: Pd) -> None:
    pd.send.email("Hi", text="Text", html="<p>", to="a@b.c")
    pd.send.email(subject="Ho", to=["a@b.c", "D <d@e.f>"])
    pd.send.email("To the owner")
    assert pd.send.emails == [
        EmailRequest(subject="Hi", text="Text", html="<p>", to=["a@b.c"]),
        EmailRequest(subject="Ho", to=["a@b.c", "D <d@e.f>"]),
        EmailRequest(subject="To the owner"),
    ]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"subject": 3}, TypeError, "subject must be a str"),
        ({"subject": "a\nBcc: x@y.z"}, ValueError, "subject must be one line"),
        ({"subject": "a", "text": {"a": 1}}, TypeError, "text must be a str"),
        ({"subject": "a", "html": b"<p>"}, TypeError, "html must be a str"),
        ({"subject": "a", "to": ["x@y.z", 3]}, TypeError, "to must be a str"),
        ({"subject": "a", "to": 3}, TypeError, "to must be a str"),
        ({"subject": "a", "to": "ada"}, ValueError, "to: 'ada' is not .* an @-sign"),
        ({"subject": "a", "to": ["a@b.c", "bob@"]}, ValueError, "to: 'bob@' is not an email"),
        ({"subject": "a", "to": "x@y.z\r\nBcc: a@b.c"}, ValueError, "to: .*can be mailed"),
        ({"subject": "a", "to": "x@y.z, a@b.c"}, ValueError, "For several recipients, pass a list"),
        ({"subject": "a", "to": ["x@y.z"] * 101}, ValueError, "to may have 100 recipients"),
        ({"subject": "a\0b"}, ValueError, "without control characters"),
        ({"subject": "ü" * 1_001}, ValueError, "subject may have 1,000 characters at most"),
        ({"subject": "a", "text": "ü" * 500_001}, ValueError, "text and html may have 1,000,000 b"),
        ({"subject": "a", "text": "a" * 999_999, "html": "<>"}, ValueError, "not 1,000,001"),
        ({"subject": "a", "text": "\ud800"}, ExportError, "text is a str with half a surrogate"),
    ],
)
def test_bad_emails(pd: Pd, arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        pd.send.email(**arguments)
    assert pd.send.emails == []


def test_largest_email(pd: Pd) -> None:
    many = [f"Person {number}, Dr. <p{number}@example.org>" for number in range(100)]
    pd.send.email("ü" * 1_000, text="a" * 500_000, html="b" * 500_000, to=many)
    assert pd.send.emails[0].to == many


def test_emails_of_a_step_are_limited(pd: Pd) -> None:
    for _ in range(9):
        pd.send.email("Hi", "a" * 1_000_000)
    with pytest.raises(ValueError, match="emails of this step may have 10,000,000 bytes"):
        pd.send.email("Hi", "a" * 999_990)
    for _ in range(991):
        pd.send.email("Hi")
    with pytest.raises(ValueError, match="this step may have 1,000 emails at most, not 1,001"):
        pd.send.email("Hi")
    assert len(pd.send.emails) == 1_000


# --- missing names --------------------------------------------------------------------


def test_pd_is_not_pandas(pd: Pd) -> None:
    import pandas  # noqa: ICN001

    assert pandas.read_csv is not None
    with pytest.raises(AttributeError) as raised:
        pd.read_csv("orders.csv")
    assert str(raised.value) == (
        "pd has no 'read_csv': pd is the argument of this step's handler here, not pandas; import "
        "pandas under another name, such as `import pandas`, and write pandas.read_csv."
    )


def test_missing_name(pd: Pd) -> None:
    with pytest.raises(
        AttributeError, match="pd has no 'flwo'; it has context, export, files, flow,"
    ):
        pd.flwo  # noqa: B018
    with pytest.raises(AttributeError) as raised:
        pd.send.http("https://example.org")
    assert str(raised.value) == "pd.send has no 'http'; it has email."
    with pytest.raises(
        AttributeError, match=r"^pd\.flow has no 'wait'; it has delay, exit, rerun, "
    ):
        pd.flow.wait(10)
    assert not hasattr(pd, "_repr_html_")
    assert getattr(pd, "DataFrame", None) is None
