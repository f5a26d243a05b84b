"""A real Jupyter server whose kernels are those of a real kernel gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.gateways import Gateway
from tests.servers import JupyterServer, wait_until

SECRET = "xoxb-secret-of-the-server"
TOUCH_MARK = "import pathlib, time\npathlib.Path('started ' + pd.context.trace_id).touch()\n"
"""The first lines of a handler for `Pair.begin`, which waits for the file."""


class Pair(NamedTuple):
    """A server, and the gateway that starts its kernels."""

    server: JupyterServer
    gateway: Gateway

    def begin(self, workflow: dict[str, Any], event: Any = None) -> Any:
        """Start a run and wait until its handler has started."""
        run = self.server.run(workflow, event)
        mark = self.server.root / f"started {run['id']}"
        wait_until(mark.exists, "the handler has started", 40)
        return run

    def end(self, run: dict[str, Any], timeout: float = 60) -> Any:
        """Wait until a run has succeeded or failed."""
        return self.server.wait_run(run["id"], ("succeeded", "failed"), timeout)

    def registered_kernel_ids(self) -> list[str]:
        """Return the ids of the kernels that the server has recorded."""
        folder = self.server.data_dir / "gateway_kernels"
        return [path.name for path in folder.rglob("*") if path.is_file()]


def step(body: str, name: str = "work") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"%%step {name}\ndef handler(pd):\n{lines}\n"


@pytest.fixture(scope="module")
def make_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Pair]]:
    with ExitStack() as stack:

        def make(*args: str, gateway_env: dict[str, str] | None = None, **env: str) -> Pair:
            folder = tmp_path_factory.mktemp("pair")
            gateway = stack.enter_context(Gateway(_new_folder(folder / "gateway"), gateway_env))
            args = (f"--GatewayClient.url={gateway.url}", *args)
            server = JupyterServer(_new_folder(folder / "server"), args, env=env)
            return Pair(stack.enter_context(server), gateway)

        yield make


def _new_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def pair(make_pair: Callable[..., Pair]) -> Pair:
    """Start a pair for the module; the server has one kernel at most."""
    return make_pair(
        "--PDFlow.max_kernels=1",
        gateway_env={"OF_THE_GATEWAY": "there"},
        SLACK_TOKEN=SECRET,
        KERNEL_LAUNCH_TIMEOUT="3",
    )


def files_with(folder: Path, text: str) -> list[Path]:
    """Return the files below a folder that contain a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]
