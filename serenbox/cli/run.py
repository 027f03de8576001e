"""`serenbox run`: the service itself."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import math
import os
import signal
from typing import TYPE_CHECKING, ClassVar, NoReturn

from serenbox import environment
from serenbox.cli.assignments import parse_assignment
from serenbox.cli.common import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    Tool,
    flush_output,
    number_type,
    path_of,
    write_line,
)
from serenbox.daemon.logs import fill_standard_descriptors, set_up_logging
from serenbox.daemon.memory import lock_memory, refuse_dumps, warn_of_swap
from serenbox.daemon.paths import service_paths
from serenbox.daemon.place import Place
from serenbox.daemon.signals import ENDING, Signals
from serenbox.errors import SerenBoxError, ServiceError, SettingsError
from serenbox.waker import Waker

if TYPE_CHECKING:
    import argparse

    from serenbox.daemon.service import Service
    from serenbox.settings.schema import Settings

_log = logging.getLogger("serenbox.run")

_PASSING = {errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ESTALE}
"""Transient errors, after which systemd is to try again, whatever could not be read."""

_seconds = number_type("a number above 0", lambda seconds: 0 < seconds < math.inf)


class RunTool(Tool):
    """Sense the mood of the person in front of the camera and publish it, until told to stop.

    SIGTERM, SIGINT (Ctrl-C) and the end of its terminal end it; SIGHUP makes it read the
    configuration and the model again, and keep the old ones if the new are bad. `serenbox pause`
    closes the camera. Events go to standard output as JSON lines and, where the configuration says
    so, to an MQTT broker; the log goes to standard error.

    Under systemd (Type=notify) it is ready when a frame has gone through the models. While it is
    paused or the camera is missing, an empty picture does, so that a box may wait for its camera.

    The configuration is FILE, else /etc/serenbox/serenbox.toml, else serenbox/serenbox.toml in
    $XDG_CONFIG_HOME or ~/.config, else the defaults; `serenbox config` prints all there is to set.

    Exit code: 0 after SIGTERM, SIGINT, --seconds, or the end of a recording; 1 if the camera is
    given up, the models fail, or another service runs; 2 if the call, the configuration or a model
    is wrong.
    """

    prog: ClassVar[str] = "serenbox run"
    debug_help: ClassVar[str] = "log everything, and show a traceback with each error"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_argument
        add("--config", metavar="FILE", type=path_of, help="configuration (TOML)")
        add("--camera", metavar="SOURCE", help="the same as --set camera.source=SOURCE")
        add(
            "--set",
            metavar="TABLE.KEY=VALUE",
            action="append",
            default=[],
            dest="overrides",
            help="a setting that overrides the configuration's, also after a reload; may be "
            "repeated",
        )
        add("--seconds", metavar="N", type=_seconds, help="end after this many seconds")
        add(
            "--check-config",
            action="store_true",
            help="only check whether the configuration is right",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Check or serve."""
        args.overrides = dict(map(parse_assignment, args.overrides))
        if args.camera is not None:
            args.overrides["camera.source"] = args.camera
        if args.check_config:
            _load(args)
            _check_typed(args)
            write_line("the configuration is right")
            return EXIT_OK
        environment.settle()
        # Loading modules makes no garbage; the service turns garbage collection on again.
        gc.disable()
        fill_standard_descriptors()
        waker = Waker()
        # Before all else, so that from here on a signal ends the service in good order.
        signals = Signals(waker, (*ENDING, signal.SIGHUP))
        set_up_logging(debug=self.debug, own_thread=True)
        refuse_dumps()
        locked = lock_memory()
        _log.debug("its memory %s be swapped to the disk", "cannot" if locked else "may")
        service = None
        try:
            settings = _load(args)
            _check_typed(args)
            _set_log_level(args, settings)
            if not locked:
                warn_of_swap()
            with Place(service_paths()) as place:
                service = _make_service(args, settings, place, waker, signals)
                service.run()
        except SerenBoxError as error:
            code = _report(error)
        else:
            code = EXIT_OK
        finally:
            gc.enable()
        if service is not None and service.hangs:
            _end_process(code)
        return code


def _make_service(
    args: argparse.Namespace, settings: Settings, place: Place, waker: Waker, signals: Signals
) -> Service:
    from serenbox.daemon.service import Service

    return Service(
        settings,
        lambda: _load_again(args),
        place,
        waker,
        signals,
        adopted=lambda new: _set_log_level(args, new),
        seconds=args.seconds,
    )


def _load(args: argparse.Namespace) -> Settings:
    """Read the configuration and let the options override it."""
    from serenbox.settings import find_settings_file, load_settings, with_overrides

    return with_overrides(load_settings(find_settings_file(args.config)), args.overrides)


def _load_again(args: argparse.Namespace) -> Settings:
    """Read the configuration again; a pipe, now empty, would read as the defaults."""
    if args.config is not None and args.config.is_fifo():
        raise SettingsError(
            f"{args.config}: it is a pipe, which can be read only once: name a file with --config"
        )
    return _load(args)


def _check_typed(args: argparse.Namespace) -> None:
    """Refuse a recording that was named in the call and is not there: most likely a typing error.

    One that the configuration names is waited for, like a camera: its disk may come back.
    """
    from serenbox.cameras.select import check_recording

    check_recording(str(args.overrides.get("camera.source", "auto")))


def _set_log_level(args: argparse.Namespace, settings: Settings) -> None:
    if not args.debug:
        logging.getLogger("serenbox").setLevel(settings.service.log_level.upper())


def _report(error: SerenBoxError) -> int:
    """Log what ended the service and return the exit code."""
    _log.debug("the service ends", exc_info=True)
    for problem in error.problems:
        _log.error("%s", problem)
    passing = getattr(error.__cause__, "errno", None) in _PASSING
    return EXIT_FAILED if passing or isinstance(error, ServiceError) else EXIT_USAGE


def _end_process(code: int) -> NoReturn:
    """End without waiting for the hung thread, and without unloading the libraries that it uses."""
    logging.shutdown()
    with contextlib.suppress(SerenBoxError, BrokenPipeError):
        flush_output()
    os._exit(code)
