"""The OpenAPI description, compared with the routes and the answers of a real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from msgspec import Struct
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from jupyter_pdflow import models
from jupyter_pdflow.server.api.handlers import OPENAPI, ROUTES, UnknownHandler
from jupyter_pdflow.server.app import SCHEMA
from jupyter_pdflow.server.links.tokens import ACTIONS
from scripts.openapi import descriptions, document, records, schemas
from tests.servers import JupyterServer

Paused = Callable[..., Any]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
DESCRIPTION: Any = yaml.safe_load(OPENAPI.read_text())
REGISTRY: Any = Registry().with_resource(
    "urn:api", Resource(contents=DESCRIPTION, specification=DRAFT202012)
)
RECORDS = [pytest.param(record, id=record.__name__) for record in records()]
METHODS_OF_JUPYTER = {"options"}
"""Jupyter answers these methods on every route of its API."""


def described() -> Iterator[tuple[str, str]]:
    for path, item in DESCRIPTION["paths"].items():
        for method in METHODS:
            if method in item:
                yield re.sub(r"\{\w+\}", "{}", path), method


def routed() -> Iterator[tuple[str, str]]:
    for pattern, handler in ROUTES:
        if handler is not UnknownHandler:
            for method in set(METHODS) - METHODS_OF_JUPYTER:
                if method in vars(handler):
                    yield pattern.replace("([^/]+)", "{}").replace("(.+)", "{}"), method
    for action in ACTIONS:
        for method in METHODS:
            yield f"/pdflow/{action}/{{}}", method


def check(server: JupyterServer, method: str, path: str, template: str, **kw: Any) -> Any:
    """Send a request, check its answer against the description, and return the answer."""
    if path.startswith("/pdflow/api"):
        kw["headers"] = {**server.headers, **kw.get("headers", {})}
    answer = server.http.request(method, path, **kw)
    operation = DESCRIPTION["paths"][template][method.lower()]
    known = operation["responses"][str(answer.status_code)]
    where = ["paths", template, method.lower(), "responses", str(answer.status_code)]
    if "$ref" in known:
        where = known["$ref"].removeprefix("#/").split("/")
    pointer = [*where, "content", "application/json", "schema"]
    escaped = "/".join(part.replace("~", "~0").replace("/", "~1") for part in pointer)
    validator = Draft202012Validator(
        {"$ref": f"urn:api#/{escaped}"}, registry=REGISTRY, format_checker=FormatChecker()
    )
    validator.validate(answer.json())
    return answer


def test_the_description_is_valid_openapi() -> None:
    validate(DESCRIPTION)


def test_the_schemas_are_up_to_date() -> None:
    text = OPENAPI.read_text("utf-8")
    assert document(text) == text, "run python scripts/openapi.py"
    assert DESCRIPTION["components"]["schemas"] == schemas()


def test_the_check_notices_schemas_that_are_not_up_to_date() -> None:
    text = OPENAPI.read_text("utf-8")
    for old, new in (("title:", "name:"), ("Ids sort by", "Ids are sorted by")):
        head, _, made = text.rpartition("\n  schemas:\n")
        changed = f"{head}\n  schemas:\n{made.replace(old, new)}"
        assert changed != text
        assert document(changed) == text


@pytest.mark.parametrize("model", RECORDS)
def test_docstrings_describe_fields_that_exist(model: type[Struct]) -> None:
    summary, fields = descriptions(model)
    assert summary.endswith(".")
    assert set(fields) <= set(model.__struct_fields__)


@pytest.mark.parametrize(
    "name",
    ["Run", "RunItem", "Workflow", "Version", "VersionItem", "Deployment", "Email", "Health"],
)
def test_all_fields_of_an_answer_are_required(name: str) -> None:
    schema = DESCRIPTION["components"]["schemas"][name]
    optional = {"warnings"} if name in ("Workflow", "Version") else set()
    assert set(schema["properties"]) - set(schema["required"]) == optional


def test_live_events_have_the_fields_of_their_schema() -> None:
    schema = yaml.safe_load(SCHEMA.read_text("utf-8"))
    assert schema["required"] == list(models.RunChange.__struct_fields__)


def test_the_description_has_all_routes_and_no_others() -> None:
    assert set(described()) == set(routed())


def test_the_server_sends_the_description(server: JupyterServer) -> None:
    answer = server.api("GET", "/openapi.yaml")
    assert answer.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(answer.text) == DESCRIPTION


def test_answers_are_as_described(server: JupyterServer, paused: Paused) -> None:
    api, runs = "/pdflow/api", "/pdflow/api/runs/{run_id}"
    run = paused({"any": "event"})
    one = f"{api}/runs/{run['id']}"
    workflow = f"{api}/workflows/{run['workflow_id']}"
    shown = check(server, "GET", f"{one}/outputs", f"{runs}/outputs")
    tag = {"If-None-Match": shown.headers["ETag"]}
    assert server.http.get(f"{one}/outputs", headers={**server.headers, **tag}).status_code == 304
    check(server, "GET", f"{api}/workflows", f"{api}/workflows")
    deployed = {"path": "approval.ipynb"}
    check(server, "POST", f"{api}/workflows", f"{api}/workflows", json=deployed)
    check(server, "POST", f"{api}/workflows", f"{api}/workflows", json={})
    check(server, "GET", workflow, f"{api}/workflows/{{workflow_id}}")
    versions = f"{api}/workflows/{{workflow_id}}/versions"
    check(server, "GET", f"{workflow}/versions", versions)
    check(server, "GET", f"{workflow}/versions/{run['version']}", f"{versions}/{{version}}")
    check(server, "GET", f"{workflow}/versions/none", f"{versions}/{{version}}")
    for path in ("approval.ipynb", "none.ipynb", "none"):
        check(server, "GET", f"{api}/deployment?path={path}", f"{api}/deployment")
    start = f"{api}/workflows/{{workflow_id}}/runs"
    second = check(server, "POST", f"{workflow}/runs", start, json={"event": 1}).json()
    check(server, "GET", one, runs)
    check(server, "GET", f"{api}/runs/none", runs)
    check(server, "GET", f"{api}/runs", f"{api}/runs")
    check(server, "GET", f"{api}/runs?limit=x", f"{api}/runs")
    check(server, "POST", f"{one}/resume", f"{runs}/resume", json={"data": 1})
    check(server, "GET", one, runs)
    server.wait_run(run["id"], "succeeded")
    check(server, "GET", one, runs)
    check(server, "POST", f"{one}/resume", f"{runs}/resume")
    server.wait_run(second["id"], "paused")
    check(server, "POST", f"{api}/runs/{second['id']}/cancel", f"{runs}/cancel", json={})
    check(server, "POST", f"{api}/runs/{second['id']}/cancel", f"{runs}/cancel")


ASKING = """%%step ask
def handler(pd):
    pd.flow.suspend(**pd.steps["trigger"]["event"])
"""
FORM = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_decisions_of_people_are_as_described(server: JupyterServer) -> None:
    api, runs = "/pdflow/api", "/pdflow/api/runs/{run_id}"
    workflow = server.deploy("asking", [ASKING])

    def asking(**event: Any) -> str:
        run = server.wait_run(server.run(workflow, {"message": "Now?", **event})["id"], "paused")
        return f"{api}/runs/{run['id']}"

    def decide(one: str, action: str, body: Any, status: int) -> None:
        answer = check(server, "POST", f"{one}/{action}", f"{runs}/{action}", json=body)
        assert answer.status_code == status

    with_form, of_others = asking(form=FORM), asking(approvers=["ada@example.org"], required=1)
    check(server, "GET", with_form, runs)
    check(server, "GET", of_others, runs)
    found = check(server, "GET", f"{api}/inbox", f"{api}/inbox").json()
    assert [item["form"] for item in found] == [FORM]
    decide(with_form, "resume", {"data": {"n": "x"}}, 422)
    decide(with_form, "resume", {"data": {"n": 1}, "note": "fine"}, 200)
    decide(of_others, "resume", {}, 403)
    decide(of_others, "reject", {}, 403)
    decide(of_others, "cancel", {}, 200)
    decide(of_others, "reject", {}, 409)
    decide(asking(), "reject", {"note": "no"}, 200)
    decide(asking(), "reject", {"wrong": 1}, 400)
    check(server, "GET", with_form, runs)


def personal_links(server: JupyterServer, run_id: str) -> list[str]:
    """Return the links to approve in the emails of a run, from their files."""
    server.api("GET", "/mail")  # it waits until the emails are kept as files
    files = sorted((server.data_dir / "mail").rglob(f"{run_id}*.eml"))
    bodies = [message_from_bytes(file.read_bytes(), policy=SMTP).get_body() for file in files]
    found = [re.search(r"http\S+/resume/[\w.-]+", body.get_content()) for body in bodies if body]
    return [link[0] for link in found if link]


def test_links_of_a_pause_with_approvers_answer_as_described(server: JupyterServer) -> None:
    workflow = server.deploy("approvers", [ASKING])
    event = {"approvers": ["ada@example.org", "bob@example.org"], "required": 2, "form": FORM}
    run = server.wait_run(server.run(workflow, event)["id"], "paused")
    first, second = personal_links(server, run["id"])
    template = "/pdflow/resume/{token}"

    def answer(link: str, body: Any) -> tuple[int, Any]:
        sent = check(server, "POST", link.removeprefix(server.url), template, json=body)
        return sent.status_code, sent.json()

    assert answer(run["pause"]["resume_url"], {"n": 1})[0] == 403
    assert answer(first, {"n": "x"})[0] == 422
    assert answer(first, {"n": 1}) == (200, {"status": "counted", "missing": 1})
    assert answer(first, {"n": 1})[0] == 410
    assert answer(second, {"n": 1})[0] == 200
    assert answer(first, {"n": 1})[0] == 410


def test_an_email_that_has_not_failed_is_not_sent_again(server: JupyterServer) -> None:
    emails = server.api("GET", "/mail").json()
    template = "/pdflow/api/mail/{mail_id}/retry"
    path = f"/pdflow/api/mail/{emails[0]['id']}/retry"
    assert check(server, "POST", path, template).status_code == 409
    path = "/pdflow/api/mail/none/retry"
    assert check(server, "POST", path, template).status_code == 404


def test_links_answer_as_described(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    resume = run["pause"]["resume_url"].removeprefix(server.url)
    cancel = run["pause"]["cancel_url"].removeprefix(server.url)
    templates = {"resume": "/pdflow/resume/{token}", "cancel": "/pdflow/cancel/{token}"}
    large = b"x" * 600_000
    assert check(server, "POST", resume, templates["resume"], content=large).status_code == 413
    assert check(server, "PUT", resume, templates["resume"]).status_code == 200
    assert check(server, "POST", cancel, templates["cancel"]).status_code == 410
    assert check(server, "GET", "/pdflow/cancel/x", templates["cancel"]).status_code == 404
    assert check(server, "GET", "/pdflow/cancel/test", templates["cancel"]).status_code == 200


def test_emails_and_errors_are_as_described(server: JupyterServer) -> None:
    source = "%%step bad\ndef handler(pd):\n    pd.send.email(subject='s')\n    1 / 0"
    run = server.wait_run(server.run(server.deploy("emails", [source]))["id"], "failed")
    check(server, "GET", f"/pdflow/api/runs/{run['id']}", "/pdflow/api/runs/{run_id}")
    emails = check(server, "GET", "/pdflow/api/mail", "/pdflow/api/mail").json()
    template = "/pdflow/api/mail/{mail_id}"
    check(server, "GET", f"/pdflow/api/mail/{emails[0]['id']}", template)
    check(server, "GET", "/pdflow/api/mail/none", template)


def test_files_are_as_described(server: JupyterServer) -> None:
    source = "%%step save\ndef handler(pd):\n    (pd.files / 'a.txt').write_text('a')"
    run = server.wait_run(server.run(server.deploy("files", [source]))["id"], "succeeded")
    template = "/pdflow/api/runs/{run_id}/files"
    files = f"/pdflow/api/runs/{run['id']}/files"
    assert len(check(server, "GET", files, template).json()) == 1
    check(server, "GET", "/pdflow/api/runs/none/files", template)
    check(server, "GET", f"{files}/none", f"{template}/{{path}}")


def test_the_check_notices_a_wrong_answer() -> None:
    schema = {"$ref": "urn:api#/components/schemas/Run"}
    validator = Draft202012Validator(schema, registry=REGISTRY)
    assert not validator.is_valid({"id": "x"})
    item = {"$ref": "urn:api#/components/schemas/Error"}
    with pytest.raises(Exception, match="unexpected"):
        Draft202012Validator(item, registry=REGISTRY).validate(
            {"message": "m", "reason": "r", "more": 1}
        )
