"""The application by way of Flask's client, with the real models."""

from __future__ import annotations

import json
import random
import struct
import tempfile
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from serenbox.cli.detect import main as detect_main
from serenbox.results import EMOTIONS
from serenbox.server import create_app
from serenbox.server.settings import ServerSettings
from tests.server_process import form

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

FORM = "multipart/form-data"
ALL_PICTURE_PATHS = ("/predict", "/", "/detect")


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(ServerSettings(max_body_mb=1, max_megapixels=1))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def faceless() -> bytes:
    return encoded(np.full((60, 80, 3), 200, np.uint8))


def encoded(image: np.ndarray[Any, np.dtype[np.uint8]], suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def upload(client: FlaskClient, path: str, content: bytes, field: str = "file") -> TestResponse:
    body, kind = form(content, field)
    return client.post(path, data=body, content_type=kind)


def said_by_detect(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert detect_main(["--json", str(path)]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def refusal(answer: TestResponse) -> tuple[int, str]:
    """Check the body of a refusal; return its status and the name of its error."""
    body = answer.get_json()
    assert set(body) == {"status", "error", "message"}
    assert body["status"] == answer.status_code
    assert "Traceback" not in body["message"]
    return answer.status_code, body["error"]


@pytest.mark.parametrize("path", ["/predict", "/"])
def test_predict_gives_what_serenbox_detect_gives(
    path: str,
    client: FlaskClient,
    portrait_file: Path,
    portrait_bytes: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = said_by_detect(portrait_file, capsys)["faces"][0]["scores"]

    by_form = upload(client, path, portrait_bytes)
    by_body = client.post(path, data=portrait_bytes, content_type="image/png")

    assert by_form.status_code == by_body.status_code == 200
    assert by_form.data == by_body.data
    percentages = {label: round(score * 100, 4) for label, score in scores.items()}
    assert tuple(by_form.get_json()) == EMOTIONS
    assert by_form.get_json() == percentages
    assert sum(by_form.get_json().values()) == pytest.approx(100, abs=0.1)


def test_detect_gives_what_serenbox_detect_gives(
    client: FlaskClient,
    portrait_file: Path,
    portrait_bytes: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = said_by_detect(portrait_file, capsys)

    answer = upload(client, "/detect", portrait_bytes)

    assert answer.get_json() == said | {"image": "photo.png"}
    assert client.post("/detect", data=portrait_bytes).get_json() == said | {"image": "-"}


def test_photographs_give_what_serenbox_detect_gives(
    photos: list[Path], client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for photo in photos[:: max(1, len(photos) // 10)][:10]:
        said = said_by_detect(photo, capsys)
        answer = client.post("/detect", data=photo.read_bytes())
        assert answer.get_json() == said | {"image": "-"}, photo


def test_predict_gives_parts_of_one_where_wanted(
    client: FlaskClient, portrait_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = create_app(ServerSettings(total=1)).test_client()
    picture = portrait_file.read_bytes()

    scores = parts.post("/predict", data=picture).get_json()

    assert scores == said_by_detect(portrait_file, capsys)["faces"][0]["scores"]
    percentages = client.post("/predict", data=picture).get_json()
    assert percentages == pytest.approx(
        {name: 100 * part for name, part in scores.items()}, abs=1e-3
    )


def test_no_face(client: FlaskClient, faceless: bytes) -> None:
    assert refusal(client.post("/predict", data=faceless)) == (422, "no_face")
    assert client.post("/detect", data=faceless).get_json() == {
        "image": "-",
        "width": 80,
        "height": 60,
        "faces": [],
    }


@pytest.mark.parametrize("path", ALL_PICTURE_PATHS)
def test_no_file(client: FlaskClient, path: str, faceless: bytes) -> None:
    boundless = client.post(path, data=b"x", content_type=FORM)

    assert refusal(client.post(path)) == (400, "no_file")
    assert refusal(upload(client, path, b"")) == (400, "no_file")
    assert refusal(upload(client, path, faceless, field="picture")) == (400, "no_file")
    assert refusal(client.post(path, data={"file": "text"}, content_type=FORM)) == (400, "no_file")
    assert refusal(boundless) == (400, "no_file")
    assert "no boundary" in boundless.get_json()["message"]


@pytest.mark.parametrize("path", ALL_PICTURE_PATHS)
def test_too_large(client: FlaskClient, path: str, faceless: bytes) -> None:
    limit = 2**20

    assert refusal(client.post(path, data=b"x" * (limit + 1))) == (413, "too_large")
    assert refusal(upload(client, path, b"x" * limit)) == (413, "too_large")
    assert client.post(path, data=faceless.ljust(limit, b"\0")).status_code in (200, 422)


@pytest.mark.parametrize("path", ALL_PICTURE_PATHS)
def test_too_large_in_chunks(client: FlaskClient, path: str, faceless: bytes) -> None:
    """Such a body does not say how long it is."""

    def send(body: bytes) -> TestResponse:
        chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        return client.post(path, input_stream=BytesIO(body), environ_overrides=chunked)

    limit = 1024 * 1024
    assert refusal(send(faceless.ljust(limit + 1, b"\0"))) == (413, "too_large")
    assert refusal(send(faceless.ljust(3 * limit, b"\0"))) == (413, "too_large")
    assert send(faceless.ljust(limit, b"\0")).status_code in (200, 422)


def test_a_form_is_kept_in_memory(
    client: FlaskClient, faceless: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be no disk to write to, and a picture does not belong on one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    large = faceless.ljust(900_000, b"\0")

    assert upload(client, "/detect", large).status_code == 200


def test_a_form_with_more_than_a_picture_is_told_so(client: FlaskClient, faceless: bytes) -> None:
    body, kind = form(faceless)

    def field(name: str, text: str) -> str:
        return f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'

    long = field("file", "x" * 600_000)
    many = "".join(field(f"field{number}", "x") for number in range(25))
    for fields in (long, many):
        answer = client.post("/predict", data=fields.encode() + body, content_type=kind)
        assert refusal(answer) == (400, "bad_request")
        assert "too many fields or too much text" in answer.get_json()["message"]


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (1001, 1000), (40_000, 1)])
def test_a_bomb_is_refused_by_its_header(client: FlaskClient, size: tuple[int, int]) -> None:
    assert refusal(client.post("/predict", data=png_header(*size))) == (413, "too_large")


@pytest.mark.parametrize(
    "content", [b"hello", b"\0" * 500, b"<svg/>", b"%PDF-1.7", b"\0\0\0\x18ftypheic" + b"\0" * 99]
)
def test_not_an_image(client: FlaskClient, content: bytes) -> None:
    assert refusal(client.post("/predict", data=content)) == (415, "not_an_image")
    assert refusal(upload(client, "/detect", content)) == (415, "not_an_image")


def test_the_bytes_count_and_not_what_they_are_called(
    client: FlaskClient, faceless: bytes, portrait_bytes: bytes
) -> None:
    kinds = ("text/plain", "application/json", "application/x-www-form-urlencoded", "nonsense", "")

    for kind in kinds:
        assert client.post("/predict", data=portrait_bytes, content_type=kind).status_code == 200
    zipped = client.post("/predict", data=faceless, headers={"Content-Encoding": "gzip"})
    assert refusal(zipped) == (415, "not_an_image")


def test_busy(app: Flask, client: FlaskClient, portrait_bytes: bytes) -> None:
    engine = app.extensions["serenbox"]

    with engine.memory() as take:
        take(4 * 2**20)
        answer = client.post("/predict", data=portrait_bytes)

    assert refusal(answer) == (503, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert client.post("/predict", data=portrait_bytes).status_code == 200


def test_an_unexpected_failure_tells_nothing_to_the_client(
    app: Flask,
    client: FlaskClient,
    faceless: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr(app.extensions["serenbox"]._detector, "detect", fail)
    answer = client.post("/predict", data=faceless)

    assert refusal(answer) == (500, "internal_server_error")
    assert "secret" not in answer.text
    assert "POST /predict failed with RuntimeError: the secret" in caplog.text


def test_other_addresses_and_methods(client: FlaskClient) -> None:
    wrong = client.put("/predict")
    nowhere = client.get("/nowhere")

    assert refusal(nowhere) == (404, "not_found")
    assert "/openapi.json lists" in nowhere.get_json()["message"]
    assert "takes only OPTIONS, POST" in wrong.get_json()["message"]
    assert refusal(wrong) == (405, "method_not_allowed")
    assert set(wrong.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert refusal(client.get("/static/../app.py"))[0] == 404


def test_says_ok(client: FlaskClient) -> None:
    assert (client.get("/").status_code, client.get("/").text) == (200, "OK")
    assert client.get("/healthz").get_json()["status"] == "ok"


def test_a_stuck_model_is_not_healthy(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.extensions["serenbox"], "_since", -1e9)

    assert client.get("/healthz").status_code == 503
    assert client.get("/healthz").get_json()["status"] == "stuck"


def test_metrics_count(faceless: bytes, portrait_bytes: bytes) -> None:
    client = create_app(ServerSettings()).test_client()
    client.post("/predict", data=portrait_bytes)
    client.post("/predict", data=faceless)
    client.get("/what/ever")

    figures = client.get("/metrics").text

    assert 'serenbox_requests_total{code="200",path="/predict"} 1.0' in figures
    assert 'serenbox_requests_total{code="422",path="/predict"} 1.0' in figures
    assert 'serenbox_requests_total{code="404",path="other"} 1.0' in figures
    assert 'serenbox_request_seconds_count{path="/predict"} 2.0' in figures
    assert "serenbox_faces_total 1.0" in figures
    assert "serenbox_waiting 0.0" in figures


def test_other_origins_are_not_allowed_by_default(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Origin": "https://a.example"})

    assert not [name for name, _ in answer.headers if "Access-Control" in name]


@pytest.mark.parametrize(
    ("allowed", "origin", "answered"),
    [
        (("https://a.example",), "https://a.example", "https://a.example"),
        (("https://a.example",), "https://b.example", None),
        (("*",), "https://b.example", "*"),
        (("*",), None, None),
    ],
)
def test_other_origins_as_set(
    allowed: tuple[str, ...], origin: str | None, answered: str | None
) -> None:
    client = create_app(ServerSettings(cors_origins=allowed)).test_client()
    headers = {"Origin": origin} if origin else {}

    plain = client.get("/", headers=headers)
    preflight = client.options("/predict", headers=headers)

    for answer in (plain, preflight):
        assert answer.headers.get("Access-Control-Allow-Origin") == answered
        exposed = answer.headers.get("Access-Control-Expose-Headers")
        assert exposed == ("Retry-After" if answered else None)
        assert "Origin" in answer.vary
    assert ("Access-Control-Allow-Methods" in preflight.headers) == bool(answered)


def test_the_page_loads_nothing_from_outside(client: FlaskClient) -> None:
    page = client.get("/docs", buffered=True)
    policy = page.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    for path in ("/docs", "/static/page.js", "/static/page.css"):
        text = client.get(path, buffered=True).text
        assert text
        assert "//" not in text.replace("</", "")


@pytest.mark.parametrize("path", ["/docs", "/static/page.css"])
@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=999999-"])
def test_files_are_sent_whole(client: FlaskClient, path: str, wanted: str) -> None:
    whole = client.get(path, buffered=True)
    answer = client.get(path, headers={"Range": wanted}, buffered=True)

    assert (answer.status_code, answer.data) == (200, whole.data)
    assert "Accept-Ranges" not in answer.headers


def test_mutated_pictures_get_an_answer_that_makes_sense(
    client: FlaskClient, portrait: np.ndarray[Any, np.dtype[np.uint8]]
) -> None:
    small = np.asarray(cv2.resize(portrait[40:200, 140:300], (96, 96)), np.uint8)
    sources = [encoded(small, suffix) for suffix in (".png", ".jpg", ".webp", ".bmp", ".ppm")]
    chance = random.Random(6)  # noqa: S311 - to be repeatable
    seen: dict[int, int] = {}

    for _ in range(300):
        answer = client.post("/predict", data=mutated(chance.choice(sources), chance))
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        if answer.status_code != 200:
            refusal(answer)

    assert set(seen) <= {200, 400, 413, 415, 422}, seen
    assert {200, 415} <= set(seen)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Cut, flip, repeat or overwrite some of the bytes."""
    changed = bytearray(content)
    kind = chance.randrange(4)
    place = chance.randrange(len(changed))
    if kind == 0:
        del changed[place:]
    elif kind == 1:
        for _ in range(chance.randint(1, 20)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        changed[place:place] = changed[place : place + chance.randint(1, 200)]
    else:
        changed[: chance.randint(1, 64)] = chance.randbytes(chance.randint(1, 64))
    return bytes(changed)
