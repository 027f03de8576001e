"""`serenbox serve`: the detector behind HTTP."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar

from serenbox.cli.common import (
    EXIT_FAILED,
    Tool,
    UsageError,
    native_messages_hidden,
    number_type,
)
from serenbox.environment import OPENBLAS_THREADS, steer
from serenbox.errors import ServiceError
from serenbox.installed import how_to_install
from serenbox.server.settings import ServerSettings, settings_from, with_texts

if TYPE_CHECKING:
    import argparse

    from serenbox.server.process import Listening

_DEFAULT_PORT = 8080
_count = number_type("a whole number", lambda count: count >= 0, whole=True)
_NEEDED = ("flask", "gunicorn", "prometheus_client")
"""Packages that only the extra `server` installs."""


class ServeTool(Tool):
    """Answer photos with emotions over HTTP, until told to stop.

    POST /predict takes a picture, as the field `file` of a form or as the body, and answers with
    the seven scores of the largest face; POST /detect answers with all faces, as serenbox-detect
    --json does. GET /docs is a page to try it, /openapi.json the description, /healthz and /metrics
    are for those who look after it. No picture is kept.

    Every option about the models and the limits may also stand in the environment, as
    SERENBOX_SERVER_ and its name in capitals; an option counts more. Anybody who can reach the
    address may ask: put a proxy with TLS and authentication before it if that is not only you.

    SIGTERM and SIGINT end it once the requests in progress are answered, after eight seconds at the
    latest. Exit code: 0 then; 1 if it cannot listen or its workers cannot start; 2 if the call, a
    setting or the model is wrong.
    """

    prog: ClassVar[str] = "serenbox serve"
    debug_help: ClassVar[str] = "log everything, and show a traceback with each error"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments; those of the settings come from their declaration."""
        add = parser.add_argument
        add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        add(
            "--port",
            type=_count,
            help=f"port to listen on (default: $PORT, else {_DEFAULT_PORT})",
        )
        add(
            "--workers",
            type=_count,
            metavar="N",
            help="processes, each with a model of its own (default: one for each core that "
            "the server may use)",
        )
        add("--access-log", action="store_true", help="log every request on standard output")
        for entry in fields(ServerSettings):
            shown = "" if entry.default in (None, ()) else f" (default: {entry.default})"
            option = "--" + entry.name.replace("_", "-")
            add(option, metavar=entry.metadata["metavar"], help=entry.metadata["doc"] + shown)

    def run(self, args: argparse.Namespace) -> int:
        """Check everything once, then serve."""
        _check_installed()
        # Each worker uses one core: NumPy's threads for all the others would never have work.
        steer(OPENBLAS_THREADS, "1")
        settings = _settings(args)
        listening = _listening(args)
        from serenbox.daemon.logs import set_up_logging
        from serenbox.server.engine import open_detector
        from serenbox.server.process import serve

        # Find out here, once, what would otherwise stop every worker.
        with native_messages_hidden(show=self.debug):
            open_detector(settings)
        set_up_logging(debug=self.debug)
        try:
            return serve(settings, listening, access_log=args.access_log)
        except ServiceError as error:
            self.error(*error.problems)
            return EXIT_FAILED


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the server needs packages that are not installed ({', '.join(missing)}): "
            f"{how_to_install('server')}"
        )


def _settings(args: argparse.Namespace) -> ServerSettings:
    given = {
        entry.name: value
        for entry in fields(ServerSettings)
        if (value := getattr(args, entry.name)) is not None
    }
    return with_texts(settings_from(os.environ), given, lambda name: "--" + name.replace("_", "-"))


def _listening(args: argparse.Namespace) -> Listening:
    from serenbox.server.process import Listening, usable_cores

    port = args.port if args.port is not None else _environment_port()
    if not 1 <= port <= 65535:
        raise UsageError(f"the port is {port}, and must be from 1 to 65535")
    workers = args.workers if args.workers is not None else usable_cores()
    if not 1 <= workers <= 256:
        raise UsageError(f"--workers is {workers}, and must be from 1 to 256")
    return Listening(args.host, port, workers)


def _environment_port() -> int:
    text = os.environ.get("PORT") or str(_DEFAULT_PORT)
    if not text.isdecimal() or len(text) > len("65535"):
        raise UsageError(f"$PORT is '{text}', and must be a number: correct it or give --port")
    return int(text)
