"""Kills a real server under load, repeatedly, and checks it against the ledger each time."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.engine.support import Inbox, smtp_server
from tests.kills import faults
from tests.kills.ledger import Ledger, check
from tests.kills.load import CLIENTS, Client, deploy
from tests.servers import JupyterServer, wait_until

Show = Callable[[str], None]
CONFIG = Path(faults.__file__)
PAGE = 200
MOST_TIMES = {
    "append": 30,
    "sync": 30,
    "temp": 10,
    "rename": 10,
    "moving": 6,
    "moved": 6,
    "answer": 20,
}
"""Maximum number of times that a server reaches each point before it dies there."""


class Moment(NamedTuple):
    """When a server dies.

    Attributes
    ----------
    point : str
        A point of `faults`, or empty to die after a time.
    number : float
        How often the server reaches the point, or the number of seconds.
    starting : bool
        Whether that counts from the server's start on.
    """

    point: str
    number: float
    starting: bool

    @property
    def kind(self) -> str:
        """The point, or ``time``."""
        return self.point or "time"

    def __str__(self) -> str:
        when = f"{self.kind}: {self.number:.3g}"
        return f"{when}, from its start on" if self.starting else when


@dataclass
class Report:
    """The result of all kills."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    answered: int = 0
    unanswered: int = 0
    emails: int = 0

    def count(self, ledger: Ledger, inbox: Inbox) -> None:
        """Count what the clients of all runs were answered, and what was delivered."""
        answers = [
            status for entry in ledger.runs.values() for _, status in entry.sent.values()
        ] + list(ledger.starts.values())
        self.unanswered = answers.count(None)
        self.answered = len(answers) - answers.count(None)
        self.runs = len(ledger.runs)
        self.emails = len(inbox.emails)


def kill_and_check(folder: Path, kills: int, seed: int, show: Show = lambda _: None) -> Report:
    """Kill a server `kills` times under load and check that nothing is lost.

    Raises
    ------
    AssertionError
        Something was lost, done twice, or not cleaned up.
    """
    inbox = Inbox()
    smtp = smtp_server(inbox)
    smtp.start()
    try:
        return _Harness(folder, f"smtp://127.0.0.1:{smtp.port}", inbox).run(kills, seed, show)
    finally:
        smtp.stop()


class _Harness:
    """A server that dies, and the ledger of its clients."""

    def __init__(self, folder: Path, smtp_url: str, inbox: Inbox) -> None:
        self.fault = folder / "fault"
        self.inbox = inbox
        self.ledger = Ledger()
        self.report = Report()
        self.server = JupyterServer(
            folder,
            [
                "--config",
                str(CONFIG),
                "--PDFlow.max_kernels=4",
                "--PDFlow.max_crashes=1000",  # a run may be executing at any number of kills
                f"--PDFlow.smtp_url={smtp_url}",
            ],
            env={faults.VARIABLE: str(self.fault)},
        )

    def run(self, kills: int, seed: int, show: Show) -> Report:
        rng = random.Random(seed)
        with self.server as server:
            deploy(
                server, self.ledger, "first", partial(server.http.request, headers=server.headers)
            )
            for number in range(kills):
                moment = choose(rng, number)
                self.die(moment, rng, f"{seed}-{number}")
                self.report.kills[moment.kind] += 1
                server.start()
                self.check_alive()
                show(f"{number + 1} of {kills} ({moment}): {len(self.ledger.runs)} runs, all right")
            self.settle()
            self.check_emails()
        self.report.count(self.ledger, self.inbox)
        return self.report

    # --- dying ------------------------------------------------------------------------

    def die(self, moment: Moment, rng: random.Random, seed: str) -> None:
        """Let the running server die at that moment under load."""
        if moment.starting:
            self.server.kill()
        if moment.point:
            self.arm(f"{moment.point}:{moment.number}")
        if not moment.starting or self.start():
            self.load_until_dead(moment, rng, seed)
        self.server.kill()
        self.fault.unlink(missing_ok=True)

    def arm(self, fault: str) -> None:
        new = self.fault.with_suffix(".new")
        new.write_text(fault)
        new.replace(self.fault)

    def start(self) -> bool:
        """Start the server; return whether it lived until it answered."""
        try:
            self.server.start()
        except RuntimeError:
            return False
        return True

    def load_until_dead(self, moment: Moment, rng: random.Random, seed: str) -> None:
        stop = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as clients:
            jobs = [
                clients.submit(Client(self.server, self.ledger, f"{seed}-{n}").run, stop)
                for n in range(CLIENTS)
            ]
            try:
                if moment.point:
                    wait_until(self.is_dead, str(moment), 60)
                else:
                    time.sleep(moment.number)
                self.server.kill()
            finally:
                stop.set()
            for job in jobs:
                job.result()

    def is_dead(self) -> bool:
        return self.server.process is None or self.server.process.poll() is not None

    # --- checking ---------------------------------------------------------------------

    def all_runs(self) -> list[dict[str, Any]]:
        """Return all runs, and check that each one that was started is among them."""
        runs: list[dict[str, Any]] = []
        canceled, more = self.ledger.canceled(), True
        while more:
            before = f"&before={runs[-1]['id']}" if runs else ""
            answer = self.server.api("GET", f"/runs?limit={PAGE}{before}")
            assert answer.is_success, f"{answer.text}; its log:\n{self.server.log()}"
            runs += answer.json()
            more = len(answer.json()) == PAGE
        for run in runs:
            if run["id"] not in self.ledger.runs:
                self.ledger.add(self.server.get_run(run["id"]))
            self.ledger.check_again(run, canceled)
        assert {run["id"] for run in runs} == set(self.ledger.runs), "a run is lost"
        return runs

    def check_alive(self) -> None:
        """Check that a server that has just started has every run once, and left no files."""
        self.all_runs()
        data_dir = self.server.data_dir
        left = [path for path in data_dir.rglob("*") if path.suffix == ".unreadable"]
        assert not left, f"not cleaned up: {left}"
        wait_until(lambda: not list(data_dir.rglob("*.tmp")), "no temporary file is left")
        active, finished = data_dir / "active", data_dir / "finished"
        in_both = run_ids(active) & run_ids(finished)
        assert not in_both & run_ids(active), "a run is in two folders"

    def settle(self) -> None:
        """Let every run end, and check each one."""
        wait_until(self.all_ended, "all runs have ended", 120)
        for run_id in self.ledger.runs:
            check(self.ledger, self.server.get_run(run_id))
        assert os.listdir(self.server.data_dir / "active") == []
        assert run_ids(self.server.data_dir / "finished") == set(self.ledger.runs)

    def all_ended(self) -> bool:
        """Return whether all runs have ended; resume those that wait for a link."""
        runs = self.all_runs()
        for run in runs:
            if run["pause"] is not None and run["pause"]["step"] == "ask":
                link, payload = run["pause"]["resume_url"], f"settled {run['id']}"
                status = self.server.http.post(link, json={"id": payload}).status_code
                self.ledger.runs[run["id"]].sent[payload] = (link, status)
        return all(run["status"] in ("succeeded", "failed", "canceled") for run in runs)

    def check_emails(self) -> None:
        """Check that each run's email is there once, and was delivered under one Message-ID."""
        folder, expected = (
            self.server.data_dir / "mail",
            {f"{run}-1-0-0" for run in self.ledger.runs},
        )
        wait_until(lambda: not os.listdir(folder / "queued"), "all emails are delivered", 60)
        assert sorted(path.stem for path in (folder / "done").iterdir()) == sorted(expected)
        delivered = {found["Message-ID"] for found in self.inbox.emails}
        assert delivered == {f"<{email_id}@jupyter-pdflow>" for email_id in expected}


def run_ids(folder: Path) -> set[str]:
    """Return the ids of the runs that have a file in a folder."""
    return {Path(name).stem for name in os.listdir(folder)}


def choose(rng: random.Random, number: int) -> Moment:
    """Choose how the server dies: at a moment in time, or at a point of its code."""
    if number % 3 == 0:
        return Moment("", rng.uniform(0.05, 1.5), starting=False)
    point = rng.choice(list(MOST_TIMES))
    times = rng.randint(1, MOST_TIMES[point])
    return Moment(point, times, starting=number % 6 == 5)
