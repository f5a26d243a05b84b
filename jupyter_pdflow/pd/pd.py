"""The argument ``pd`` of a handler, and the folder of files of its run."""

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

from jupyter_pdflow.exceptions import ExportError, FolderError, MissingAttributeError
from jupyter_pdflow.pd.attrs import Attrs, Scope, attrs, no_attribute
from jupyter_pdflow.pd.exports import to_json
from jupyter_pdflow.pd.flow import Flow
from jupyter_pdflow.pd.inputs import Inputs
from jupyter_pdflow.pd.send import Send
from jupyter_pdflow.rules.run import Execution

MARK = ".id"
"""The file in ``PDFlow.files_dir`` whose text tells that folder from another of the same path."""


def run_folder(execution: Execution) -> Path:
    """Return the folder of the files of this execution's run; it is made at first use.

    A kernel on another machine may have a folder of the same path that is not the server's: what
    a step saved there, no other step would find.

    Raises
    ------
    FolderError
        This kernel does not see the server's folder.
    OSError
        The folder can't be made.
    """
    base = Path(execution.files_dir)
    if not execution.files_dir or _mark(base) != execution.files_id:
        msg = (
            f"This kernel does not see {base}, where the server keeps the files of runs; set "
            "PDFlow.files_dir to a folder that the server and all kernels see at the same path."
        )
        raise FolderError(msg)
    folder = base / execution.run_id
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _mark(base: Path) -> str | None:
    try:
        return (base / MARK).read_text("ascii")
    except (OSError, ValueError):
        return None


def session_folder() -> Path:
    """Return the folder of this session's files in test mode; it is removed when Python ends."""
    if not _made().is_dir():  # removed by hand, or by what cleans up temporary files
        _made.cache_clear()
    return _made()


@cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pdflow-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, pid: int) -> None:
    """Remove a folder, but not in a child process that was forked meanwhile."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


RETURN_VALUE = "$return_value"
_INTERNAL = {"exception", "exports", "scope"}
"""Attributes that are not the author's."""


class Pd:
    """What a handler can see and do.

    Parameters
    ----------
    execution : Execution
        What the handler is called for.
    test : bool
        Whether this is test mode; ``pd.context.test``.
    inputs : Inputs, optional
        ``pd.inputs``.
    folder : callable, optional
        Returns ``pd.files``, where that is not the folder of a run.

    Attributes
    ----------
    steps : Attrs
        The exports of the steps before this one, and ``trigger``.
    context : Attrs
        Which execution this is.
    flow : Flow
        Pause, run again, end.
    send : Send
        Send mail.
    exports : dict
        What has been exported, as plain JSON.
    exception : BaseException or None
        What the handler raised, its traceback cut down to the author's frames.
    scope : Scope
        Whether the step is over.
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
        self.exception: BaseException | None = None

    def __repr__(self) -> str:
        return f"<pd of {self.context.workflow_name}, run {self.context.trace_id}>"

    def __getattr__(self, name: str) -> NoReturn:
        """Say what `pd` is, above all where the author takes it for pandas."""
        there = {*vars(Pd), *vars(self)} - _INTERNAL
        raise MissingAttributeError(_no_attribute(name, there))

    @property
    def files(self) -> Path:
        """A folder of this run, made at first use and kept until the run is deleted.

        Raises
        ------
        FolderError
            This kernel does not see the folder that the server means.
        StepOverError
            The step is over.
        """
        self.scope.check("pd.files")
        return self._folder()

    def export(self, name: str, value: Any) -> None:
        """Keep a value for later steps: ``pd.steps["this step"]["name"]``.

        Parameters
        ----------
        name : str
            Any name that does not begin with a ``$``.
        value : JSON value
            Or what `jupyter_pdflow.pd.exports.to_json` converts.

        Raises
        ------
        ExportError
            The name is reserved, or the value can't be written as JSON.
        StepOverError
            The step is over.
        """
        self.scope.check("pd.export")
        self.exports[_export_name(name)] = to_json(value, str(name), self.scope.warn)

    def respond(self, response: Any = None) -> None:  # noqa: ARG002  no request waits for it
        """Do nothing but warn: no HTTP request that waits for an answer started this run."""
        self.scope.check("pd.respond")
        self.scope.warn(
            "pd.respond does nothing here: no HTTP request that waits for an answer started this "
            "run."
        )


def _no_attribute(name: str, there: set[str]) -> str:
    if not name.startswith("_") and hasattr(sys.modules.get("pandas"), name):
        return (
            f"pd has no {name!r}: pd is the argument of this step's handler here, not pandas; "
            f"import pandas under another name, such as `import pandas`, and write pandas.{name}."
        )
    return no_attribute("pd", name, there)


def _export_name(name: object) -> str:
    if isinstance(name, str) and name and not name.startswith("$"):
        return str(to_json(name, "name"))
    msg = f"The name of an export must be a str that does not begin with a $, not {name!r}."
    raise ExportError(msg)


def _steps(execution: Execution, *, test: bool) -> Attrs:
    before = {name: _readable(exports) for name, exports in execution.steps.items()}
    trigger = {"event": execution.event, "context": _trigger_context(execution, test=test)}
    return Attrs(trigger=attrs(trigger), **before)


def _trigger_context(execution: Execution, *, test: bool) -> dict[str, Any]:
    """Tell of the event that started the run what Pipedream's ``trigger.context`` tells."""
    return {
        "id": execution.run_id,
        "ts": _rfc3339(execution.ts),
        "workflow_id": execution.workflow_id,
        "workflow_name": execution.workflow_name,
        "test": test,
    }


def _readable(exports: dict[str, Any]) -> Any:
    """Add the keys of a returned dict to the exports, which win over them."""
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
