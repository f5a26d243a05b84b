"""Kill a real server under load, again and again, and check the books each time."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.kills import faults
from tests.kills.books import Books, check
from tests.kills.load import CLIENTS, Client, deploy
from tests.servers import JupyterServer, wait_until

Tell = Callable[[str], None]
CONFIG = Path(faults.__file__)


@dataclass
class Report:
    """What the kills came to."""

    kills: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    answered: int = 0
    unanswered: int = 0


def kill_and_check(folder: Path, kills: int, seed: int, tell: Tell = lambda _: None) -> Report:
    """Kill a server `kills` times under load and check that nothing is lost.

    Raises
    ------
    AssertionError
        Something was lost, done twice, or left behind.
    """
    chance, books, report = random.Random(seed), Books(), Report()
    server = JupyterServer(folder, ["--config", str(CONFIG), "--PDFlow.max_kernels=2"])
    with server:
        marked(server, books, "first")
        for number in range(kills):
            moment = choose(chance, number)
            server.kill()
            if started_with(server, moment):
                load_until_dead(server, books, chance, f"{seed}-{number}", moment)
            kind = moment.partition(":")[0].partition(" ")[0]
            report.kills[kind] = report.kills.get(kind, 0) + 1
            started_with(server, "none:0")
            check_alive(server, books)
            tell(f"kill {number + 1} of {kills} ({moment}): {len(books.runs)} runs, books right")
        settle(server, books)
    for book in books.runs.values():
        answers = [status for _, status in book.sent.values()]
        report.unanswered += answers.count(None)
        report.answered += len(answers) - answers.count(None)
    report.runs = len(books.runs)
    return report


def started_with(server: JupyterServer, moment: str) -> bool:
    """Start the server with a fault; tell whether it lived to answer, overdue timers and all."""
    server.env["PDFLOW_TEST_FAULT"] = moment if ":" in moment else "none:0"
    try:
        server.start()
    except RuntimeError:
        assert moment != "none:0", "the server does not start"
        return False
    return True


def choose(chance: random.Random, number: int) -> str:
    """Choose how the server dies: at a moment in time, or at a point of its code."""
    if number % 2:
        return f"{chance.choice(faults.POINTS)}:{chance.randint(1, 12)}"
    return f"time {chance.uniform(0.05, 1.5):.2f} s"


def load_until_dead(
    server: JupyterServer, books: Books, chance: random.Random, seed: str, moment: str
) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as clients:
        jobs = [
            clients.submit(Client(server, books, f"{seed}-{n}").run, stop) for n in range(CLIENTS)
        ]
        try:
            if ":" in moment:
                wait_until(lambda: server.process.poll() is not None, moment, 60)  # type: ignore[union-attr]
            else:
                time.sleep(float(moment.split()[1]))
            server.kill()
        finally:
            stop.set()
        for job in jobs:
            job.result()


def check_alive(server: JupyterServer, books: Books) -> None:
    """Check a server that has just come back: every run is there, once, as it was."""
    folders = {name: set(os.listdir(server.data_dir / name)) for name in ("active", "finished")}
    assert not folders["active"] & folders["finished"], "a run is in two folders"
    left = [path for path in server.data_dir.rglob("*") if path.suffix in (".tmp", ".unreadable")]
    assert not left, f"left behind: {left}"
    for run_id, book in books.runs.items():
        run = server.get_run(run_id)
        books.see(run)
        assert run["version"] == book.version
        if book.canceled:
            assert run["status"] == "canceled", run


def settle(server: JupyterServer, books: Books) -> None:
    """Let every run go through to its end, and check each."""
    left = set(books.runs)

    def all_ended() -> bool:
        left.difference_update([run_id for run_id in left if has_ended(server, books, run_id)])
        return not left

    wait_until(all_ended, "all runs have ended", 120)
    for run_id in books.runs:
        check(books, server.get_run(run_id))
    assert not os.listdir(server.data_dir / "active")
    known = {f"{run_id}.json" for run_id in books.runs}
    assert known <= set(os.listdir(server.data_dir / "finished"))


def has_ended(server: JupyterServer, books: Books, run_id: str) -> bool:
    """Tell whether a run has ended; one that waits for an answer gets it."""
    run = server.get_run(run_id)
    if run["pause"] is not None and run["pause"]["step"] == "ask":
        link, book = run["pause"]["resume_url"], books.runs[run_id]
        payload = f"settled {run_id}"
        book.sent[payload] = (link, None)
        book.sent[payload] = (link, server.http.post(link, json={"id": payload}).status_code)
    return run["status"] in ("succeeded", "failed", "canceled")


def marked(server: JupyterServer, books: Books, mark: str) -> None:
    """Deploy the first version."""
    deploy(server, books, mark, partial(server.http.request, headers=server.headers))
