"""The ways by which a person decides: each sends one decision to a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from tests.cluster import COMMAND
from tests.identity import cookie
from tests.servers import JupyterServer

Decision = Literal["approve", "reject"]
ADA, BOB = "ada@example.org", "bob@example.org"
GROUPS = {"finance": [ADA]}
PEOPLE = {"ada": ADA}
BROWSER = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
SCRIPT = {"X-PDFlow-Page": "1", "Accept": "text/html"}


@dataclass
class Pause:
    """A paused run, and the links of its emails by address.

    Attributes
    ----------
    urls : tuple of str
        What ``pd.flow.suspend`` has returned.
    """

    server: JupyterServer
    run_id: str
    urls: tuple[str, str]
    personal: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def run(self) -> Any:
        return self.server.get_run(self.run_id)


@dataclass
class Result:
    """What a path has answered.

    Attributes
    ----------
    status : int
        The HTTP status, or what it was in words.
    text : str
    """

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


Act = Callable[[Pause, Decision, Any, str | None], Result]


@dataclass(frozen=True)
class Path:
    """A way to decide.

    Attributes
    ----------
    person : str or None
        Who decides by it: an address that the link is of, or a name that is signed in.
    act : callable
        Sends a decision with an answer and a note.
    via : str
        How decisions name it.
    """

    name: str
    person: str | None
    act: Act
    via: str

    def __str__(self) -> str:
        return self.name


def _result(response: httpx.Response) -> Result:
    return Result(response.status_code, response.text)


# --- links ----------------------------------------------------------------------------


def _link(pause: Pause, person: str | None, decision: Decision) -> str:
    urls = pause.urls if person is None else pause.personal[person]
    return urls[decision == "reject"]


def _program(person: str | None) -> Act:
    def act(pause: Pause, decision: Decision, answer: Any, note: str | None) -> Result:
        body = answer if note is None else {**(answer or {}), "note": note}
        url = _link(pause, person, decision)
        return _result(pause.server.http.request("POST", url, json=body))

    return act


def _by_query(person: str | None) -> Act:
    def act(pause: Pause, decision: Decision, answer: Any, note: str | None) -> Result:
        del note
        url = _link(pause, person, decision)
        return _result(pause.server.http.get(url, params=answer or {}))

    return act


def _page(person: str | None, headers: dict[str, str]) -> Act:
    def act(pause: Pause, decision: Decision, answer: Any, note: str | None) -> Result:
        fields = {**(answer or {}), "note": note or ""}
        url = _link(pause, person, decision)
        return _result(pause.server.http.post(url, data=fields, headers=headers))

    return act


# --- people who are signed in ---------------------------------------------------------


def _api(by: str, cookies: dict[str, str] | None = None) -> Act:
    def act(pause: Pause, decision: Decision, answer: Any, note: str | None) -> Result:
        route = "resume" if decision == "approve" else "reject"
        body = {"by": by, "note": note, **({"data": answer} if decision == "approve" else {})}
        path = f"/pdflow/api/runs/{pause.run_id}/{route}"
        if cookies is None:
            return _result(pause.server.api("POST", path.removeprefix("/pdflow/api"), body))
        with _signed_in(pause.server, cookies) as client:
            headers = {"X-XSRFToken": client.cookies["_xsrf"]}
            return _result(client.post(path, json=body, headers=headers))

    return act


@contextmanager
def _signed_in(server: JupyterServer, cookies: dict[str, str]) -> Iterator[httpx.Client]:
    with server.client(cookies=cookies) as client:
        assert client.get("/pdflow/inbox", headers=BROWSER).status_code == 200
        yield client


def _inbox(cookies: dict[str, str]) -> Act:
    def act(pause: Pause, decision: Decision, answer: Any, note: str | None) -> Result:
        named = {"run_id": pause.run_id, "step": "ask", "execution": "1", "decision": decision}
        fields = {"note": note or "", **(answer or {})}
        with _signed_in(pause.server, cookies) as client:
            fields["_xsrf"] = client.cookies["_xsrf"]
            sent = client.post("/pdflow/inbox", params=named, data=fields, headers=BROWSER)
            return _result(sent)

    return act


def _cli(pause: Pause, decision: Decision, answer: Any, note: str | None) -> Result:
    server = pause.server
    arguments = ["resume" if decision == "approve" else "reject", pause.run_id]
    if decision == "approve" and answer is not None:
        arguments += ["--data", json.dumps(answer)]
    if note is not None:
        arguments += ["--note", note]
    env = {**server.env, "JUPYTER_PDFLOW_URL": server.url, "JUPYTER_PDFLOW_TOKEN": server.token}
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, env=env, text=True, timeout=60, check=False
    )
    return Result(200 if done.returncode == 0 else 400, done.stdout + done.stderr)


PATHS = [
    Path("link", None, _program(None), "link"),
    Path("link by query", None, _by_query(None), "link"),
    Path("link page without scripts", None, _page(None, BROWSER), "link"),
    Path("link page with scripts", None, _page(None, SCRIPT), "link"),
    Path("personal link", ADA, _program(ADA), "link"),
    Path("personal link by query", ADA, _by_query(ADA), "link"),
    Path("personal page without scripts", ADA, _page(ADA, BROWSER), "link"),
    Path("personal page with scripts", ADA, _page(ADA, SCRIPT), "link"),
    Path("panel, step cell or widget", "ada", _api("button", cookie("ada")), "jupyter"),
    Path("API", "operator", _api("api"), "api"),
    Path("CLI", "operator", _cli, "cli"),
    Path("inbox", "ada", _inbox(cookie("ada")), "jupyter"),
]
PERSONAL = [path for path in PATHS if path.person == ADA]
SIGNED_IN = [path for path in PATHS if path.person in ("ada", "operator")]
BARE = [path for path in PATHS if path.person is None]
