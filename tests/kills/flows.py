"""The workflow of the kill tests: a step with an email and a pause, a timed pause, and reruns."""

from __future__ import annotations

MAX_RETRIES = 3
STEPS = ("ask", "confirm", "work")

ASK = """%%step ask
def handler(pd):
    urls = pd.flow.suspend(600_000)
    print("asked")
    pd.send.email(subject="Please", text=urls["resume_url"], to="someone@example.org")
    return {"mark": MARK}
"""
CONFIRM = """%%step confirm
def handler(pd):
    pd.flow.suspend(1_500)
    return {"mark": MARK}
"""
WORK = f"""%%step work
def handler(pd):
    run = pd.context.run
    request = run.get("callback_request")
    seen = (run.context or []) + [[run.runs, request and request.body]]
    pd.flow.rerun(300, seen, {MAX_RETRIES})
    return {{"mark": MARK, "seen": seen}}
"""


def cells(mark: str) -> list[str]:
    """Return the notebook's cells; each `mark` makes another version."""
    return [f"MARK = {mark!r}", ASK, CONFIRM, WORK]
