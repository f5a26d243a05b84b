"""What a client was told, against which a server that was killed is checked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jupyter_pdflow.rules.moves import next_runs
from tests.kills.flows import MAX_RETRIES, STEPS

Place = tuple[str, str]
"""A step and the link that was used for it."""


@dataclass
class Book:
    """All that is known of one run; `sent` maps each payload to the answer it got, if any."""

    version: str
    sent: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    canceled: bool = False
    cancel_tried: bool = False
    deadlines: dict[str, str] = field(default_factory=dict)


class Books:
    """The runs that were started, and the versions that were deployed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: dict[str, Book] = {}
        self.marks: dict[str, str] = {}

    def see(self, run: dict[str, Any]) -> None:
        """Take note of a pause, and check it against an earlier look at the same pause."""
        pause = run["pause"]
        if pause is None:
            return
        with self.lock:
            known = self.runs[run["id"]].deadlines.setdefault(
                pause["resume_url"].rpartition("/")[2], pause["deadline"]
            )
        assert known == pause["deadline"], f"the deadline of {run['id']} moved"


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
    if run["status"] == "succeeded":
        check_steps(run, books.marks[book.version])


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


def check_steps(run: dict[str, Any], mark: str) -> None:
    """Check counters, credits and deadlines of a run that went through."""
    assert [step["name"] for step in run["steps"]] == list(STEPS)
    wakings = 0
    for step in run["steps"]:
        value = step["exports"]["$return_value"]
        assert value["mark"] == mark, "it finished on another version"
        wakings += 1 if "$resume_data" in step["exports"] else len(value.get("seen", [0])) - 1
        check_numbers(value.get("seen", []))
    usage = run["usage"]
    assert usage["credits"] >= wakings + 1
    assert usage["credits"] * 30_000 >= usage["compute_ms"]
    life = datetime.fromisoformat(run["updated_at"]) - datetime.fromisoformat(run["created_at"])
    assert usage["compute_ms"] + usage["paused_ms"] <= life.total_seconds() * 1000 + 2


def check_numbers(seen: list[Any]) -> None:
    """Check the numbers that a rerun step saw, callbacks and timers as they came."""
    number = 0
    for index, (runs, body) in enumerate(seen):
        called_back = body is not None
        number = 1 if index == 0 else next_runs(number, MAX_RETRIES, called_back=called_back)
        assert runs == number, f"the numbers of runs are off: {seen}"
