"""Local modules that a notebook imports, as part of its version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.commands import call
from tests.servers import JupyterServer

FIRST = """%%step first
import helpers
def handler(pd):
    pd.flow.suspend()
    return helpers.version()
"""
SECOND = """%%step second
def handler(pd):
    import helpers
    from shop.orders import total
    return [helpers.version(), total(2), helpers.__file__]
"""
HELPERS = "import deeper\ndef version(): return deeper.VERSION\n"


@pytest.fixture
def files(server: JupyterServer) -> Any:
    folder = server.root / "flows"

    def write(version: str) -> None:
        (folder / "shop").mkdir(parents=True, exist_ok=True)
        (folder / "helpers.py").write_text(HELPERS)
        (folder / "deeper.py").write_text(f"VERSION = {version!r}\n")
        (folder / "shop" / "__init__.py").write_text("")
        (folder / "shop" / "orders.py").write_text(
            "from .prices import PRICE\ndef total(n): return n * PRICE\n"
        )
        (folder / "shop" / "prices.py").write_text("PRICE = 5\n")
        (folder / "unused.py").write_text("raise SystemExit\n")

    return write


def values(server: JupyterServer, run: Any) -> list[Any]:
    server.api("POST", f"/runs/{run['id']}/resume", {})
    ended = server.wait_run(run["id"], "succeeded")
    return [step["exports"]["$return_value"] for step in ended["steps"]]


def test_a_run_imports_the_modules_of_its_version(server: JupyterServer, files: Any) -> None:
    files("v1")
    old = server.deploy("flows/flow", [FIRST, SECOND])
    before = server.wait_run(server.run(old)["id"], "paused")
    files("v2")
    new = server.deploy("flows/flow", [FIRST, SECOND])
    assert new["version"] != old["version"]
    assert "warnings" not in new
    file = str(server.root / "flows" / "helpers.py")
    assert values(server, before) == ["v1", ["v1", 10, file]]
    after = server.wait_run(server.run(new)["id"], "paused")
    assert values(server, after) == ["v2", ["v2", 10, file]]


def test_the_same_modules_are_the_same_version(server: JupyterServer, files: Any) -> None:
    files("v3")
    first = server.deploy("flows/flow", [FIRST, SECOND])
    (server.root / "flows" / "unused.py").write_text("# changed")
    assert server.deploy("flows/flow", [FIRST, SECOND])["version"] == first["version"]
    (server.root / "flows" / "shop" / "prices.py").write_text("PRICE = 6\n")
    assert server.deploy("flows/flow", [FIRST, SECOND])["version"] != first["version"]


def test_an_error_in_a_module_shows_the_line_of_its_version(
    server: JupyterServer, files: Any
) -> None:
    files("v4")
    module = server.root / "flows" / "helpers.py"
    module.write_text("def fail():\n    raise ValueError('old line')\n")
    fail = "%%step fail\nimport helpers\ndef handler(pd):\n    pd.flow.suspend() if pd.context.run.runs == 0 else helpers.fail()"
    workflow = server.deploy("flows/fail", [fail])
    module.write_text("# other\n" * 5)
    ended = server.wait_run(server.run(workflow)["id"], "failed")
    assert "raise ValueError('old line')" in "\n".join(ended["error"]["traceback"])


def test_a_deploy_warns_of_imports_that_can_not_be_followed(server: JupyterServer) -> None:
    cell = "%%step dynamic\nimport importlib, sys\nsys.path.append('src')\ndef handler(pd):\n    importlib.import_module(pd.steps.trigger.event)"
    workflow = server.deploy("dynamic", [cell])
    assert [text.partition(" may use local modules")[0] for text in workflow["warnings"]] == [
        "sys.path.append(…) in step 'dynamic'",
        "import_module(…) in step 'dynamic'",
    ]
    assert "warnings" not in server.api("GET", f"/workflows/{workflow['id']}").json()
    command = call(server, "deploy", "dynamic.ipynb")
    assert command.returncode == 0
    assert "import_module(…) in step 'dynamic' may use local modules" in command.stderr


def test_a_module_that_can_not_be_read_is_named(server: JupyterServer) -> None:
    (server.root / "binary.py").write_bytes(b"\xff\xfe\x00")
    cell = "%%step binary\nimport binary\ndef handler(pd): return 1"
    server.root.joinpath("n").mkdir(exist_ok=True)
    with pytest.raises(AssertionError, match=r"422 .*The local module 'binary.py' can't be read"):
        server.deploy("binary_flow", [cell])
    (server.root / "binary.py").write_text("x = 1\n" * 400_000)
    with pytest.raises(AssertionError, match="install them as a package"):
        server.deploy("binary_flow", [cell])


def test_modules_outside_the_root_are_refused(server: JupyterServer) -> None:
    secret = server.folder / "secret.py"
    secret.write_text("KEY = 1")
    (server.root / "leak.py").symlink_to(secret)
    cell = "%%step leak\nimport leak\ndef handler(pd): return leak.KEY"
    with pytest.raises(AssertionError, match="422"):
        server.deploy("leak_flow", [cell])
