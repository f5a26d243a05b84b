"""The public links of a real server: which requests act, and their answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from jupyter_pdflow.server.links.pages import TEST_MESSAGE
from tests.servers import JupyterServer, wait_until

Paused = Callable[..., Any]
LIMIT = 512 * 1024
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
SLACK = {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}
SLOW = """%%step slow
def handler(pd):
    import json, pathlib, time
    pathlib.Path("links.json").write_text(json.dumps(dict(pd.flow.suspend())))
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
"""
AFTER = """%%step after
def handler(pd):
    return pd.steps["slow"]["$resume_data"]["body"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    arguments = ["--ServerApp.log_level=DEBUG", "--ServerApp.allow_unauthenticated_access=False"]
    with JupyterServer(tmp_path_factory.mktemp("links"), arguments) as running:
        yield running


def resume_url(run: Any) -> str:
    return str(run["pause"]["resume_url"])


def request_seen(server: JupyterServer, run: Any) -> Any:
    """Return the request that the run's last step saw."""
    ended = server.wait_run(run["id"], "succeeded")
    return ended["steps"][1]["exports"]["$return_value"]


def is_unchanged(server: JupyterServer, run: Any) -> bool:
    return bool(server.get_run(run["id"]) == run)


# --- programs -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_any_method_resumes(server: JupyterServer, paused: Paused, method: str) -> None:
    run = paused()
    answer = server.http.request(method, resume_url(run) + "?a=1&a=2", json={"ok": [method]})
    assert answer.status_code == 200
    assert answer.json() == {"status": "resumed", "workflow": "approval", "step": "ask"}
    request = request_seen(server, run)
    assert request["method"] == method
    assert request["body"] == {"ok": [method]}
    assert request["query"] == {"a": ["1", "2"]}
    assert request["path"] == "/pdflow/resume/***"
    assert request["url"] == f"{server.url}/pdflow/resume/***?a=1&a=2"
    assert request["client_ip"] == "127.0.0.1"


def test_a_cancel_link_ends_the_run(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    answer = server.http.post(run["pause"]["cancel_url"])
    assert answer.json() == {"status": "canceled", "workflow": "approval", "step": "ask"}
    ended = server.get_run(run["id"])
    assert ended["status"] == "canceled"
    assert [step["status"] for step in ended["steps"]] == ["canceled", "skipped"]


def test_any_origin_is_accepted(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    preflight_headers = {**foreign, "Access-Control-Request-Headers": "content-type, x-signature"}
    preflight = server.http.options(resume_url(run), headers=preflight_headers)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type, x-signature"
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert is_unchanged(server, run)
    answer = server.http.post(resume_url(run), headers={**foreign, "Sec-Fetch-Mode": "cors"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_step_sees_no_secrets_of_a_request(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    token = resume_url(run).rpartition("/")[2]
    secret = {"Authorization": "Bearer abc", "Cookie": "a=b", "Referer": resume_url(run)}
    assert server.http.post(resume_url(run), headers={**secret, "X-Kept": "1"}).is_success
    request = request_seen(server, run)
    assert not {"authorization", "cookie"} & set(request["headers"])
    assert request["headers"]["x-kept"] == "1"
    assert token not in str(request)


async def test_one_of_many_concurrent_requests_wins(server: JupyterServer, paused: Paused) -> None:
    run = await asyncio.to_thread(paused)
    urls = [run["pause"]["resume_url"], run["pause"]["cancel_url"]] * 12
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answers = await asyncio.gather(*(client.post(url) for url in urls))
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 23
    winner = next(answer.json()["status"] for answer in answers if answer.status_code == 200)
    assert {answer.json()["status"] for answer in answers} == {winner}


def test_a_late_request_is_answered_with_the_decision(
    server: JupyterServer, paused: Paused
) -> None:
    run = paused()
    server.http.post(resume_url(run))
    late = server.http.post(run["pause"]["cancel_url"])
    assert late.status_code == 410
    view = late.json()
    assert view.pop("decided_at").endswith("Z")
    assert view.pop("message").startswith("Step 'ask' was already resumed by a link at 2")
    assert view == {
        "reason": "already_decided",
        "status": "resumed",
        "decided_by": "link",
        "workflow": "approval",
        "step": "ask",
    }
    page = server.http.get(resume_url(run), headers=BROWSER)
    assert page.status_code == 410
    assert "was already resumed" in page.text
    assert "<button" not in page.text


@pytest.mark.parametrize(
    "path",
    [
        "/pdflow/resume",
        "/pdflow/resume/",
        "/pdflow/resume/x",
        "/pdflow/resume/a/b/c",
        "/pdflow/resume/%ff%00",
        "/pdflow/cancel/" + "x" * 10_000,
        "/pdflow/cancel/..%2f..",
    ],
)
def test_all_unknown_links_have_the_same_answer(server: JupyterServer, path: str) -> None:
    answer = server.http.post(path)
    assert answer.status_code == 404
    assert answer.json() == {"message": "This link is not known here.", "reason": "not_found"}
    page = server.http.get(path, headers=BROWSER)
    assert page.status_code == 404
    assert "This link is not known here." in page.text


@pytest.mark.parametrize(
    "suffix",
    [",", ".", ")", '"', ">", "'", "…", ");", '">Yes</a>', "...", "%22", "%3E.", "/", "/x", "="],
)
def test_text_after_a_link_is_not_part_of_it(
    server: JupyterServer, paused: Paused, suffix: str
) -> None:
    run = paused()
    page = server.http.get(resume_url(run) + suffix, headers=BROWSER)
    assert page.status_code == 200
    assert "Resume this workflow?" in page.text
    assert is_unchanged(server, run)
    answer = server.http.post(resume_url(run) + suffix, json={"suffix": suffix})
    assert answer.json() == {"status": "resumed", "workflow": "approval", "step": "ask"}
    request = request_seen(server, run)
    assert request["path"] == "/pdflow/resume/***"
    assert request["url"] == f"{server.url}/pdflow/resume/***"
    assert server.http.post(f"/pdflow/resume//test{suffix}").json()["status"] == "test"


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("raise ValueError('secret')", "failed", "is not waiting any more: its run failed"),
        ("pd.flow.exit('secret')", "exited", "is not waiting any more: its run ended early"),
    ],
)
def test_a_link_of_an_ended_run_is_answered_with_its_ending(
    server: JupyterServer, source: str, status: str, message: str
) -> None:
    lines = ["%%step ask", "def handler(pd):", "    urls = dict(pd.flow.suspend())"]
    lines += ["    pd.export('urls', urls)", f"    {source}"]
    run = server.run(server.deploy(status, ["\n".join(lines), AFTER]))
    ended = server.wait_run(run["id"], {"failed", "succeeded"})
    urls = ended["steps"][0]["exports"]["urls"]
    for url in urls.values():
        late = server.http.post(url)
        assert late.status_code == 410
        view = late.json()
        assert (view["status"], view["decided_by"]) == (status, None)
        assert f"Step 'ask' {message} at {ended['updated_at'][:10]} " in view["message"]
        page = server.http.get(url, headers=BROWSER)
        assert page.status_code == 410
        assert f"{message}." in page.text
        assert "secret" not in late.text + page.text


def test_a_link_with_one_changed_character_is_unknown(
    server: JupyterServer, paused: Paused
) -> None:
    run = paused()
    url = resume_url(run)
    for wrong in (url[:-1] + ("A" if url[-1] != "A" else "B"), url.replace("resume", "cancel")):
        assert server.http.post(wrong).status_code == 404
    assert is_unchanged(server, run)


@pytest.mark.parametrize("action", ["resume", "cancel"])
def test_a_link_of_test_mode_has_an_explanation(server: JupyterServer, action: str) -> None:
    page = server.http.get(f"/pdflow/{action}/test", headers=BROWSER)
    assert page.status_code == 200
    assert TEST_MESSAGE in page.text
    assert server.http.post(f"/pdflow/{action}/test").json()["status"] == "test"


def test_a_foreign_host_is_refused(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    answer = server.http.post(resume_url(run), headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert answer.json()["reason"] == "forbidden"
    for host in ("", ".", ":80", "[::2]"):
        other = server.http.post(resume_url(run), headers={"Host": host})
        assert other.status_code in (400, 403)
    assert is_unchanged(server, run)


# --- browsers and bots ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", BROWSER, 200),
        ("HEAD", {}, 200),
        ("HEAD", BROWSER, 200),
        ("OPTIONS", {}, 204),
        ("GET", {**BROWSER, "Sec-Purpose": "prefetch"}, 503),
        ("GET", {**BROWSER, "Sec-Purpose": "prefetch;prerender"}, 503),
        ("GET", SLACK, 200),
        ("POST", SLACK, 200),
    ],
)
def test_safe_requests_prefetches_and_bots_never_act(
    server: JupyterServer, paused: Paused, method: str, headers: dict[str, str], status: int
) -> None:
    run = paused()
    for url in (resume_url(run), run["pause"]["cancel_url"]):
        answer = server.http.request(method, url, headers=headers)
        assert answer.status_code == status
        assert answer.headers["Cache-Control"] == "no-store"
        if headers is SLACK:
            assert "<script" not in answer.text
    assert is_unchanged(server, run)


def test_a_form_acts_and_gets_a_page(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    answer = server.http.post(resume_url(run), headers=BROWSER, data={"note": "fine"})
    assert answer.status_code == 200
    assert "Resumed: workflow “approval” continues from step “ask”." in answer.text
    assert request_seen(server, run)["body"] == {"note": "fine"}


def test_a_page_has_no_data_and_loads_nothing(server: JupyterServer, paused: Paused) -> None:
    page = server.http.get(resume_url(paused({"secret": "data"})), headers=BROWSER)
    headers = page.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.text.startswith("<!DOCTYPE html>")
    assert "http" not in page.text
    assert "secret" not in page.text


# --- bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_and_the_pause_stays(
    server: JupyterServer, paused: Paused, chunked: bool
) -> None:
    run = paused()
    large = b"x" * (3 * LIMIT)
    parts = (large[start : start + 65536] for start in range(0, len(large), 65536))
    answer = server.http.post(resume_url(run), content=parts if chunked else large)
    assert answer.status_code == 413
    assert answer.json()["reason"] == "too_large"
    assert is_unchanged(server, run)
    fits = server.http.post(resume_url(run), content=b"x" * LIMIT)
    assert fits.status_code == 200
    assert request_seen(server, run)["body"]["size"] == LIMIT


async def test_a_client_that_sends_expect_is_refused_before_the_body(
    server: JupyterServer, paused: Paused
) -> None:
    run = await asyncio.to_thread(paused)
    path = resume_url(run).removeprefix(server.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {LIMIT + 1}\r\n"
    writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_the_connection_of_an_endless_body_is_closed(
    server: JupyterServer, paused: Paused
) -> None:
    run = await asyncio.to_thread(paused)
    path = resume_url(run).removeprefix(server.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode())
    writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
    answer = asyncio.create_task(reader.readline())
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with contextlib.suppress(ConnectionError):
        while not answer.done():
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        assert (await answer).startswith(b"HTTP/1.1 413")
    writer.close()
    assert is_unchanged(server, run)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "application/json; charset=nonsense"},
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/x-www-form-urlencoded; charset=\xe9"},
        {"Content-Type": ";;;="},
        {"Content-Encoding": "gzip", "Content-Type": "application/json"},
        {"Content-Type": "text/plain; charset=utf-16"},
        {f"X-{number}": "\xff" for number in range(500)},
    ],
)
def test_malformed_headers_and_bodies_are_accepted(
    server: JupyterServer, paused: Paused, headers: dict[str, str]
) -> None:
    run = paused()
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    malformed = b'{"a": "\xff\x00\xed\xa0\x80"'
    answer = server.http.post(resume_url(run) + "?%ff=%00&&=", content=malformed, headers=raw)
    assert answer.status_code == 200
    assert request_seen(server, run)["body"]


# --- while the step runs --------------------------------------------------------------


def test_a_request_before_the_pause_is_kept_for_the_steps_end(server: JupyterServer) -> None:
    run = server.run(server.deploy("early", [SLOW, AFTER]))
    links = server.root / "links.json"
    text = wait_until(lambda: links.exists() and links.read_text(), "the step made its links")
    url = httpx.Response(200, text=text).json()["resume_url"]
    answer = server.http.post(url, json="early")
    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "workflow": "early", "step": "slow"}
    assert server.http.post(url, json="second").status_code == 410
    (server.root / "go").touch()
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][1]["exports"]["$return_value"] == "early"


# --- logs -----------------------------------------------------------------------------


def test_no_token_is_ever_logged(server: JupyterServer, paused: Paused) -> None:
    run = paused()
    resume, cancel = resume_url(run), run["pause"]["cancel_url"]
    token = resume.rpartition("/")[2]
    for path in (f"/pdflow//resume/{token}", f"/pdflow/resumes/{token}"):
        assert server.http.post(path).status_code in (403, 404)
    for path in ("/api/contents/none", "/favicon.nothing", "/pdflow/resume/unknown"):
        server.http.get(path, headers={**server.headers, "Referer": resume})
    server.http.get(resume, headers={"Host": "evil.example"})
    server.http.get(resume + "?%zz", headers=BROWSER)
    server.http.post(resume, content=b"x" * (LIMIT + 1))
    server.http.post(resume)
    server.http.post(cancel)
    log = server.log()
    assert "410 POST /pdflow/cancel/***" in log
    assert token not in log
    assert cancel.rpartition("/")[2] not in log
