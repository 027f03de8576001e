"""The OpenAPI 3.1 description of the server's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from serenbox.results import EMOTIONS, UNCERTAIN
from serenbox.server.receiving import FIELD

if TYPE_CHECKING:
    from serenbox.server.settings import ServerSettings

Json: TypeAlias = dict[str, Any]

_REFUSALS = {
    "400": "There is no picture in the request, or its body is broken.",
    "408": "The body did not arrive in time.",
    "413": "The body or the picture is too large.",
    "415": "The body is not a complete picture in a supported format.",
    "503": "The server is busy; Retry-After says when to ask again.",
}
_NO_FACE = {"422": "The picture shows no face."}


def openapi_document(settings: ServerSettings, version: str) -> Json:
    """Return the document, ready for JSON.

    Args:
        settings: The settings whose limits the texts name.
        version: The version of SerenBox.

    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SerenBox",
            "version": version,
            "summary": "Reads a face and says which of seven emotions it shows",
            "description": "No picture is kept. An expression is not a feeling.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(settings),
        "components": {"schemas": _schemas(settings)},
    }


def _paths(settings: ServerSettings) -> Json:
    predict = "The seven scores of the largest face"
    return {
        "/predict": {"post": _picture("predict", predict, "Scores", settings, _NO_FACE)},
        "/": {
            "get": _plain("root", "Say OK", "text/plain", {"type": "string", "const": "OK"}),
            "post": _picture(
                "predictAtRoot", f"{predict}, as /predict", "Scores", settings, _NO_FACE
            ),
        },
        "/detect": {"post": _picture("detect", "All faces with boxes", "Detection", settings, {})},
        "/healthz": {"get": _health()},
        "/metrics": {
            "get": _plain("metrics", "Figures for Prometheus", "text/plain", {"type": "string"})
        },
        "/openapi.json": {
            "get": _plain("openapi", "This document", "application/json", {"type": "object"})
        },
        "/docs": {"get": _plain("docs", "A page to try it", "text/html", {"type": "string"})},
    }


def _picture(
    name: str, summary: str, schema: str, settings: ServerSettings, more: dict[str, str]
) -> Json:
    form = {
        "type": "object",
        "required": [FIELD],
        "properties": {FIELD: {"type": "string", "contentMediaType": "application/octet-stream"}},
    }
    raw: Json = {"schema": {}}
    kinds = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
    refusals = _REFUSALS | more
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {
            "required": True,
            "description": f"A picture of at most {settings.max_body_mb:g} MiB and "
            f"{settings.max_megapixels:g} megapixels: JPEG, PNG, WebP, GIF, BMP, TIFF, PGM or PPM.",
            "content": {"multipart/form-data": {"schema": form}} | dict.fromkeys(kinds, raw),
        },
        "responses": {
            "200": _answer("What the picture shows", "application/json", _reference(schema)),
            **{code: _refusal(code, text) for code, text in sorted(refusals.items())},
        },
    }


def _plain(name: str, summary: str, kind: str, schema: Json) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _answer(summary, kind, schema)},
    }


def _health() -> Json:
    operation = _plain(
        "health", "Say whether the server is well", "application/json", _reference("Health")
    )
    stuck = _answer("The model does not answer", "application/json", _reference("Health"))
    operation["responses"]["503"] = stuck
    return operation


def _answer(description: str, kind: str, schema: Json) -> Json:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _refusal(code: str, text: str) -> Json:
    answer = _answer(text, "application/json", _reference("Error"))
    if code == "503":
        seconds = {"type": "integer", "minimum": 0}
        answer["headers"] = {"Retry-After": {"description": "Seconds", "schema": seconds}}
    return answer


def _reference(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _scores(total: int) -> Json:
    return _object(
        **{label: {"type": "number", "minimum": 0, "maximum": total} for label in EMOTIONS}
    )


def _schemas(settings: ServerSettings) -> Json:
    pixels = {"type": "integer", "minimum": 0}
    face = _object(
        box={
            "description": "x, y, width and height in pixels of the upright picture",
            "type": "array",
            "items": pixels,
            "minItems": 4,
            "maxItems": 4,
        },
        emotion={"enum": [*EMOTIONS, UNCERTAIN]},
        confidence={"type": "number", "minimum": 0, "maximum": 1},
        scores=_scores(1),
    )
    text = {"type": "string"}
    return {
        "Scores": _scores(settings.total)
        | {"description": f"They sum to {settings.total}, apart from rounding."},
        "Detection": _object(
            image=text, width=pixels, height=pixels, faces={"type": "array", "items": face}
        ),
        "Health": _object(status={"enum": ["ok", "stuck"]}, version=text),
        "Error": _object(status={"type": "integer"}, error=text, message=text),
    }
