"""The service that the examples bring: it ends by itself, and only its user knows its address."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.notebooks.service import Service
from tests.servers import wait_until

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
STARTER = """\
import example_service, json, sys
url = example_service.start()
assert example_service.start() == url
print(json.dumps([url, example_service._process.pid]), flush=True)
sys.stdin.read()
"""


class Starter:
    """A process that has started the service, as a kernel does."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTER],
            cwd=NOTEBOOKS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.url, pid = json.loads(self.process.stdout.readline())
        self.service = psutil.Process(pid)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def starter() -> Iterator[Starter]:
    started = Starter()
    yield started
    started.kill()
    started.service.wait(20)


def ask(method: str, url: str, **options: object) -> httpx.Response:
    return httpx.request(method, url, trust_env=False, **options)  # type: ignore[arg-type]


def test_it_ends_with_the_process_that_has_started_it(starter: Starter) -> None:
    assert ask("GET", f"{starter.url}/status?job=x").status_code == 200
    starter.kill()
    starter.service.wait(20)
    with pytest.raises(httpx.TransportError):
        ask("GET", f"{starter.url}/status?job=x")


def test_a_job_is_done_at_the_second_question_also_by_another_service(starter: Starter) -> None:
    name = starter.url.rpartition("/")[2]
    other = Starter()
    try:
        first = ask("GET", f"{starter.url}/status", params={"job": name}).json()
        second = ask("GET", f"{other.url}/status", params={"job": name}).json()
    finally:
        other.kill()
        other.service.wait(20)
    assert [first, second] == [{"status": "PENDING"}, {"status": "DONE"}]


def test_a_job_calls_back_after_the_kernel_has_ended(starter: Starter) -> None:
    with Service() as receiver:
        job = ask("POST", f"{starter.url}/jobs", json={"resume_url": f"{receiver.url}/resume"})
        assert job.json() == {"status": "STARTED"}
        starter.kill()
        wait_until(lambda: receiver.jobs, "the job calls back")
        assert receiver.jobs == [{"result": 42}]


@pytest.mark.parametrize("path", ["", "/", "/status", "/jobs", "/x/status", "/x/jobs"])
def test_other_addresses_are_unknown(starter: Starter, path: str) -> None:
    origin = starter.url.rpartition("/")[0]
    assert ask("GET", f"{origin}{path}").status_code == 404
    assert ask("POST", f"{origin}{path}", json={"resume_url": "http://x"}).status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"resume_url": 1}', b'{"resume_url": "file:///x"}']
)
def test_what_is_no_link_starts_no_job(starter: Starter, body: bytes) -> None:
    assert ask("POST", f"{starter.url}/jobs", content=body).status_code == 400
