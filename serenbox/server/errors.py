"""The server's answers to requests that it cannot fulfil: a code and a JSON body."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound


class RequestError(HTTPException):
    """A request that cannot be fulfilled; the message is for its sender."""

    code = HTTPStatus.BAD_REQUEST
    name_in_json: ClassVar[str] = "bad_request"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class NoFileError(RequestError):
    """There is no picture in the request."""

    name_in_json = "no_file"


class BrokenBodyError(RequestError):
    """The body ended early or is not what its headers say."""

    name_in_json = "broken_body"


class TooSlowError(RequestError):
    """The body did not arrive in time."""

    code = HTTPStatus.REQUEST_TIMEOUT
    name_in_json = "too_slow"


class TooLargeError(RequestError):
    """The body or the picture is larger than the server accepts."""

    code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    name_in_json = "too_large"


class NotAnImageError(RequestError):
    """The bytes are not a complete picture in a supported format."""

    code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    name_in_json = "not_an_image"


class NoFaceError(RequestError):
    """The picture shows no face."""

    code = HTTPStatus.UNPROCESSABLE_ENTITY
    name_in_json = "no_face"


class BusyError(RequestError):
    """The server is overloaded; the same request may succeed in a moment."""

    code = HTTPStatus.SERVICE_UNAVAILABLE
    name_in_json = "busy"
    retry_after: ClassVar[int] = 1
    """Seconds to wait before asking again."""

    def __init__(self) -> None:
        super().__init__("the server is busy: send the request again in a moment")


def error_body(error: HTTPException) -> dict[str, object]:
    """Return status, short name and message of an error, ready for JSON."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, RequestError):
        return {"status": status, "error": error.name_in_json, "message": error.description}
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        message = "the body is too large: make the picture smaller"
        return {"status": status, "error": TooLargeError.name_in_json, "message": message}
    name = status.phrase.lower().replace(" ", "_").replace("-", "_")
    return {"status": status, "error": name, "message": _message(error) or status.description}


def _message(error: HTTPException) -> str | None:
    """Return what to do instead, where the texts that come with Flask say only what was wrong."""
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        taken = ", ".join(sorted(error.valid_methods))
        return f"this address takes only {taken}: the page at /docs shows how to use it"
    if isinstance(error, NotFound):
        return "there is no such address: GET /openapi.json lists all of them"
    return error.description
