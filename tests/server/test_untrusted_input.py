"""Untrusted input in requests to links of a real server is passed on as data only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.server.conftest import ASK, TELL
from tests.servers import JupyterServer

Paused = Callable[..., Any]
AGAIN = """%%step again
def handler(pd):
    run = pd.context.run
    if run.runs == 1:
        pd.flow.rerun(60_000, {"$resume_data": 1}, 1)
    else:
        return {"request": run["callback_request"], "context": run["context"]}
"""
DEEP: Any = "bottom"
for _ in range(150):
    DEEP = [DEEP]

IMITATIONS: list[Any] = [
    {"$resume_data": {"body": "x"}, "$return_value": 1, "$error": 2},
    {"format": 99, "runs": {"1": {}}, "_default": {"1": {"format": 1}}},
    {"type": "pause", "kind": "suspend", "step": "ask", "deadline": "2000-01-01T00:00:00Z"},
    {"status": "canceled", "early": None, "decisions": [], "id": "../../x"},
    {"env": "HOME"},
    {"access_token": {"env": "HOME"}},
    {"__class__": "os.system", "__reduce__": ["os.system", ["true"]], "py/object": "os.system"},
    {"callback_request": {"body": 1}, "context": {"run": {"runs": 99}}},
    {"__proto__": {"x": 1}, "constructor": {"prototype": {}}},
    {"": "", "\x00": "\x00", "a\r\nSet-Cookie: x=1": "<script>alert(1)</script>"},
    ["${HOME}", "{{ 7 * 7 }}", "%(x)s", "{0.__class__}", "$(true)", "`true`"],
    [2**63 - 1, -(2**63), 2**64 - 1, 1.7976931348623157e308, 5e-324, -0.0],
    DEEP,
    "\U0010ffff\u2028\u202e",
]


def request_seen(server: JupyterServer, run: Any) -> Any:
    return server.wait_run(run["id"], "succeeded")["steps"][1]["exports"]["$return_value"]


@pytest.mark.parametrize("body", IMITATIONS, ids=range(len(IMITATIONS)))
def test_json_that_imitates_our_records_reaches_the_step_unchanged(
    server: JupyterServer, paused: Paused, body: Any
) -> None:
    run = paused()
    assert server.http.post(run["pause"]["resume_url"], json=body).status_code == 200
    assert request_seen(server, run)["body"] == body


def test_it_stays_unchanged_in_a_rerun_and_after_a_restart(server: JupyterServer) -> None:
    workflow = server.deploy("again", [AGAIN, ASK, TELL])
    run = server.wait_run(server.run(workflow, IMITATIONS)["id"], "paused")
    assert server.http.post(run["pause"]["resume_url"], json=IMITATIONS).status_code == 200
    waits = server.wait_run(run["id"], "paused")
    server.restart()
    assert server.get_run(run["id"])["steps"] == waits["steps"]
    assert waits["event"] == IMITATIONS
    exports = waits["steps"][0]["exports"]["$return_value"]
    assert exports["request"]["body"] == IMITATIONS
    assert exports["context"] == {"$resume_data": 1}
    api = server.api("POST", f"/runs/{run['id']}/resume", {"data": IMITATIONS})
    assert api.status_code == 200
    ended = server.wait_run(run["id"], "succeeded")
    assert ended["steps"][2]["exports"]["$return_value"]["body"] == IMITATIONS


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"n": 1' + b"0" * 400 + b"}", {"n": 10**400}),
        (b'{"n": 1' + b"0" * 5000 + b"}", '{"n": 1' + "0" * 5000 + "}"),
        (b"[123456789012345678901234567890]", [123456789012345678901234567890]),
        (b"[NaN, Infinity]", "[NaN, Infinity]"),
        (b'"\\ud800"', '"\\ud800"'),
        (b"[" * 5000, "[" * 5000),
    ],
)
def test_json_that_parsers_treat_differently(
    server: JupyterServer, paused: Paused, raw: bytes, body: Any
) -> None:
    run = paused()
    json_type = {"Content-Type": "application/json"}
    answer = server.http.post(run["pause"]["resume_url"], content=raw, headers=json_type)
    assert answer.status_code == 200
    request = request_seen(server, run)
    assert request["body"] == body
    assert ("body_error" in request) is isinstance(body, str)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "C:\\x", "a%00b", "~", "-rf", "x" * 5000],
)
def test_the_name_of_an_uploaded_file_is_not_used_as_a_path(
    server: JupyterServer, paused: Paused, name: str
) -> None:
    run = paused()
    written = name.replace("\\", "\\\\")
    head = f'Content-Disposition: form-data; name="file"; filename="{written}"'
    body = f"--b\r\n{head}\r\n\r\nhello\r\n--b--\r\n".encode()
    before = {path for path in server.folder.parent.rglob("*") if ".json" not in path.name}
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert server.http.post(run["pause"]["resume_url"], content=body, headers=kind).is_success
    file = request_seen(server, run)["body"]["file"]
    assert (file["filename"], file["size"], file["base64"]) == (name, 5, "aGVsbG8=")
    after = {path for path in server.folder.parent.rglob("*") if ".json" not in path.name}
    assert not any("passwd" in path.name for path in after - before)


@pytest.mark.parametrize("name", [b"a\x00b", b"a\rb", b"a\r\nX-Other: 1", b"\xff", b'"; x="'])
def test_control_characters_in_the_name_of_an_uploaded_file(
    server: JupyterServer, paused: Paused, name: bytes
) -> None:
    run = paused()
    head = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"'
    body = b"--b\r\n" + head + b"\r\n\r\nhello\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = server.http.post(run["pause"]["resume_url"], content=body, headers=kind)
    assert answer.status_code == 200
    assert set(answer.headers).isdisjoint({"x-other"})
    assert request_seen(server, run)["body"]


# --- any request with an unknown link ---------------------------------------

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
VALUES = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\x00\r\n")) | WORDS.map(
    str.encode
)
METHODS = st.sampled_from(
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "X-Y"]
)
NAMES = st.from_regex(r"\AX-[A-Za-z0-9-]{1,10}\Z") | st.sampled_from(
    [
        "Accept",
        "Content-Type",
        "Content-Encoding",
        "Origin",
        "Referer",
        "User-Agent",
        "Cookie",
        "Authorization",
        "Sec-Fetch-Mode",
        "Sec-Fetch-Dest",
        "Sec-Purpose",
        "Purpose",
        "If-None-Match",
        "Range",
        "X-PDFlow-Page",
        "X-Forwarded-For",
        "X-Real-Ip",
        "X-HTTP-Method-Override",
        "Access-Control-Request-Headers",
    ]
)
TARGETS = st.binary(max_size=60).map(
    lambda raw: "".join(chr(b) if 33 <= b <= 126 and b not in b"#?/" else f"%{b:02X}" for b in raw)
)


async def send(server: JupyterServer, head: bytes, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head + body)
    answer = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    return answer


@pytest.fixture(scope="module")
def unchanged(server: JupyterServer, paused: Paused) -> Iterator[Any]:
    run = paused({"stays": True})
    yield run
    assert server.get_run(run["id"]) == run
    assert "Traceback" not in server.log()


@settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    method=METHODS,
    action=st.sampled_from(["resume", "cancel"]),
    target=TARGETS,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    body=st.binary(max_size=60) | st.builds(lambda value: json.dumps(value).encode(), WORDS),
)
def test_no_request_with_an_unknown_link_changes_anything(
    server: JupyterServer,
    unchanged: Any,
    *,
    method: str,
    action: str,
    target: str,
    headers: list[tuple[str, bytes]],
    body: bytes,
) -> None:
    token = unchanged["pause"][f"{action}_url"].rpartition("/")[2]
    for wrong in (target, f"{token}A{target}", f"{target or 'A'}{token}"):
        head = f"{method} /pdflow/{action}/{wrong} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
        head += b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        line = asyncio.run(send(server, head, body))
        assert line.split()[1] in {b"204", b"400", b"404", b"429", b"503"}, line
