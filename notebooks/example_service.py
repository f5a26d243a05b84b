"""The external service of poll.ipynb and callback.ipynb, as small as it can be.

`start` starts it as a process of its own on a free port of this machine, and returns its address,
which only this user can know. It answers

- ``GET /status?job=NAME``: ``{"status": "PENDING"}`` when a job is asked for the first time, and
  ``{"status": "DONE"}`` the second time;
- ``POST /jobs`` with ``{"resume_url": …}``: ``{"status": "STARTED"}``; when the job is done, five
  seconds later, it sends ``{"result": 42}`` to that address.

Each kernel has its own, started by the setup. It stops by itself when that kernel has ended and its
jobs are done. Which jobs were asked for is kept in files, because a run may continue in another
kernel. On Linux a production kernel takes its processes with it when it is shut down, by default
after five minutes without work.
"""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

JOB_SECONDS = 5
MAX_JOBS = 100
MAX_BODY = 100_000
KEPT_SECONDS = 24 * 60 * 60

_process = None
_url = None


def start():
    """Start the service unless this kernel has one, and return its address."""
    global _process, _url
    if _process is None or _process.poll() is not None:
        _without_proxy()
        _process, _url = _started()
    return _url


def _started():
    # The source is that of the imported module: a production run has the one that was deployed.
    source = __loader__.get_source(__name__)
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", source],
        stdin=subprocess.PIPE,  # it is closed when this kernel ends, however that happens
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that interrupting the kernel does not stop it
    )
    url = process.stdout.readline().decode().strip()
    if not url:
        raise RuntimeError("The example service did not start; run this cell again.")
    return process, url


def _without_proxy():
    """Have requests to this machine go there directly, also where a proxy is configured."""
    hosts = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    hosts += [host for host in ("127.0.0.1", "localhost") if host not in hosts]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, hosts))


# --- the process ------------------------------------------------------------------------


def serve():
    """Answer requests until the kernel has ended and the jobs are done."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.jobs = []
    server.secret = secrets.token_urlsafe()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/{server.secret}", flush=True)
    sys.stdin.read()
    for job in server.jobs:
        job.join()


class Service(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        job = parse_qs(urlsplit(self.path).query).get("job", [""])[0]
        if self._is_for("status"):
            self._answer(200, {"status": "DONE" if was_asked_before(job) else "PENDING"})

    def do_POST(self):
        if not self._is_for("jobs"):
            return
        url = self._body().get("resume_url")
        self.server.jobs = [job for job in self.server.jobs if job.is_alive()]
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            self._answer(400, {"message": "There is no resume_url."})
        elif len(self.server.jobs) >= MAX_JOBS:
            self._answer(503, {"message": "There are too many jobs."})
        else:
            job = threading.Timer(JOB_SECONDS, call_back, [url])
            self.server.jobs.append(job)
            job.start()
            self._answer(200, {"status": "STARTED"})

    def _is_for(self, name):
        is_right = urlsplit(self.path).path == f"/{self.server.secret}/{name}"
        if not is_right:
            self._answer(404, {"message": "There is no such address."})
        return is_right

    def _body(self):
        with suppress(ValueError):
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(min(size, MAX_BODY)))
            if isinstance(body, dict):
                return body
        return {}

    def _answer(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def call_back(url):
    """Send the result of a job. In test mode nothing waits for it."""
    body, headers = json.dumps({"result": 42}).encode(), {"Content-Type": "application/json"}
    with suppress(OSError, ValueError):
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).close()


def was_asked_before(job):
    """Whether a job is asked for the second time; then it is forgotten."""
    user = getattr(os, "getuid", lambda: "")()
    folder = Path(tempfile.gettempdir()) / f"pdflow-example-jobs-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    remove_old(folder)
    file = folder / hashlib.sha256(job.encode()).hexdigest()
    try:
        file.unlink()
    except FileNotFoundError:
        file.touch()
        return False
    return True


def remove_old(folder):
    """Remove the jobs that nothing has asked for again."""
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - KEPT_SECONDS:
                file.unlink()


if __name__ == "__main__":
    serve()
