"""The Flask application: the page, and the API for it and for other programs."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from flask import Flask, Response, abort, jsonify, redirect, request
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed

from serenbox.outputs.queueing import RateLimit
from serenbox.web.access import Access, same_site
from serenbox.web.preview import BOUNDARY
from serenbox.web.timeline import PERIODS
from serenbox.web.wsgi import EVENTS, OPEN_STREAM, PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Response as AnyResponse

    from serenbox.web.board import Board

_log = logging.getLogger("serenbox.web")

_RARELY = 60.0
"""Seconds between two log messages about failed answers."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from anywhere else, even if somebody found a way to put it into the page."""

_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not `no-referrer`, with which browsers would also hide the origin of a form.
    "Referrer-Policy": "same-origin",
}

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

_MONTH = 30 * 24 * 3600

_INTENT = "X-SerenBox-Preview"
"""A header that is required to watch the camera. Before a browser sends such a header for another
site's page, it asks the box (CORS preflight), which never allows it."""

_OPEN = ("/healthz", "/login", "/static/")
"""Paths that need no token: they reveal only whether the box is well and whether it is paused."""

_NOT_ITS_NAME = (
    "the page does not go by this name: use localhost or, if web.host is not a loopback address, "
    "the address of the box, or add the name to web.names"
)


@dataclass(frozen=True, slots=True)
class Actions:
    """What the application can have done.

    Attributes:
        command: Makes the daemon pause or resume, soon.
        refresh: Makes the daemon report how the box is doing, soon.
        expose: Returns the text for Prometheus and its content type, given an `Accept` header.

    """

    command: Callable[[str], None]
    refresh: Callable[[], None]
    expose: Callable[[str], tuple[bytes, str]]


def make_app(board: Board, access: Access, actions: Actions) -> Flask:
    """Return the application. Call it from one thread only, the board's.

    Args:
        board: What the page shows.
        access: Who may use the page.
        actions: What the application can have done.

    """
    app = Flask("serenbox.web", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined] # messages have an order of their own
    guard, api, pages = _Guard(access), _Api(board, actions), _Pages(access)
    camera = _Camera(board, access)
    app.before_request(guard.judge)
    app.after_request(guard.confine)
    app.register_error_handler(HTTPException, guard.explain)
    app.register_error_handler(Exception, guard.explain_failure)
    app.add_url_rule("/api/mood", view_func=api.mood)
    app.add_url_rule("/api/health", view_func=api.health)
    app.add_url_rule("/api/history", view_func=api.history)
    app.add_url_rule("/api/events", view_func=api.events)
    app.add_url_rule("/api/<any(pause, resume):name>", view_func=api.command, methods=["POST"])
    app.add_url_rule("/api/preview", view_func=camera.preview, methods=["POST"])
    app.add_url_rule("/healthz", view_func=api.healthz)
    app.add_url_rule("/metrics", view_func=api.metrics)
    app.add_url_rule("/", "index", pages.file, defaults={"name": "index.html"})
    app.add_url_rule("/favicon.ico", "icon", pages.file, defaults={"name": "icon.svg"})
    app.add_url_rule("/login", "login", pages.file, defaults={"name": "login.html"})
    app.add_url_rule("/static/<name>", "static_file", pages.file)
    app.add_url_rule("/login", view_func=pages.log_in, methods=["POST"])
    return app


class _Guard:
    """Checks every request before it is answered, and adds security headers to every answer."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._failures = RateLimit(_RARELY)

    def judge(self) -> None:
        access = self._access
        if not access.knows_host(request.headers.get("Host")):
            abort(421, _NOT_ITS_NAME)
        if not same_site(request.headers, method=request.method):
            abort(403, "this request comes from another site")
        shown = request.headers.get("Authorization"), request.cookies.get(self._access.cookie)
        if not access.knows_token(*shown) and not request.path.startswith(_OPEN):
            abort(401, "the token is missing or wrong")

    def confine(self, response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def explain(self, error: HTTPException) -> AnyResponse:
        """Answer with a sentence; redirect a person without the token to the login page."""
        if error.code == 401 and request.method == "GET":
            kinds = ["application/json", "text/html"]
            if request.accept_mimetypes.best_match(kinds) == "text/html":
                return redirect("/login", 303)
        reason, allowed = error.description or error.name, ""
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            allowed = ", ".join(sorted(error.valid_methods))
            reason = f"{request.path} takes {allowed}, not {request.method}"
        response = jsonify(error=reason)
        response.status_code = error.code or 500
        if allowed:
            response.headers["Allow"] = allowed
        if error.code == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def explain_failure(self, error: Exception) -> AnyResponse:
        """Answer a request whose answer failed, and log why, at a limited rate."""
        if count := self._failures.pass_on():
            _log.debug("an answer failed", exc_info=error)
            _log.warning(
                "%s %s could not be answered (%s: %s): a bug in SerenBox, please report it%s",
                request.method,
                request.path,
                type(error).__name__,
                error,
                f" ({count} times since this was last said)" if count > 1 else "",
            )
        return self.explain(InternalServerError("this is a bug in SerenBox; its log says more"))


class _Api:
    """The API for programs, including the page's own script."""

    def __init__(self, board: Board, actions: Actions) -> None:
        self._board = board
        self._actions = actions

    def mood(self) -> Response:
        return jsonify(self._board.mood)

    def health(self) -> Response:
        self._actions.refresh()
        return jsonify(self._board.health())

    def history(self) -> Response:
        period = request.args.get("period", "hour")
        if period not in PERIODS:
            abort(400, f"period must be {' or '.join(PERIODS)}")
        return jsonify(self._board.history(period))

    def events(self) -> Response:
        if request.method != "HEAD" and not request.environ[OPEN_STREAM](EVENTS):
            return _busy("too many viewers: try again later, or raise web.streams")
        return _stream("text/event-stream")

    def command(self, name: str) -> tuple[Response, int]:
        self._actions.command(name)
        return jsonify(accepted=name), 202

    def healthz(self) -> tuple[Response, int]:
        well, state = self._board.liveness()
        return jsonify(status="ok" if well else "failing", state=state), 200 if well else 503

    def metrics(self) -> Response:
        self._actions.refresh()
        text, content_type = self._actions.expose(request.headers.get("Accept", ""))
        return Response(text, content_type=content_type)


class _Camera:
    """The live preview: an answer that goes on for as long as the visit lasts."""

    def __init__(self, board: Board, access: Access) -> None:
        self._board = board
        self._access = access

    def preview(self) -> Response:
        if not self._board.preview_allowed:
            abort(403, "web.preview is false: nobody may watch the camera")
        if _INTENT not in request.headers:
            abort(403, f"the header {_INTENT} is missing: it shows that this is intended")
        if not self._access.may_watch(request.remote_addr, request.headers):
            abort(403, "without a token the camera can only be watched from the box itself")
        if self._board.mood["state"] != "sensing":
            abort(409, "there is nothing to watch: the camera is paused or lost")
        if not request.environ[OPEN_STREAM](PICTURES):
            return _busy("others are already watching: try again when they have left")
        return _stream(f"multipart/x-mixed-replace; boundary={BOUNDARY}")


class _Pages:
    """What people see, and how they show the token."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._files = _read_files()

    def file(self, name: str) -> Response:
        if name not in self._files:
            abort(404)
        body, tag = self._files[name]
        response = Response(body, content_type=_TYPES[name.rpartition(".")[2]])
        response.headers["Cache-Control"] = "no-cache"
        response.set_etag(tag)
        response.make_conditional(request)
        return response

    def log_in(self) -> AnyResponse:
        if not self._access.is_token(request.form.get("token", "")):
            wrong = self.file("wrong.html")
            wrong.status_code = 403
            return wrong
        response = redirect("/", 303)
        # Not `Strict`: a link to the page, such as one in Home Assistant, would ask for the token
        # each time. Only a POST changes anything, and cross-site ones come without the cookie.
        response.set_cookie(
            self._access.cookie, self._access.session, max_age=_MONTH, httponly=True, samesite="Lax"
        )
        return response


def _stream(content_type: str) -> Response:
    """Return the head of an endless answer."""
    stream = Response(content_type=content_type)
    stream.headers["X-Accel-Buffering"] = "no"  # a proxy would buffer it
    stream.automatically_set_content_length = False
    return stream


def _busy(reason: str) -> Response:
    busy = jsonify(error=reason)
    busy.status_code = 503
    busy.headers["Retry-After"] = "5"
    return busy


def _read_files() -> dict[str, tuple[bytes, str]]:
    """Return the content and the ETag of every file of the page, by its name."""
    folder = resources.files("serenbox.web") / "static"
    read = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return {
        name: (body, hashlib.sha256(body).hexdigest()[:16])
        for name, body in read.items()
        if name.rpartition(".")[2] in _TYPES
    }
