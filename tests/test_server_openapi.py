"""The OpenAPI document, and whether the answers match it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from serenbox.server import create_app
from serenbox.server.openapi import openapi_document
from serenbox.server.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return create_app(ServerSettings()).test_client()


@pytest.mark.parametrize("settings", [ServerSettings(), ServerSettings(total=1)])
def test_the_document_is_valid(settings: ServerSettings) -> None:
    OpenAPIV31SpecValidator(openapi_document(settings, "1.2.3")).validate()


def check(document: dict[str, Any], name: str, value: object) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_the_answers_are_as_described(client: FlaskClient, portrait_file: Path) -> None:
    document = client.get("/openapi.json").get_json()
    picture = portrait_file.read_bytes()

    check(document, "Scores", client.post("/predict", data=picture).get_json())
    check(document, "Detection", client.post("/detect", data=picture).get_json())
    check(document, "Health", client.get("/healthz").get_json())
    for path in ("/predict", "/nowhere"):
        check(document, "Error", client.post(path, data={"file": (BytesIO(b"?"), "f")}).get_json())
    with pytest.raises(jsonschema.ValidationError):
        check(document, "Scores", {"happy": 1})


def test_every_address_is_described(client: FlaskClient) -> None:
    described = openapi_document(ServerSettings(), "1")["paths"]
    rules = client.application.url_map.iter_rules()

    assert set(described) == {rule.rule for rule in rules if rule.endpoint != "static"}
