"""The Flask application: what each address does."""

from __future__ import annotations

import json
import logging
import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, InternalServerError

from serenbox.daemon.memory import refuse_dumps
from serenbox.image_header import MAX_BYTES, MAX_PIXELS
from serenbox.installed import installed_version
from serenbox.server.errors import BusyError, NoFaceError, error_body
from serenbox.server.memory import give_memory_back
from serenbox.server.receiving import InputGuard, PictureRequest, discard_body, read_picture

if TYPE_CHECKING:
    from serenbox.server.engine import Engine
    from serenbox.server.metrics import Metrics
    from serenbox.server.settings import ServerSettings

_log = logging.getLogger("serenbox.server")

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""`blob:` shows the picture that was chosen, and `data:` is the empty icon."""


def make_app(settings: ServerSettings) -> Flask:
    """Return the application with its models loaded; see `serenbox.server.create_app`."""
    give_memory_back()
    refuse_dumps()
    # OpenCV reads this when it is imported, so the engine is imported afterwards.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
    from serenbox.server.engine import Engine
    from serenbox.server.metrics import Metrics

    app = Flask("serenbox.server", static_folder="static", static_url_path="/static")
    app.request_class = PictureRequest
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body
    engine = Engine(settings)
    app.extensions["serenbox"] = engine
    _add_predictions(app, engine, settings)
    _add_pages(app, engine, settings)
    _add_manners(app, Metrics(engine), settings)
    _add_refusals(app)
    guard = InputGuard(app.wsgi_app, settings.receive_seconds)
    app.wsgi_app = guard  # type: ignore[method-assign, assignment] # as Flask's manual says
    return app


def _add_predictions(app: Flask, engine: Engine, settings: ServerSettings) -> None:
    """Add the addresses that take pictures."""

    def detect() -> dict[str, object]:
        engine.check_room()
        with engine.memory() as take:
            name, content = read_picture(request, take)
            image, faces = engine.detect(content)
        height, width = image.shape[:2]
        return {
            "image": name,
            "width": width,
            "height": height,
            "faces": [face.as_dict() for face in faces],
        }

    @app.post("/detect")
    def detect_all() -> Response:
        result = detect()
        g.faces = len(result["faces"])  # type: ignore[arg-type]
        return _json(result)

    @app.post("/predict")
    @app.post("/")
    def predict() -> Response:
        faces = detect()["faces"]
        g.faces = len(faces)  # type: ignore[arg-type]
        if not faces:
            raise NoFaceError("the picture shows no face: send one with a face from the front")
        scores: dict[str, float] = faces[0]["scores"]  # type: ignore[index]
        return _json({label: round(score * settings.total, 6) for label, score in scores.items()})


def _add_pages(app: Flask, engine: Engine, settings: ServerSettings) -> None:
    """Add the addresses for people and machines that use or watch the server."""
    from serenbox.server.openapi import openapi_document

    release = installed_version()
    document = openapi_document(settings, release)

    @app.get("/")
    def root() -> Response:
        return Response("OK", mimetype="text/plain")

    @app.get("/healthz")
    def health() -> Response:
        stuck = engine.stuck
        state = {"status": "stuck" if stuck else "ok", "version": release}
        return _json(state, HTTPStatus.SERVICE_UNAVAILABLE if stuck else HTTPStatus.OK)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return _json(document)

    @app.get("/docs")
    def docs() -> Response:
        page = app.send_static_file("page.html")
        page.headers["Content-Security-Policy"] = _PAGE_POLICY
        return page


def _add_manners(app: Flask, metrics: Metrics, settings: ServerSettings) -> None:
    """Add what all answers have in common, headers and metrics, and the address of the metrics."""

    @app.get("/metrics")
    def show_metrics() -> Response:
        content, kind = metrics.render()
        return Response(content, content_type=kind)

    @app.before_request
    def start() -> None:
        g.start = time.monotonic()
        request.environ.pop("HTTP_RANGE", None)  # the files are small, and always sent whole

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.pop("Accept-Ranges", None)
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        _allow_origin(response, settings.cors_origins)
        address = request.url_rule.rule if request.url_rule else "other"
        seconds = time.monotonic() - g.start
        metrics.count(address, response.status_code, seconds, g.get("faces", 0))
        return response


def _add_refusals(app: Flask) -> None:
    """Answer every error in JSON."""

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        discard_body(request.environ, MAX_BYTES)
        response = _json(error_body(error), error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        if isinstance(error, BusyError):
            response.headers["Retry-After"] = str(error.retry_after)
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        # The details of an unexpected error go only to the log.
        _log.error(
            "%s %s failed with %s: %s",
            request.method,
            request.path,
            type(error).__name__,
            error,
            exc_info=_log.isEnabledFor(logging.DEBUG),
        )
        message = "this is a bug in SerenBox; its log says more"
        return refuse(InternalServerError(message))


def _allow_origin(response: Response, origins: tuple[str, ...]) -> None:
    """Let pages of other origins read the answer, if the settings say so."""
    if not origins:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or not ("*" in origins or origin in origins):
        return
    response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins else origin
    # For other headers than a few common ones, a browser asks for permission.
    response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type"
        response.headers["Access-Control-Max-Age"] = "600"


def _json(content: object, status: int = HTTPStatus.OK) -> Response:
    return Response(json.dumps(content) + "\n", status=status, mimetype="application/json")
