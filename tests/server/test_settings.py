"""Traits that can't be used: the log and every route name them, and no service starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config
from traitlets.config.loader import DeferredConfigString

from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.server import configuration
from jupyter_pdflow.server.app import PDFlow
from jupyter_pdflow.server.configuration import split_addresses
from tests.server.links.test_links import BROWSER
from tests.server.test_unauthenticated import routes
from tests.servers import JupyterServer

WRONG: list[tuple[str, Any]] = [
    *(
        ("public_url", text)
        for text in (
            "x.example",
            "x.example/user/me/",
            "ftp://x.example/",
            "http://",
            "http:///user",
            "http://[::1",
            "http://localhost:99999999",
            "http://x.example/?a=1",
            "http://x.example/#a",
            "http://x.example/ a",
            "http://x.example/\n",
            "http://x.example'\"><b>",
            "https://me:hush@x.example/",
            "javascript:alert(1)",
            " https://x.example/",
        )
    ),
    *(
        ("smtp_url", text)
        for text in (
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtp://user:hu/sh@mail.example",
            "smtp://mail.example:port",
            "smtp://mail.example:99999",
            "smtp://[::1",
        )
    ),
    *(("mail_from", text) for text in ("", "me", "me@", "@x.example", "a@x.example, b@x.example")),
    *(("mail_from", text) for text in ("a@x.example\nBcc: b@x.example", "a@x.example <", "\0")),
    *(("mail_to", text) for text in ("me", "a@x.example, b", ["a@x.example", "b"])),
    *(
        ("people", people)
        for people in (
            {"ada": "ada"},
            {"ada": "Ada <ada@x.example>"},
            {"ada": "old@x.example", "old@x.example": "ada@x.example"},
            {"ada": "ada@x.example", "Ada ": "eve@x.example"},
        )
    ),
    *(("groups", {"all": [name]}) for name in ("Ada <ada@x.example>", "a@", "group:more")),
    *(("keep_days", days) for days in (-1, float("nan"), float("inf"), 1e10, "ten", [])),
    ("data_dir", ""),
    ("data_dir", "~nobody-of-this-name/data"),
    ("data_dir", "a\0b"),
    ("data_dir", 3),
    ("files_dir", ""),
    ("files_dir", "~nobody-of-this-name/data"),
    ("files_dir", "a\0b"),
    ("files_dir", 3),
    *(
        ("database_url", url)
        for url in (
            "database.example",
            "mysql://user:hush@database.example/x",
            "postgresql://user:hush%zz@database.example/x",
            "postgresql://user:hush%ff@database.example/x",
            "postgresql://user:hu/sh@database.example/x",
            "postgresql://database.example:hush/x",
            "postgresql://database.example/x?hush=1",
            "host=database.example password=hush",
        )
    ),
    ("queues", [1]),
    ("queues", [" "]),
    ("max_kernels", 0),
    ("max_kernels", "many"),
    ("database_url", "user:hush@db.example"),
    ("queues", 3),
    ("max_body_bytes", -1),
    ("max_body_bytes", 1.5),
    ("body_timeout_seconds", 0),
    ("body_timeout_seconds", float("nan")),
    ("idle_kernel_seconds", -1),
    ("idle_kernel_seconds", float("nan")),
    ("spare_kernels", -1),
    ("confirm_links", "perhaps"),
    ("mail_to", {"a": 1}),
    ("mail_to", [1]),
    ("smtp_url", ["smtp://user:hush@mail.example"]),
]
SECRETS = ("hush", "hu/sh", "'hu'")


def app_with(**traits: Any) -> PDFlow:
    app = PDFlow()
    app.update_config(Config({"PDFlow": traits}))
    return app


@pytest.mark.parametrize(("trait", "value"), WRONG)
def test_a_value_that_can_not_be_used_is_refused(trait: str, value: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"^PDFlow\.{trait} has to be [^\n]*\.$"
    ) as raised:
        app_with(**{trait: value}).checked_settings()
    assert not any(secret in str(raised.value) for secret in SECRETS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("many", "an int of at least 0"), ("0", "at least 1, as"), ("1.5", "an int of at least 0")],
)
def test_values_of_the_command_line_are_checked(text: str, expected: str) -> None:
    app = app_with(max_kernels=DeferredConfigString(text), keep_days=DeferredConfigString("3"))
    with pytest.raises(ConfigurationError, match=f"has to be {expected}"):
        app.checked_settings()
    assert app.keep_days == 3


def test_a_later_correct_value_replaces_a_wrong_one() -> None:
    app = app_with(max_kernels=0)
    app.update_config(Config({"PDFlow": {"max_kernels": 2}}))
    assert app.checked_settings().max_kernels == 2


def test_correct_values_are_accepted() -> None:
    settings = app_with(
        data_dir="~/flows",
        public_url="https://x.example:8443/user/me@x.example",
        smtp_url="smtps://me%40x.example:pa%2Fss@mail.example:465",
        mail_from="Flows <flows@mail.local>",
        mail_to='a@x.example, "Doe, Jane" <jane@localhost>',
        keep_days=36_500,
        idle_kernel_seconds=float("inf"),
    ).checked_settings()
    assert settings.data_dir == Path.home() / "flows"
    assert settings.mail_to == ["a@x.example", '"Doe, Jane" <jane@localhost>']
    assert PDFlow().checked_settings().mail_to == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://database.example",
        "postgres://user:pa%2Fss@a.example:1,b.example:2/x?sslmode=require&connect_timeout=3",
        "postgresql:///x?host=/var/run/postgresql",
        "postgresql://user@[::1]:5433/x",
    ],
)
def test_urls_of_databases_are_accepted(url: str) -> None:
    settings = app_with(database_url=f" {url} ", max_kernels=0).checked_settings()
    assert (settings.database_url, settings.max_kernels) == (url, 0)


def test_a_database_whose_packages_are_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "DATABASE_PACKAGES", ("psycopg", "no_such_package"))
    with pytest.raises(ConfigurationError, match=r"pip install \"jupyter_pdflow\[postgres\]\""):
        app_with(database_url="postgresql://database.example").checked_settings()
    assert app_with(database_url="").checked_settings().database_url == ""


def test_a_front_end_of_a_database_needs_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://user:hush@db.example/flows"
    settings = app_with(
        database_url=url, max_kernels=0, queues=["gpu", "default"]
    ).checked_settings()
    assert (settings.database_url, settings.max_kernels) == (url, 0)
    assert settings.queues == ["gpu", "default"]
    monkeypatch.setenv("JUPYTER_PDFLOW_DATABASE_URL", url)
    assert PDFlow().checked_settings().database_url == url


def test_without_a_database_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, jupyter_pdflow.server.app, jupyter_pdflow.server.services, "
        "jupyter_pdflow.cli.commands, jupyter_pdflow.maintenance.doctor\n"
        "names = {'asyncpg', 'croniter', 'pgqueuer', 'psycopg', 'pydantic'}\n"
        "print(sorted(names & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


def test_mail_to_is_split_into_addresses() -> None:
    assert split_addresses("") == split_addresses([]) == split_addresses(["", " "]) == []
    assert split_addresses(["a@x.example, b@x.example,", "c@x.example"]) == [
        f"{name}@x.example" for name in "abc"
    ]


# --- a real server ----------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=[
        ("public_url", "x.example"),
        ("max_kernels", "0"),
        ("smtp_url", "smtp://user:hush/hush@mail.example"),
    ],
    ids=lambda given: str(given[0]),
)
def refusing(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    trait, value = request.param
    folder = tmp_path_factory.mktemp("refusing")
    with JupyterServer(folder, [f"--PDFlow.{trait}={value}"]) as running:
        yield running, trait


def test_every_route_names_the_trait(refusing: tuple[JupyterServer, str]) -> None:
    server, trait = refusing
    message = None
    for path, methods in routes({"id": "x", "workflow_id": "x"}):
        for method in sorted(methods):
            assert server.http.request(method, path).status_code == 403
            answer = server.http.request(method, path, headers=server.headers)
            assert answer.status_code == 503, (method, path)
            message = answer.json()["message"]
            assert answer.json() == {"message": message, "reason": "bad_configuration"}
            assert message.startswith(f"PDFlow.{trait} has to be ")
    for path in ("/pdflow/resume/x", "/pdflow/cancel/test"):
        answer = server.http.post(path)
        assert (answer.status_code, answer.json()["message"]) == (503, message)
        page = server.http.get(path, headers=BROWSER)
        assert page.status_code == 503
        assert f"PDFlow.{trait} has to be " in page.text
        assert server.http.options(path).status_code == 503


def test_the_log_names_the_trait_once_and_no_file_is_made(
    refusing: tuple[JupyterServer, str],
) -> None:
    server, trait = refusing
    lines = [line for line in server.log().splitlines() if f"PDFlow.{trait} has to be" in line]
    assert len(lines) == 1
    assert "Workflows don't run on this server." in lines[0]
    assert "Traceback" not in server.log()
    assert "hush" not in server.log()
    assert not server.data_dir.exists()
    assert server.http.get("/api/status", headers=server.headers).status_code == 200
    server.restart()
    assert server.api("GET", "/runs").status_code == 503


def test_a_trait_that_is_set_to_its_default_is_configured() -> None:
    assert app_with(groups={}).checked_settings().configured == {"groups"}
    assert PDFlow().checked_settings().configured == frozenset()
