"""The argument ``pd`` of a handler, with ``pd.files`` and ``pd.send``."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn
from unicodedata import category

from jupyter_pdflow.exceptions import ExportError, FolderError, MissingAttributeError
from jupyter_pdflow.pd.attrs import Attrs, PdPart, Scope, attrs, no_attribute
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.pd.flow import Flow
from jupyter_pdflow.pd.inputs import Inputs
from jupyter_pdflow.rules.addresses import UNSAFE_CATEGORIES, check_address
from jupyter_pdflow.rules.approvals import EMAILS_LIMIT
from jupyter_pdflow.rules.run import EmailRequest, Execution

SUBJECT_LIMIT = 1_000
"""Maximum number of characters of a subject; RFC 5322 limits a line to 998."""

BODY_LIMIT = 1_000_000
"""Maximum size of text and HTML together, in bytes. Mail servers cut or refuse larger ones."""

RECIPIENTS_LIMIT = 100
"""Maximum number of recipients: what every mail server accepts at once (RFC 5321)."""

TOTAL_LIMIT = 10_000_000
"""Maximum size of these emails together, in bytes. They are stored with the run."""


class Send(PdPart):
    """The method that sends emails.

    Attributes
    ----------
    emails : list of EmailRequest
        The emails that were asked for so far.
    """

    _name = "pd.send"

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.emails: list[EmailRequest] = []
        self._size = 0

    def email(
        self,
        subject: str,
        text: str = "",
        html: str | None = None,
        to: str | list[str] | None = None,
    ) -> None:
        """Send an email as soon as this step's outcome is stored, so that its links work.

        Parameters
        ----------
        subject : str
            One line, at most `SUBJECT_LIMIT` characters.
        text, html : str
            The body as plain text and, optionally, as HTML; together at most `BODY_LIMIT` bytes.
        to : str or list of str, optional
            At most `RECIPIENTS_LIMIT` addresses, such as ``ada@example.org`` or
            ``Ada Lovelace <ada@example.org>``; by default those in ``PDFlow.mail_to``.

        Raises
        ------
        TypeError
            An argument is not of the type above.
        ValueError
            `to` has an invalid address, `subject` is not one line, or a limit is exceeded. The
            message names the argument.
        ExportError
            A text contains half a surrogate pair.
        StepOverError
            The step is over.
        """
        self._scope.check("pd.send.email")
        email = EmailRequest(
            subject=_subject(subject),
            text=_text("text", text),
            html=None if html is None else _text("html", html),
            to=_addresses(to),
        )
        self._count(email)
        self.emails.append(email)

    def _count(self, email: EmailRequest) -> None:
        """Add an email to the size of all emails; raise `ValueError` if a limit is exceeded."""
        body = len(email.text.encode()) + len((email.html or "").encode())
        _check_limit("text and html", body, BODY_LIMIT, "bytes")
        size = self._size + body + len(email.subject.encode()) + len("".join(email.to).encode())
        _check_limit("the emails of this step", size, TOTAL_LIMIT, "bytes")
        _check_limit("this step", len(self.emails) + 1, EMAILS_LIMIT, "emails")
        self._size = size


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {type(value).__name__}"
        raise TypeError(msg)
    return str(to_json(value, name))


def _subject(value: object) -> str:
    text = _text("subject", value)
    _check_limit("subject", len(text), SUBJECT_LIMIT, "characters")
    if any(category(character) in UNSAFE_CATEGORIES and character != "\t" for character in text):
        msg = f"subject must be one line without control characters, not {text!r}"
        raise ValueError(msg)
    return text


def _addresses(value: object) -> list[str]:
    given = [] if value is None else value if isinstance(value, list | tuple) else [value]
    _check_limit("to", len(given), RECIPIENTS_LIMIT, "recipients")
    return [_address(address) for address in given]


def _address(value: object) -> str:
    address = _text("to", value)
    try:
        check_address(address)
    except ValueError as error:
        several = " For several recipients, pass a list." if address.count("@") > 1 else ""
        msg = f"to: {error}{several}"
        raise ValueError(msg) from None
    return address


def _check_limit(name: str, found: int, limit: int, unit: str) -> None:
    if found > limit:
        msg = f"{name} may have {limit:,} {unit} at most, not {found:,}"
        raise ValueError(msg)


RETURN_VALUE = "$return_value"
"""The name of the export that holds what a handler returned."""

FILES_ID_NAME = ".id"
"""The file in ``PDFlow.files_dir`` with the id of that folder."""

_INTERNAL = {"exception", "exports", "given_title", "scope"}
"""Attributes of `Pd` that are not for handlers."""


def run_folder(execution: Execution) -> Path:
    """Return the folder of the files of this execution's run; make it if it is missing.

    Raises
    ------
    FolderError
        This kernel does not see the server's folder.
    OSError
        The folder can't be made.
    """
    base = Path(execution.files_dir)
    # A kernel on another machine may have a folder of the same path. Files that a step saves there
    # are out of reach for later steps on other machines, so the id has to be the server's.
    if not execution.files_dir or _id_of(base) != execution.files_id:
        msg = (
            f"This kernel does not see {base}, where the server keeps the files of runs; set "
            "PDFlow.files_dir to a folder that the server and all kernels see at the same path."
        )
        raise FolderError(msg)
    folder = base / execution.run_id
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _id_of(base: Path) -> str | None:
    try:
        return (base / FILES_ID_NAME).read_text("ascii")
    except (OSError, ValueError):
        return None


def session_folder() -> Path:
    """Return the folder of this session's files in test mode; it is removed when Python ends."""
    if not _temporary_folder().is_dir():  # the user or a cleaner of /tmp has removed it
        _temporary_folder.cache_clear()
    return _temporary_folder()


@cache
def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pdflow-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, pid: int) -> None:
    """Remove a folder when the process with this id ends."""
    # A forked child has inherited the exit handler, and must not remove its parent's folder.
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


class Pd:
    """The argument of a handler: the data of its run, and the methods that steer it.

    Parameters
    ----------
    execution : Execution
        The execution that the handler is called for.
    test : bool
        Whether this is test mode; ``pd.context.test``.
    inputs : Inputs, optional
        ``pd.inputs``; by default it is read from this machine.
    folder : callable, optional
        Returns ``pd.files``; by default the folder of the run.

    Attributes
    ----------
    steps : Attrs
        ``trigger`` with the run's event, and the exports of the earlier steps, by step name.
    inputs : Inputs
        The environment and the secrets of ``inputs.toml``.
    context : Attrs
        Ids and counters of this execution and its run.
    flow : Flow
        Pauses the run, runs the step again, or ends the run.
    send : Send
        Sends emails.
    exports : dict
        The exports of this step so far, as plain JSON.
    given_title : str or None
        The argument of `title`.
    exception : BaseException or None
        The exception of the handler, with only the author's frames in its traceback.
    scope : Scope
        Ends when the step ends.
    """

    def __init__(
        self,
        execution: Execution,
        *,
        test: bool = False,
        inputs: Inputs | None = None,
        folder: Callable[[], Path] | None = None,
    ) -> None:
        self.steps = _steps(execution, test=test)
        self.inputs = Inputs() if inputs is None else inputs
        self.context = _context(execution, test=test)
        self.scope = Scope()
        self.flow = Flow(execution, self.scope)
        self.send = Send(self.scope)
        self._folder = folder or partial(run_folder, execution)
        self.exports: dict[str, Any] = {}
        self.given_title: str | None = None
        self.exception: BaseException | None = None

    def __repr__(self) -> str:
        return f"<pd of {self.context.workflow_name}, run {self.context.trace_id}>"

    def __getattr__(self, name: str) -> NoReturn:
        """Raise an error that lists what `pd` has, or explains that `pd` is not pandas."""
        present = {*vars(Pd), *vars(self)} - _INTERNAL
        raise MissingAttributeError(_no_attribute(name, present))

    @property
    def files(self) -> Path:
        """A folder of this run's files, made at first use and kept until the run is deleted.

        Raises
        ------
        FolderError
            This kernel does not see the server's folder.
        StepOverError
            The step is over.
        """
        self.scope.check("pd.files")
        return self._folder()

    def export(self, name: str, value: Any) -> None:
        """Export a value; later steps read it as ``pd.steps["this step"]["name"]``.

        Parameters
        ----------
        name : str
            Any text that does not begin with a ``$``.
        value : JSON value
            Also a value that `jupyter_pdflow.pd.exports.to_json` converts.

        Raises
        ------
        ExportError
            The name begins with a ``$``, or the value can't be converted to JSON.
        StepOverError
            The step is over.
        """
        self.scope.check("pd.export")
        self.exports[_export_name(name)] = to_json(value, str(name), self.scope.warn)

    def title(self, text: str) -> None:
        """Name this run in lists and on pages, in place of the title that it would get.

        Parameters
        ----------
        text : str
            One line; what is beyond `jupyter_pdflow.rules.titles.TITLE_LIMIT` is cut.

        Raises
        ------
        TypeError
            `text` is not a str.
        ExportError
            `text` contains half a surrogate pair.
        StepOverError
            The step is over.
        """
        self.scope.check("pd.title")
        self.given_title = _text("title", text)[:SUBJECT_LIMIT]

    def respond(self, response: Any = None) -> None:  # noqa: ARG002  no request waits for it
        """Write a warning: no HTTP request waits for an answer of this run."""
        self.scope.check("pd.respond")
        self.scope.warn(
            "pd.respond does nothing here: no HTTP request that waits for an answer started this "
            "run."
        )


def _no_attribute(name: str, present: set[str]) -> str:
    # `sys.modules`, so that pandas is not imported for the sake of a message.
    if not name.startswith("_") and hasattr(sys.modules.get("pandas"), name):
        return (
            f"pd has no {name!r}: pd is the argument of this step's handler here, not pandas; "
            f"import pandas under another name, such as `import pandas`, and write pandas.{name}."
        )
    return no_attribute("pd", name, present)


def _export_name(name: object) -> str:
    if isinstance(name, str) and name and not name.startswith("$"):
        return str(to_json(name, "name"))
    msg = f"The name of an export must be a str that does not begin with a $, not {name!r}."
    raise ExportError(msg)


def _steps(execution: Execution, *, test: bool) -> Attrs:
    earlier = {name: _step_values(exports) for name, exports in execution.steps.items()}
    trigger = {"event": execution.event, "context": _trigger_context(execution, test=test)}
    return Attrs(trigger=attrs(trigger), **earlier)


def _trigger_context(execution: Execution, *, test: bool) -> dict[str, Any]:
    """Return what Pipedream has in ``steps["trigger"]["context"]``."""
    return {
        "id": execution.run_id,
        "ts": _rfc3339(execution.ts),
        "workflow_id": execution.workflow_id,
        "workflow_name": execution.workflow_name,
        "test": test,
    }


def _step_values(exports: dict[str, Any]) -> Any:
    """Return a step's exports and, for names that no export has, the keys of its return value."""
    value = exports.get(RETURN_VALUE)
    direct = value if isinstance(value, dict) else {}
    return attrs({RETURN_VALUE: None, **direct, **exports})


def _context(execution: Execution, *, test: bool) -> Attrs:
    run = {"runs": execution.runs, "context": execution.context}
    if execution.called_back:
        run["callback_request"] = execution.callback_request
    context: Attrs = attrs(
        {
            "id": execution.id,
            "trace_id": execution.run_id,
            "ts": _rfc3339(execution.ts),
            "workflow_id": execution.workflow_id,
            "workflow_name": execution.workflow_name,
            "version": execution.version,
            "test": test,
            "attempt": execution.attempt,
            "run": run,
        }
    )
    return context


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
