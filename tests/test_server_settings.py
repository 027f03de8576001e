"""Settings of the server: from the environment and from options."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from serenbox.errors import SettingsError
from serenbox.server.settings import ENVIRONMENT, ServerSettings, settings_from, with_texts


def test_an_empty_environment_gives_the_defaults() -> None:
    assert settings_from({"PATH": "/bin"}) == ServerSettings()


def test_reads_every_kind_of_setting_from_the_environment() -> None:
    texts = {
        "MODEL": "mine.tflite",
        "RUNTIME": "tflite-runtime",
        "MIN_CONFIDENCE": "0.5",
        "PRIOR_EXPONENT": "0.3",
        "TOTAL": "100",
        "MAX_BODY_MB": "2",
        "MAX_MEGAPIXELS": "1.5",
        "QUEUE": "0",
        "CORS_ORIGINS": "https://a.example, http://b.example:8080,",
    }

    found = settings_from({ENVIRONMENT + name: text for name, text in texts.items()})

    assert (found.model, found.runtime) == ("mine.tflite", "tflite-runtime")
    assert (found.min_confidence, found.prior_exponent) == (0.5, 0.3)
    assert (found.total, found.queue) == (100, 0)
    assert (found.max_body, found.max_pixels, found.max_memory) == (2 * 2**20, 1_500_000, 2**23)
    assert found.cors_origins == ("https://a.example", "http://b.example:8080")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("queue", "1.5", "--queue must be a whole number from 0 to 1000, not '1.5'"),
        ("queue", "-1", "must be a whole number"),
        ("wait_seconds", "nan", "must be a number from 0 to 600"),
        ("max_body_mb", "inf", "must be a number"),
        ("runtime", "onnx", "must be one of: auto, ai-edge-litert, tflite-runtime"),
        ("cors_origins", "example.org", "must be origins such as https://example.org"),
        ("cors_origins", "https://example.org/page", "must be origins"),
        ("cors_origins", "//example.org", "must be origins"),
        ("cors_origins", "https://example.org/", "without a path: https://example.org, not"),
        ("cors_origins", "https://me@A.example:80", "without a user: https://a.example:80, not"),
        ("cors_origins", "https://*.a.example", "such as https://www.example.org, or * for any"),
        ("cors_origins", "http://bücher.example", "ASCII letters: http://xn--bcher-kva.example,"),
        ("cors_origins", "http://straße.example", "ASCII letters: http://xn--..., not"),
        ("cors_origins", "https://a b.example", "must be origins such as"),
        ("cors_origins", "https://a.example:x", "must be origins such as"),
        ("cors_origins", "https://[::1", "must be origins such as"),
        ("cors_origins", "https://[v1.a:b]", "must be origins such as"),
        ("queue", "1001", "must be a whole number from 0 to 1000"),
        ("queue", "many", "must be a whole number from 0 to 1000, not 'many'"),
        ("total", "50", "--total must be 1 or 100, not '50'"),
    ],
)
def test_says_what_is_wrong(name: str, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        with_texts(ServerSettings(), {name: text}, lambda field: f"--{field}")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("min_confidence", "0", 0),
        ("min_confidence", "1", 1),
        ("queue", "1000", 1000),
        ("wait_seconds", "0", 0),
        ("total", "1", 1),
        ("cors_origins", "*", ("*",)),
        ("cors_origins", "", ()),
        ("cors_origins", "HTTPS://A.example", ("https://a.example",)),
        (
            "cors_origins",
            "https://b.example:443,http://b.example:80,https://b.example:80",
            ("https://b.example", "http://b.example", "https://b.example:80"),
        ),
        ("cors_origins", "http://[0:0:0:0:0:0:0:1]:8080", ("http://[::1]:8080",)),
        ("cors_origins", "capacitor://localhost", ("capacitor://localhost",)),
    ],
)
def test_what_is_just_possible(name: str, text: str, value: object) -> None:
    found = with_texts(ServerSettings(), {name: text}, str)

    assert getattr(found, name) == value


def test_a_variable_without_a_text_changes_nothing() -> None:
    assert settings_from({ENVIRONMENT + "QUEUE": "", ENVIRONMENT + "MODEL": ""}) == ServerSettings()


def test_settings_made_in_a_program_have_a_total_that_the_answers_can_have() -> None:
    with pytest.raises(SettingsError, match="total is 50, and must be 1 or 100"):
        ServerSettings(total=50)


def test_names_everything_that_is_wrong() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from({ENVIRONMENT + "QUEUE": "x", ENVIRONMENT + "RUNTIME": "y"})

    assert [problem.split()[0] for problem in caught.value.problems] == [
        "SERENBOX_SERVER_RUNTIME",
        "SERENBOX_SERVER_QUEUE",
    ]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("MAX_BODY", "did you mean SERENBOX_SERVER_MAX_BODY_MB?"),
        ("CORS_ORIGIN", "did you mean SERENBOX_SERVER_CORS_ORIGINS?"),
        ("WORKERS", "give the option --workers instead"),
        ("PORT", "give the option --port instead"),
        ("HOST", "give the option --host instead"),
        ("ACCESS_LOG", "give the option --access-log instead"),
        ("FLAVOUR", "take it out of the environment"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused(name: str, advice: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from({ENVIRONMENT + name: "80", ENVIRONMENT + "QUEUE": "x"})

    assert caught.value.problems[0] == f"SERENBOX_SERVER_{name} is not a setting: {advice}"
    assert "SERENBOX_SERVER_QUEUE must be" in caught.value.problems[1]


@pytest.mark.parametrize("service", ["", "CANARY_"])
def test_what_kubernetes_says_about_a_service_is_no_setting(service: str) -> None:
    """It does so for services called serenbox-server and serenbox-server-canary."""
    links = {
        "SERVICE_HOST": "10.0.0.11",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP": "80",
        "PORT": "tcp://10.0.0.11:80",
        "PORT_80_TCP": "tcp://10.0.0.11:80",
        "PORT_80_TCP_PROTO": "tcp",
        "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_ADDR": "10.0.0.11",
        "PORT_53_UDP": "udp://10.0.0.11:53",
    }

    environment = {ENVIRONMENT + service + name: text for name, text in links.items()}
    assert settings_from(environment) == ServerSettings()


def test_every_setting_says_what_it_is() -> None:
    assert all(entry.metadata["doc"] for entry in fields(ServerSettings))
