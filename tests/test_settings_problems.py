"""What is said about settings that are wrong; a secret is never repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.errors import SettingsError
from serenbox.settings import Settings, with_overrides
from tests.settings_file import problems

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "serenbox.toml"


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
        '[device]\ntoken = "geheim"',
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


@pytest.mark.parametrize("key", ["password", "token", "username"])
def test_the_login_of_a_camera_goes_into_its_address(config: Path, key: str) -> None:
    (found,) = problems(config, f'[camera]\n{key} = "geheim"')

    assert found == (
        f"line 2: camera.{key} is not a setting: write the login of a camera into its address, "
        'source = "rtsp://user:password@camera.local/live"'
    )


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
        ("mqtt.host", "fe80::1%eth0", True),
        ("mqtt.host", "[::1]", False),
        ("mqtt.host", "broker:1883:1", False),
        ("web.host", "::", True),
        ("web.host", "[::]", False),
        ("web.host", "0.0.0.0:80", False),
        ("web.names", "box.lan mood.home", True),
        ("web.names", "küche.lan", False),
        ("web.names", "box.lan:80", False),
        ("web.names", "box.lan/page", False),
        ("web.names", "box.lan 192.168.1.20", False),
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
