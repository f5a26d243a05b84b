"""The whole API of a real server, fuzzed from its own description.

Schemathesis makes valid and invalid requests to every operation, the same ones each time.
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
def seeded(server: JupyterServer, paused: Paused) -> list[Any]:
    """Runs that no request addresses."""
    return [paused({"number": number}) for number in range(3)]


@pytest.fixture(scope="module")
def real(server: JupyterServer) -> dict[str, str]:
    """Ids of things that there are; the run waits, and has a mail and a file."""
    workflow = server.deploy("addressed", [MAIL, ASK])
    run = server.wait_run(server.run(workflow)["id"], "paused")
    token = run["pause"]["resume_url"].rpartition("/")[2]
    mail_id = server.api("GET", "/mail").json()[0]["id"]
    ids = {"run_id": run["id"], "workflow_id": workflow["id"], "mail_id": mail_id}
    return {**ids, "token": token, "path": "report.txt"}


@pytest.fixture
def nothing_changes(server: JupyterServer, seeded: list[Any], real: Any) -> Iterator[None]:
    """Hold all data against what it was before an operation was fuzzed."""
    before = digests(server)
    yield
    assert digests(server) == before


@pytest.fixture
def seeded_runs_stay(server: JupyterServer, seeded: list[Any], real: Any) -> Iterator[None]:
    """Hold what no request addressed against what it was."""
    before = server.api("GET", "/workflows").json()
    yield
    assert [server.get_run(run["id"]) for run in seeded] == seeded
    assert server.api("GET", "/workflows").json() == before


def digests(server: JupyterServer) -> dict[str, str]:
    return {
        str(path.relative_to(server.data_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in server.data_dir.rglob("*")
        if path.is_file()
    }


def checks(case: schemathesis.Case, *left_out: str) -> list[Any]:
    """Choose the checks for a request.

    Two never fit: a made-up id is as described and yet leads to 404, and who is not logged in gets
    Jupyter's 403 where 401 would be looked for; that none is let in is checked all the same. Of a
    GET, arguments that nobody knows are ignored: JupyterLab adds some to pass by caches.
    """
    without = {"positive_data_acceptance", "missing_required_header", *left_out}
    if case.operation.method.upper() == "GET":
        without.add("negative_data_rejection")
    if "{token}" in case.operation.path:
        without.add("unsupported_method")  # a link takes every method there is
    return [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in without]


@API.parametrize()
@fuzz(40)
@pytest.mark.usefixtures("nothing_changes")
def test_requests_for_made_up_things(
    case: schemathesis.Case, server: JupyterServer, session: requests.Session
) -> None:
    case.call_and_validate(
        base_url=server.url, headers=server.headers, session=session, checks=checks(case)
    )


@API.parametrize()
@fuzz(12)
@pytest.mark.usefixtures("seeded_runs_stay")
def test_requests_for_real_things(
    case: schemathesis.Case, server: JupyterServer, session: requests.Session, real: dict[str, str]
) -> None:
    case.path_parameters = {name: real[name] for name in case.path_parameters or {}}
    # What was wrong in its id alone is right with another one.
    chosen = checks(case, "negative_data_rejection")
    case.call_and_validate(
        base_url=server.url, headers=server.headers, session=session, checks=chosen
    )
    assert "Traceback" not in server.log()
