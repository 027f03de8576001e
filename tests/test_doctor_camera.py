"""The doctor's checks of the camera."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from serenbox.doctor import Roots, camera
from serenbox.doctor.roots import Person, person_in_question
from tests.machines import MEMBER, STRANGER, add_node, add_pi, bare_machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return bare_machine(tmp_path)


def test_cameras_are_told_from_codecs(roots: Roots) -> None:
    add_pi(roots)
    add_node(roots, "video2", "HD Webcam: HD Webcam", "platform/usb1/1-1")
    found = camera.find_cameras(roots)
    assert [(node.path.name, node.kind) for node in found] == [("video0", "pi"), ("video2", "usb")]
    both = camera.check_camera("auto", found, roots)
    assert both.state == "ok"
    assert "unicam-image, HD Webcam" in both.seen
    assert "HD" not in camera.check_camera("pi", found, roots).seen
    assert "unicam" not in camera.check_camera("usb", found, roots).seen


@pytest.mark.parametrize(
    ("source", "mend"),
    [
        ("auto", "lsusb; rpicam-hello --list-cameras"),
        ("pi:1", "rpicam-hello --list-cameras"),
        ("usb", "lsusb"),
        ("/dev/video7", "ls -l /dev/video*"),
        ("/nowhere/clip.mp4", "editor my.toml"),
    ],
)
def test_missing_camera_fails(roots: Roots, source: str, mend: str) -> None:
    result = camera.check_camera(source, camera.find_cameras(roots), roots, edit="editor my.toml")
    assert (result.state, result.mend) == ("fail", mend)


@pytest.mark.parametrize(
    ("source", "state"),
    [
        *(("pi", "ok"), ("pi:0", "ok"), ("pi:1", "fail"), ("usb", "fail"), ("auto", "ok")),
    ],
)
def test_only_what_the_service_would_open_is_there(roots: Roots, source: str, state: str) -> None:
    add_pi(roots)
    assert camera.check_camera(source, camera.find_cameras(roots), roots).state == state


def test_a_recording_in_the_home_folder(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.mkv").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert camera.check_camera("~/film.mkv", [], roots).state == "ok"
    assert camera.check_camera("~nobody-of-this-name/film.mkv", [], roots).state == "fail"


def test_only_the_camera_that_is_named_must_be_open(roots: Roots) -> None:
    add_pi(roots)
    add_node(roots, "video4", "Webcam", "usb1")
    (roots.dev / "video4").chmod(0o666)
    cameras = camera.find_cameras(roots)
    for source, state in (("usb", "ok"), ("/dev/video4", "ok"), ("pi", "fail"), ("auto", "fail")):
        assert camera.check_access(source, cameras, STRANGER, roots).state == state
    unknown = roots.dev / "video9"
    unknown.touch(0o600)
    assert camera.check_access("/dev/video9", cameras, STRANGER, roots).state == "fail"


def test_recordings_need_no_node(roots: Roots, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    clip.touch()
    assert camera.check_camera(str(clip), [], roots).state == "ok"
    (roots.dev / "video7").touch()
    assert camera.check_camera("/dev/video7", [], roots).state == "ok"


def test_who_is_not_in_the_group_is_told_how_to_join(roots: Roots) -> None:
    add_pi(roots)
    cameras = camera.find_cameras(roots)
    assert camera.check_access("auto", cameras, MEMBER, roots).state == "ok"
    shut = camera.check_access("auto", cameras, STRANGER, roots)
    assert shut.state == "fail"
    assert str(roots.dev / "media0") in shut.seen
    assert "0660" in shut.seen
    group = (roots.dev / "video0").group()
    assert shut.mend == f"sudo usermod --append --groups {group} stranger"


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "may"),
    [
        (0o600, os.getuid(), set(), True),
        (0o060, 54321, {os.getgid()}, True),
        (0o666, 54321, set(), True),
        (0o660, 54321, set(), False),
        (0o640, 54321, {os.getgid()}, False),
        (0o000, 0, set(), True),
    ],
)
def test_modes_are_read_as_the_kernel_reads_them(
    tmp_path: Path, mode: int, uid: int, groups: set[int], may: bool
) -> None:
    node = tmp_path / "node"
    node.touch()
    os.chown(node, os.getuid(), os.getgid())
    node.chmod(mode)
    assert Person("somebody", uid, frozenset(groups)).may(6, node.stat()) is may


def test_person_in_question_is_somebody_real() -> None:
    person = person_in_question()
    assert person == Person(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), person.groups)
    assert os.getegid() in person.groups


def test_dma_heap_is_needed_and_must_be_open(roots: Roots) -> None:
    assert camera.check_dma_heap(roots, MEMBER).state == "fail"
    add_pi(roots)
    assert camera.check_dma_heap(roots, MEMBER).state == "ok"
    assert camera.check_dma_heap(roots, STRANGER).state == "fail"


@pytest.mark.parametrize(
    ("total", "free", "state"),
    [
        (262144, 200000, "ok"),
        (262144, 9000, "warn"),
        (32768, 30000, "warn"),
        (0, 0, "fail"),
    ],
)
def test_contiguous_memory_is_judged(total: int, free: int, state: str) -> None:
    meminfo = f"MemTotal: 900000 kB\nCmaTotal:  {total} kB\nCmaFree:  {free} kB\n"
    result = camera.check_cma(meminfo)
    assert result.state == state
    assert bool(result.mend) is (state != "ok")


@pytest.mark.parametrize("meminfo", ["", "CmaTotal:\nCmaFree:\n", "CmaTotal: x kB\nCmaFree: 1"])
def test_unreadable_meminfo_counts_as_none(meminfo: str) -> None:
    assert camera.check_cma(meminfo).state == "fail"
