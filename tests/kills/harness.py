"""Kill a real server under load, again and again, and check the books each time."""

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

from jupyter_pdflow.stores.tinydb import storage as spares
from tests.engine.support import Inbox, smtp_server
from tests.kills import faults
from tests.kills.books import Books, check
from tests.kills.load import CLIENTS, Client, deploy
from tests.servers import JupyterServer, wait_until

Tell = Callable[[str], None]
CONFIG = Path(faults.__file__)
PAGE = 200
LOADS = (2, 1000)
"""With the first, a process of its own writes nearly all; with the other, none."""

MOST_TIMES = {"temp": 30, "rename": 30, "filing": 6, "filed": 6, "answer": 20}
"""How often a server gets to each point at most before it dies there."""


class Moment(NamedTuple):
    """When a server dies: a point of its code, or a number of seconds; when it starts, or later.

    ``load`` is one of `LOADS`, of the life that ends thus.
    """

    point: str
    number: float
    starting: bool
    load: int

    @property
    def kind(self) -> str:
        """What is chosen, and who writes."""
        return f"{self.point or 'time'}, {'process' if self.load == LOADS[0] else 'threads'}"

    def __str__(self) -> str:
        when = f"{self.kind}: {self.number:.3g}"
        return f"{when}, from its start on" if self.starting else when


@dataclass
class Report:
    """What the kills came to."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    answered: int = 0
    unanswered: int = 0
    mails: int = 0


def kill_and_check(folder: Path, kills: int, seed: int, tell: Tell = lambda _: None) -> Report:
    """Kill a server `kills` times under load and check that nothing is lost.

    Raises
    ------
    AssertionError
        Something was lost, done twice, or left behind.
    """
    inbox = Inbox()
    smtp = smtp_server(inbox)
    smtp.start()
    try:
        return _Harness(folder, f"smtp://127.0.0.1:{smtp.port}", inbox).run(kills, seed, tell)
    finally:
        smtp.stop()


class _Harness:
    """A server that dies, and the books that are kept beside it."""

    def __init__(self, folder: Path, smtp_url: str, inbox: Inbox) -> None:
        self.fault = folder / "fault"
        self.inbox = inbox
        self.books = Books()
        self.report = Report()
        self.server = JupyterServer(
            folder,
            [
                "--config",
                str(CONFIG),
                "--PDFlow.max_kernels=4",
                f"--PDFlow.smtp_url={smtp_url}",
            ],
            env={faults.VARIABLE: str(self.fault), faults.LOAD_VARIABLE: str(load_of(0))},
        )

    def run(self, kills: int, seed: int, tell: Tell) -> Report:
        chance = random.Random(seed)
        with self.server as server:
            deploy(
                server, self.books, "first", partial(server.http.request, headers=server.headers)
            )
            for number in range(kills):
                moment = choose(chance, number)
                self.die(moment, chance, f"{seed}-{number}")
                self.report.kills[moment.kind] += 1
                server.env[faults.LOAD_VARIABLE] = str(load_of(number + 1))
                server.start()
                self.check_alive()
                tell(f"{number + 1} of {kills} ({moment}): {len(self.books.runs)} runs, all right")
            self.settle()
            self.check_mails()
        self.count()
        return self.report

    # --- dying ------------------------------------------------------------------------

    def die(self, moment: Moment, chance: random.Random, seed: str) -> None:
        """Have the server, which runs, die at that moment under load."""
        if moment.starting:
            self.server.kill()
        if moment.point:
            self.arm(f"{moment.point}:{moment.number}")
        if not moment.starting or self.starts():
            self.load_until_dead(moment, chance, seed)
        self.server.kill()
        self.fault.unlink(missing_ok=True)

    def arm(self, words: str) -> None:
        new = self.fault.with_suffix(".new")
        new.write_text(words)
        new.replace(self.fault)

    def starts(self) -> bool:
        """Start the server; tell whether it lived to answer, overdue timers and all."""
        try:
            self.server.start()
        except RuntimeError:
            return False
        return True

    def load_until_dead(self, moment: Moment, chance: random.Random, seed: str) -> None:
        stop = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as clients:
            jobs = [
                clients.submit(Client(self.server, self.books, f"{seed}-{n}").run, stop)
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
        """List all runs; each one that was ordered is among them."""
        runs: list[dict[str, Any]] = []
        canceled, more = self.books.canceled(), True
        while more:
            before = f"&before={runs[-1]['id']}" if runs else ""
            answer = self.server.api("GET", f"/runs?limit={PAGE}{before}")
            assert answer.is_success, f"{answer.text}; its log:\n{self.server.log()}"
            runs += answer.json()
            more = len(answer.json()) == PAGE
        for run in runs:
            if run["id"] not in self.books.runs:
                self.books.enter(self.server.get_run(run["id"]))
            self.books.see(run, canceled)
        assert {run["id"] for run in runs} == set(self.books.runs), "a run is lost"
        return runs

    def check_alive(self) -> None:
        """Check a server that has just come back: every run is there, once, as it was."""
        self.all_runs()
        data_dir = self.server.data_dir
        left = [path for path in data_dir.rglob("*") if path.suffix == ".unreadable"]
        assert not left, f"left behind: {left}"
        wait_until(lambda: not half_written(data_dir), "no temporary file is left")
        active = set(os.listdir(data_dir / "active"))
        in_both = active & set(os.listdir(data_dir / "finished"))
        assert not in_both & set(os.listdir(data_dir / "active")), "a run is in two folders"

    def settle(self) -> None:
        """Let every run go through to its end, and check each."""
        wait_until(self.all_ended, "all runs have ended", 120)
        for run_id in self.books.runs:
            check(self.books, self.server.get_run(run_id))
        assert os.listdir(self.server.data_dir / "active") == []
        filed = {path.stem for path in (self.server.data_dir / "finished").iterdir()}
        assert filed == set(self.books.runs)

    def all_ended(self) -> bool:
        """Tell whether all runs have ended; those that wait for an answer get it."""
        runs = self.all_runs()
        for run in runs:
            if run["pause"] is not None and run["pause"]["step"] == "ask":
                link, payload = run["pause"]["resume_url"], f"settled {run['id']}"
                status = self.server.http.post(link, json={"id": payload}).status_code
                self.books.runs[run["id"]].sent[payload] = (link, status)
        return all(run["status"] in ("succeeded", "failed", "canceled") for run in runs)

    def check_mails(self) -> None:
        """Check that each run's mail is there once, and was delivered under one Message-ID."""
        mail, wanted = self.server.data_dir / "mail", {f"{run}-1-0-0" for run in self.books.runs}
        wait_until(lambda: not os.listdir(mail / "queued"), "all mails are delivered", 60)
        assert sorted(path.stem for path in (mail / "done").iterdir()) == sorted(wanted)
        delivered = {found["Message-ID"] for found in self.inbox.mails}
        assert delivered == {f"<{letter}@jupyter-pdflow>" for letter in wanted}

    def count(self) -> None:
        answers = [
            status for book in self.books.runs.values() for _, status in book.sent.values()
        ] + list(self.books.orders.values())
        self.report.unanswered = answers.count(None)
        self.report.answered = len(answers) - answers.count(None)
        self.report.runs = len(self.books.runs)
        self.report.mails = len(self.inbox.mails)


def half_written(data_dir: Path) -> list[Path]:
    """List the temporary files; those that a writer keeps to be used again are none."""
    return [path for path in data_dir.rglob("*.tmp") if path.parent.name != spares.FOLDER]


def load_of(number: int) -> int:
    """Tell who writes in the life that ends with a kill: both ways have all kinds of kills."""
    return LOADS[number // 2 % 2]


def choose(chance: random.Random, number: int) -> Moment:
    """Choose how the server dies: at a moment in time, or at a point of its code."""
    load = load_of(number)
    if number % 3 == 0:
        return Moment("", chance.uniform(0.05, 1.5), starting=False, load=load)
    point = chance.choice(list(MOST_TIMES))
    times = chance.randint(1, MOST_TIMES[point])
    return Moment(point, times, starting=number % 6 == 5, load=load)
