"""A data directory that real servers have worked on, and ways to damage it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from jupyter_pdflow.stores.tinydb.layout import DataDir
from tests.maintenance.sample_data import make_format_1
from tests.servers import JupyterServer, wait_until

LONG = 30 * 86_400_000
START = """%%step start
def handler(pd):
    event = pd.steps.trigger.event
    print("started")
    (pd.files / "note.txt").write_text("n")
    pd.send.email(subject="Started", text="t", html="<b>t</b>", to=["a@example.org"])
    pd.export("n", {"deep": [1, 2.5, None]})
    if event == "fail":
        raise ValueError("as asked")
    if event == "poll" and pd.context.run.runs < 3:
        pd.flow.rerun(LONG if pd.context.run.runs == 2 else 1, {"polled": 1})
    if event == "hang":
        import time
        time.sleep(600)
    if event == "ask":
        pd.flow.suspend(LONG)
"""
LAST = """%%step last
def handler(pd):
    urls = pd.flow.suspend(LONG)
    pd.send.email(subject="Please approve", text=urls["resume_url"])
"""
SETUP = f"LONG = {LONG}"
DEAD_PORT = "smtp://127.0.0.1:9"


class ServerData(NamedTuple):
    """A data directory; `last` are two runs that wait in their last step."""

    path: Path
    last: list[str]

    def files(self) -> list[list[str]]:
        """List its files by folder, but those that are only locked."""
        paths = (path for path in self.path.rglob("*") if path.is_file() and path.stat().st_size)
        names = sorted(str(path.relative_to(self.path)) for path in paths)
        return [list(found) for _, found in groupby(names, lambda name: name.rpartition("/")[0])]


def make_server_data(folder: Path) -> ServerData:
    """Have servers make runs of all kinds; the last server is killed while a step executes.

    One waiting and one ended run are of format 1 then.
    """
    server = JupyterServer(folder)
    with server:
        flow = server.deploy("flow", [SETUP, START, LAST])
        last = [server.run(flow)["id"] for _ in range(2)]
        ended = server.run(flow)["id"]
        for event in ("fail", "poll", "ask"):
            run = server.run(flow, event)
            server.wait_run(run["id"], "failed" if event == "fail" else "paused")
        for run_id in (*last, ended):
            server.wait_run(run_id, "paused")
        server.api("POST", f"/runs/{ended}/resume", {"data": {"ok": True}})
        server.wait_run(ended, "succeeded")
        server.stop()
        server.args.append(f"--PDFlow.smtp_url={DEAD_PORT}")
        server.start()
        flow = server.deploy("flow", [SETUP + "  # the same", START, LAST])
        server.wait_run(server.run(flow, "ask")["id"], "paused")
        hanging = server.run(flow, "hang")["id"]
        wait_until(lambda: server.get_run(hanging)["status"] == "running", "a step executes")
        server.kill()
        (server.data_dir / "inputs.toml").write_text('[slack]\ntoken = "x"\n')
        data = DataDir(server.data_dir)
        for run_id in (last[1], ended):
            make_format_1(data, data.read_run(run_id))
    return ServerData(server.data_dir, last)


# --- damage ---------------------------------------------------------------------------

DEEP: Any = 0
for _ in range(400):
    DEEP = [DEEP]

TIMES = [
    "2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59Z", "1969-01-01T00:00:00Z", "2026-01-01T00:00:00+05:30",
    "2026-01-01T00:00:00Z",
]  # fmt: skip
TEXTS = [
    "", "x", "a\nb", "\x00", "../../../pwn", "/etc/passwd", "..", "a/b", "a\\b", "trigger",
    "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "queued", "running", "paused", "succeeded", "failed", "canceled",
    "pending", "sent", "kept", "resume", "cancel", "suspend", "rerun", "delay", "bob@", ".@", " :@",
    "a,<@", "a@b\nBcc: c@d", "http://[::1", "http://localhost:99999999",
]  # fmt: skip
NUMBERS = [-1, 0, 1, 2, 3, 7, 2**53 + 1, 2**63, 2**64, 10**40, -(10**40), 0.5, 1e308]
LISTS = [
    [], [[]], [None], [{}], DEEP, ["bob@"], [""], ["../x"], [1],
    [{"id": "../../../pwn", "run_id": "x", "step": "start", "created_at": "2026-01-01T00:00:00Z",
      "mail": {"subject": "s"}}],
    [{"name": "start", "source": ""}, {"name": "start", "source": ""}],
    [{"output_type": "stream"}], [{"output_type": "display_data", "data": 1, "metadata": {}}],
]  # fmt: skip
OBJECTS = [{}, {"": None}, {"id": "../../../pwn"}, {"ename": "E", "evalue": "v"}, {"x": DEEP}]
OTHERS = [None, True, False]


def _any_of(values: list[Any]) -> st.SearchStrategy[Any]:
    """Draw one of these values, as a copy that may be changed."""
    return st.sampled_from([json.dumps(value) for value in values]).map(json.loads)


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Draw a value of the same type, so that it gets further."""
    if isinstance(value, str):
        return _any_of(TIMES if "T" in value and ":" in value else TEXTS) | st.text()
    if value is None or isinstance(value, bool):
        return VALUES
    if isinstance(value, int | float):
        return _any_of(NUMBERS) | st.integers()
    return _any_of(LISTS if isinstance(value, list) else OBJECTS)


VALUES = _any_of([*TIMES, *TEXTS, *NUMBERS, *LISTS, *OBJECTS, *OTHERS]) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List the paths to all values in some JSON, its root left out."""
    if not isinstance(value, dict | list):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*above, key)
        yield from places(part, (*above, key))


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Damage a file: one that is appended in one of its lines or at any byte, or cut it off."""
    if not (content.startswith(b"{") and content.endswith(b"\n")):
        return draw(_damaged_document(content))
    lines = content.split(b"\n")[:-1]
    number = draw(st.integers(0, len(lines) - 1) | st.just(len(lines) - 1))
    how = draw(st.sampled_from(["a value", "a value", "a value", "cut off", "a byte", "appended"]))
    place = draw(st.integers(0, len(content) - 1))
    if how == "cut off":
        return content[:place]
    if how == "a byte":
        return content[:place] + draw(st.binary(max_size=1)) + content[place + 1 :]
    if how == "appended":
        return content + draw(st.binary() | st.just(content[:place]))
    lines[number] = draw(_damaged_document(lines[number]))
    return b"\n".join([*lines, b""])


@st.composite
def _damaged_document(draw: st.DrawFn, content: bytes) -> bytes:
    """Change one value of a JSON file, or a few, remove one, or replace the file as a whole."""
    document = copy.deepcopy(_json(content))
    if document is None or draw(st.integers(0, 9)) == 0:
        cut = st.integers(0, len(content)).map(lambda end: content[:end])
        return draw(cut | st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
    for _ in range(draw(st.integers(1, 2))):
        *above, last = draw(st.sampled_from(list(places(document))))
        parent = document
        for key in above:
            parent = parent[key]
        if draw(st.integers(0, 4)) == 0:
            del parent[last]
        else:
            parent[last] = draw(_like(parent[last]) | VALUES)
        if not document:
            break
    return json.dumps(document, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _json(content: bytes) -> Any:
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) and found else None
