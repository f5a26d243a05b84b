"""Every error that jupyter_pdflow raises, under one base class."""

from __future__ import annotations

from typing import Any


class PDFlowError(Exception):
    """Base of all errors of this package: one clear sentence that says what to do.

    Attributes
    ----------
    reason : str
        A short, stable, machine-readable name; the ``reason`` of a JSON error answer.
    status : int
        The HTTP status that the server answers with.
    """

    reason = "error"
    status = 400

    def _render_traceback_(self) -> list[str]:
        """Show one line in a notebook instead of a traceback into this package."""
        return [f"{type(self).__name__}: {self}"]


class NotebookError(PDFlowError):
    """The notebook can't be deployed as a workflow."""

    reason = "bad_notebook"
    status = 422


class StepError(PDFlowError):
    """A ``%%step`` cell is not a step: no name, no handler, or the name is taken."""

    reason = "bad_step"


class StepOverError(PDFlowError):
    """``pd`` was used after its step was over, by a thread or task that the step left behind."""

    reason = "step_over"


class KernelSpecError(PDFlowError):
    """The notebook's kernelspec is missing or its environment lacks this package."""

    reason = "bad_kernelspec"
    status = 422


class KernelError(PDFlowError):
    """A kernel did not start, died, or could not run the setup.

    Attributes
    ----------
    error : jupyter_pdflow.rules.run.Error or None
        What the author's setup raised.
    """

    reason = "kernel"
    status = 500

    def __init__(self, message: str, error: Any = None) -> None:
        super().__init__(message)
        self.error = error


class GatewayError(PDFlowError):
    """The kernel gateway ended without an answer, or can't be reached."""

    reason = "gateway"
    status = 503


class GatewayAwayError(GatewayError):
    """The kernel gateway can't be reached, or gives no kernels now; nothing was executed."""


class ExportError(PDFlowError, TypeError):
    """An export can't be written as JSON, or the run's exports are too large."""

    reason = "bad_export"


class InputsError(PDFlowError, KeyError):
    """``pd.inputs`` has no such key, or ``inputs.toml`` can't be used."""

    reason = "bad_inputs"

    __str__ = Exception.__str__


class FolderError(PDFlowError):
    """``pd.files`` can't be used: the kernel does not see the folder that the server means."""

    reason = "files"


class NotFoundError(PDFlowError):
    """No such run, workflow, mail or link."""

    reason = "not_found"
    status = 404


class BadRequestError(PDFlowError):
    """The request's body or query is not what the route takes."""

    reason = "bad_request"
    status = 400


class NotPausedError(PDFlowError):
    """The run is not paused, so there is nothing to resume."""

    reason = "not_paused"
    status = 409


class RunEndedError(PDFlowError):
    """The run has ended, so there is nothing to cancel."""

    reason = "ended"
    status = 409


class AlreadyDecidedError(PDFlowError):
    """The pause that a link was made for has been decided.

    Attributes
    ----------
    decision : jupyter_pdflow.rules.run.Decision
        Which decision came first, and when.
    """

    reason = "already_decided"
    status = 410

    def __init__(self, message: str, decision: Any) -> None:
        super().__init__(message)
        self.decision = decision


class StoredFileError(PDFlowError):
    """A file of the data directory can't be read."""

    reason = "unreadable"
    status = 500


class NewerFormatError(StoredFileError):
    """A file of the data directory was written by a newer version of this package."""


class DataDirLockedError(PDFlowError):
    """Another server holds the data directory."""

    reason = "locked"
    status = 503


class ServerNotFoundError(PDFlowError):
    """No Jupyter server with jupyter_pdflow was found to talk to."""

    reason = "no_server"


class ApiError(PDFlowError):
    """The server answered a request with an error.

    Attributes
    ----------
    status : int
        The HTTP status of the answer.
    """

    def __init__(self, message: str, reason: str, status: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


class UndeliverableError(PDFlowError):
    """A mail was not delivered.

    Attributes
    ----------
    for_good : bool
        Whether it is no use to try again.
    """

    reason = "undeliverable"

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class ConfigurationError(PDFlowError):
    """A trait has a value that can't be used; the message names it and never repeats a value.

    Anyone who opens a link is told.
    """

    reason = "bad_configuration"
    status = 503

    def __init__(self, *, trait: str, has_to_be: str) -> None:
        super().__init__(
            f"PDFlow.{trait} has to be {has_to_be}; "
            "correct it in the server's configuration and restart the server."
        )


class TooManyAttemptsError(PDFlowError):
    """An address has tried too many links that lead nowhere.

    Attributes
    ----------
    seconds : int
        After how many seconds it may try again.
    """

    reason = "too_many_tries"
    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many links were not known here; try again in {seconds} s.")
        self.seconds = seconds


class BodyTooLargeError(PDFlowError):
    """A body is larger than the limit when it is unpacked."""

    reason = "too_large"
    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The body is larger than {limit} bytes when it is unpacked; the pause stays."
        )


class BadBodyError(ValueError):
    """A body is not what its content type says."""


class KeyFileError(PDFlowError):
    """The file of keys can't be used."""

    reason = "bad_keys"
    status = 503


class StoppingError(PDFlowError):
    """The server is shutting down."""

    reason = "stopping"
    status = 503


class MissingKeyError(PDFlowError, KeyError):
    """A mapping given to a handler has no such key."""

    reason = "missing"

    __str__ = Exception.__str__


class MissingAttributeError(PDFlowError, AttributeError):
    """A mapping given to a handler has no such key, asked for as an attribute."""

    reason = "missing"


class ClosedByGatewayError(GatewayError):
    """The gateway has ended, or has closed its connection with a kernel."""


class UsageError(PDFlowError):
    """The command line asks for something that can't be done."""

    reason = "usage"


class FilesError(PDFlowError):
    """The files of a data directory or an archive can't be worked on."""

    reason = "files"


class NotExportedError(PDFlowError):
    """Runs can't be exported; nothing was changed."""

    reason = "not_exported"


class ArchiveError(PDFlowError):
    """An archive can't be read, or holds what no export writes."""

    reason = "bad_archive"


class StopRunAll(PDFlowError):  # noqa: N818  it is no error of anyone's
    """Ends a cell as failed, so that the cells queued behind it don't run, and shows nothing."""

    def _render_traceback_(self) -> list[str]:
        return []


class WriterGoneError(Exception):
    """The process has ended before it answered; the order may be carried out again."""
