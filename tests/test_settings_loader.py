"""Which file holds the settings, how it is read, and what overrides it."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from serenbox.errors import SerenBoxError, SettingsError
from serenbox.settings import (
    Settings,
    find_settings_file,
    load_settings,
    loader,
    read_settings,
    render_settings,
    with_overrides,
)
from serenbox.settings.check import MAX_PROBLEMS
from serenbox.settings.known import describe, tables
from tests.rights import closed
from tests.settings_file import problems

PIECES = [
    *(b"[", b"]", b"{", b"}", b"=", b",", b".", b"'", b'"', b'"""', b"'''", b"#", b"\n", b"[["),
    *(b"\\", b"\\u12", b"\xff", b"\0", b"\r", b"true", b"nan", b"1e999", b"0x", b"-", b"\xc3\xbc"),
    *(b"[camera]\n", b"mqtt.host=1\n", b"a={b=1}\n", b"password=1\n", b"07:32", b"[mqtt.tls]\n"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "serenbox.toml"


def test_without_a_file_the_defaults_apply() -> None:
    assert load_settings(None) == Settings()


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"[camera]\n", b"\xef\xbb\xbf[camera]"])
def test_an_empty_file_is_the_defaults(config: Path, content: bytes) -> None:
    config.write_bytes(content)

    assert load_settings(config) == Settings()


def test_reads_tables_dotted_keys_and_inline_tables(config: Path) -> None:
    config.write_text(
        'camera.fps = 5\nmood = {margin = 0, dwell = 1.5}\n[device]\r\nname = "kitchen"\r\n'
        '[mqtt]\nenabled = true\nhost = "fe80::1"\nprefix = "home/moods"\n'
    )

    file = read_settings(config)

    assert file.settings.camera.fps == 5.0
    assert type(file.settings.camera.fps) is float
    assert file.settings.mood.margin == 0
    assert file.settings.mood.dwell == 1.5
    assert file.settings.device.name == "kitchen"
    assert file.settings.mqtt.prefix == "home/moods"
    assert file.settings.camera.width == 640
    assert file.path == config
    assert file.lines == {
        "camera.fps": 1,
        "mood.margin": 2,
        "mood.dwell": 2,
        "device.name": 4,
        "mqtt.enabled": 6,
        "mqtt.host": 7,
        "mqtt.prefix": 8,
    }


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[camera]\nsource = usb", "line 2", "write KEY = VALUE"),
        ("[camera]\nloop = True\n", "line 2", "true or false in small letters"),
        ("[camera]\nwidth = 3\nwidth = 4", "line 3", "name each key and each [table] only once"),
        ("[camera]\n[mqtt]\n[camera]", "line 3", "[camera] is already on line 1: put its settings"),
        ("  [ camera ]\n[camera]", "line 2", "[camera] is already on line 1: put its settings"),
        ('["camera"]\n[camera]', "line 2", "name each key and each [table] only once"),
        ("[mqtt]\nhost = 'x", "line 2", "write KEY = VALUE"),
        ("[mqtt]\nhost = '''x\ny\n\n", "line 3", "write KEY = VALUE"),
        ("just text", "line 1", "write KEY = VALUE"),
        ("a = 1\n\0", "line 2", "write KEY = VALUE"),
        (b"a = 1\nb = '\xfc'\nc = 3\n", "line 2", "not UTF-8"),
        ("a = 1".encode("utf-16"), "line 1", "not UTF-8"),
        (f"a = {'1' * 5000}", "a number is too long", "take it out"),
        (f"a = {'[' * 100_000}", "a number is too long or arrays are nested too deep", "take it"),
    ],
)
def test_what_is_no_toml(config: Path, text: str | bytes, line: str, reason: str) -> None:
    (found,) = problems(config, text)

    assert found.startswith(line)
    assert reason in found


def test_files_that_cannot_be_read(tmp_path: Path, config: Path) -> None:
    with pytest.raises(SettingsError, match="it is a folder: name a file in it"):
        load_settings(tmp_path)
    with pytest.raises(SettingsError, match="there is no such file: make one with `serenbox conf"):
        load_settings(config)
    with pytest.raises(SettingsError, match=r"one with `serenbox config > 'my settings\.toml'`"):
        load_settings(Path("my settings.toml"))
    with pytest.raises(SettingsError, match="it cannot be read"):
        load_settings(Path("a\0b"))
    with pytest.raises(SettingsError, match="it cannot be read"):
        load_settings(tmp_path / ("x" * 300))
    with pytest.raises(
        SettingsError, match=r"cannot be read \(Input/output error\): check its name"
    ):
        load_settings(Path("/proc/self/mem"))
    config.symlink_to(config)
    with pytest.raises(SettingsError, match=r"it cannot be read .*symbolic link"):
        load_settings(config)
    with pytest.raises(SettingsError, match="larger than 256 KiB, so it is not a configuration"):
        load_settings(Path("/dev/zero"))


def test_another_kind_of_file_gets_few_words(config: Path) -> None:
    text = "\n".join(f"k{number} = 1" for number in range(5000))

    assert len(problems(config, text)) == MAX_PROBLEMS
    assert len(problems(config, f"[camera]\n{text}")) == MAX_PROBLEMS


def test_the_error_is_one_line_too() -> None:
    error = SettingsError("a", "b")

    assert str(error) == "a; b"
    assert error.problems == ("a", "b")
    assert SerenBoxError("c").problems == ("c",)


def test_finds_the_named_file_then_the_systems_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "etc" / "serenbox.toml"
    monkeypatch.setattr(loader, "SYSTEM_FILE", system)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    user = tmp_path / "xdg" / "serenbox" / "serenbox.toml"

    assert find_settings_file(None) is None
    user.parent.mkdir(parents=True)
    user.touch()
    assert find_settings_file() == user
    assert find_settings_file(own=False) is None
    system.parent.mkdir()
    system.symlink_to("nowhere")  # a broken link must be reported, not ignored
    assert find_settings_file() == find_settings_file(own=False) == system
    assert find_settings_file(Path("mine.toml")) == Path("mine.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert loader.user_file() == tmp_path / "home" / ".config" / "serenbox" / "serenbox.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert loader.user_file() == tmp_path / "home" / ".config" / "serenbox" / "serenbox.toml"


def test_a_system_file_that_may_not_be_looked_for_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "etc" / "serenbox.toml"
    monkeypatch.setattr(loader, "SYSTEM_FILE", system)
    system.parent.mkdir()
    with closed(system.parent):
        assert find_settings_file() == system
        with pytest.raises(SettingsError, match=r"it cannot be read .*: check its name"):
            load_settings(system)


def test_overrides() -> None:
    base = with_overrides(Settings(), {"camera.width": 320})

    changed = with_overrides(base, {"camera.source": "usb", "camera.fps": 5, "mood.dwell": None})

    assert changed == dataclasses.replace(
        Settings(), camera=dataclasses.replace(base.camera, source="usb", fps=5.0)
    )
    assert base.camera.source == "auto"
    assert with_overrides(base, {}) == base


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (
            "camera.fps",
            500,
            "camera.fps is 500, and must be a number from 0.1 to 120, such as 10.0",
        ),
        ("camera.fsp", 5, "camera.fsp is not a setting: did you mean fps?"),
        ("camra.fps", 5, "camra.fps is not a setting: did you mean [camera]?"),
        ("fps", 5, "fps is not a setting: the tables are"),
        ("device.name", "a b", 'device.name is the text "a b", and must be'),
        ("hooks.command", ["a"], "[[hooks]] can only be set in a file"),
        ("hooks", [], "[[hooks]] can only be set in a file"),
    ],
)
def test_impossible_overrides(name: str, value: object, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        with_overrides(Settings(), {name: value})

    (found,) = raised.value.problems
    assert found.startswith(problem)


def test_whatever_a_file_holds_is_read_or_refused_in_words(config: Path) -> None:
    """Damage good files at random; anything but settings or a SettingsError fails the test."""
    chance = random.Random(2026)  # noqa: S311 - the same damage every time
    lines = [line.removeprefix("#") for line in render_settings().splitlines()]
    good = "\n".join(line for line in lines if not line.startswith(" ")).encode()
    refusals = [error for _ in range(600) if (error := damage(good, config, chance))]

    assert 200 < len(refusals) < 600
    for error in refusals:
        assert error.problems
        assert all(problem.startswith(f"{config}") for problem in error.problems)


def damage(good: bytes, config: Path, chance: random.Random) -> SettingsError | None:
    """Read the file with some of it replaced; settings read without an error must be valid."""
    content = bytearray(good)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(content))
        length = chance.choice((0, 0, 1, 2, 8))
        content[start : start + length] = chance.choice((b"", chance.choice(PIECES)))
    config.write_bytes(content)
    try:
        settings = load_settings(config)
    except SettingsError as error:
        return error
    for table, settings_class in tables().items():
        for known in describe(settings_class):
            assert known.accepts(getattr(getattr(settings, table), known.key))
    return None
