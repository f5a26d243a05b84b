"""The lines of ``%pdflow``."""

from __future__ import annotations

import json
from collections.abc import Callable
from textwrap import dedent
from typing import Any

from jupyter_pdflow.exceptions import BadRequestError
from jupyter_pdflow.notebook.display import publish_words
from jupyter_pdflow.notebook.session import Session

HELP = dedent("""\
    %pdflow test           step cells execute here, and pauses are only shown
    %pdflow event [JSON]   set the event of test mode, or show it
    %pdflow production     deploy the saved notebook; step cells show its latest run
    %pdflow run [JSON]     start a production run with that event
    %pdflow runs           show the notebook's production runs
    %pdflow load RUN       bring a run's exports and event into this session""")


def command(session: Session, line: str) -> None:
    """Do what a ``%pdflow`` line says.

    Raises
    ------
    BadRequestError
        There is no such line.
    PDFlowError
        What it says can't be done.
    """
    verb, _, rest = line.strip().partition(" ")
    action = _COMMANDS.get(verb)
    if action is None:
        msg = f"There is no `%pdflow {verb[:40]}`. These are the lines:\n{HELP}"
        raise BadRequestError(msg)
    action(session, rest.strip())


def _status(session: Session, rest: str) -> None:
    _check_empty("", rest)
    from jupyter_pdflow.notebook.display import publish

    text = f"This session is in {_mode(session)} mode.\n{HELP}"
    publish(text, f"<pre>{text}</pre>")


def _test(session: Session, rest: str) -> None:
    _check_empty("test", rest)
    session.production = False
    publish_words("Test mode: step cells execute here, and pauses are only shown.")


def _event(session: Session, rest: str) -> None:
    from jupyter_pdflow.notebook.display import publish
    from jupyter_pdflow.widgets.text import event_twins

    if rest:
        session.event = _json(rest, "event")
    publish(*event_twins(session.event))


def _production(session: Session, rest: str) -> None:
    _check_empty("production", rest)
    from jupyter_pdflow.notebook.production import deploy

    workflow = deploy(session)
    session.production = True
    publish_words(
        f"Production mode: {workflow['name']} is deployed as version {workflow['version']}. "
        "Step cells show its latest run; start one with `%pdflow run`."
    )
    for warning in workflow.get("warnings", ()):
        publish_words(warning)


def _run(_session: Session, rest: str) -> None:
    from jupyter_pdflow.notebook.production import start

    start(_json(rest, "run") if rest else {})


def _runs(_session: Session, rest: str) -> None:
    _check_empty("runs", rest)
    from jupyter_pdflow.notebook.production import show_runs

    show_runs()


def _load(session: Session, rest: str) -> None:
    if not rest or " " in rest:
        msg = "Name the run to load: `%pdflow load RUN`, with an id that `%pdflow runs` shows."
        raise BadRequestError(msg)
    from jupyter_pdflow.notebook.production import load_run

    names = load_run(session, rest)
    steps = ", ".join(names) or "no step yet"
    publish_words(f"Loaded the event and the exports ({steps}) of run {rest} into this session.")


_COMMANDS: dict[str, Callable[[Session, str], None]] = {
    "": _status,
    "test": _test,
    "event": _event,
    "production": _production,
    "run": _run,
    "runs": _runs,
    "load": _load,
}


def _mode(session: Session) -> str:
    return "production" if session.production else "test"


def _check_empty(verb: str, rest: str) -> None:
    if rest:
        msg = f"`%pdflow {verb}` takes nothing after it, not {rest[:40]!r}."
        raise BadRequestError(msg)


def _json(text: str, verb: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair
    except (ValueError, RecursionError) as error:
        msg = (
            f'The event is not JSON ({error}); write it as in `%pdflow {verb} {{"name": "value"}}`.'
        )
        raise BadRequestError(msg) from None
    return value


def _refuse_constant(name: str) -> None:
    msg = f"{name} is none of its values"
    raise ValueError(msg)
