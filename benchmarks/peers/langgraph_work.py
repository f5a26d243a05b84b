"""Resumes runs of LangGraph: ``python langgraph_work.py COUNT FOLDER`` prints times as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

WARM_UP = 10


class State(TypedDict):
    approved: bool
    began: int


def ask(_: State) -> dict[str, Any]:
    return {"approved": interrupt("approve?")}


def go(_: State) -> dict[str, Any]:
    now = time.time_ns()
    return {"began": now}


def main() -> None:
    count, folder = int(sys.argv[1]) + WARM_UP, Path(sys.argv[2])
    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_node("go", go)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "go")
    graph.add_edge("go", END)
    with SqliteSaver.from_conn_string(str(folder / "langgraph.sqlite")) as saver:
        work = graph.compile(checkpointer=saver)
        threads: list[Any] = [{"configurable": {"thread_id": str(n)}} for n in range(count)]
        for thread in threads:
            work.invoke({}, thread)
        times = [resume(work, thread) for thread in threads][WARM_UP:]
    first_lines, whole = zip(*times, strict=True)
    print(json.dumps({"first_line": first_lines, "whole": whole}))


def resume(work: Any, thread: Any) -> tuple[float, float]:
    """Return the milliseconds until the next node's first line, and until the run has ended."""
    sent = time.time_ns()
    state = work.invoke(Command(resume=True), thread)
    return (state["began"] - sent) / 1e6, (time.time_ns() - sent) / 1e6


main()
