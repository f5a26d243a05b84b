"""The API of a real server, fuzzed from its OpenAPI description.

Schemathesis makes valid and invalid requests to every operation, the same ones in each run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from jupyter_pdflow.server.api.handlers import OPENAPI
from tests.server.conftest import ASK
from tests.servers import JupyterServer

Paused = Callable[..., Any]
MAIL = """%%step tell
def handler(pd):
    (pd.files / "report.txt").write_text("It is done.")
    pd.send.email(subject="Done", text="It is done.")
"""
CONFIG = SchemathesisConfig.from_dict({"generation": {"mode": "all", "deterministic": True}})
API = schemathesis.openapi.from_dict(yaml.safe_load(OPENAPI.read_text()), config=CONFIG)
load_all_checks()


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        yield session


@pytest.fixture(scope="module")
def other_runs(server: JupyterServer, paused: Paused) -> list[Any]:
    """Start runs that no request names."""
    return [paused({"number": number}) for number in range(3)]


@pytest.fixture(scope="module")
def existing(server: JupyterServer) -> dict[str, str]:
    """Start a paused run with an email and a file; return all ids as path parameters."""
    workflow = server.deploy("addressed", [MAIL, ASK])
    run = server.wait_run(server.run(workflow)["id"], "paused")
    token = run["pause"]["resume_url"].rpartition("/")[2]
    mail_id = server.api("GET", "/mail").json()[0]["id"]
    ids = {"run_id": run["id"], "workflow_id": workflow["id"], "mail_id": mail_id}
    return {**ids, "version": workflow["version"], "token": token, "path": "report.txt"}


@pytest.fixture
def nothing_changes(server: JupyterServer, other_runs: list[Any], existing: Any) -> Iterator[None]:
    """Check that no file of the data directory changes while an operation is fuzzed."""
    before = digests(server)
    yield
    assert digests(server) == before


@pytest.fixture
def other_runs_stay(server: JupyterServer, other_runs: list[Any], existing: Any) -> Iterator[None]:
    """Check that the runs that no request names, and all workflows, stay as they are."""
    before = server.api("GET", "/workflows").json()
    yield
    assert [server.get_run(run["id"]) for run in other_runs] == other_runs
    assert server.api("GET", "/workflows").json() == before


def digests(server: JupyterServer) -> dict[str, str]:
    return {
        str(path.relative_to(server.data_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in server.data_dir.rglob("*")
        if path.is_file()
    }


def checks(case: schemathesis.Case, *left_out: str) -> list[Any]:
    """Return the checks of a request.

    Two are always left out. "Positive data acceptance": a made-up id fits the schema and is still
    unknown. "Missing required header": Jupyter answers 403 to an unauthenticated request and not
    401; another check covers that such requests are refused. Unknown arguments of a GET are
    accepted, because JupyterLab adds some to bypass caches.
    """
    without = {"positive_data_acceptance", "missing_required_header", *left_out}
    if case.operation.method.upper() == "GET":
        without.add("negative_data_rejection")
    if "{token}" in case.operation.path:
        without.add("unsupported_method")  # a link accepts every method
    return [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in without]


@API.parametrize()
@fuzz(40)
@pytest.mark.usefixtures("nothing_changes")
def test_requests_with_unknown_ids(
    case: schemathesis.Case, server: JupyterServer, session: requests.Session
) -> None:
    case.call_and_validate(
        base_url=server.url, headers=server.headers, session=session, checks=checks(case)
    )


@API.parametrize()
@fuzz(12)
@pytest.mark.usefixtures("other_runs_stay")
def test_requests_with_existing_ids(
    case: schemathesis.Case,
    server: JupyterServer,
    session: requests.Session,
    existing: dict[str, str],
) -> None:
    case.path_parameters = {name: existing[name] for name in case.path_parameters or {}}
    # A request whose only mistake was its id is valid now.
    chosen = checks(case, "negative_data_rejection")
    case.call_and_validate(
        base_url=server.url, headers=server.headers, session=session, checks=chosen
    )
    assert "Traceback" not in server.log()
