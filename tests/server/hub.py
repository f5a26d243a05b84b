"""A real JupyterHub without a proxy: the tests send requests where its proxy would send them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from tests.servers import free_port, isolated_environment, wait_until

USER = "ada"
CONFIGURATION = """
from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    should_start = False
    routes = {{}}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {{"routespec": routespec, "target": target, "data": data}}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes


c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.bind_url = "http://127.0.0.1:{public_port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.services = [{{"name": "tests", "api_token": "{token}"}}]
scopes = ["admin:users", "admin:groups", "admin:servers", "access:servers"]
c.JupyterHub.load_roles = [{{"name": "tests", "services": ["tests"], "scopes": scopes}}]
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.Spawner.environment = {environment}
c.Spawner.port = {port}
c.Spawner.cmd = {command}
c.Spawner.args = {arguments}
c.Spawner.start_timeout = 60
"""


class Hub:
    """A JupyterHub with one user and the user's server.

    Parameters
    ----------
    folder : Path
        An empty directory for all files that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        self.hub_port, self.port = free_port(), free_port()
        self.hub_url = f"http://127.0.0.1:{self.hub_port}"
        self.url = f"http://127.0.0.1:{self.port}/user/{USER}"
        self.data_dir = folder / "data"
        self.headers = {"Authorization": f"token {self.token}"}
        self.http = httpx.Client(timeout=60, trust_env=False)
        self.process: psutil.Popen | None = None

    def __enter__(self) -> Self:
        config = self.folder / "jupyterhub_config.py"
        config.write_text(self._configuration())
        with (self.folder / "hub.log").open("ab") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                cwd=self.folder,
                env=isolated_environment(self.folder, {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, "the Hub answers", 60)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        processes = [self.process, *self.process.children(recursive=True)]
        self.process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(processes, timeout=20)
        for process in alive:
            process.kill()
        self.http.close()

    def start_server(self) -> None:
        """Start the user's server, and wait until it is ready."""
        self._hub("POST", f"/users/{USER}/server")
        wait_until(self._is_ready, "the user's server answers", 60)

    def stop_server(self) -> None:
        """Stop the user's server, and wait until it has ended."""
        self._hub("DELETE", f"/users/{USER}/server")
        wait_until(lambda: not self._servers(), "the user's server has stopped", 60)

    def api(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        """Send an authenticated request to the user's server, below ``/pdflow/api``."""
        sent = {**self.headers, **headers}
        return self.http.request(method, f"{self.url}/pdflow/api{path}", headers=sent, json=json)

    def _configuration(self) -> str:
        environment = {"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"}
        environment |= {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        (self.folder / USER).mkdir()
        return CONFIGURATION.format(
            public_port=free_port(),
            hub_port=self.hub_port,
            token=self.token,
            folder=self.folder,
            environment=environment,
            port=self.port,
            command=[sys.executable, "-m", "jupyterhub.singleuser"],
            arguments=["--allow-root", f"--PDFlow.data_dir={self.data_dir}"],
        )

    def add_group(self, name: str) -> None:
        """Make a group of the user."""
        self._hub("POST", f"/groups/{name}").raise_for_status()
        self._hub("POST", f"/groups/{name}/users", {"users": [USER]}).raise_for_status()

    def user_token(self) -> str:
        """Return a token of the user."""
        url = f"{self.hub_url}/hub/api/users/{USER}/tokens"
        login = {"auth": {"username": USER, "password": ""}}
        return str(self.http.post(url, json=login).raise_for_status().json()["token"])

    def _hub(self, method: str, path: str, json: Any = None) -> Any:
        url = f"{self.hub_url}/hub/api{path}"
        return self.http.request(method, url, headers=self.headers, json=json)

    def _answers(self) -> bool:
        try:
            if self._hub("GET", "/users").status_code != 200:
                return False
        except httpx.TransportError:
            return False
        self._hub("POST", f"/users/{USER}")
        return True

    def _servers(self) -> dict[str, Any]:
        servers: dict[str, Any] = self._hub("GET", f"/users/{USER}").json()["servers"]
        return servers

    def _is_ready(self) -> bool:
        return any(server["ready"] for server in self._servers().values())
