"""The doctor's checks of the camera."""

from __future__ import annotations

import grp
import itertools
import os
import pwd
import struct
import tempfile
from pathlib import Path

import pytest

from serenbox.doctor import Roots, camera, nodes
from serenbox.doctor.roots import Person, person_in_question
from tests.machines import MEMBER, STRANGER, add_node, add_pi, bare_machine
from tests.rights import NOBODY, acting_as


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


@pytest.mark.parametrize(("source", "node"), [("pi:0", "video1"), ("pi:1", "video2"), ("pi:2", "")])
def test_cameras_are_counted_and_not_their_nodes(roots: Roots, source: str, node: str) -> None:
    names = ("unicam-image", "unicam-embedded")
    for number, (bus, name) in enumerate(itertools.product(("a.csi", "b.csi"), names)):
        add_node(roots, f"video{number}", name, f"platform/soc/{bus}")
    result = camera.check_camera(source, camera.find_cameras(roots), roots)
    assert result.state == ("ok" if node else "fail")
    assert node in result.seen


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


def test_who_may_not_open_a_node_is_told_which(roots: Roots) -> None:
    add_pi(roots)
    cameras = camera.find_cameras(roots)
    assert camera.check_access("auto", cameras, MEMBER, roots).state == "ok"
    shut = camera.check_access("auto", cameras, STRANGER, roots)
    assert shut.state == "fail"
    assert str(roots.dev / "media0") in shut.seen
    assert "0660" in shut.seen


def mend_of_heap(roots: Roots, mode: int, person: Person) -> str:
    heap = roots.dev / "dma_heap" / "linux,cma"
    heap.chmod(mode)
    result = camera.check_dma_heap(roots, person)
    assert result.state == "fail"
    return result.mend


def test_a_group_is_joined_only_if_that_helps(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_pi(roots)
    gid = os.getgid() or next(entry.gr_gid for entry in grp.getgrall() if entry.gr_gid)
    os.chown(roots.dev / "dma_heap" / "linux,cma", os.getuid(), gid)
    group, join = grp.getgrgid(gid).gr_name, "sudo usermod --append --groups"
    assert mend_of_heap(roots, 0o660, STRANGER) == f"{join} {group} stranger  # then log in again"
    service = Person("serenbox", 54321, frozenset({54321}))
    restart = "sudo systemctl restart serenbox.service"
    assert mend_of_heap(roots, 0o660, service) == f"{join} {group} serenbox && {restart}"

    rule = (
        """echo 'SUBSYSTEM=="dma_heap", GROUP="video", MODE="0660"' """
        "| sudo tee /etc/udev/rules.d/99-serenbox-dma_heap.rules "
        "&& sudo udevadm control --reload && sudo udevadm trigger"
    )
    joined = f"{rule} && {join} video serenbox && {restart}"
    assert mend_of_heap(roots, 0o600, service) == joined
    monkeypatch.setattr(nodes, "group_name", lambda gid: "video" if gid == 54321 else "root")
    assert mend_of_heap(roots, 0o600, service) == rule


def test_nobody_is_made_a_member_of_the_group_root(roots: Roots) -> None:
    """Not even where that would open the node."""
    add_pi(roots)
    values = list((roots.dev / "media0").stat())
    values[5] = 0
    mend = nodes.open_nodes({roots.dev / "media0": os.stat_result(values)}, STRANGER)
    assert mend.startswith("""echo 'SUBSYSTEM=="media", GROUP="video", MODE="0660"' | sudo tee""")
    assert mend.endswith(" --groups video stranger  # then log in again")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others, and access lists")
def test_who_asks_has_what_an_access_list_gives() -> None:
    entry = struct.Struct("<HHI")  # linux/posix_acl_xattr.h: kind, rights, who
    everybody = 0xFFFFFFFF
    kinds = ((1, 6, everybody), (2, 6, NOBODY), (4, 0, everybody), (16, 6, everybody))
    entries = b"".join(entry.pack(*each) for each in (*kinds, (32, 0, everybody)))
    with tempfile.TemporaryDirectory() as folder:  # all folders above it are open to everybody
        Path(folder).chmod(0o755)
        node = Path(folder) / "video3"
        node.touch(0o600)
        asking = Person("nobody", NOBODY, frozenset({NOBODY}))
        with acting_as(NOBODY):
            found = camera.check_access("/dev/video3", [], asking, Roots(dev=Path(folder)))
        assert found.state == "fail"
        try:
            os.setxattr(node, "system.posix_acl_access", struct.pack("<I", 2) + entries)
        except OSError:
            pytest.skip("this file system has no access lists")
        with acting_as(NOBODY):
            found = camera.check_access("/dev/video3", [], asking, Roots(dev=Path(folder)))
        assert (found.state, found.mend) == ("ok", "")


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
