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
from serenbox.settings.schema import HookSettings
from tests.rights import closed

PIECES = [
    *(b"[", b"]", b"{", b"}", b"=", b",", b".", b"'", b'"', b'"""', b"'''", b"#", b"\n", b"[["),
    *(b"\\", b"\\u12", b"\xff", b"\0", b"\r", b"true", b"nan", b"1e999", b"0x", b"-", b"\xc3\xbc"),
    *(b"[camera]\n", b"mqtt.host=1\n", b"a={b=1}\n", b"password=1\n", b"07:32", b"[mqtt.tls]\n"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "serenbox.toml"


def problems(config: Path, text: str | bytes) -> list[str]:
    """What is said about a file, without its name."""
    config.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SettingsError) as raised:
        load_settings(config)
    found = raised.value.problems
    assert all(problem.startswith(str(config)) for problem in found)
    assert not any("\n" in problem for problem in found)
    return [problem.removeprefix(str(config)).lstrip(",: ") for problem in found]


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
    ("text", "problem"),
    [
        ("[camera]\nwidht = 3", "line 2: camera.widht is not a setting: did you mean width?"),
        ("[camera]\nreal-time = true", "line 2: camera.real-time is not a setting: did you mean "),
        ("[camera]\nFPS = 5", "line 2: camera.FPS is not a setting: did you mean fps?"),
        ("[mqtt]\nrotate = 90", "line 2: mqtt.rotate is not a setting: camera.rotate is one"),
        ("[camra]\nx = 1", "line 1: [camra] is not a table of settings: did you mean [camera]?"),
        (
            "[xyzzy]",
            "line 1: [xyzzy] is not a table of settings: the tables are [device], [camera]",
        ),
        ("\nfps = 5", "line 2: fps is not in a table: put it under [camera]"),
        ("zzz = 5", "line 1: zzz is not a setting: the tables are"),
        ("enabled = true", "line 1: enabled is not in a table: put it under [stdout] or [mqtt]"),
        (
            "[sensing]\nhost = 1",
            "line 2: sensing.host is not a setting: mqtt.host and web.host are",
        ),
        (
            "[stdout]\nqqq = 1",
            "line 2: stdout.qqq is not a setting: those of [stdout] are enabled,",
        ),
        ('[camera]\n"a\\nb" = 1', 'line 2: camera."a\\nb" is not a setting'),
        ("camera = 3", "line 1: camera is 3, and must be a table: begin it with [camera]"),
        ("[[camera]]", "line 1: camera is an array, and must be a table"),
        ("[camera.width]", "line 1: camera.width is a table, and must be a whole number"),
        (
            '[camera]\nwidth = "640"',
            'line 2: camera.width is the text "640", and must be a whole number from 64 to 4096',
        ),
        ("[camera]\nwidth = 640.0", "line 2: camera.width is 640.0, and must be a whole number"),
        ("[camera]\nwidth = true", "line 2: camera.width is true, and must be a whole number"),
        ("[camera]\nfps = false", "line 2: camera.fps is false, and must be a number from 0.1"),
        ("[camera]\nfps = nan", "line 2: camera.fps is nan, and must be a number"),
        ("[camera]\nfps = -inf", "line 2: camera.fps is -inf, and must be a number"),
        ("[camera]\nfps = 0x" + "f" * 9999, "line 2: camera.fps is a very large number, and must"),
        (f"[camera]\nfps = 1{'0' * 50}", "line 2: camera.fps is a very large number, and must"),
        ("[camera]\nloop = 1", "line 2: camera.loop is 1, and must be true or false"),
        ("[camera]\nloop = 'no'", 'line 2: camera.loop is the text "no", and must be true or'),
        ("[camera]\nfps = 1979-05-27", "line 2: camera.fps is a date or a time, and must be"),
        ("[camera]\nfps = [\n1,\n2]", "line 2: camera.fps is an array, and must be a number"),
        ("[camera]\nrotate = 45", "line 2: camera.rotate is 45, and must be one of 0, 90, 180, 27"),
        (
            '[service]\nlog_level = "loud"',
            'line 2: service.log_level is the text "loud", and must be one of "debug", "info"',
        ),
        ("[sensing]\nmodel = '''a\n'''", 'line 2: sensing.model is the text "a\\n", and must be'),
        ("[mqtt]\nport = 0", "line 2: mqtt.port is 0, and must be a whole number from 1 to 65535"),
        ('[device]\nname = "my box"', 'line 2: device.name is the text "my box", and must be 1 to'),
        ('[device]\nname = ""', "line 2: device.name is empty, and must be 1 to 64 of the letters"),
        ('[device]\nname = "Küche"', 'line 2: device.name is the text "Küche", and must be 1 to'),
        (f'[device]\nname = "{"x" * 65}"', f'line 2: device.name is the text "{"x" * 60}…", and'),
        ('[device]\nname = "box.1"', 'line 2: device.name is the text "box.1", and must be 1 to'),
        (
            '[camera]\nsource = "usb:1"',
            'line 2: camera.source is the text "usb:1", and must be auto, ',
        ),
        (
            '[camera]\nsource = "pi:x"',
            'line 2: camera.source is the text "pi:x", and must be auto, ',
        ),
        (
            '[camera]\nsource = "file:///film.mkv"',
            'line 2: camera.source is the text "file:///film.mkv", and must be auto, ',
        ),
        (
            '[web]\nnames = "box.lan, mood.home"',
            'line 2: web.names is the text "box.lan, mood.home", and must be names separated ',
        ),
        (
            '[web]\nnames = "http://box.lan"',
            'line 2: web.names is the text "http://box.lan", and must be names separated ',
        ),
        (
            '[camera]\nsource = "http://cam:80800/x"',
            'line 2: camera.source is the text "http://cam:80800/x", and must be an address with a',
        ),
        (
            '[camera]\nsource = "rtsp://me:geh/eim@cam"',
            'line 2: camera.source is the text "rtsp://me:***@cam", and must be an address withou',
        ),
        ('[camera]\nsource = " "', 'line 2: camera.source is the text " ", and must be auto'),
        ('[mqtt]\nprefix = "a/+/b"', 'line 2: mqtt.prefix is the text "a/+/b", and must be parts'),
        ('[mqtt]\nprefix = "a/"', 'line 2: mqtt.prefix is the text "a/", and must be parts'),
        ('[mqtt]\ndiscovery_prefix = "#"', "line 2: mqtt.discovery_prefix is the text"),
        ('[mqtt]\nhost = "mqtt://x"', "line 2: mqtt.host is the text"),
        (
            '[mqtt]\nhost = "x:1883"',
            'line 2: mqtt.host is the text "x:1883", and must be a name or',
        ),
        ('[mqtt]\nhost = "pi..local"', 'line 2: mqtt.host is the text "pi..local", and must be a'),
        ("[mood]\nmargin = 1.0", "line 2: mood.margin is 1.0, and must be less than (1 - floor)"),
        ("[mood]\nfloor = 0.1\nmargin = 0.6", "line 3: mood.margin is 0.6, and must be less than"),
        ('[mqtt]\n\nca_file = "/x"', 'line 3: mqtt.ca_file is the text "/x", and must be empty if'),
    ],
)
def test_says_where_and_what_would_be_right(config: Path, text: str, problem: str) -> None:
    (found,) = problems(config, text)

    assert found.startswith(problem)


HOOK = '[[hooks]]\nevents = ["mood"]\ncommand = ["a"]\n'


def test_reads_arrays_of_tables(config: Path) -> None:
    config.write_text(
        f"{HOOK}timeout = 3\n[camera]\nfps = 5\n"
        '[[hooks]]\ncommand = ["b", "", "c d"]\nevents = [\n  "face",\n  "no_face",\n]\n'
    )

    file = read_settings(config)

    assert file.settings.hooks == (
        HookSettings(("mood",), ("a",), 3.0),
        HookSettings(("face", "no_face"), ("b", "", "c d")),
    )
    assert type(file.settings.hooks[0].timeout) is float
    assert file.settings.camera.fps == 5
    assert file.lines["hooks.0.timeout"] == 4
    assert file.lines["hooks.1.events"] == 9
    config.write_text("hooks = [{events = ['error'], command = ['x']}]")
    assert load_settings(config).hooks == (HookSettings(("error",), ("x",)),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[hooks]\nevents = 1",
            "line 1: hooks is a table, and must be an array of tables: begin ea",
        ),
        (
            "hooks = 3",
            "line 1: hooks is 3, and must be an array of tables: begin each with [[hooks",
        ),
        (
            "hooks = [1]",
            "line 1: hooks is an array of other things, and must be an array of tables",
        ),
        (
            f"{HOOK}\n{HOOK}evnets = []",
            "line 8: hooks.evnets is not a setting: did you mean events",
        ),
        (f'{HOOK}shell = "x"', "line 4: hooks.shell is not a setting: those of [[hooks]] are even"),
        (f"{HOOK}timeout = 0", "line 4: hooks.timeout is 0, and must be a number from 0.1 to 3600"),
        ('[[hooks]]\nevents = ["face"]', "line 1: a [[hooks]] lacks command: add command = ["),
        (
            f"{HOOK}[[hooks]]\ncommand = ['b']",
            'line 4: a [[hooks]] lacks events: add events = ["mo',
        ),
        (
            "[[hooks]]\ncommand = ['a']\nevents = ['mood', 'faces']",
            'line 3: hooks.events holds the text "faces", and each must be one of "mood", "fa',
        ),
        (
            "[[hooks]]\ncommand = 'a b'\nevents = ['mood']",
            'line 2: hooks.command is the text "a b", and must be an array of texts in "quo',
        ),
        (
            "[[hooks]]\ncommand = []\nevents = ['mood']",
            "line 2: hooks.command is an empty array, and must be an array of texts",
        ),
        (
            "[[hooks]]\ncommand = ['a', 1]\nevents = ['mood']",
            "line 2: hooks.command holds 1, and each must be one line of text",
        ),
        (
            "[[hooks]]\ncommand = ['', 'a']\nevents = ['mood']",
            "line 2: hooks.command must begin with the name of a program",
        ),
        (
            "[[hooks]]\ncommand = [' ']\nevents = ['mood']",
            "line 2: hooks.command must begin with the name of a program",
        ),
        (HOOK * 17, "line 49: there are 17 [[hooks]], and at most 16 are allowed"),
        ("[[hook]]\nevents = []", "line 1: hook is not a setting: did you mean [[hooks]]?"),
        ("command = ['a']", "line 1: command is not in a table: put it under [[hooks]]"),
        (
            "[diffuser]\nenabled = true",
            "line 2: diffuser.enabled is true, and must be false if mqtt.enabled is false",
        ),
    ],
)
def test_says_what_is_wrong_with_hooks_and_the_diffuser(
    config: Path, text: str, problem: str
) -> None:
    (found,) = problems(config, text)

    assert found.startswith(problem)


def test_a_bad_hook_among_many_gets_few_words(config: Path) -> None:
    text = "".join(f"[[hooks]]\n{'x = 1' if number else 'y = 1'}\n" for number in range(16))

    assert len(problems(config, text)) == MAX_PROBLEMS


def test_tells_all_problems_at_once_in_the_order_of_lines(config: Path) -> None:
    text = (
        '[device]\nname = "a b"\n[camera]\nwidth = 1\nfsp = 2\nfps = 2\n'
        '[mqtt]\ntls = "yes"\nca_file = "/x"\n[bogus]\n'
    )

    found = problems(config, text)

    keys = [(problem.split(":")[0], problem.split()[2]) for problem in found]
    # mqtt.ca_file is not judged: whether it may be set depends on mqtt.tls, which is invalid.
    assert keys == [
        ("line 2", "device.name"),
        ("line 4", "camera.width"),
        ("line 5", "camera.fsp"),
        ("line 8", "mqtt.tls"),
        ("line 10", "[bogus]"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[mqtt]\npassword = "geheim"',
        '[mqtt]\nPassword = "geheim"',
        '[mqtt]\nmqtt_password = "geheim"',
        '[mqtt]\npasswd = "geheim"',
        '[mqtt]\npassphrase = "geheim"',
        '[mqtt]\nclient_secret = "geheim"',
        '\npassword = "geheim"',
        '[camera]\ntoken = "geheim"',
        '[broker]\npassword = "geheim"',
    ],
)
def test_refuses_a_secret_without_repeating_it(config: Path, text: str) -> None:
    (found,) = problems(config, text)

    assert "geheim" not in found
    if "broker" not in text:
        assert found.startswith("line 2: ")
        assert (
            "credential mqtt-password or the environment variable SERENBOX_MQTT_PASSWORD" in found
        )


def test_a_token_of_the_page_is_sent_to_its_own_place(config: Path) -> None:
    (found,) = problems(config, '[web]\ntoken = "geheim"')

    assert "geheim" not in found
    assert "credential web-token or the environment variable SERENBOX_WEB_TOKEN" in found


def test_an_empty_hook_lacks_everything(config: Path) -> None:
    found = problems(config, "\nhooks = [{}]")

    assert [problem.partition(": add")[0] for problem in found] == [
        "line 2: a [[hooks]] lacks command",
        "line 2: a [[hooks]] lacks events",
    ]


@pytest.mark.parametrize(
    ("name", "value", "suits"),
    [
        ("camera.source", "https://cam.local/x", True),
        ("camera.source", "RTSPS://me:geheim@cam:322/1", True),
        ("camera.source", "pi:1", True),
        ("camera.source", "pi:²", False),
        ("camera.source", "auto:1", False),
        ("camera.source", "RTSP:///live", False),
        ("mqtt.prefix", "home/living-room", True),
        ("mqtt.prefix", "x" * 200, True),
        ("mqtt.prefix", "x" * 201, False),
        ("mqtt.prefix", "$SYS/box", False),
        ("mqtt.prefix", "living room", False),
        ("mqtt.host", "broker.local.", True),
        ("mqtt.host", "x" * 63, True),
        ("mqtt.host", "x" * 64, False),
        ("mqtt.host", "my broker", False),
        ("mqtt.host", "me@broker", False),
        ("web.host", "::", True),
        ("web.host", "0.0.0.0:80", False),
        ("web.names", "box.lan mood.home", True),
        ("web.names", "küche.lan", False),
        ("web.names", "box.lan:80", False),
        ("web.names", "box.lan/page", False),
    ],
)
def test_texts_that_a_type_cannot_judge(name: str, value: str, suits: bool) -> None:
    if suits:
        assert with_overrides(Settings(), {name: value}) != Settings()
    else:
        with pytest.raises(SettingsError, match=rf"^{name} is the text .*, and must be"):
            with_overrides(Settings(), {name: value})


def test_a_password_in_an_address_is_not_repeated(config: Path) -> None:
    (found,) = problems(config, '[mqtt]\nhost = "mqtt://me:geheim@broker"')

    assert "mqtt://me:***@broker" in found


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
