"""Calls a WSGI application (PEP 3333) with a request that h11 has read."""

from __future__ import annotations

import io
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import WSGIApplication

    import h11

_log = logging.getLogger("serenbox.web")

OPEN_STREAM = "serenbox.open_stream"
"""Key in the WSGI environment of a function that makes the answer an endless stream, `EVENTS` or
`PICTURES`. It returns False if there are too many of that kind."""

EVENTS = "events"
PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application answered."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


class BadTargetError(ValueError):
    """The request's target is not a path."""


def make_environment(
    request: h11.Request, body: bytes, client: str, open_stream: Callable[[str], bool]
) -> dict[str, Any]:
    """Return the WSGI environment of a request.

    Args:
        request: Its first line and headers.
        body: Its whole body.
        client: The address it came from.
        open_stream: What the application calls to answer with a stream.

    Raises:
        BadTargetError: The target is neither a path nor an HTTP URL.

    """
    path, query = _split_target(request.target.decode("latin-1"))
    environment: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('latin-1')}",
        "REMOTE_ADDR": client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
        OPEN_STREAM: open_stream,
    }
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in {"content-length", "transfer-encoding"} or "_" in name:
            continue  # the first two are known; with _ one header could pass for another
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        joint = "; " if name == "cookie" else ", "
        environment[key] = f"{environment[key]}{joint}{value}" if key in environment else value
    return environment


def call(application: WSGIApplication, environment: dict[str, Any]) -> Answer:
    """Return the application's whole answer; 500 if it fails."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        del exc_info
        started.append((status, headers))
        return written.append

    try:
        result = application(environment, start_response)
        body = b"".join(written) + _read_all(result)
        status, headers = started[-1]
    except Exception as error:  # noqa: BLE001 - a bug in one answer must not end the page
        _log.warning(
            "a request could not be answered (%s: %s): a bug in SerenBox, please report it",
            type(error).__name__,
            error,
        )
        return Answer(500, "Internal Server Error", [("Content-Length", "0")], b"")
    code, _, reason = status.partition(" ")
    return Answer(int(code), reason, headers, body)


def _read_all(result: Iterable[bytes]) -> bytes:
    try:
        return b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


def _split_target(target: str) -> tuple[str, str]:
    """Return the path and the query of a request's target."""
    if not target.startswith("/"):
        if not target.lower().startswith(("http://", "https://")):
            raise BadTargetError(target)
        try:
            parts = urlsplit(target)
        except ValueError as error:
            raise BadTargetError(target) from error
        return parts.path or "/", parts.query
    path, _, query = target.partition("?")
    return path, query
