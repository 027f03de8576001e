"""Tests of the application alone; the server around it has its own."""

from __future__ import annotations

import json

import pytest

from serenbox.outputs.messages import event_message, mood_message
from serenbox.web.wsgi import EVENTS, OPEN_STREAM
from tests.web_box import HAPPY, LOST, STATS, TOKEN, Box, got


@pytest.fixture
def box() -> Box:
    return Box()


def test_mood_and_health(box: Box) -> None:
    assert got(box.client.get("/api/mood"))["mood"] == "no_camera"
    box.board.take("mood", HAPPY)
    box.board.take("stats", STATS)

    answer = box.client.get("/api/mood")
    assert json.loads(answer.data) == HAPPY
    assert list(json.loads(answer.data)) == list(HAPPY)
    assert answer.headers["Cache-Control"] == "no-store"
    health = got(box.client.get("/api/health"))
    assert health["outputs"]["mqtt"]["problem"] == "it is off"
    assert (health["fps"], health["state"], health["camera"]) == (9.5, "sensing", "usb")


def test_a_closed_camera_gives_no_frames(box: Box) -> None:
    """Even before the next statistics: while paused, a minute may pass until they come."""
    box.board.take("mood", HAPPY)
    box.board.take("stats", STATS)
    box.board.take("mood", mood_message("box", 0.0, "paused", None, 0.0))
    health = got(box.client.get("/api/health"))
    assert (health["fps"], health["camera"], health["frames"]) == (0.0, "", 7)
    box.board.take("mood", HAPPY)
    assert got(box.client.get("/api/health"))["fps"] == 9.5


def test_the_reason_of_a_lost_camera_stays_until_it_is_back(box: Box) -> None:
    box.board.take("stats", {**STATS, "problem": "unplugged"})
    box.board.take("stats", STATS)
    assert got(box.client.get("/api/health"))["problem"] == "unplugged"
    box.board.take("mood", HAPPY)
    assert got(box.client.get("/api/health"))["problem"] is None
    assert box.commands == ["report"] * 2


def test_another_loss_of_the_camera_has_another_reason(box: Box) -> None:
    def lose(reason: str) -> str:
        lost = {**LOST, "problem": reason}
        box.board.take("mood", lost)
        box.board.take("event", {**lost, "event": "mood", "previous": "happy"})
        health = got(box.client.get("/api/health"))
        assert health["camera"] == ""
        return str(health["problem"])

    box.board.take("stats", STATS)
    assert lose("unplugged") == "unplugged"
    box.board.take("stats", {**STATS, "problem": "unplugged, and cold"})
    box.board.take("mood", {**LOST, "problem": "unplugged"})
    assert got(box.client.get("/api/health"))["problem"] == "unplugged, and cold"
    box.board.take("mood", HAPPY)
    assert lose("taken by another program") == "taken by another program"


def test_history(box: Box) -> None:
    box.board.take("mood", HAPPY)
    box.clock.now += 30
    hour = got(box.client.get("/api/history"))
    assert sum(step["seconds"].get("happy", 0) for step in hour["steps"]) == 30
    assert len(got(box.client.get("/api/history?period=day"))["steps"]) == 96
    refused = box.client.get("/api/history?period=year")
    assert refused.status_code == 400
    assert "hour or day" in got(refused)["error"]


def test_an_answer_that_fails_is_owned_up_to_now_and_then(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(box.board, "health", fail)
    for _ in range(3):
        answer = box.client.get("/api/health")
        assert answer.status_code == 500
        assert got(answer) == {"error": "this is a bug in SerenBox; its log says more"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    (record,) = caplog.records
    assert record.getMessage() == (
        "GET /api/health could not be answered (ZeroDivisionError: by nought): a bug in "
        "SerenBox, please report it"
    )


def test_what_a_supervisor_needs(box: Box) -> None:
    assert box.client.get("/healthz").status_code == 503
    box.board.take("mood", HAPPY)
    assert got(box.client.get("/healthz")) == {"status": "ok", "state": "sensing"}
    box.board.take("mood", mood_message("box", 0.0, "paused", None, 0.0))
    assert box.client.get("/healthz").status_code == 200
    box.clock.now += 200  # the mood should have been repeated long ago
    answer = box.client.get("/healthz")
    assert (answer.status_code, got(answer)["state"]) == (503, "hangs")


def test_who_reads_the_metrics_gets_new_ones(box: Box) -> None:
    assert box.client.get("/metrics").status_code == 200
    assert box.commands == ["report"]


def test_changes_are_counted(box: Box) -> None:
    box.board.take("event", event_message(HAPPY, "sad"))
    assert box.board.changes["happy"] == 1


def test_commands(box: Box) -> None:
    assert box.client.post("/api/pause").status_code == 202
    assert box.client.post("/api/resume").status_code == 202
    assert box.commands == ["pause", "resume"]
    refused = box.client.get("/api/pause")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "OPTIONS, POST")
    assert box.client.post("/api/report").status_code == 404
    assert len(box.commands) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Host": "evil.example"},
    ],
)
def test_other_sites_command_nothing_and_read_nothing(box: Box, headers: dict[str, str]) -> None:
    assert box.client.post("/api/pause", headers=headers).status_code in {403, 421}
    assert box.commands == []
    assert box.client.get("/api/mood", headers=headers).status_code in {403, 421}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(("mode", "used_as"), [("no-cors", "empty"), ("navigate", "iframe")])
def test_other_sites_that_hide_their_origin_get_nothing(
    box: Box, site: str, mode: str, used_as: str
) -> None:
    """A browser sends no `Origin` with opaque requests, such as those for an image."""
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": used_as}
    opened: list[str] = []

    def open_stream(kind: str) -> bool:
        opened.append(kind)
        return True

    for path in ("/api/events", "/api/mood", "/api/history", "/metrics", "/", "/static/app.js"):
        environment = {OPEN_STREAM: open_stream}
        answer = box.client.get(path, headers=headers, environ_overrides=environment)
        assert (path, answer.status_code) == (path, 403)
        assert got(answer) == {"error": "this request comes from another site"}
    assert opened == []


def test_who_comes_by_another_name_is_told_what_works() -> None:
    """A page on the loopback address does not answer to the box's address in the network."""
    here, open_one = Box(), Box(TOKEN)
    for box, host in ((here, "box.example"), (here, "192.168.1.5"), (open_one, "box.example")):
        refused = box.client.get("/healthz", headers={"Host": host})
        assert refused.status_code == 421
        for advice in ("use localhost", "if web.host is not a loopback address", "web.names"):
            assert advice in got(refused)["error"]
    assert here.client.get("/healthz", headers={"Host": "localhost"}).status_code != 421
    assert open_one.client.get("/healthz", headers={"Host": "192.168.1.5"}).status_code != 421


def test_events_are_left_to_the_server(box: Box) -> None:
    room = [True, False]
    environment = {OPEN_STREAM: lambda kind: kind == EVENTS and room.pop(0)}
    first = box.client.get("/api/events", environ_overrides=environment)
    assert (first.status_code, first.mimetype) == (200, "text/event-stream")
    assert "Content-Length" not in first.headers
    assert first.headers["X-Accel-Buffering"] == "no"  # else a proxy would hold events back
    second = box.client.get("/api/events", environ_overrides=environment)
    assert second.status_code == 503
    assert "Retry-After" in second.headers
    assert box.client.head("/api/events").status_code == 200


def test_the_page_and_what_confines_it(box: Box) -> None:
    answer = box.client.get("/")
    assert b"SerenBox" in answer.data
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    again = box.client.get("/", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    for path in ("/", "/static/app.js"):  # after an update, the old page must not go on
        assert box.client.get(path).headers["Cache-Control"] == "no-cache"
    for path in ("/static/app.js", "/static/preview.js", "/static/style.css", "/favicon.ico"):
        assert box.client.get(path).status_code == 200
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/app.py", "/nothing"):
        assert box.client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/login", "/api/mood", "/static/app.js", "/nothing"])
def test_every_answer_is_confined(box: Box, path: str) -> None:
    headers = box.client.get(path).headers
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
    }.items():
        assert headers[name] == value
    policy = dict(part.split(maxsplit=1) for part in headers["Content-Security-Policy"].split(";"))
    assert {*policy.values()} == {"'self'", "'none'"}, "nothing from elsewhere and nothing inline"
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"  # `default-src` does not apply to forms


def test_no_file_of_the_page_names_another_machine(box: Box) -> None:
    for path in ("/", "/login", "/static/app.js", "/static/preview.js", "/static/style.css"):
        text = box.client.get(path).text
        assert "//" not in text.replace("// ", "").replace("http://www.w3.org/2000/svg", "")


def test_the_token() -> None:
    box = Box(TOKEN)
    assert box.client.get("/healthz").status_code == 503  # no camera yet; no token is needed
    refused = box.client.get("/api/mood")
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    for path in ("/metrics", "/api/events", "/api/history", "/api/health"):
        assert box.client.get(path).status_code == 401
    assert box.client.post("/api/pause").status_code == 401
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert box.client.get("/api/mood", headers=bearer).status_code == 200
    assert box.client.post("/api/pause", headers=bearer).status_code == 202
    assert box.commands == ["pause"]


def test_where_no_token_is_needed_none_is_right(box: Box) -> None:
    for given in ({"token": ""}, {"token": TOKEN}, {}):
        answer = box.client.post("/login", data=given)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_a_person_is_asked_for_the_token() -> None:
    box = Box(TOKEN)
    html = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    asked = box.client.get("/", headers=html)
    assert (asked.status_code, asked.headers["Location"]) == (303, "/login")
    for needed in ("/login", "/static/style.css", "/static/icon.svg"):
        assert box.client.get(needed).status_code == 200
    assert box.client.post("/api/pause", headers=html).status_code == 401
    assert box.client.post("/login", data={"token": "wrong"}).status_code == 403
    assert box.client.get("/").status_code == 401
    entered = box.client.post("/login", data={"token": f" {TOKEN}\n"})
    assert (entered.status_code, entered.headers["Location"]) == (303, "/")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert f"Max-Age={30 * 24 * 3600}" in cookie
    assert TOKEN not in cookie
    assert box.client.get("/").status_code == 200
    # Two boxes may be reached as localhost, through tunnels, and cookies ignore the port.
    other = Box(TOKEN[::-1]).client.post("/login", data={"token": TOKEN[::-1]})
    assert other.headers["Set-Cookie"].partition("=")[0] != cookie.partition("=")[0]
