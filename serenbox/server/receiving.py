"""Reads the picture from a request, whatever the client does with the connection."""

from __future__ import annotations

import contextlib
import math
import time
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, cast

from flask import Request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.sansio.utils import get_content_length

from serenbox.server.errors import (
    BrokenBodyError,
    NoFileError,
    NotAnImageError,
    RequestError,
    TooSlowError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FIELD = "file"
"""The field of a form that holds the picture."""

_BROKEN = "the body is cut off or not what its headers say: send the request again"

_PIECE = 64 * 1024

RAW_NAME = "-"
"""The name of a picture that has none, as in `serenbox-detect` for standard input."""


class PictureRequest(Request):
    """A request whose uploaded files stay in memory: the disk may be read-only, and keeps nothing.

    Memory is bounded, because `max_content_length` is.
    """

    max_form_parts = 20

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002 - the signature is Werkzeug's
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return BytesIO()


class GuardedInput:
    """A request's body that arrives in time or fails, and fails only with HTTP errors.

    Args:
        stream: The stream from the web server.
        seconds: How long reading may take in total.
        length: Bytes that must arrive, if known.
        clock: A monotonic clock, in seconds.

    """

    def __init__(
        self,
        stream: IO[bytes],
        seconds: float,
        length: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._missing = length
        self._clock = clock
        self._deadline = clock() + seconds
        self.told: Callable[[int], None] | None = None
        """Called with the size in bytes of each piece; may refuse it with an HTTP error."""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, nothing at the end.

        Raises:
            TooSlowError: The time is up.
            BrokenBodyError: The connection broke, or what arrived violates HTTP.

        """
        try:
            content = self._stream.read(size)
        except HTTPException:
            raise
        # gunicorn's errors have no narrower common base; none of them is the server's fault.
        except Exception as error:
            self._check_time()
            raise BrokenBodyError(_BROKEN) from error
        self._check_time()
        if self.told is not None:
            self.told(len(content))
        if self._missing is not None:
            self._missing -= len(content)
            if not content and size and self._missing > 0:
                raise BrokenBodyError(_BROKEN)
        return content

    def readline(self, size: int = -1) -> bytes:
        """Return a line; WSGI requires this method."""
        line = bytearray()
        while (size < 0 or len(line) < size) and (byte := self.read(1)):
            line += byte
            if byte == b"\n":
                break
        return bytes(line)

    def _check_time(self) -> None:
        if self._clock() > self._deadline:
            raise TooSlowError("the body did not arrive in time: use a faster connection")


class InputGuard:
    """WSGI middleware that replaces every request's body with a `GuardedInput`."""

    def __init__(self, application: WSGIApplication, seconds: float) -> None:
        self._application = application
        self._seconds = seconds

    def __call__(
        self, environment: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Handle one request."""
        stream = cast("IO[bytes]", environment["wsgi.input"])
        length = get_content_length(
            environment.get("CONTENT_LENGTH"), environment.get("HTTP_TRANSFER_ENCODING")
        )
        environment["wsgi.input"] = GuardedInput(stream, self._seconds, length)
        return self._application(environment, start_response)


def discard_body(environment: WSGIEnvironment, limit: int) -> None:
    """Read and discard the rest of a body, so that its sender receives the answer.

    A connection that is closed with unread bytes is reset, and the answer is lost.

    Args:
        environment: The request's; nothing is read if its body has no end of its own.
        limit: Bytes after which to give up.

    """
    if not environment.get("wsgi.input_terminated"):
        return
    left = limit
    with contextlib.suppress(HTTPException):
        while left > 0 and (piece := environment["wsgi.input"].read(min(left, _PIECE))):
            left -= len(piece)


def read_picture(request: Request, told: Callable[[int], None]) -> tuple[str, bytes]:
    """Return the name of the picture in a request, and the bytes of its file.

    A form (multipart/form-data) has it in its field `file`; any other body is the file itself,
    whatever its Content-Type says, because the bytes show their format.

    Args:
        request: A request to an application inside an `InputGuard`.
        told: The `GuardedInput.told` to use while the body is read.

    Raises:
        NoFileError: There is no picture.
        NotAnImageError: The body is compressed.
        RequestError: The body is too slow or broken, `told` refuses it, or its form holds too much.
        RequestEntityTooLarge: The body is too large.

    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise NotAnImageError("the body is compressed: send the picture as it is")
    body: GuardedInput = request.environ["wsgi.input"]
    body.told = told
    try:
        if request.mimetype == "multipart/form-data":
            return _from_form(request)
        content = request.get_data(cache=False)
        # Werkzeug just cuts off what comes in chunks and has no length.
        whole = request.content_length is not None or len(content) != request.max_content_length
        if not whole and body.read(1):
            raise RequestEntityTooLarge
    except ClientDisconnected as error:
        raise BrokenBodyError(_BROKEN) from error
    finally:
        body.told = None  # discarding the rest of it needs no room
    if not content:
        raise NoFileError(f"there is no picture: send it as the body, or as the field '{FIELD}'")
    return RAW_NAME, content


def _from_form(request: Any) -> tuple[str, bytes]:  # noqa: ANN401 - typed too loosely upstream
    if not request.mimetype_params.get("boundary"):  # as where a program sets this header by hand
        raise NoFileError(
            "the Content-Type of the form has no boundary: let your program set that header by "
            "itself, or send the picture as the body, with any other one"
        )
    try:
        upload = request.files.get(FIELD)
    except RequestEntityTooLarge as error:
        if (request.content_length or math.inf) > request.max_content_length:
            raise
        raise RequestError(
            f"the form has too many fields or too much text in them: send the picture as a file in "
            f"its field '{FIELD}', and nothing else"
        ) from error
    if upload is None:
        raise NoFileError(f"the form has no file in its field '{FIELD}': put the picture there")
    content = upload.read()
    if not content:
        raise NoFileError(f"the file in the field '{FIELD}' is empty: choose a picture")
    return upload.filename or RAW_NAME, content
