"""Runs that ask people, their personal links, and the clients that answer."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import httpx

from tests import identity
from tests.server.links.test_links import BROWSER
from tests.servers import JupyterServer, wait_until

ARGUMENTS = [
    *identity.ARGUMENTS,
    '--PDFlow.people={"ada": "ada@example.org"}',
    '--PDFlow.groups={"finance": ["cyd"]}',
]
"""The arguments of a server that knows names: ada has an address, and cyd is in a group."""

APPROVERS = 'approvers=["ada", "bob@example.org", "group:finance"], required=2'

FORM = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "title": "How many", "minimum": 1, "maximum": 9},
        "kind": {"enum": ["small", "large"], "default": "small"},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}},
        "urgent": {"type": "boolean", "default": True},
        "why": {"type": "string", "format": "textarea", "minLength": 3},
    },
    "required": ["count"],
}

TELL = """%%step tell
def handler(pd):
    return pd.steps["ask"]
"""


def asking(server: JupyterServer, arguments: str, title: str = "Order 7") -> Any:
    """Start a run that asks, by arguments of ``pd.flow.suspend``; return it once it is paused."""
    ask = f"""%%step ask
def handler(pd):
    pd.title({title!r})
    pd.flow.suspend({arguments})
"""
    workflow = server.deploy("order", [ask, TELL])
    return server.wait_run(server.run(workflow)["id"], "paused")


def exports(server: JupyterServer, run: Any) -> Any:
    """Return the exports of the step that asked, once the run has succeeded."""
    return server.wait_run(run["id"], "succeeded")["steps"][0]["exports"]


def answer_body(server: JupyterServer, run: Any) -> Any:
    """Return the answer that the step has got."""
    return exports(server, run)["$resume_data"]["body"]


def personal_links(server: JupyterServer, run: Any, address: str) -> tuple[str, str]:
    """Return the two links in the email that an approver got, which is kept as a file."""
    text = wait_until(lambda: _email_text(server, run["id"], address), f"an email to {address}")
    resume, cancel = (
        re.search(rf"http\S+/pdflow/{each}/\S+", text) for each in ("resume", "cancel")
    )
    assert resume is not None
    assert cancel is not None
    return resume[0], cancel[0]


def _email_text(server: JupyterServer, run_id: str, address: str) -> str | None:
    for path in server.data_dir.rglob(f"*{run_id}*.eml"):
        email = message_from_bytes(path.read_bytes(), policy=default)
        assert isinstance(email, EmailMessage)
        if email["To"] == address:
            part = email.get_body(("plain",))
            assert part is not None
            return str(part.get_content())
    return None


def signed_in(server: JupyterServer, name: str, *groups: str) -> httpx.Client:
    """Return a browser's requests of a person who is signed in."""
    return server.client(cookies=identity.cookie(name, *groups), headers=BROWSER)


class Form:
    """A form of a page, as a browser without scripts sends it.

    Parameters
    ----------
    html : str
        The page.
    number : int
        Which of the page's forms.
    """

    def __init__(self, html: str, number: int = 0) -> None:
        self.html = re.findall(r"<form.*?</form>", html, re.DOTALL)[number]
        self.fields = dict(self._hidden())

    def _hidden(self) -> list[tuple[str, str]]:
        return re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', self.html)

    def to(self, button: str) -> str | None:
        """Return the path that a button sends to, or None for that of the page."""
        tag = re.search(rf"<button[^>]*>{button}</button>", self.html)
        assert tag is not None, f"no button {button!r} in {self.html}"
        path = re.search(r'formaction="([^"]*)"', tag[0])
        return path[1].replace("&amp;", "&") if path else None


def invalid_fields(html: str) -> dict[str, str]:
    """Return what a page says of each wrong field, by the field's name."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<(?:input|select|textarea)[^>]*aria-invalid=\"true\"[^>]*>", html):
        name = re.search(r'name="([^"]*)"', tag)
        described = re.search(r'aria-describedby="([^"]*)"', tag)
        assert name is not None
        assert described is not None
        error = next(each for each in described[1].split() if each.endswith("-error"))
        message = re.search(rf'<p class="error" id="{error}">(.*?)</p>', html)
        assert message is not None
        found[name[1]] = message[1]
    return found
