"""All errors that jupyter_pdflow raises, with one base class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class PDFlowError(Exception):
    """Base of all errors of this package; the message says what happened and what to do.

    Attributes
    ----------
    reason : str
        A stable name for programs; the ``reason`` of a JSON error response.
    status : int
        The HTTP status of that response.
    """

    reason = "error"
    status = 400

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows: one line instead of a traceback into this package."""
        return [f"{type(self).__name__}: {self}"]


# --- notebooks and steps --------------------------------------------------------------


class NotebookError(PDFlowError):
    """The notebook can't be deployed as a workflow."""

    reason = "bad_notebook"
    status = 422


class StepError(PDFlowError):
    """A ``%%step`` cell has no valid name or handler, or another step has its name."""

    reason = "bad_step"


class StepOverError(PDFlowError):
    """``pd`` was used after its step was over, for example by a thread that the step has started."""

    reason = "step_over"


class StopRunAll(PDFlowError):  # noqa: N818  it reports no error
    """Ends a cell without output, and cancels the cells that are queued after it.

    A kernel drops its queue only when a cell fails, so the cell has to raise.
    """

    def _render_traceback_(self) -> list[str]:
        return []


# --- what a handler uses --------------------------------------------------------------


class ExportError(PDFlowError, TypeError):
    """An export can't be converted to JSON, or the exports are too large."""

    reason = "bad_export"


class InputsError(PDFlowError, KeyError):
    """``pd.inputs`` has no such key, or ``inputs.toml`` can't be used."""

    reason = "bad_inputs"

    # `KeyError` shows the `repr` of its message.
    __str__ = Exception.__str__


class FolderError(PDFlowError):
    """``pd.files`` can't be used, because the kernel does not see the server's folder."""

    reason = "files"


class MissingKeyError(PDFlowError, KeyError):
    """A mapping that a handler reads has no such key."""

    reason = "missing"

    # `KeyError` shows the `repr` of its message.
    __str__ = Exception.__str__


class MissingAttributeError(PDFlowError, AttributeError):
    """A mapping or a part of ``pd`` that a handler reads has no such attribute."""

    reason = "missing"


# --- kernels --------------------------------------------------------------------------


class KernelSpecError(PDFlowError):
    """The notebook's kernelspec is missing, or its environment lacks this package."""

    reason = "bad_kernelspec"
    status = 422


class KernelError(PDFlowError):
    """A kernel did not start, died, or could not run the setup.

    Attributes
    ----------
    error : jupyter_pdflow.rules.run.Error or None
        The exception of the author's setup, or None if the kernel itself failed.
    """

    reason = "kernel"
    status = 500

    def __init__(self, message: str, error: Any = None) -> None:
        super().__init__(message)
        self.error = error


class GatewayError(PDFlowError):
    """The kernel gateway ended without an answer, or is unavailable."""

    reason = "gateway"
    status = 503


class GatewayUnavailableError(GatewayError):
    """The kernel gateway can't be reached, or can't start a kernel now; nothing was executed."""


class ClosedByGatewayError(GatewayError):
    """The gateway has ended, or has closed its connection to a kernel."""


# --- runs -----------------------------------------------------------------------------


class NotFoundError(PDFlowError):
    """There is no such run, workflow, email or link."""

    reason = "not_found"
    status = 404


class NotPausedError(PDFlowError):
    """The run is not paused, so there is nothing to resume."""

    reason = "not_paused"
    status = 409


class RunEndedError(PDFlowError):
    """The run has ended, so there is nothing to cancel."""

    reason = "ended"
    status = 409


class RunActiveError(PDFlowError):
    """The run has not ended, so it can't be removed."""

    reason = "active"
    status = 409


class AlreadyDecidedError(PDFlowError):
    """The pause of a link is decided.

    Attributes
    ----------
    decision : jupyter_pdflow.rules.run.Decision
        The decision that came first.
    """

    reason = "already_decided"
    status = 410

    def __init__(self, message: str, decision: Any) -> None:
        super().__init__(message)
        self.decision = decision


class NotFailedError(PDFlowError):
    """The email has not failed, so there is nothing to send again."""

    reason = "not_failed"
    status = 409


class AlreadyAnsweredError(PDFlowError):
    """The person has answered already; more approvals are required."""

    reason = "already_answered"
    status = 410


class ApproversOnlyError(PDFlowError):
    """Only the approvers of the pause decide, and the client is none of them."""

    reason = "approvers_only"
    status = 403


class RunDeletedError(PDFlowError):
    """The run that was started with this idempotency key is not stored any more."""

    reason = "deleted"
    status = 410


class FieldError(NamedTuple):
    """What is wrong with one field of an answer.

    Attributes
    ----------
    field : str
        The name of the field; empty for the whole answer.
    message : str
        One short sentence for the person who answers.
    """

    field: str
    message: str


class InvalidAnswerError(PDFlowError):
    """An answer does not fit the form of its pause; the pause stays.

    Attributes
    ----------
    errors : list of FieldError
        At least one, and at most one per field.
    """

    reason = "invalid_answer"
    status = 422

    def __init__(self, errors: list[FieldError]) -> None:
        field, message = errors[0]
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        where = f" at {field}" if field else ""
        super().__init__(f"The answer is not valid{where}: {message}{more}")
        self.errors = errors


# --- stored data ----------------------------------------------------------------------


class StorageUnavailableError(PDFlowError):
    """The store can't be read or written now. Nothing was changed, and it may work again later."""

    reason = "storage"
    status = 503


class IndexUnavailableError(StorageUnavailableError):
    """The index of the data directory can't be made, for example because the disk is full."""


class ConflictError(PDFlowError):
    """Another process has changed the run since it was read; nothing was changed."""

    reason = "conflict"
    status = 409


class StoredFileError(PDFlowError):
    """A file of the data directory can't be read."""

    reason = "unreadable"
    status = 500


class HalfWrittenError(StoredFileError):
    """A crash has cut off the first line of a file, which was never answered for."""


class NewerFormatError(StoredFileError):
    """A file of the data directory was written by a newer version of this package."""


class SchemaError(PDFlowError):
    """The tables of the database are missing, or of another version of this package."""

    reason = "bad_schema"
    status = 503


class DataDirLockedError(PDFlowError):
    """Another server holds the data directory."""

    reason = "locked"
    status = 503


class KeyFileError(PDFlowError):
    """The file with the keys of links can't be used."""

    reason = "bad_keys"
    status = 503


class FilesError(PDFlowError):
    """The files of a data directory or an archive can't be read or written."""

    reason = "files"
    status = 503


class NotExportedError(PDFlowError):
    """Runs can't be exported; no file was changed."""

    reason = "not_exported"


class ArchiveError(PDFlowError):
    """An archive can't be read, or was not written by an export."""

    reason = "bad_archive"


# --- requests and the server ----------------------------------------------------------


class BadRequestError(PDFlowError):
    """The request's body or query is invalid for its route."""

    reason = "bad_request"
    status = 400


class BadBodyError(ValueError):
    """A request's body does not match its content type."""


class BodyTooLargeError(PDFlowError):
    """A request's body is larger than the limit after decompression.

    Parameters
    ----------
    limit : int
        The limit in bytes.
    """

    reason = "too_large"
    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The body is larger than {limit} bytes after decompression; the pause stays."
        )


class TooManyAttemptsError(PDFlowError):
    """A client address has sent too many requests with invalid links.

    Attributes
    ----------
    seconds : int
        Seconds until the address may send the next one.
    """

    reason = "too_many_tries"
    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many requests with unknown links; try again in {seconds} s.")
        self.seconds = seconds


class ConfigurationError(PDFlowError):
    """A trait has an invalid value.

    The message names the trait, and never its value: each client that opens a link gets it.

    Parameters
    ----------
    trait : str
        The name of the trait.
    has_to_be : str
        What its value has to be, as the end of a sentence.
    """

    reason = "bad_configuration"
    status = 503

    def __init__(self, *, trait: str, has_to_be: str) -> None:
        super().__init__(
            f"PDFlow.{trait} has to be {has_to_be}; "
            "correct it in the server's configuration and restart the server."
        )


class StoppingError(PDFlowError):
    """The server is shutting down."""

    reason = "stopping"
    status = 503


class UndeliverableError(PDFlowError):
    """An email was not delivered.

    Attributes
    ----------
    permanent : bool
        Whether another attempt would fail too.
    """

    reason = "undeliverable"

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


# --- clients --------------------------------------------------------------------------


class ServerNotFoundError(PDFlowError):
    """No Jupyter server with jupyter_pdflow was found to talk to."""

    reason = "no_server"


class ApiError(PDFlowError):
    """The server answered a request with an error.

    Attributes
    ----------
    status : int
        The HTTP status of the answer.
    errors : list of FieldError
        What is wrong with each field of an invalid answer; else empty.
    """

    def __init__(
        self, message: str, reason: str, status: int, errors: Iterable[FieldError] = ()
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.errors = list(errors)


class UsageError(PDFlowError):
    """The arguments of a command can't be used."""

    reason = "usage"
