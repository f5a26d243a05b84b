"""The ledger: what clients were answered. A server that was killed is checked against it."""

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
class LedgerEntry:
    """What clients know of one run; `sent` maps each payload to its link and the status, if any."""

    version: str
    sent: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    canceled: bool = False
    cancel_tried: bool = False
    deadlines: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The step and the deadline of each pause that was read, by its link's token."""


class Ledger:
    """The runs that were started, and the marks of the versions that were deployed.

    `starts` maps the event of each requested run to the run's id, or to None if it is not known:
    a server may die after it has stored a run and before it has answered.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: dict[str, LedgerEntry] = {}
        self.starts: dict[str, str | None] = {}
        self.marks: set[str] = set()

    def add(self, run: dict[str, Any]) -> None:
        """Add a run, and check that it is the only one of its start."""
        with self.lock:
            assert run["event"] in self.starts, f"no client started it: {run}"
            known = self.starts[run["event"]]
            assert known in (None, run["id"]), f"started once, and there twice: {run}"
            self.starts[run["event"]] = run["id"]
            self.runs.setdefault(run["id"], LedgerEntry(run["version"]))

    def canceled(self) -> set[str]:
        """Return the ids of the runs that are known to be canceled."""
        return {run_id for run_id, entry in list(self.runs.items()) if entry.canceled}

    def check_again(self, run: dict[str, Any], canceled: set[str]) -> None:
        """Check a known run against what was read of it before, and note its pause.

        Parameters
        ----------
        run : dict
            The run in an answer of the server.
        canceled : set of str
            What `canceled` returned before the request was sent.
        """
        entry, pause = self.runs[run["id"]], run["pause"]
        assert run["version"] == entry.version, f"it changed its version: {run}"
        assert run["id"] not in canceled or run["status"] == "canceled", f"it was canceled: {run}"
        if pause is None:
            return
        token, now = pause["resume_url"].rpartition("/")[2], (pause["step"], pause["deadline"])
        with self.lock:
            assert entry.deadlines.setdefault(token, now) == now, f"the deadline moved: {run}"


def check(ledger: Ledger, run: dict[str, Any]) -> None:
    """Check a run that has ended against the answers that clients had.

    Raises
    ------
    AssertionError
        The run contradicts an answer.
    """
    entry = ledger.runs[run["id"]]
    assert run["version"] == entry.version
    assert run["status"] in ("succeeded", "canceled"), run
    assert (run["status"] == "canceled") <= entry.cancel_tried, run
    assert entry.canceled <= (run["status"] == "canceled"), run
    used = payloads(run)
    assert len(used) == len(set(used)), f"a payload was used twice: {run}"
    assert set(used) <= set(entry.sent), run
    for payload, (_, status) in entry.sent.items():
        if status == 200:
            assert payload in used or run["status"] == "canceled", f"{payload} is lost: {run}"
        if status == 410:
            assert payload not in used, f"{payload} was refused, and used: {run}"
    check_one_winner_per_link(entry)
    check_deadlines(entry, run)
    if run["status"] == "succeeded":
        check_steps(run, ledger.marks)


def check_deadlines(entry: LedgerEntry, run: dict[str, Any]) -> None:
    """Check that no pause timed out before its time."""
    deadlines = dict(entry.deadlines.values())
    for step in run["steps"]:
        timed_out = step["exports"].get("$resume_data", "") is None
        if timed_out and step["name"] in deadlines:
            deadline = datetime.fromisoformat(deadlines[step["name"]])
            assert datetime.fromisoformat(step["ended_at"]) >= deadline, f"too early: {run}"


def check_one_winner_per_link(entry: LedgerEntry) -> None:
    accepted = [link for link, status in entry.sent.values() if status == 200]
    assert len(accepted) == len(set(accepted)), f"two winners: {entry}"


def payloads(run: dict[str, Any]) -> list[str]:
    """Return the payloads that the run's steps were given, in order."""
    found = []
    for step in run["steps"]:
        request = step["exports"].get("$resume_data")
        found += [request["body"]["id"]] if request else []
        for _, body in (step["exports"].get("$return_value") or {}).get("seen", []):
            found += [body["id"]] if body else []
    return found


def check_steps(run: dict[str, Any], marks: set[str]) -> None:
    """Check version, counters and credits of a run that succeeded."""
    assert [step["name"] for step in run["steps"]] == list(STEPS)
    wakings, used = 0, set()
    for step in run["steps"]:
        value = step["exports"]["$return_value"]
        used.add(value["mark"])
        wakings += 1 if "$resume_data" in step["exports"] else len(value.get("seen", [0])) - 1
        check_numbers(value.get("seen", []))
    assert len(used & marks) == len(used) == 1, f"it did not keep its version: {run}"
    usage = run["usage"]
    assert usage["credits"] == wakings + 1 or usage["compute_ms"] >= SEGMENT_MS, run
    assert usage["credits"] * SEGMENT_MS >= usage["compute_ms"]
    life = datetime.fromisoformat(run["updated_at"]) - datetime.fromisoformat(run["created_at"])
    assert usage["compute_ms"] + usage["paused_ms"] <= life.total_seconds() * 1000 + 2


def check_numbers(seen: list[Any]) -> None:
    """Check the numbers of runs that a rerun step was given, by callbacks and timers."""
    number = 0
    for index, (runs, body) in enumerate(seen):
        called_back = body is not None
        number = 1 if index == 0 else next_runs(number, MAX_RETRIES, called_back=called_back)
        assert runs == number, f"the numbers of runs are wrong: {seen}"
