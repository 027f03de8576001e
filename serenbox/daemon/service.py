"""The service: takes frames, announces moods, obeys signals and commands, until it is ended."""

from __future__ import annotations

import gc
import logging
import selectors
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from serenbox.cameras.select import open_camera
from serenbox.daemon.announcer import Announcer
from serenbox.daemon.answers import Answers
from serenbox.daemon.capture import CameraState, Capture
from serenbox.daemon.commands import Commands, pause_wanted
from serenbox.daemon.notify import Notifier
from serenbox.daemon.pause import Pause
from serenbox.daemon.reload import reload
from serenbox.daemon.report import make_stats, status_line
from serenbox.daemon.running_outputs import RunningOutputs
from serenbox.daemon.signals import ENDING
from serenbox.daemon.state import PausedFlag
from serenbox.errors import ServiceError
from serenbox.mood.slot import SlotRule
from serenbox.outputs.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.daemon.observer import Observer
    from serenbox.daemon.place import Place
    from serenbox.daemon.reload import Reloaded
    from serenbox.daemon.signals import Signals
    from serenbox.settings.schema import CameraSettings, Settings
    from serenbox.waker import Waker

_log = logging.getLogger("serenbox.service")

_CLOSING = 3.0
"""Seconds that an output gets to close."""

_RELEASING = 4.0
"""Seconds that the camera then gets to be released: both together are less than the unit's
`TimeoutStopSec=`, whatever `camera.timeout` is."""

_SILENCE = 10.0
"""Seconds without a frame, beyond what the camera may miss, after which something must hang."""

_NEVER = float("inf")


class Service:
    """Ties everything together. Runs in the main thread.

    Args:
        settings: The settings to start with.
        load: Reads the settings again, for SIGHUP; raises SettingsError.
        place: The lock, which is held, and where everything is.
        waker: What the main thread sleeps on.
        signals: The signals that have come.
        adopted: Called with reloaded settings once they are in use.
        seconds: How long to run; None to run until ended.

    Raises:
        SettingsError: The outputs cannot be made as the settings say.

    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        place: Place,
        waker: Waker,
        signals: Signals,
        *,
        adopted: Callable[[Settings], None],
        seconds: float | None,
    ) -> None:
        self._settings = settings
        self._adopted = adopted
        self._load = load
        self._waker = waker
        self._signals = signals
        self._started = time.monotonic()
        self._end_at = _NEVER if seconds is None else self._started + seconds
        self._notifier = Notifier()
        self._commands = Commands(waker.wake)
        self._tap = Tap()
        paths = place.paths
        self._outputs = RunningOutputs(settings, self._commands.put, paths.history, self._tap)
        self._rule = _make_rule(settings)
        self._announcer = Announcer(settings.device.name, self._outputs.all, self._rule)
        flag = PausedFlag(paths.paused)
        self._capture = Capture(settings.camera, open_camera, waker.wake, paused=flag.read())
        self._pause = Pause(flag, self._capture, self._tap)
        self._selector = selectors.DefaultSelector()
        self._place = place
        self._observer: Observer  # created once everything else has started
        self._ready = False
        self._over = False
        self._stats_at = self._started + settings.service.stats_interval
        self._sign_at = self._started if self._notifier.watchdog_interval else _NEVER
        self.hangs = False
        """Whether the capture thread could not be ended, so that the whole process must be."""

    def run(self) -> None:
        """Run until the service is ended or the recording is over.

        Raises:
            ServiceError: The camera was given up, the models fail on every frame, or another
                service has taken this one's place.
            ModelError: The models cannot be loaded.
            RuntimeUnavailableError: The runtime is not installed or cannot run here.

        """
        try:
            self._start()
            while not self._ending():
                for key, _ in self._selector.select(self._until_due()):
                    key.data()
                self._obey()
                self._follow_camera()
                self._keep_time()
        finally:
            self._close()

    def _start(self) -> None:
        """Start everything; slow parts that run in their own threads come first."""
        answers = Answers(self._announcer, self._capture, self._pause, self._outputs, self._report)
        # Whoever asks waits until all has started.
        self._place.open(self._selector, answers.answer)
        self._capture.start()
        # Before any output connects: what a broker retained earlier must not pass for current.
        self._announcer.repeat()
        self._outputs.start()
        if self._pause.wanted:
            _log.info("paused before: the camera stays closed until `serenbox resume`")
            self._announcer.became("paused", self._pause.problem)
        self._selector.register(self._waker, selectors.EVENT_READ, self._waker.clear)
        self._notifier.status("Loading the models")
        self._observer = _make_observer(self._settings, self._announcer, self._tap)
        # What exists by now stays: the garbage collector need not scan it again and again.
        gc.freeze()
        gc.enable()
        self._waker.wake()  # much may have happened meanwhile

    def _ending(self) -> bool:
        ended = self._signals.pending(*ENDING) or time.monotonic() >= self._end_at
        return self._over or ended

    def _until_due(self) -> float:
        """Return the seconds until something must be done without being woken."""
        due = min(self._end_at, self._stats_at, self._sign_at, self._announcer.due, self._stale_at)
        return max(0.0, due - time.monotonic())

    def _obey(self) -> None:
        if self._signals.came(signal.SIGHUP):
            self._reload()
        names = self._commands.take()
        if (paused := pause_wanted(names)) is not None:
            self._pause.want(paused=paused)
        if "report" in names:
            self._announcer.tell(self._report(), to="web")
        if "stats" in names:
            self._stats_at = 0.0

    def _follow_camera(self) -> None:
        """Take the newest frame, and react to the camera's state."""
        captured, state = self._capture.take()
        if captured is not None and self._observer.take(captured):
            self._become_ready()
        if state is CameraState.ENDED:
            _log.info("the recording is over")
            self._over = True
        if state is CameraState.FAILED:
            raise ServiceError(str(self._capture.problem))
        if state in {CameraState.PAUSED, CameraState.LOST}:
            self._be_blind(lost=state is CameraState.LOST)
        elif state is CameraState.OPENING and (
            self._announcer.state == "paused" or time.monotonic() >= self._stale_at
        ):
            self._announcer.became("no_camera")
        if self._ready:
            self._notifier.status(status_line(self._announcer, self._capture))

    @property
    def _stale_at(self) -> float:
        """When the mood expires because the camera is still opening; infinity if it is not."""
        opening = self._capture.state is CameraState.OPENING and self._announcer.state == "sensing"
        return self._observer.last_frame + self._settings.camera.timeout if opening else _NEVER

    def _be_blind(self, *, lost: bool) -> None:
        """Announce that nothing is seen, and become ready all the same."""
        if lost:
            self._announcer.became("no_camera", self._capture.problem)
        else:
            self._announcer.became("paused", self._pause.problem)
        if not self._ready:
            self._observer.pipeline.rehearse()
            self._become_ready()

    def _become_ready(self) -> None:
        """Tell systemd, once, that the models work.

        A frame that went through them shows that. Without a camera or while paused, an empty
        picture serves instead: otherwise systemd would kill a box that waits for its camera.
        """
        if not self._ready:
            self._ready = True
            self._notifier.ready()

    def _keep_time(self) -> None:
        now = time.monotonic()
        if now >= self._announcer.due:
            self._announcer.repeat()
        if now >= self._stats_at:
            self._stats_at = now + self._settings.service.stats_interval
            self._announcer.tell(self._stats())
            self._place.keep()
            self._pause.keep()
        if now >= self._sign_at and self._notifier.watchdog_interval:
            self._sign_at = now + self._notifier.watchdog_interval
            if self._alive(now):
                self._notifier.alive()

    def _alive(self, now: float) -> bool:
        """Return whether frames come, or it is known why not. The loop is alive, since it asks."""
        if not self._capture.alive():
            return False
        camera = self._settings.camera
        patience = camera.timeout * camera.misses + 3 / camera.fps + _SILENCE
        frames_due = self._capture.state is CameraState.OPEN and not self._pause.wanted
        return not frames_due or now - self._observer.last_frame < patience

    def _stats(self) -> dict[str, Any]:
        return make_stats(
            self._settings.device.name,
            self._announcer,
            self._capture,
            self._observer.stats,
            started=self._started,
            now=time.monotonic(),
            wall=time.time(),
        )

    def _report(self) -> dict[str, Any]:
        problem = self._pause.problem if self._pause.wanted else self._capture.problem
        return {**self._stats(), "problem": problem}

    def _reload(self) -> None:
        """Read the configuration and the models again; keep the old ones if the new are bad."""
        if self._ready:
            self._notifier.reloading()
        reloaded = reload(self._load, self._settings, self._outputs)
        if reloaded is not None:
            self._adopt(reloaded)
            _log.info("the configuration was read again")
        if self._ready:
            self._notifier.ready()

    def _adopt(self, reloaded: Reloaded) -> None:
        old, self._settings = self._settings, reloaded.settings
        new, pipeline, outputs = reloaded
        if new.diffuser != old.diffuser:
            self._rule = _make_rule(new)
        self._stats_at = min(self._stats_at, time.monotonic() + new.service.stats_interval)
        pipeline.go_on(self._observer.pipeline)
        self._observer.pipeline = pipeline
        if outputs is not self._outputs.all:
            renew = partial(self._announcer.renew, new.device.name, outputs, self._rule)
            self._outputs.exchange(outputs, _CLOSING, renew)
        if new.camera != old.camera:
            self._change_camera(new.camera)
        self._adopted(new)

    def _change_camera(self, settings: CameraSettings) -> None:
        self._capture.renew(settings)
        if self._announcer.state == "no_camera":
            self._announcer.became("no_camera")  # nothing is known about this one yet

    def _close(self) -> None:
        """Stop everything, the slowest first, each within its time."""
        self._notifier.stopping()
        self._capture.stop()
        self._place.close()
        self._outputs.close(_CLOSING)
        # The last commands may have come too late to be obeyed.
        if (paused := pause_wanted(self._commands.take())) is not None:
            self._pause.remember_for_next_start(paused=paused)
        self.hangs = not self._capture.join(_RELEASING)
        if self.hangs:
            _log.warning("the camera hangs: it is released by ending the process")
        self._selector.close()
        self._notifier.close()


def _make_rule(settings: Settings) -> SlotRule | None:
    return SlotRule(settings.diffuser) if settings.diffuser.enabled else None


def _make_observer(settings: Settings, announcer: Announcer, tap: Tap) -> Observer:
    # Imported late: meanwhile the camera is opening, and the broker is being connected to.
    from serenbox.daemon.observer import Observer
    from serenbox.daemon.pipeline import Pipeline

    return Observer(Pipeline(settings), announcer, tap)
