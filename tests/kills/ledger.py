"""What a client was told, against which a server that was killed is checked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jupyter_pdflow.rules.execution import next_runs
from tests.kills.flows import MAX_RETRIES, STEPS

SEGMENT_MS = 30_000
"""One credit pays for this much compute time."""


@dataclass
class Book:
    """All that is known of one run; `sent` maps each payload to the answer it got, if any."""

    version: str
    sent: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    canceled: bool = False
    cancel_tried: bool = False
    deadlines: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The step and the deadline of each pause that was seen, by its link's token."""


class Books:
    """The runs that were ordered, and the marks of the versions that were deployed.

    `orders` maps the event of each run that was asked for to the run's id, once it is known:
    a request may be in effect also where the server died before it answered.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: dict[str, Book] = {}
        self.orders: dict[str, str | None] = {}
        self.marks: set[str] = set()

    def enter(self, run: dict[str, Any]) -> None:
        """Take note of a run that was ordered, and check that it is the only one."""
        with self.lock:
            assert run["event"] in self.orders, f"nobody ordered it: {run}"
            known = self.orders[run["event"]]
            assert known in (None, run["id"]), f"ordered once, and there twice: {run}"
            self.orders[run["event"]] = run["id"]
            self.runs.setdefault(run["id"], Book(run["version"]))

    def canceled(self) -> set[str]:
        """List the runs of which it is known by now that they are canceled."""
        return {run_id for run_id, book in list(self.runs.items()) if book.canceled}

    def see(self, run: dict[str, Any], canceled: set[str]) -> None:
        """Take note of the pause of a run that is known, and check it against an earlier look.

        Parameters
        ----------
        run : dict
            A run as it was answered.
        canceled : set of str
            What `canceled` said before the request was sent.
        """
        book, pause = self.runs[run["id"]], run["pause"]
        assert run["version"] == book.version, f"it changed its version: {run}"
        assert run["id"] not in canceled or run["status"] == "canceled", f"it was canceled: {run}"
        if pause is None:
            return
        token, now = pause["resume_url"].rpartition("/")[2], (pause["step"], pause["deadline"])
        with self.lock:
            assert book.deadlines.setdefault(token, now) == now, f"the deadline moved: {run}"


def check(books: Books, run: dict[str, Any]) -> None:
    """Check what a run has become against what its client was told.

    Raises
    ------
    AssertionError
    """
    book = books.runs[run["id"]]
    assert run["version"] == book.version
    assert run["status"] in ("succeeded", "canceled"), run
    assert (run["status"] == "canceled") <= book.cancel_tried, run
    assert book.canceled <= (run["status"] == "canceled"), run
    used = payloads(run)
    assert len(used) == len(set(used)), f"a payload was used twice: {run}"
    assert set(used) <= set(book.sent), run
    for payload, (_, status) in book.sent.items():
        if status == 200:
            assert payload in used or run["status"] == "canceled", f"{payload} is lost: {run}"
        if status == 410:
            assert payload not in used, f"{payload} was refused, and used: {run}"
    one_winner_per_link(book)
    check_deadlines(book, run)
    if run["status"] == "succeeded":
        check_steps(run, books.marks)


def check_deadlines(book: Book, run: dict[str, Any]) -> None:
    """Check that no pause timed out before its time."""
    deadlines = dict(book.deadlines.values())
    for step in run["steps"]:
        timed_out = step["exports"].get("$resume_data", "") is None
        if timed_out and step["name"] in deadlines:
            deadline = datetime.fromisoformat(deadlines[step["name"]])
            assert datetime.fromisoformat(step["ended_at"]) >= deadline, f"too early: {run}"


def one_winner_per_link(book: Book) -> None:
    accepted = [link for link, status in book.sent.values() if status == 200]
    assert len(accepted) == len(set(accepted)), f"two winners: {book}"


def payloads(run: dict[str, Any]) -> list[str]:
    """List the payloads that the run's steps were given, in order."""
    found = []
    for step in run["steps"]:
        request = step["exports"].get("$resume_data")
        found += [request["body"]["id"]] if request else []
        for _, body in (step["exports"].get("$return_value") or {}).get("seen", []):
            found += [body["id"]] if body else []
    return found


def check_steps(run: dict[str, Any], marks: set[str]) -> None:
    """Check version, counters and credits of a run that went through."""
    assert [step["name"] for step in run["steps"]] == list(STEPS)
    wakings, used = 0, set()
    for step in run["steps"]:
        value = step["exports"]["$return_value"]
        used.add(value["mark"])
        wakings += 1 if "$resume_data" in step["exports"] else len(value.get("seen", [0])) - 1
        check_numbers(value.get("seen", []))
    assert len(used & marks) == len(used) == 1, f"it did not stay on its version: {run}"
    usage = run["usage"]
    assert usage["credits"] == wakings + 1 or usage["compute_ms"] >= SEGMENT_MS, run
    assert usage["credits"] * SEGMENT_MS >= usage["compute_ms"]
    life = datetime.fromisoformat(run["updated_at"]) - datetime.fromisoformat(run["created_at"])
    assert usage["compute_ms"] + usage["paused_ms"] <= life.total_seconds() * 1000 + 2


def check_numbers(seen: list[Any]) -> None:
    """Check the numbers that a rerun step saw, callbacks and timers as they came."""
    number = 0
    for index, (runs, body) in enumerate(seen):
        called_back = body is not None
        number = 1 if index == 0 else next_runs(number, MAX_RETRIES, called_back=called_back)
        assert runs == number, f"the numbers of runs are off: {seen}"
