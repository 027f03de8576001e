from __future__ import annotations

import tomllib

from serenbox.settings.lines import KeyPath, key_lines

LINES = (
    "# a = 1",
    "top = 1 # [no] = 2",
    "",
    "[ camera ]   # [camera.x]",
    'source = "a # b = 3 [c]"',
    '"width" = 640',
    'text = """',
    "height = 5",
    "[mqtt]",
    'escaped \\""" = 1',
    '""""',
    "after = 'a\\'",
    "literal = '''",
    "x = 1'''''",
    "array = [",
    "  1, # y = 2",
    '  [ "]", { z = 1 } ],',
    "]",
    "w = 2",
    'mqtt.host = "b"',
    "mqtt . port = 3",
    'inline = { a = 1, b.c = [ 2, { e = 3 } ], d = "}" }',
    "quotes = [{ a = '''x'''', b = 'c' }, { a = \"\"\"x\"\"\"\", b = \"c\" }, {}]",
    '[[many."a.b"]]',
    "k = 1",
    '[[many."a.b"]]',
    "k = 2",
    '["tab\\tle"]',
    "'q' = 1979-05-27T07:32:00.5Z",
    "last = 1.5e+3",
    '[many."a.b".sub]',
    "k = 3",
    '[[many."a.b".deep]]',
    "k = 4",
    '[[many."a.b"]]',
    '[[many."a.b".deep]]',
    "k = 5",
    "[[many.'a.b'.deep]]",
    "k = 6",
)
DOCUMENT = "\n".join(LINES)


def paths(content: object, outer: KeyPath = ()) -> set[KeyPath]:
    """Return the path of every key and every table in what tomllib has read."""
    found: set[KeyPath] = {outer} if outer else set()
    if isinstance(content, dict):
        for key, value in content.items():
            found |= {(*outer, key)} | paths(value, (*outer, key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            if isinstance(value, (dict, list)):
                found |= paths(value, (*outer, number))
    return found


def test_finds_exactly_the_keys_that_tomllib_finds() -> None:
    assert set(key_lines(DOCUMENT)) == paths(tomllib.loads(DOCUMENT))


def test_each_on_its_line() -> None:
    lines = key_lines(DOCUMENT)

    def holding(text: str) -> int:
        return next(number for number, line in enumerate(LINES, 1) if text in line)

    assert lines["top",] == 2
    assert lines["camera",] == holding("[ camera ]")
    assert lines["camera", "source"] == 5
    assert lines["camera", "width"] == 6
    assert lines["camera", "after"] == holding("after =")
    assert lines["camera", "w"] == holding("w = 2")
    assert lines["camera", "mqtt"] == lines["camera", "mqtt", "host"] == holding("mqtt.host")
    assert lines["camera", "mqtt", "port"] == holding("mqtt . port")
    assert lines["camera", "array", 1, 1, "z"] == holding("z = 1")
    assert lines["camera", "inline", "b", "c", 1, "e"] == holding("inline")
    many = ("many", "a.b")
    assert lines[many] == lines[(*many, 0)] == holding('[[many."a.b"]]')
    assert [lines[(*many, number, "k")] for number in (0, 1)] == [
        holding("k = 1"),
        holding("k = 2"),
    ]
    assert lines[(*many, 1, "sub", "k")] == holding("k = 3")
    assert lines[(*many, 1, "deep", 0, "k")] == holding("k = 4")
    deep = [lines[(*many, 2, "deep", number, "k")] for number in (0, 1)]
    assert deep == [holding("k = 5"), holding("k = 6")]
    assert lines["tab\tle", "q"] == holding("'q'")
    assert lines["tab\tle", "last"] == holding("last =")


def test_windows_line_ends() -> None:
    assert key_lines("[a]\r\nb = 1\r\n\r\nc = 2") == {("a",): 1, ("a", "b"): 2, ("a", "c"): 4}


def test_nothing() -> None:
    assert key_lines("") == {}
