"""Any answer to any form is valid or refused, and the same whichever way it came."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jupyter_pdflow.exceptions import InvalidAnswerError
from jupyter_pdflow.rules.form_fields import fields_of, prefill
from jupyter_pdflow.rules.form_values import is_blank, kind_of
from jupyter_pdflow.rules.forms import Form, answer_of, check_form
from tests.rules.form_strategies import JSON_VALUES, forms, forms_with_answers


def is_valid(form: Form, answer: Any) -> bool:
    """Ask `jsonschema`, which does not know that null is possible where it is the default."""
    nulls = [name for name, prop in form["properties"].items() if prop.get("default", "") is None]
    known = {
        name: value for name, value in answer.items() if name not in nulls or value is not None
    }
    return bool(Draft202012Validator(form).is_valid(known))


@settings(deadline=None)
@given(st.data(), forms())
def test_an_answer_is_valid_or_refused(data: st.DataObject, form: Form) -> None:
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(form["properties"], JSON_VALUES))
    value = data.draw(st.one_of(fields, JSON_VALUES))
    ways = data.draw(st.sampled_from([{}, {"from_form": True}, {"from_query": True}]))
    answer, wrong = outcome(form, value, **ways)
    assert (answer is None) == bool(wrong)
    assert len(set(wrong)) == len(wrong)
    assert {*wrong} <= {*form["properties"], ""}
    if answer is not None:
        assert is_valid(form, answer)
        assert repr(answer_of(form, answer)) == repr(answer)  # NaN is not equal to itself


def outcome(form: Form, value: Any, **ways: bool) -> tuple[Any, list[str]]:
    """Return the answer or None, and the fields that are wrong."""
    try:
        return answer_of(form, value, **ways), []
    except InvalidAnswerError as error:
        return None, [field for field, _ in error.errors]


@settings(deadline=None)
@given(forms_with_answers())
def test_valid_json_stays_valid(drawn: tuple[Form, dict[str, Any]]) -> None:
    form, given_answer = drawn
    is_blank_anywhere = any(map(is_blank, given_answer.values()))
    assume(is_valid(form, given_answer) and not is_blank_anywhere)
    answer = answer_of(form, given_answer)
    assert {name: answer[name] for name in given_answer} == given_answer
    assert answer_of(form, answer) == answer


@settings(deadline=None)
@given(forms_with_answers())
def test_json_query_and_form_give_the_same_answer(drawn: tuple[Form, dict[str, Any]]) -> None:
    form, given_answer = drawn
    # A query and a form can't say that a list is empty, nor that a field of a form is missing.
    shown = {name for name, prop in form["properties"].items() if can_be_unsaid(prop)}
    assume(all(value != [] for value in given_answer.values()))
    assume(shown <= given_answer.keys())
    expected = repr(outcome(form, given_answer))  # True is not 1 here
    query = parse_qs(urlencode(sent(given_answer), doseq=True), keep_blank_values=True)
    assert repr(outcome(form, merged(query), from_query=True)) == expected
    ticked = {name: value for name, value in given_answer.items() if value is not False}
    body = parse_qs(urlencode(sent(ticked, end="\r\n"), doseq=True), keep_blank_values=True)
    assert repr(outcome(form, merged(body), from_form=True)) == expected


def can_be_unsaid(prop: dict[str, Any]) -> bool:
    return kind_of(prop) in ("boolean", "multiselect")


def sent(answer: dict[str, Any], end: str = "\n") -> dict[str, Any]:
    """Return what inputs send for values."""
    return {name: sent_value(value, end) for name, value in answer.items()}


def sent_value(value: Any, end: str) -> Any:
    if isinstance(value, list):
        return [sent_value(item, end) for item in value]
    return value.replace("\n", end) if isinstance(value, str) else json.dumps(value)


def merged(fields: dict[str, list[str]]) -> dict[str, Any]:
    return {name: found if len(found) > 1 else found[0] for name, found in fields.items()}


def instants(form: Form, answer: Any) -> dict[str, Any]:
    """Return an answer with the same text for the same time: a form shows .000 as nothing."""
    return {
        name: datetime.fromisoformat(value)
        if isinstance(value, str) and kind_of(form["properties"][name]) == "datetime"
        else value
        for name, value in answer.items()
    }


@settings(deadline=None)
@given(forms_with_answers())
def test_what_a_form_shows_is_the_answer_that_it_sends(
    drawn: tuple[Form, dict[str, Any]],
) -> None:
    form, given_answer = drawn
    assume(is_valid(form, given_answer) and [] not in given_answer.values())
    answer, _ = outcome(form, given_answer)
    assume(answer is not None)  # a blank text may be required
    shown = prefill(form, given_answer)
    assert instants(form, answer_of(form, shown)) == instants(form, answer)
    assert {field.name: field.default for field in fields_of(form)} == {
        name: prefill(form, {}).get(name) for name in form["properties"]
    }


@settings(deadline=None)
@given(forms())
def test_checking_a_form_again_changes_nothing(form: Form) -> None:
    assert check_form(form) == form
    assert check_form(json.loads(json.dumps(form))) == form


@settings(deadline=None)
@given(st.data(), forms())
def test_any_schema_is_a_form_or_refused(data: st.DataObject, form: Form) -> None:
    schema = json.loads(json.dumps(form))
    for _ in range(data.draw(st.integers(1, 3))):
        replace_a_part(data, schema)
    found, refused = checked_or_refused(schema)
    if found is None:
        assert refused.startswith("form: ")
        assert len(refused) < 1000
    else:
        Draft202012Validator.check_schema(found)
        assert check_form(found) == found


def checked_or_refused(schema: Any) -> tuple[Form | None, str]:
    try:
        return check_form(schema), ""
    except ValueError as error:
        return None, str(error)


def replace_a_part(data: st.DataObject, schema: Any) -> None:
    part = schema
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        keywords = st.sampled_from(["pattern", "default", "enum", "type", "items", "minimum", "x"])
        key = data.draw(st.sampled_from(keys) if keys else keywords)
        if isinstance(part, dict) and data.draw(st.booleans()):
            part[data.draw(keywords)] = data.draw(JSON_VALUES)
            return
        if not isinstance(part, dict | list) or key not in keys:
            return
        if not isinstance(part[key], dict | list) or data.draw(st.booleans()):
            part[key] = data.draw(JSON_VALUES)
            return
        part = part[key]


@settings(deadline=None)
@given(JSON_VALUES)
def test_any_value_is_a_form_or_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^form: "):
        check_form(value)
