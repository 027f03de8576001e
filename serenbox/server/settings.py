"""The server's settings: set by options of `serenbox serve`, or in the environment."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, get_args

from serenbox.defaults import PRIOR_EXPONENT
from serenbox.errors import SettingsError
from serenbox.runtime_names import Runtime
from serenbox.server.origins import read_origins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENVIRONMENT = "SERENBOX_SERVER_"
"""The prefix of the environment variables; the field's name follows in upper case."""

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which workers share their metrics. prometheus_client reads
it when it is imported, so it is defined here and not beside the metrics."""

MIB = 2**20

_ONLY_OPTIONS = ("HOST", "PORT", "WORKERS", "ACCESS_LOG")
"""What `serenbox serve` does not read from the environment under the prefix."""

_SERVICE_LINK = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)=.*"
    r"|(\w+_)?PORT=\w+://.*"
)
"""What Kubernetes adds after the prefix, for services whose names begin with serenbox-server."""


def _number(low: float, high: float, *, whole: bool = False) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = int(text) if whole else float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            kind = "whole number" if whole else "number"
            raise ValueError(f"must be a {kind} from {low:g} to {high:g}")
        return number

    return read


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of: {', '.join(choices)}")
        return text

    return read


def _total(text: str) -> int:
    if text.strip() not in {"1", "100"}:
        raise ValueError("must be 1 or 100")
    return int(text)


def _setting(default: object, read: Callable[[str], Any], metavar: str, doc: str) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"read": read, "metavar": metavar, "doc": doc})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What applies to one worker of the server. Each field's metadata says how to read it."""

    model: str | None = _setting(
        None, str, "FILE", "emotion model (.tflite) to use instead of the usual one"
    )
    runtime: Runtime = _setting(  # noqa: RUF009 - it makes a field
        "auto",
        _one_of(*get_args(Runtime)),
        "NAME",
        "what runs the models: auto, ai-edge-litert or tflite-runtime",
    )
    min_confidence: float | None = _setting(
        None,
        _number(0, 1),
        "SCORE",
        'an emotion with a score below this is "uncertain" in /detect (default: a threshold for '
        "each emotion, from the model)",
    )
    prior_exponent: float = _setting(
        PRIOR_EXPONENT,
        _number(0, 1),
        "SHARE",
        "how much to expect common emotions: from 0, all seven alike, to 1, as in training; "
        "never more than the model says",
    )
    total: int = _setting(
        100,
        _total,
        "N",
        "what the seven numbers of /predict sum to: 100, as percentages, or 1",
    )
    max_body_mb: float = _setting(
        16.0, _number(0.01, 256), "MIB", "the largest body that is read, in MiB"
    )
    max_megapixels: float = _setting(
        25.0, _number(0.01, 64), "MP", "the largest picture that is decoded, in millions of pixels"
    )
    queue: int = _setting(
        8,
        _number(0, 1000, whole=True),
        "N",
        "requests of one worker that may wait for the model; further ones are answered 503",
    )
    wait_seconds: float = _setting(
        5.0, _number(0, 600), "S", "how long a request may wait for the model before it gets a 503"
    )
    receive_seconds: float = _setting(
        15.0, _number(0.1, 600), "S", "how long sending a request may take"
    )
    stuck_seconds: float = _setting(
        60.0, _number(1, 3600), "S", "after this long on one picture, /healthz answers 503"
    )
    cors_origins: tuple[str, ...] = _setting(
        (),
        read_origins,
        "ORIGINS",
        "origins whose pages may send requests, separated by commas; * means any",
    )

    def __post_init__(self) -> None:
        """Refuse a total other than 1 or 100."""
        if self.total not in (1, 100):
            raise SettingsError(f"total is {self.total}, and must be 1 or 100")

    @property
    def max_body(self) -> int:
        """The largest body in bytes."""
        return int(self.max_body_mb * MIB)

    @property
    def max_pixels(self) -> int:
        """The most pixels that a picture may have."""
        return int(self.max_megapixels * 1e6)

    @property
    def max_memory(self) -> int:
        """Bytes of bodies that one worker holds at a time: four of the largest."""
        return 4 * self.max_body


def settings_from(environment: Mapping[str, str]) -> ServerSettings:
    """Return the settings that the environment gives, with defaults for the others.

    Raises:
        SettingsError: Naming every variable that is wrong.

    """
    found = {
        entry.name: environment[name]
        for entry in fields(ServerSettings)
        if environment.get(name := ENVIRONMENT + entry.name.upper())
    }
    problems = _unknown_variables(environment)
    try:
        settings = with_texts(ServerSettings(), found, lambda name: ENVIRONMENT + name.upper())
    except SettingsError as error:
        raise SettingsError(*problems, *error.problems) from None
    if problems:
        raise SettingsError(*problems)
    return settings


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence about each variable that has the prefix but belongs to no setting."""
    known = [ENVIRONMENT + entry.name.upper() for entry in fields(ServerSettings)]
    problems = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT) or name in known:
            continue
        rest = name.removeprefix(ENVIRONMENT)
        if _SERVICE_LINK.fullmatch(f"{rest}={environment[name]}"):
            continue
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        advice = f"did you mean {nearest[0]}?" if nearest else "take it out of the environment"
        if rest in _ONLY_OPTIONS:
            advice = f"give the option --{rest.lower().replace('_', '-')} instead"
        problems.append(f"{name} is not a setting: {advice}")
    return problems


def with_texts(
    settings: ServerSettings, texts: Mapping[str, str], label: Callable[[str], str]
) -> ServerSettings:
    """Return the settings with some replaced.

    Args:
        settings: The settings that give the others.
        texts: The text given for each field, by field name.
        label: Returns what to call a field in a message.

    Raises:
        SettingsError: Naming everything that is wrong.

    """
    values: dict[str, Any] = {}
    problems = []
    for entry in fields(ServerSettings):
        if entry.name in texts:
            try:
                values[entry.name] = entry.metadata["read"](texts[entry.name])
            except ValueError as error:
                problems.append(f"{label(entry.name)} {error}, not '{texts[entry.name]}'")
    if problems:
        raise SettingsError(*problems)
    return replace(settings, **values)
