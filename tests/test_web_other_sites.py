"""What pages of other sites can do to the page, in a real browser: nothing."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.browser import REBOUND
from tests.daemon_process import QUICK, Daemon, write_script
from tests.ports import free_port
from tests.web_client import Viewer, answers, ask, ask_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser import Page

ATTACK = """
  const [box, done] = [arguments[0], arguments[1]];
  const send = (path, options) => fetch(box + path, { method: "POST", ...options })
    .then((answer) => answer.text(), () => "");
  const element = (tag, properties) => new Promise((resolve) => {
    const made = Object.assign(document.createElement(tag), properties);
    for (const kind of ["load", "loadedmetadata"]) {
      made.addEventListener(kind, () => resolve(kind));
    }
    made.addEventListener("error", () => resolve(""));
    document.body.append(made);
  });
  const submit = () => {
    document.body.insertAdjacentHTML("beforeend", "<iframe name=inner></iframe>"
      + `<form method=post target=inner action=${box}/api/preview><input name=on></form>`);
    document.querySelector("form").submit();
    return new Promise((resolve) => { setTimeout(() => resolve(""), 500); });
  };
  Promise.all([
    send("/api/preview", { mode: "no-cors" }),
    send("/api/preview", { headers: { "X-SerenBox-Preview": "on" } }),
    send("/api/preview", { mode: "no-cors", credentials: "include", keepalive: true }),
    send("/api/pause", { mode: "no-cors" }),
    send("/api/mood", { method: "GET" }),
    send("/api/events", { method: "GET", mode: "no-cors" }),
    element("img", { src: `${box}/api/preview` }),
    element("img", { src: `${box}/static/icon.svg` }),
    element("video", { src: `${box}/api/preview` }),
    submit(),
  ]).then(done);
"""
"""What a page of another site can try; each attempt that brings something gives a text."""


def test_other_sites_see_nothing(tmp_path: Path, portrait_file: Path, page: Page) -> None:
    (tmp_path / "face.png").write_bytes(portrait_file.read_bytes())
    camera = write_script(tmp_path / "script.json", [{"frames": "face.png", "count": 1_000_000}])
    port = free_port()
    settings = f"{QUICK}\n[web]\nenabled = true\nport = {port}\nstreams = 1\n"
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(tmp_path, camera, configuration=settings))
        daemon.wait_mood("happy")
        daemon.wait_until(lambda: answers(port), "the page")
        # It has the only place: another stream that was opened, however briefly, is counted.
        own = stack.enter_context(Viewer(port))
        assert own.status() == 200
        elsewhere = stack.enter_context(another_site())
        page.open(f"http://localhost:{elsewhere}/")
        attempts = page.browser.execute_async_script(ATTACK, f"http://localhost:{port}")
        assert attempts == [""] * 10
        # DNS rebinding: somebody else's name that now leads to this machine.
        page.open(f"http://{REBOUND}:{port}/")
        assert "does not go by this name" in page.script("return document.body.textContent")
        attempts = page.browser.execute_async_script(ATTACK, "")
        assert not [text for text in attempts if text and "does not go by this name" not in text]
        assert ask_json(port, "/api/health")["previews"] == 0
        metrics = ask(port, "/metrics")[1].splitlines()
        assert {"serenbox_web_streams 1.0", "serenbox_web_refused_streams_total 0.0"} <= {*metrics}
        assert ask_json(port, "/api/mood")["state"] == "sensing"
        assert not [line for line in daemon.log if "live preview" in line]
        assert daemon.end() == 0


@contextlib.contextmanager
def another_site() -> Iterator[int]:
    """Serve an empty page; return its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
