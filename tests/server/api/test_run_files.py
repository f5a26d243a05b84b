"""The files of a run over HTTP: which are listed, sent and refused."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.servers import JupyterServer

SAVE = """%%step save
def handler(pd):
    (pd.files / "sub dir").mkdir(exist_ok=True)
    for name, text in pd.steps.trigger.event.items():
        (pd.files / name).write_text(text)
    pd.flow.suspend()
    return pd.files / "model.bin"
"""
READ = """%%step read
def handler(pd):
    return [(pd.files / "a.html").read_text(), str(pd.files)]
"""
PAGE = "<script>alert(1)</script>"
LARGE = "0123456789abcdef" * 200_000
FILES = {"a.html": PAGE, "sub dir/ü%2e?#.txt": "deep", "model.bin": LARGE, "sub.txt": "", "Z": "z"}


@pytest.fixture(scope="module")
def run(server: JupyterServer) -> Any:
    """Start a run that has saved files and waits."""
    workflow = server.deploy("saves", [SAVE, READ])
    return server.wait_run(server.run(workflow, FILES)["id"], "paused")


@pytest.fixture(scope="module")
def folder(server: JupyterServer, run: Any) -> Path:
    return server.data_dir / "files" / str(run["id"])


def listed(server: JupyterServer, run: Any) -> dict[str, int]:
    answer = server.api("GET", f"/runs/{run['id']}/files")
    assert answer.status_code == 200
    return {file["path"]: file["size"] for file in answer.json()}


def get(server: JupyterServer, run: Any, path: str) -> httpx.Response:
    """Send a path unchanged; httpx would normalize its dots."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as http:
        http.request("GET", f"/pdflow/api/runs/{run['id']}/files/{path}", headers=server.headers)
        answer = http.getresponse()
        headers = [pair for pair in answer.getheaders() if pair[0] != "Transfer-Encoding"]
        return httpx.Response(answer.status, headers=headers, content=answer.read())


def test_files_are_listed_by_path(server: JupyterServer, run: Any) -> None:
    found = listed(server, run)
    assert found == {name: len(text.encode()) for name, text in FILES.items()}
    assert list(found) == ["Z", "a.html", "model.bin", "sub dir/ü%2e?#.txt", "sub.txt"]
    times = [f["modified_at"] for f in server.api("GET", f"/runs/{run['id']}/files").json()]
    assert all(run["created_at"] <= at <= "2999" for at in times)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("safe", ["/", ""])
def test_each_file_is_sent_as_a_download(
    server: JupyterServer, run: Any, name: str, safe: str
) -> None:
    answer = get(server, run, quote(name, safe=safe))
    assert answer.status_code == 200
    assert answer.text == FILES[name]
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Length"] == str(len(FILES[name].encode()))
    own_name = quote(name.rpartition("/")[2], safe="")
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=utf-8''{own_name}"


def test_paths_outside_the_folder_are_not_found(
    server: JupyterServer, run: Any, folder: Path
) -> None:
    (folder.parent / "beside").mkdir(exist_ok=True)
    (folder.parent / "beside" / "x").write_text("secret")
    paths = [
        "none", "sub%20dir", "sub%20dir/", "a.html/", "a.html/x", "./a.html", "sub%20dir/../a.html",
        "../beside/x", "..%2Fbeside%2Fx", "%2e%2e/beside/x", "%2e%2e%2fbeside%2fx", "%252e%252e/x",
        "..%5cbeside%5cx", "//etc/passwd", "%2Fetc%2Fpasswd", quote(str(folder / "a.html"), ""),
        "a.html%00", "%00", "a.html%0a", "x" * 300, "x/" * 3000 + "x", "..", "%2e",
    ]  # fmt: skip
    for path in paths:
        answer = get(server, run, path)
        assert answer.status_code == 404, path
        assert answer.json()["reason"] == "not_found"
    assert get(server, run, "%ff").status_code == 400
    answer = server.api("GET", "/runs/beside/files/x")
    assert answer.status_code == 404


def test_symbolic_links_and_special_files(server: JupyterServer, run: Any, folder: Path) -> None:
    before, own = listed(server, run), folder / "kinds"
    own.mkdir()
    (own / "inside").symlink_to("../Z")
    (own / "outside").symlink_to(server.data_dir / "link_keys")
    (own / "climbs").symlink_to("../../../link_keys")
    (own / "folder").symlink_to("..")
    (own / "out").symlink_to(server.data_dir)
    (own / "loop").symlink_to("loop")
    (own / "nowhere").symlink_to("nothing")
    os.mkfifo(own / "pipe")
    Path(os.fsdecode(bytes(own) + b"/\xff")).touch()
    (own / "a\nb").touch()
    (own / "a\\b").touch()
    os.utime(folder / "Z", (10**12, 10**12))
    assert listed(server, run) == {**before, "kinds/inside": 1}
    assert get(server, run, "kinds/inside").text == "z"
    for name in ("outside", "climbs", "out/link_keys", "loop", "nowhere", "pipe", "a%0Ab"):
        assert get(server, run, f"kinds/{name}").status_code == 404, name


def test_a_run_without_files_and_an_unknown_run(server: JupyterServer) -> None:
    workflow = server.deploy("none", ["%%step a\ndef handler(pd): pass"])
    run = server.wait_run(server.run(workflow)["id"], "succeeded")
    assert listed(server, run) == {}
    assert not (server.data_dir / "files" / run["id"]).exists()
    assert server.api("GET", "/runs/none/files").status_code == 404
    assert server.api("GET", f"/runs/{run['id']}/files/").status_code == 404
    assert server.api("POST", f"/runs/{run['id']}/files", {}).status_code == 405


def test_at_most_a_thousand_files_are_listed(server: JupyterServer) -> None:
    many = "%%step a\ndef handler(pd):\n    for n in range(1_200):\n        (pd.files / f'{n:04}').touch()"
    run = server.wait_run(server.run(server.deploy("many", [many]))["id"], "succeeded")
    assert list(listed(server, run)) == [f"{number:04}" for number in range(1_000)]


def test_files_stay_over_a_pause_and_a_restart(server: JupyterServer, folder: Path) -> None:
    run = server.wait_run(server.run(server.deploy("saves", [SAVE, READ]), FILES)["id"], "paused")
    server.restart()
    assert server.http.post(run["pause"]["resume_url"]).status_code == 200
    run = server.wait_run(run["id"], "succeeded")
    own = folder.parent / run["id"]
    assert run["steps"][1]["exports"]["$return_value"] == [PAGE, str(own)]
    assert run["steps"][0]["exports"]["$return_value"] == str(own / "model.bin")
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700


def test_files_dir_can_be_another_folder(server: JupyterServer, tmp_path: Path) -> None:
    elsewhere = tmp_path / "far" / "files"
    server.args.append(f"--PDFlow.files_dir={elsewhere}")
    try:
        server.restart()
        run = server.run(server.deploy("saves", [SAVE, READ]), {"b": "b"})
        run = server.wait_run(run["id"], "paused")
        assert listed(server, run) == {"b": 1}
        assert (elsewhere / run["id"] / "b").read_text() == "b"
    finally:
        server.args.pop()
        server.restart()


def test_a_files_dir_that_can_not_be_made_fails_only_steps_that_use_it(
    server: JupyterServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    server.args.append(f"--PDFlow.files_dir={tmp_path / 'file' / 'files'}")
    try:
        server.restart()
        run = server.run(server.deploy("saves", [SAVE, READ]), {"b": "b"})
        run = server.wait_run(run["id"], "failed")
        assert run["error"]["message"].startswith("FolderError: This kernel does not see ")
        assert listed(server, run) == {}
        other = server.run(server.deploy("none", ["%%step a\ndef handler(pd): pass"]))
        server.wait_run(other["id"], "succeeded")
    finally:
        server.args.pop()
        server.restart()


@pytest.mark.parametrize("kind", ["file", "damaged mark", "mark that is a folder"])
def test_a_damaged_files_folder_is_set_aside(server: JupyterServer, kind: str) -> None:
    server.stop()
    base = server.data_dir / "files"
    mark = base / ".id"
    if kind == "file":
        base.rename(base.with_name("kept"))
        base.write_text("mine")
    elif kind == "damaged mark":
        mark.write_bytes(b"\xff" * 32)
    else:
        mark.unlink()
        (mark / "x").mkdir(parents=True)
    server.start()
    run = server.run(server.deploy("saves", [SAVE, READ]), {"b": "b"})
    assert listed(server, server.wait_run(run["id"], "paused")) == {"b": 1}
    if kind == "file":
        assert (server.data_dir / "files.unreadable").read_text() == "mine"
