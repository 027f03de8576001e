"""Runs all checks, in the order in which they depend on each other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.daemon.paths import SYSTEM_STATE, Paths, service_paths
from serenbox.doctor import camera, history, hooks, machine, service, software
from serenbox.doctor.files import as_readable
from serenbox.doctor.firewall import unit_firewall
from serenbox.doctor.mending import edit_settings
from serenbox.doctor.page import check_page
from serenbox.doctor.picamera import check_picamera2
from serenbox.doctor.reach import Reach
from serenbox.doctor.result import Result
from serenbox.doctor.roots import Person, Roots, person_in_question
from serenbox.doctor.running import (
    as_told,
    camera_problem,
    check_other_outputs,
    is_used,
    output_problem,
)
from serenbox.models import EMOTION_MODEL
from serenbox.system_text import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serenbox.settings import Settings


def examine(
    config: Path | None = None, *, roots: Roots | None = None, person: Person | None = None
) -> Iterator[Result]:
    """Run all checks, and yield each result as soon as it is there.

    Args:
        config: The configuration; the usual one if None.
        roots: The folders in which Linux shows the machine; the real ones if None.
        person: Who wants to read the configuration, open the camera and run the hooks; that of
            `person_in_question` if None.

    """
    roots = roots or Roots()
    yield software.check_python()
    person = person or person_in_question()
    results, settings = software.check_settings(config, person)
    yield from results
    running = service.ask_running()
    told = None if config else running  # which has read another configuration
    state = _state_folder()
    if settings is None:
        yield software.check_face_model()
        yield Result("the rest", "warn", "not looked at: the settings cannot be read")
    else:
        edit = edit_settings(config, person)
        yield from _models(settings, person, edit)
        reach = Reach(unit_firewall(roots), roots.etc)
        found = _camera(settings.camera.source, roots, person, reach, edit)
        yield as_told(next(found), camera_problem(told))
        yield from found
        yield service.check_broker(settings.mqtt, reach, told)
        page = check_page(settings.web, reach.firewall, roots.etc)
        yield as_told(page, output_problem(told, "web") if settings.web.enabled else "")
        yield from hooks.check_hooks(settings.hooks, person)
        yield from check_other_outputs(told)
    yield service.check_unit(roots, running)
    yield machine.check_temperature(roots)
    yield machine.check_throttling(machine.ask_firmware(roots))
    yield machine.check_disk(state)
    if settings is not None:
        kept = history.check_history(settings.history, Paths(state, state).history)
        if not settings.history.enabled and is_used(running, "history"):
            seen = "off, but the running service was started with it on"
            kept = Result(kept.name, "ok", seen)
        yield as_told(kept, output_problem(told, "history") if settings.history.enabled else "")


def _models(settings: Settings, person: Person, edit: str) -> Iterator[Result]:
    model = Path(settings.sensing.model) if settings.sensing.model else EMOTION_MODEL
    found = software.check_emotion_model(model, edit)
    # The service has a shipped model of its own.
    yield found if model == EMOTION_MODEL else as_readable(found, model, person, edit)
    yield software.check_face_model()
    yield software.check_runtime(model, settings, edit)


def _camera(source: str, roots: Roots, person: Person, reach: Reach, edit: str) -> Iterator[Result]:
    cameras = camera.find_cameras(roots)
    found = camera.check_camera(source, cameras, roots, reach, edit)
    recording = camera.recording_of(source)
    yield as_readable(found, recording, person, edit) if recording else found
    if camera.is_device(source):
        yield camera.check_access(source, cameras, person, roots)
    if camera.needs_pi(source, cameras):
        yield check_picamera2()
        yield camera.check_dma_heap(roots, person)
        yield camera.check_cma(text_of(roots.proc / "meminfo"))


def _state_folder() -> Path:
    if os.geteuid() == 0 and SYSTEM_STATE.exists():
        return SYSTEM_STATE
    return service_paths().state
