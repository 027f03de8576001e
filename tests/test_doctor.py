"""The checks behind `serenbox check`, on small trees in place of a machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from serenbox.cli.check import CheckTool, table_line
from serenbox.doctor import Result, Roots, camera, examine, hooks, service, software
from serenbox.doctor.mending import edit_settings
from serenbox.doctor.roots import Person, person_in_question
from serenbox.model_file import append_metadata, load_model_file
from serenbox.models import EMOTION_MODEL, FACE_MODEL
from serenbox.settings import Settings, loader
from serenbox.settings.schema import HookSettings, SensingSettings
from tests.machines import MEMBER, add_pi, bare_machine
from tests.rights import closed

if TYPE_CHECKING:
    from serenbox.model_metadata import ModelMetadata

NAMES = [
    *("python", "settings", "emotion model", "face model", "runtime", "camera", "camera access"),
    *("broker", "page", "service", "temperature", "throttling", "disk", "history"),
]


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return bare_machine(tmp_path)


# --- hooks ---------------------------------------------------------------------------------------


def test_hooks_must_be_there_and_executable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "HIDDEN", (f"{tmp_path}/home/",))
    plain, hidden = tmp_path / "my plain", tmp_path / "home" / "hidden"
    hidden.parent.mkdir()
    for path in (plain, hidden):
        path.touch()
    hidden.chmod(0o755)
    programs = ("true", str(tmp_path / "missing"), str(plain), str(hidden), "mosquito_pub", "true")
    settings = [HookSettings(("mood",), (name,)) for name in programs]
    found = list(hooks.check_hooks(settings, Person("serenbox", 0, frozenset())))
    assert [(result.name, result.state) for result in found] == [
        ("hook", "ok"),
        *[("hook", "warn")] * 4,
    ]
    _, missing, not_executable, unseen, unknown = found
    assert unknown.seen.startswith("mosquito_pub: there is no program of this name in /")
    assert unknown.mend == ""
    assert missing.seen == f"{tmp_path}/missing: there is no such program"
    assert not_executable.seen == f"{plain} is not executable"
    assert not_executable.mend == f"sudo chmod +x '{plain}'"
    assert unseen.seen == (
        f"{hidden} is in a folder that the service cannot see: copy it, and name "
        "/etc/serenbox/hooks/hidden in the settings"
    )
    assert unseen.mend.endswith(f"/etc/serenbox/hooks {hidden}")
    other = Person("root", 0, frozenset())
    assert [one.state for one in hooks.check_hooks(settings[3:4], other)] == ["ok"]
    (tilde,) = hooks.check_hooks([HookSettings(("mood",), ("~/hook",))], other)
    assert "~ does not stand for a folder" in tilde.seen


@pytest.mark.parametrize(
    ("line", "array"),
    [
        ("true one", '["true", "one"]'),
        ("/bin/sh -c 'echo two words'", '["/bin/sh", "-c", "echo two words"]'),
        ("true it's", '["true", "it\'s"]'),
    ],
)
def test_a_command_line_is_not_the_name_of_a_program(line: str, array: str) -> None:
    (result,) = hooks.check_hooks([HookSettings(("mood",), (line,))], Person("me", 0, frozenset()))
    assert result.state == "warn"
    assert result.seen.startswith(f"{line}: no shell reads this, so blanks do not part it")
    assert result.seen.endswith(f"each argument as a string of its own, {array}")


def test_a_missing_program_whose_name_has_a_blank_is_only_missing(tmp_path: Path) -> None:
    command = (f"{tmp_path}/my hook",)
    (result,) = hooks.check_hooks([HookSettings(("mood",), command)], Person("me", 0, frozenset()))
    assert result.seen == f"{tmp_path}/my hook: there is no such program"


def test_hooks_must_be_open_to_the_user_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "HIDDEN", ())
    nobody = Person("nobody", 65534, frozenset({65534}))
    with TemporaryDirectory(dir="/dev/shm") as name:  # open to other users
        script = Path(name, "folder", "script")
        script.parent.mkdir()
        script.write_text("#!/bin/sh\n")
        states = []
        for folder, script_mode, of_all in (
            *((0o755, 0o755, 0o755), (0o755, 0o700, 0o755), (0o755, 0o711, 0o755)),
            *((0o700, 0o755, 0o755), (0o755, 0o755, 0o700)),
        ):
            script.chmod(script_mode)
            script.parent.chmod(folder)
            Path(name).chmod(of_all)
            (found,) = hooks.check_hooks([HookSettings(("mood",), (str(script),))], nobody)
            states.append((found.state, found.mend))
    mend = "sudo chmod a+rx "
    assert states == [
        ("ok", ""),
        *[("warn", f"{mend}{script}")] * 2,
        ("warn", f"{mend}{script.parent}"),
        ("warn", f"{mend}{name}"),
    ]


# --- software ------------------------------------------------------------------------------------


def test_python_must_be_new_enough() -> None:
    assert software.check_python().state == "ok"
    assert software.check_python((3, 11, 0)).state == "ok"
    old = software.check_python((3, 10, 12))
    assert (old.state, old.seen) == ("fail", "3.10.12, and 3.11 is needed")
    assert old.mend


def test_each_setting_that_is_wrong_is_told(tmp_path: Path) -> None:
    file = tmp_path / "my settings.toml"
    file.write_text("[camera]\nwidht = 640\nfps = 0\n")
    (one, other), settings = software.check_settings(file, person_in_question())
    assert (one.state, other.state) == ("fail", "fail")
    assert "widht" in one.seen
    assert "width" in one.seen
    assert "camera.fps" in other.seen
    assert one.mend in (f"sudoedit '{file}'", f"editor '{file}'")
    assert settings is None


SERVICE = Person("serenbox", 54321, frozenset({54321}))


def test_the_service_reads_the_settings_of_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "SYSTEM_FILE", tmp_path / "system.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    mine = tmp_path / "serenbox" / "serenbox.toml"
    mine.parent.mkdir()
    mine.write_text("[camera]\nwidth = 320\n")
    (result,), settings = software.check_settings(None, SERVICE)
    assert (result.state, result.seen) == ("ok", "no file, so the defaults apply")
    assert settings == Settings()
    assert edit_settings(None, SERVICE) == "sudoedit /etc/serenbox/serenbox.toml"
    (result,), _ = software.check_settings(None, person_in_question())
    assert (result.state, result.seen) == ("ok", str(mine))
    assert edit_settings(None, person_in_question()) in (f"sudoedit {mine}", f"editor {mine}")


@pytest.mark.parametrize(
    ("folder", "file", "mend"),
    [
        (0o755, 0o644, ""),
        (0o755, 0o600, "sudo chmod 644 {}/etc/serenbox.toml"),
        (0o700, 0o644, "sudo chmod a+rx {}/etc"),
    ],
)
def test_settings_must_be_open_to_the_user_of_the_service(
    monkeypatch: pytest.MonkeyPatch, folder: int, file: int, mend: str
) -> None:
    with TemporaryDirectory(dir="/dev/shm") as name:  # open to other users
        Path(name).chmod(0o755)
        path = Path(name, "etc", "serenbox.toml")
        monkeypatch.setattr(loader, "SYSTEM_FILE", path)
        path.parent.mkdir()
        path.write_text("[camera]\nwidth = 320\n")
        path.chmod(file)
        path.parent.chmod(folder)
        (result,), settings = software.check_settings(None, SERVICE)
        (named,), _ = software.check_settings(path, SERVICE)
    assert (result.state, result.mend) == ("fail" if mend else "ok", mend.format(name))
    if mend:
        closed = mend.format(name).split()[-1]
        assert result.seen == f"serenbox may not read {path}: {closed} is closed to that user"
    assert settings is not None
    assert settings.camera.width == 320
    assert named.state == "ok"  # a file given by name is not the service's own


def test_settings_that_are_not_there_are_made(tmp_path: Path) -> None:
    (result,), settings = software.check_settings(tmp_path / "gone.toml", person_in_question())
    assert result.mend == f"serenbox config > {tmp_path}/gone.toml"
    assert settings is None


def test_settings_in_a_folder_that_is_closed(tmp_path: Path) -> None:
    asking = person_in_question()
    with closed(tmp_path):
        (result,), settings = software.check_settings(tmp_path / "my.toml", asking)
    assert (result.state, settings) == ("fail", None)
    assert "it cannot be read (Permission denied)" in result.seen
    assert result.mend == f"sudoedit {tmp_path}/my.toml"


def test_with_wrong_settings_nothing_is_said_of_what_they_decide(
    roots: Roots, tmp_path: Path
) -> None:
    file = tmp_path / "serenbox.toml"
    file.write_text("[mqtt]\nenabled = 1\n")
    results = list(examine(file, roots=roots))
    assert [result.name for result in results] == [
        *("python", "settings", "face model", "the rest"),
        *("service", "temperature", "throttling", "disk"),
    ]
    assert results[3].seen == "not looked at: the settings cannot be read"


def test_settings_that_are_right_are_used(tmp_path: Path) -> None:
    file = tmp_path / "serenbox.toml"
    file.write_text("[camera]\nwidth = 320\n")
    (result,), settings = software.check_settings(file, person_in_question())
    assert (result.state, result.seen) == ("ok", str(file))
    assert settings is not None
    assert settings.camera.width == 320


def test_shipped_models_are_whole_and_open(face_model: Path) -> None:
    digest = subprocess.run(
        ["sha256sum", EMOTION_MODEL], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    result = software.check_emotion_model(EMOTION_MODEL)
    assert result.state == "ok"
    assert digest in result.seen
    assert software.check_face_model(face_model).state == "ok"
    runtime = software.check_runtime(EMOTION_MODEL, Settings())
    assert runtime.state == "ok"
    assert "opens the model" in runtime.seen


def test_a_model_of_other_emotions_fails(tmp_path: Path, metadata: ModelMetadata) -> None:
    """The file is undamaged, but the service would not start with it."""
    labels = ("anger", *metadata.labels[1:])
    scores = metadata.scores._replace(
        thresholds=dict(zip(labels, metadata.scores.thresholds.values(), strict=True))
    )
    model, _ = load_model_file(EMOTION_MODEL)
    other = tmp_path / "other.tflite"
    changed = metadata._replace(labels=labels, scores=scores)
    other.write_bytes(append_metadata(model, changed))
    assert software.check_emotion_model(other).state == "ok"
    result = software.check_runtime(other, Settings(), "editor my.toml")
    assert result.state == "fail"
    assert result.mend == "editor my.toml"


def test_damaged_and_missing_models_fail(tmp_path: Path) -> None:
    content = bytearray(EMOTION_MODEL.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "emotion.tflite"
    damaged.write_bytes(content)
    result = software.check_emotion_model(damaged)
    assert result.state == "fail"
    assert "checksum" in result.seen
    missing = tmp_path / "missing.tflite"
    assert software.check_emotion_model(missing).state == "fail"
    assert software.check_runtime(missing, Settings()).state == "fail"
    assert software.check_face_model(missing).state == "fail"


def test_damaged_face_model_is_told_by_its_checksum(face_model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / FACE_MODEL.name
    damaged.write_bytes(face_model.read_bytes()[:-1] + b"\0\0")
    result = software.check_face_model(damaged)
    assert result.state == "fail"
    assert "damaged" in result.seen


def test_missing_runtime_fails_with_the_command_that_installs_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    settings = Settings(sensing=SensingSettings(runtime="tflite-runtime"))
    result = software.check_runtime(EMOTION_MODEL, settings)
    assert result.state == "fail"
    assert "pip install" in result.mend


def test_checksum_of_an_installed_file_is_found_in_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "serenbox" / "models"
    package.mkdir(parents=True)
    model = package / "emotion.tflite"
    shutil.copy(EMOTION_MODEL, model)
    info = tmp_path / "serenbox-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: serenbox\nVersion: 9.9\n")
    # The checksum of an empty file.
    recorded = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    (info / "RECORD").write_text(f"serenbox/models/emotion.tflite,{recorded},0\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = software.check_emotion_model(model)
    assert result.state == "warn"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert f"but {empty} was installed" in result.seen
    assert software.recorded_sha256(tmp_path / "other.tflite") is None


# --- service -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("active", "ok"),
        ("activating", "warn"),
        ("failed", "fail"),
        ("inactive", "warn"),
        ("", "warn"),
    ],
)
def test_unit_is_judged_by_its_state(answer: str, state: str) -> None:
    result = service.judge_unit({"ActiveState": answer} if answer else {})
    assert result.state == state
    assert bool(result.mend) is (state != "ok")


@pytest.fixture
def systemd(roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for what `systemctl show` and the journal answer, on a machine with systemd."""
    (roots.run / "systemd" / "system").mkdir(parents=True)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name, words in (
        ("systemctl", '"show --property "*" serenbox.service"'),
        ("journalctl", '*" --lines=1 _SYSTEMD_UNIT=serenbox.service"'),
    ):
        (folder / f"{name}.says").touch()
        program = folder / name
        program.write_text(f'#!/bin/sh\ncase "$*" in {words}) cat "$0.says";; esac\n')
        program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("properties", "said", "seen"),
    [
        (
            ("activating", "auto-restart", "7", "exit-code", "1"),
            "ERROR the model fails\n",
            "ends by itself (exit status 1); restarts so far: 7; last words: ERROR the model fails",
        ),
        (
            ("activating", "auto-restart", "1", "signal", "9"),
            "",
            "ends by itself (signal 9); restarts so far: 1",
        ),
        (
            ("activating", "start", "2", "success", "0"),
            "",
            "has ended by itself, and is being started; restarts so far: 2",
        ),
        (
            ("failed", "failed", "0", "exit-code", "2"),
            "WARNING line 2\nERROR line 3\n",
            "has failed (exit status 2); last words: ERROR line 3",
        ),
    ],
)
def test_a_service_that_ends_by_itself_fails_with_its_last_words(
    roots: Roots, systemd: Path, properties: tuple[str, ...], said: str, seen: str
) -> None:
    names = ("ActiveState", "SubState", "NRestarts", "Result", "ExecMainStatus")
    lines = (f"{name}={value}\n" for name, value in zip(names, properties, strict=True))
    (systemd / "systemctl.says").write_text("".join(lines))
    (systemd / "journalctl.says").write_text(said)
    result = service.check_unit(roots)
    assert (result.state, result.seen) == ("fail", f"serenbox.service {seen}")
    assert result.mend == "journalctl --unit serenbox.service --lines 50"


def test_a_service_that_was_restarted_once_and_runs_is_well(roots: Roots, systemd: Path) -> None:
    (systemd / "systemctl.says").write_text("ActiveState=active\nSubState=running\nNRestarts=3\n")
    assert service.check_unit(roots).state == "ok"


def test_no_systemd_is_no_failure(roots: Roots) -> None:
    assert service.check_unit(roots).state == "ok"
    running = service.check_unit(roots, {"state": "sensing", "pid": 77})
    assert (running.state, running.seen) == (
        "ok",
        "process 77, not started by systemd; what it was started with is not known",
    )


def test_a_pause_is_told(roots: Roots) -> None:
    running = {"state": "paused", "pid": 77, "problem": None}
    result = service.check_unit(roots, running)
    assert (result.state, result.mend) == ("warn", "serenbox resume")
    assert result.seen.endswith("until somebody resumes it")
    result = service.check_unit(roots, running | {"problem": "this will be forgotten"})
    assert result.state == "fail"
    assert result.seen.endswith("until somebody resumes it; this will be forgotten")


def test_what_the_running_service_has_a_problem_with_fails(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.mkv").touch()
    config = tmp_path / "serenbox" / "serenbox.toml"
    config.parent.mkdir()
    on = "enabled = true\n"
    config.write_text(f'[camera]\nsource = "{tmp_path}/clip.mkv"\n[web]\n{on}[history]\n{on}')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(loader, "SYSTEM_FILE", tmp_path / "none")
    outputs = {
        name: {"connected": False, "problem": f"trouble of {name}"} for name in ("web", "history")
    }
    outputs["hooks"] = {"connected": True, "problem": "trouble of hooks"}
    outputs["stdout"] = {"connected": False, "problem": "trouble of stdout"}
    running = {"state": "no_camera", "problem": "trouble of the camera", "outputs": outputs}
    monkeypatch.setattr(service, "ask_running", lambda: running)
    told = [result for result in examine(roots=roots) if result.seen.startswith("trouble")]
    assert [(result.name, result.state, result.seen) for result in told] == [
        ("camera", "fail", "trouble of the camera"),
        ("page", "fail", "trouble of web"),
        ("hooks", "warn", "trouble of hooks"),
        ("stdout", "fail", "trouble of stdout"),
        ("history", "fail", "trouble of history"),
    ]
    assert all(result.mend for result in told)
    of_another = list(examine(config, roots=roots))
    assert not [result for result in of_another if result.seen.startswith("trouble")]
    running |= {"state": "paused", "outputs": {}}
    assert [result.name for result in examine(roots=roots) if "trouble" in result.seen] == [
        "service"
    ]


def test_the_history_that_a_running_service_keeps_is_not_to_be_removed(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "serenbox.toml"
    config.touch()
    running = {"state": "sensing", "outputs": {"history": {"connected": True, "problem": None}}}
    monkeypatch.setattr(service, "ask_running", lambda: running)
    (kept,) = [result for result in examine(config, roots=roots) if result.name == "history"]
    assert (kept.state, kept.mend) == ("ok", "")
    assert kept.seen == "off, but the running service was started with it on"


# --- all of it -----------------------------------------------------------------------------------


def test_a_pi_in_good_order_fails_only_where_picamera2_is_missing(
    roots: Roots, tmp_path: Path
) -> None:
    add_pi(roots)
    (roots.proc / "meminfo").write_text("CmaTotal: 262144 kB\nCmaFree: 200000 kB\n")
    config = tmp_path / "serenbox.toml"
    config.write_text("")
    results = list(examine(config, roots=roots, person=MEMBER))
    pi_only = ["picamera2", "dma_heap", "CMA"]
    assert [result.name for result in results] == [*NAMES[:7], *pi_only, *NAMES[7:]]
    assert {result.name for result in results if result.state == "fail"} <= {"picamera2"}


def test_recordings_need_no_camera_checks(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").touch()
    config = tmp_path / "serenbox.toml"
    config.write_text(f'[camera]\nsource = "{tmp_path}/clip.mkv"\n')
    results = list(examine(config, roots=roots))
    assert [result.name for result in results] == [
        name for name in NAMES if name != "camera access"
    ]
    assert [result.name for result in results if result.state == "fail"] == []


@pytest.mark.parametrize("name", ["gone.mkv", "x" * 300, "gone\0.mkv"])
def test_a_recording_that_is_not_to_be_had_fails(roots: Roots, tmp_path: Path, name: str) -> None:
    result = camera.check_camera(f"{tmp_path}/{name}", [], roots)
    assert result.state == "fail"
    assert "camera.source names no camera, and no recording is there: " in result.seen


def test_line_of_the_table() -> None:
    fine = Result("broker", "ok", "localhost:1883 takes connections")
    assert table_line(fine) == "ok    broker         localhost:1883 takes connections"
    bad = Result("CMA", "fail", "none\x1b[2J", "reboot")
    line = table_line(bad, color=True)
    assert line.startswith("\x1b[31mfail\x1b[0m  CMA ")
    assert line.endswith("none\\x1b[2J; mend it with: reboot")


@pytest.mark.parametrize(("term", "colored"), [("xterm", True), ("dumb", False)])
def test_colors_are_for_terminals_that_have_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    term: str,
    colored: bool,
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    config = tmp_path / "serenbox.toml"
    config.touch()
    CheckTool().main(["--config", str(config)])
    assert ("\x1b[32mok" in capsys.readouterr().out) is colored


@pytest.mark.parametrize("broken", [False, True])
def test_command_exits_with_1_only_if_something_failed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: bool
) -> None:
    clip = tmp_path / "clip.mkv"
    if not broken:
        clip.touch()
    config = tmp_path / "serenbox.toml"
    config.write_text(f'[camera]\nsource = "{clip}"\n')
    code = CheckTool().main(["--config", str(config)])
    lines = capfd.readouterr()
    assert code == int(broken)
    assert lines.err == ""
    assert [line[6:19].strip() for line in lines.out.splitlines()] == [
        name for name in NAMES if name != "camera access"
    ]
    assert CheckTool().main(["--config", str(config), "--json"]) == int(broken)
    answer = json.loads(capfd.readouterr().out)
    assert answer["ok"] is not broken
    failed = [check["name"] for check in answer["checks"] if check["state"] == "fail"]
    assert failed == ["camera"] * broken
