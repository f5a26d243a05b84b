"""Lists of a time, numbers of runs, and the emails of one run, from a real server."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.server.api.test_api import error
from tests.server.conftest import ASK
from tests.servers import JupyterServer

SEND = """%%step send
def handler(pd):
    pd.title("Invoice of " + pd.steps["trigger"]["event"])
    pd.send.email(subject="First", to="a@example.org")
    pd.send.email(subject="Second", to="b@example.org")
"""
STATUSES = ("queued", "running", "paused", "succeeded", "failed", "canceled")


def zeros(**numbers: int) -> dict[str, int]:
    return {**dict.fromkeys(STATUSES, 0), **numbers}


@pytest.fixture(scope="module")
def runs(server: JupyterServer) -> list[Any]:
    """Return two runs that wait, and one that has sent two emails."""
    workflow = server.deploy("waits", [ASK])
    waiting = [server.wait_run(server.run(workflow, n)["id"], "paused") for n in ("Ada", "Bob")]
    sends = server.deploy("folder/Sends mail", [SEND])
    return [*waiting, server.wait_run(server.run(sends, "March")["id"], "succeeded")]


def ids(server: JupyterServer, query: str) -> list[str]:
    answer = server.api("GET", f"/runs?{query}")
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()]


def test_runs_of_a_time(server: JupyterServer, runs: list[Any]) -> None:
    first, second, third = runs
    at = second["created_at"]
    assert ids(server, f"since={at}") == [third["id"], second["id"]]
    elsewhere = datetime.fromisoformat(third["created_at"]).astimezone().isoformat()
    assert ids(server, f"since={at}&until={quote(elsewhere)}") == [second["id"]]
    assert ids(server, f"until={at}&status=paused&search=ada") == [first["id"]]
    page = server.api("GET", f"/runs?since={first['created_at']}&limit=2")
    assert [run["id"] for run in page.json()] == [third["id"], second["id"]]
    path = page.links["next"]["url"].removeprefix("/pdflow/api")
    following = server.api("GET", path)
    assert [run["id"] for run in following.json()] == [first["id"]]
    assert "Link" not in following.headers


def test_a_search_finds_titles_events_and_ids(server: JupyterServer, runs: list[Any]) -> None:
    first, _, third = runs
    assert ids(server, "search=invoice%20march") == [third["id"]]
    assert ids(server, "search=ada") == [first["id"]]
    assert ids(server, "search=sends") == [third["id"]]
    assert ids(server, f"search={first['id']}") == [first["id"]]


def test_runs_are_counted(server: JupyterServer, runs: list[Any]) -> None:
    counts = server.api("GET", "/runs/counts").json()
    assert counts["statuses"] == zeros(paused=2, succeeded=1)
    assert counts["waiting"] == 2
    named = [(each["id"], each["name"]) for each in counts["workflows"]]
    assert named == [("folder-sends-mail", "Sends mail"), ("waits", "waits")]
    sends, waits = counts["workflows"]
    assert (waits["statuses"], waits["waiting"]) == (zeros(paused=2), 2)
    assert (sends["statuses"], sends["waiting"]) == (zeros(succeeded=1), 0)
    days = [day for each in counts["workflows"] for day in each["days"]]
    assert sum(day["active"] for day in days) == 2
    assert sum(day["succeeded"] for day in days) == 1
    created = {datetime.fromisoformat(run["created_at"]).date().isoformat() for run in runs}
    assert {day["day"] for day in days} == created


def test_days_are_those_of_the_client(server: JupyterServer, runs: list[Any]) -> None:
    for minutes in (-1440, 0, 330, 1440):
        counts = server.api("GET", f"/runs/counts?offset={minutes}&workflow=waits").json()
        (workflow,) = counts["workflows"]
        found = {day["day"]: day["active"] for day in workflow["days"]}
        at = [datetime.fromisoformat(run["created_at"]) for run in runs[:2]]
        days = [(each + timedelta(minutes=minutes)).date().isoformat() for each in at]
        assert found == {day: days.count(day) for day in days}


def test_counts_are_filtered(server: JupyterServer, runs: list[Any]) -> None:
    at = runs[1]["created_at"]
    for query, statuses in {
        "workflow=waits": zeros(paused=2),
        "workflow=none": zeros(),
        "search=ada": zeros(paused=1),
        f"search={runs[2]['id']}": zeros(succeeded=1),
        f"since={at}": zeros(paused=1, succeeded=1),
        f"until={at}": zeros(paused=1),
        f"since={at}&workflow=waits": zeros(paused=1),
    }.items():
        counts = server.api("GET", f"/runs/counts?{query}").json()
        assert counts["statuses"] == statuses, query
        found = [each["statuses"] for each in counts["workflows"]]
        assert {name: sum(each[name] for each in found) for name in STATUSES} == statuses


@pytest.mark.parametrize(
    "query",
    [
        *("since=yesterday", "since=2026-11-28", "since=2026-11-28T09:30:00", "since="),
        *("until=1764322200", "until=2026-11-28T09:30:00 01:00", "until=2026-13-01T00:00:00Z"),
        "since=" + "9" * 5_000,
    ],
    ids=lambda query: query[:40],
)
@pytest.mark.parametrize("path", ["/runs", "/runs/counts"])
def test_what_is_no_instant_is_refused_in_words(
    server: JupyterServer, path: str, query: str
) -> None:
    message = error(server.api("GET", f"{path}?{query}"), 400, "bad_request")
    assert message.startswith(f"{query.partition('=')[0]} must be a time as 2026-")
    assert len(message) < 300


@pytest.mark.parametrize("offset", ["x", "1441", "-1441", "1.5", "", "٣", "9" * 5_000, "--1"])
def test_an_offset_is_a_number_of_minutes(server: JupyterServer, offset: str) -> None:
    message = error(server.api("GET", f"/runs/counts?offset={offset}"), 400, "bad_request")
    assert message.startswith("offset must be a number from -1440 to 1440")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"])
def test_the_first_and_the_last_instant(server: JupyterServer, time: str) -> None:
    for path in ("/runs", "/runs/counts"):
        for name in ("since", "until"):
            assert server.api("GET", f"{path}?{name}={time}").status_code == 200


def test_emails_of_one_run(server: JupyterServer, runs: list[Any]) -> None:
    def subjects(run_id: str) -> list[str]:
        emails = server.api("GET", f"/mail?run={run_id}").json()
        assert all(email["run_id"] == run_id for email in emails)
        return [email["subject"] for email in emails]

    assert subjects(runs[2]["id"]) == ["Second", "First"]
    for other in (runs[0]["id"], "unknown", "a%00b", "", "..%2f"):
        assert subjects(other) == []
    assert len(server.api("GET", "/mail").json()) == 2


async def test_many_clients_count_at_once(server: JupyterServer, runs: list[Any]) -> None:
    paths = [f"{server.url}/pdflow/api/runs/counts?offset={number % 3}" for number in range(60)]
    async with httpx.AsyncClient(headers=server.headers, timeout=60, trust_env=False) as client:
        answers = await asyncio.gather(*map(client.get, paths))
    assert [answer.json()["waiting"] for answer in answers] == [2] * 60
