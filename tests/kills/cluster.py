"""Faults of a cluster under load: processes, the database and the network fail; the books hold."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
from msgspec.json import decode

from tests.cluster import Cluster, Worker
from tests.engine.support import Inbox, smtp_server
from tests.kills import cluster_config
from tests.kills.flows import cells
from tests.kills.harness import PAGE, Report
from tests.kills.ledger import Ledger, check
from tests.kills.load import CLIENTS, Client, ServerDied
from tests.postgres import PostgresServer
from tests.proxies import Proxy
from tests.servers import JupyterServer, wait_until, write_notebook

Show = Callable[[str], None]
FRONTS, WORKERS = 2, 3
LEASE_SECONDS = 3.0
CONFIG = Path(cluster_config.__file__)
DECISIONS = ("resume",)


def fail_and_check(
    folder: Path, postgres: PostgresServer, faults: int, seed: int, show: Show = lambda _: None
) -> Report:
    """Let parts of a cluster fail `faults` times under load; check that nothing is lost.

    Raises
    ------
    AssertionError
        Something was lost, or done twice.
    """
    inbox = Inbox()
    smtp = smtp_server(inbox)
    smtp.start()
    try:
        with ExitStack() as stack:
            url = f"smtp://127.0.0.1:{smtp.port}"
            return _Faults(folder, postgres, url, inbox, stack).run(faults, seed, show)
    finally:
        smtp.stop()


class ClusterClient(Client):
    """A client that sends each request to one of the front ends, and outlives them."""

    def __init__(self, fronts: list[JupyterServer], ledger: Ledger, seed: str) -> None:
        super().__init__(fronts[0], ledger, seed)
        self.fronts = fronts

    def run(self, stop: threading.Event) -> None:
        with self.http:
            while not stop.is_set():
                try:
                    self.act()
                except ServerDied:
                    stop.wait(0.05)

    def redeploy(self) -> None:
        deploy_everywhere(self.fronts, self.ledger, self.new_id(), self.send)

    def send(self, method: str, url: str, json: Any = None) -> httpx.Response:
        front = self.random.choice(self.fronts)
        headers = front.headers | {"Host": f"127.0.0.1:{front.port}"}
        path = url.removeprefix(self.server.url)
        try:
            answer = self.http.request(method, f"{front.url}{path}", json=json, headers=headers)
        except httpx.TransportError as error:
            raise ServerDied from error
        if answer.status_code in (502, 503):  # nothing was answered for
            raise ServerDied
        return answer


def deploy_everywhere(
    fronts: list[JupyterServer], ledger: Ledger, mark: str, send: Callable[..., httpx.Response]
) -> None:
    """Write the notebook to each front end, and deploy it by one of them."""
    with ledger.lock:
        for front in fronts:
            write_notebook(front.root / "flow.ipynb", cells(mark))
        ledger.marks.add(mark)
        url = f"{fronts[0].url}/pdflow/api/workflows"
        answer = send("POST", url, json={"path": "flow.ipynb"})
        assert answer.is_success, answer.text


class _Faults:
    """A cluster whose parts fail, and the ledger of its clients."""

    def __init__(
        self, folder: Path, postgres: PostgresServer, smtp_url: str, inbox: Inbox, stack: ExitStack
    ) -> None:
        self.postgres = postgres
        self.inbox = inbox
        self.ledger = Ledger()
        self.report = Report()
        self.database = postgres.database()
        self.proxies: list[Proxy] = []
        self.stack = stack
        from jupyter_pdflow.stores.postgres.migrate import migrate

        migrate(self.database)
        self.cluster = stack.enter_context(Cluster(folder, self.database))
        options = [
            "--config",
            str(CONFIG),
            "--PDFlow.max_crashes=1000",  # a run may be executing at any number of faults
            f"--PDFlow.smtp_url={smtp_url}",
            f"--PDFlow.files_dir={folder / 'files'}",
        ]
        env = {cluster_config.VARIABLE: str(LEASE_SECONDS)}
        for number in range(FRONTS):
            self.cluster.database = self.proxied()
            self.cluster.front(*options, kernels=number, env=env)  # the second one executes, too
        for _ in range(WORKERS):
            self.cluster.database = self.proxied()
            self.cluster.worker(*options, env=env)

    def proxied(self) -> str:
        """Return the URL of the database behind a proxy of its own."""
        proxy = self.stack.enter_context(Proxy(self.postgres.port))
        self.proxies.append(proxy)
        return self.database.replace(str(self.postgres.port), str(proxy.port))

    def run(self, faults: int, seed: int, show: Show) -> Report:
        rng = random.Random(seed)
        fronts, stop = self.cluster.fronts, threading.Event()
        first = fronts[0]
        self.cluster.wait_workers(WORKERS + 1)
        send = partial(first.http.request, headers=first.headers)
        deploy_everywhere(fronts, self.ledger, "first", send)
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [
                pool.submit(ClusterClient(fronts, self.ledger, f"{seed}-{number}").run, stop)
                for number in range(CLIENTS)
            ]
            try:
                for number in range(faults):
                    kind = rng.choice(list(self.faults()))
                    time.sleep(rng.uniform(0.05, 1.5))
                    self.faults()[kind](rng)
                    self.report.kills[kind] += 1
                    self.check_alive()
                    done = f"{number + 1} of {faults} ({kind})"
                    show(f"{done}: {len(self.ledger.runs)} runs, all right")
                    for each in clients:
                        assert not each.done(), each.result()
            finally:
                stop.set()
            for each in clients:
                each.result()
        self.settle()
        self.check_emails()
        self.check_history()
        self.report.count(self.ledger, self.inbox)
        return self.report

    # --- faults -----------------------------------------------------------------------

    def faults(self) -> dict[str, Callable[[random.Random], None]]:
        return {
            "front killed": self.kill_front,
            "worker killed": self.kill_worker,
            "worker and successor killed": self.kill_successor,
            "worker stopped": self.stop_worker,
            "database stopped": self.stop_database,
            "connections ended": self.end_connections,
            "network cut": self.cut_network,
        }

    def kill_front(self, rng: random.Random) -> None:
        front = rng.choice(self.cluster.fronts)
        front.kill()
        time.sleep(rng.uniform(0, 1))
        front.start()

    def kill_worker(self, rng: random.Random) -> None:
        with self.killed(rng):
            time.sleep(rng.uniform(0, 2 * LEASE_SECONDS))

    def kill_successor(self, rng: random.Random) -> None:
        with self.killed(rng), self.killed(rng):
            time.sleep(rng.uniform(0, 2 * LEASE_SECONDS))

    @contextmanager
    def killed(self, rng: random.Random) -> Iterator[Worker]:
        alive = [each for each in self.cluster.workers if each.process is not None]
        worker = rng.choice(alive)
        worker.kill()
        yield worker
        worker.start()

    def stop_worker(self, rng: random.Random) -> None:
        """Stop a worker until others have its leases; then it goes on as if nothing was."""
        worker = rng.choice(self.cluster.workers)
        worker.send_signal(signal.SIGSTOP)
        try:
            time.sleep(rng.uniform(LEASE_SECONDS, 2 * LEASE_SECONDS))
        finally:
            worker.send_signal(signal.SIGCONT)

    def stop_database(self, rng: random.Random) -> None:
        self.postgres.stop("immediate")
        time.sleep(rng.uniform(0, 2))
        self.postgres.start()

    def end_connections(self, rng: random.Random) -> None:
        del rng
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def cut_network(self, rng: random.Random) -> None:
        proxy = rng.choice(self.proxies)
        proxy.cut()
        try:
            time.sleep(rng.uniform(0.2, 2 * LEASE_SECONDS))
        finally:
            proxy.mend()

    # --- checking ---------------------------------------------------------------------

    def ask(self, path: str) -> Any:
        """Ask the front ends until one answers."""

        def answer() -> httpx.Response | None:
            for front in self.cluster.fronts:
                try:
                    found = front.api("GET", path)
                except httpx.TransportError:
                    continue
                if found.is_success:
                    return found
                assert found.status_code == 503, f"{found.text}; its log:\n{front.log()}"
            return None

        found = wait_until(answer, f"an answer to {path}", 60)
        assert found is not None
        return found.json()

    def all_runs(self) -> list[dict[str, Any]]:
        """Return all runs, and check that each one that was started is among them."""
        runs: list[dict[str, Any]] = []
        known, canceled, more = set(self.ledger.runs), self.ledger.canceled(), True
        while more:
            before = f"&before={runs[-1]['id']}" if runs else ""
            page = self.ask(f"/runs?limit={PAGE}{before}")
            runs += page
            more = len(page) == PAGE
        for run in runs:
            if run["id"] not in self.ledger.runs:
                self.ledger.add(self.ask(f"/runs/{run['id']}"))
            self.ledger.check_again(run, canceled)
        assert known <= {run["id"] for run in runs}, "a run is lost"
        return runs

    def check_alive(self) -> None:
        self.all_runs()

    def settle(self) -> None:
        """Let every run end, and check each one."""
        wait_until(self.all_ended, "all runs have ended", 180)
        for run_id in self.ledger.runs:
            check(self.ledger, self.ask(f"/runs/{run_id}"))

    def all_ended(self) -> bool:
        """Return whether all runs have ended; resume those that wait for a link."""
        runs, front = self.all_runs(), self.cluster.fronts[0]
        for run in runs:
            if run["pause"] is not None and run["pause"]["step"] == "ask":
                link, payload = run["pause"]["resume_url"], f"settled {run['id']}"
                status = front.http.post(link, json={"id": payload}).status_code
                self.ledger.runs[run["id"]].sent[payload] = (link, status)
        return all(run["status"] in ("succeeded", "failed", "canceled") for run in runs)

    def check_emails(self) -> None:
        """Check that each run's email is there once, and was delivered under one Message-ID."""
        expected = {f"{run}-1-0-0" for run in self.ledger.runs}

        def stored() -> dict[str, str]:
            with psycopg.connect(self.database) as connection:
                return dict(connection.execute("SELECT id, status FROM pdflow.emails").fetchall())

        # The fifth attempt of an email is up to 80 s after the fourth.
        wait_until(lambda: "queued" not in stored().values(), "all emails are delivered", 240)
        assert stored() == dict.fromkeys(expected, "sent")
        delivered = {found["Message-ID"] for found in self.inbox.emails}
        assert delivered == {f"<{email_id}@jupyter-pdflow>" for email_id in expected}

    def check_history(self) -> None:
        """Check the whole log: one winner for each pause, numbers without gaps."""
        with psycopg.connect(self.database) as connection:
            rows = connection.execute(
                "SELECT run_id, number, entry FROM pdflow.history ORDER BY run_id, number"
            ).fetchall()
        winners: Counter[tuple[str, str, int]] = Counter()
        numbers: dict[str, int] = {}
        for run_id, number, entry in rows:
            assert number == numbers.get(run_id, 0) + 1, f"a gap in the history of {run_id}"
            numbers[run_id] = number
            found = decode(entry)
            if found["event"] in DECISIONS:
                winners[run_id, found["step"], found["execution"]] += 1
        assert set(numbers) == set(self.ledger.runs)
        assert winners, "no pause was decided"
        assert max(winners.values()) == 1, winners.most_common(3)
