"""Every setting, its default and what it means; the commented configuration is made of this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from serenbox.runtime import Runtime  # noqa: TC001 - read at run time, to check values


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a setting may be."""

    low: float
    high: float


def _setting(default: Any, doc: str, allowed: Range | None = None) -> Any:
    return field(default=default, metadata={"doc": doc, "range": allowed})


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """The box itself."""

    name: str = _setting(
        "serenbox", "Name in topics and pages: letters, digits, - and _; one per box."
    )


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """Where frames come from."""

    source: str = _setting(
        "auto",
        "auto; pi or pi:1 (Raspberry Pi camera); usb or /dev/video0 (USB camera); a video file or "
        "a folder of pictures; an http:// or rtsp:// address.",
    )
    width: int = _setting(640, "Width of a frame, pixels.", Range(64, 4096))
    height: int = _setting(480, "Height of a frame, pixels.", Range(64, 4096))
    fps: float = _setting(10.0, "Frames to look at per second.", Range(0.1, 120))
    rotate: Literal[0, 90, 180, 270] = _setting(0, "Degrees to turn frames clockwise.")
    loop: bool = _setting(False, "Begin a recording again when it ends.")
    real_time: bool = _setting(True, "Play a recording at its own speed, not as fast as possible.")
    timeout: float = _setting(2.0, "Seconds to wait for a frame.", Range(0.1, 60))
    misses: int = _setting(3, "Failed reads in a row before the camera is reopened.", Range(1, 100))
    reopens: int = _setting(
        10, "Failed reopenings in a row before the service ends, to be restarted.", Range(1, 1000)
    )
    reopen_pause: float = _setting(
        1.0, "Seconds between reopenings, growing to ten times it.", Range(0.05, 60)
    )


@dataclass(frozen=True, slots=True)
class SensingSettings:
    """How faces are looked for and read."""

    model: str = _setting("", "Emotion model (.tflite); empty for the shipped one.")
    runtime: Runtime = _setting("auto", "What runs the models.")
    threads: int = _setting(1, "CPU threads for one model.", Range(1, 64))
    search_interval: float = _setting(
        1.0,
        "Seconds between looks at the whole picture while known faces are followed.",
        Range(0, 60),
    )
    motion: float = _setting(
        2.0,
        "Mean change, in grey levels of a tiny picture, from which a scene without faces is looked "
        "at; 0 looks at every frame.",
        Range(0, 255),
    )
    heartbeat: float = _setting(
        2.0, "Seconds between looks at a scene without faces and without motion.", Range(0.1, 600)
    )
    max_faces: int = _setting(5, "Faces to follow at a time, largest first.", Range(1, 50))


@dataclass(frozen=True, slots=True)
class MoodSettings:
    """How single frames become a mood."""

    smoothing: float = _setting(
        0.7, "Time constant of the average of scores, seconds; 0 for none.", Range(0, 60)
    )
    margin: float = _setting(
        0.1, "By how much another emotion's score must lead to replace the mood.", Range(0, 1)
    )
    dwell: float = _setting(0.5, "Seconds for which it must do so.", Range(0, 600))
    minimum: float = _setting(1.0, "Seconds that a mood lasts at least.", Range(0, 600))
    no_face_after: float = _setting(2.0, "Seconds without a face until no_face.", Range(0, 600))
    uncertain_after: float = _setting(
        1.0, "Seconds without a score above its threshold until uncertain.", Range(0, 600)
    )
    primary_lead: float = _setting(
        1.5, "How many times larger another face must be to become the primary one.", Range(1, 100)
    )


@dataclass(frozen=True, slots=True)
class StdoutSettings:
    """JSON lines on standard output."""

    enabled: bool = _setting(True, "Whether to print events.")
    moods: bool = _setting(False, "Also print the state between events, at most once a second.")


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Publishing to an MQTT broker."""

    enabled: bool = _setting(False, "Whether to publish over MQTT.")
    host: str = _setting("localhost", "The broker's name or address.")
    port: int = _setting(1883, "The broker's port.", Range(1, 65535))
    username: str = _setting(
        "",
        "User; the password comes from the systemd credential mqtt-password or the environment "
        "variable SERENBOX_MQTT_PASSWORD.",
    )
    tls: bool = _setting(False, "Encrypt the connection; the port is often 8883 then.")
    ca_file: str = _setting("", "Certificates to trust (PEM); empty for the system's.")
    keepalive: int = _setting(15, "Seconds between signs of life.", Range(5, 3600))
    prefix: str = _setting("serenbox", "First part of every topic.")
    discovery: bool = _setting(True, "Announce the box to Home Assistant.")
    discovery_prefix: str = _setting("homeassistant", "Home Assistant's discovery prefix.")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The service around it."""

    stats_interval: float = _setting(30.0, "Seconds between statistics.", Range(1, 3600))
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "What to log.")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration: one field per table of the TOML file."""

    device: DeviceSettings = field(default_factory=DeviceSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    sensing: SensingSettings = field(default_factory=SensingSettings)
    mood: MoodSettings = field(default_factory=MoodSettings)
    stdout: StdoutSettings = field(default_factory=StdoutSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)
