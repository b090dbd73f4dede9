"""Errors as `application/problem+json` (RFC 9457): a title, what was wrong, and the id of the request.

What belongs here: which error becomes which status, and what of it may be told. Paths, hosts and other tenants' names
stay in the log.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from sync_assets import errors
from sync_assets.cli.session import log
from sync_assets.errors import (
    GraphError,
    JobError,
    LedgerError,
    LimitError,
    SettingsError,
    SourceError,
    StorageError,
    StoreError,
    SyncAssetsError,
)

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    400: "Bad request",
    401: "No valid key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Request too large",
    422: "Request not understood",
    429: "Too many requests",
    500: "Internal error",
    502: "Upstream refused",
    503: "Not available",
}


_PARTS = {
    LedgerError: "The ledger",
    StoreError: "A vector store",
    StorageError: "The storage",
    GraphError: "The knowledge graph",
}


class Problem(BaseModel):
    """What went wrong.

    Attributes:
        errors: each wrong field of the request, and what is wrong with it.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, str]] | None = None


class Refusal(HTTPException):
    """A request that is refused, with words for its sender."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def problem(
    request_id: str,
    status: int,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """The answer to a request that failed."""
    told = Problem(
        title=_TITLES.get(status, "Error"), status=status, detail=detail, request_id=request_id, errors=errors
    )
    return JSONResponse(told.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def line_of(kind: str) -> str:
    """What a tenant is told of a step that failed, by the name of the error's class."""
    error = getattr(errors, kind, Exception)
    if error is SourceError:
        return "Upstream refused, or could not be reached."
    if error is SettingsError:
        return "A setting is missing or wrong."
    if error is LimitError:
        return "More would be embedded than the settings allow."
    if kind == "DagsterAssetCheckFailedError":
        return "A check found something wrong."
    return f"{_part(error)} failed."


def handle(app: FastAPI) -> None:
    """Let an app answer every error that is foreseen as a problem."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SyncAssetsError, _ours)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 it is registered for these
    return problem(request.state.id, error.status_code, error.detail, headers=dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # What was sent is not sent back.
    wrong = [{"field": _place(one), "problem": str(one["msg"])} for one in error.errors()]
    lines = "; ".join(f"{one['field']}: {one['problem']}" for one in wrong[:3])
    return problem(request.state.id, 422, f"{lines}.", wrong)


def _place(one: dict[str, Any]) -> str:
    """Where a mistake is; keys that the sender chose are left out beyond the first ones."""
    return ".".join(str(part)[:48] for part in one["loc"][:4])


def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SyncAssetsError)  # noqa: S101
    log.error("%s %s: %s", request.state.id, type(error).__name__, error)
    if isinstance(error, JobError):
        return problem(request.state.id, 409, f"{error.message} {error.remedy}")
    if isinstance(error, SettingsError):
        return problem(request.state.id, 422, error.message)
    if isinstance(error, SourceError):
        return problem(request.state.id, 502, error.message)
    detail = f"{_part(type(error))} can't answer now. The log says why, under this request's id."
    return problem(request.state.id, 503, detail)


def _part(kind: type[Exception]) -> str:
    """The part of the installation that an error is about."""
    return next((name for error, name in _PARTS.items() if issubclass(kind, error)), "A part of the installation")
