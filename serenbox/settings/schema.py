"""Every setting, its default and what it means; the commented configuration is made from this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from serenbox.defaults import FACE_SCORE, MAX_THREADS, PRIOR_EXPONENT
from serenbox.runtime_names import Runtime  # noqa: TC001 - read at run time, to check values
from serenbox.settings.table import Setting, Table

Slot = Literal["A", "B", "off"]
"""What a diffuser with two oils does: one, the other, or neither."""

Wish = Literal["A", "B", "off", "keep"]
"""What a mood asks of the diffuser; `keep` leaves it as it is."""

OffOrKeep = Literal["off", "keep"]
"""What is asked of the diffuser when there is no emotion."""

HookEvent = Literal["mood", "face", "no_face", "paused", "error"]
"""What hooks run on; `docs/hooks.md` says exactly when each happens."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeviceSettings(Table):
    """The box itself."""

    name: Annotated[
        str, Setting("Name in topics and pages: letters, digits, - and _; one per box.")
    ] = "serenbox"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CameraSettings(Table):
    """Where frames come from."""

    source: Annotated[
        str,
        Setting(
            "auto; pi or pi:1 (Raspberry Pi camera); usb or /dev/video0 (USB camera); a video file "
            "or a folder of pictures; an http(s):// or rtsp(s):// address."
        ),
    ] = "auto"
    width: Annotated[
        int, Setting("Width of a frame, pixels; for Pi and USB cameras.", 64, 4096)
    ] = 640
    height: Annotated[
        int, Setting("Height of a frame, pixels; for Pi and USB cameras.", 64, 4096)
    ] = 480
    fps: Annotated[float, Setting("Frames to look at per second.", 0.1, 120)] = 10.0
    rotate: Annotated[Literal[0, 90, 180, 270], Setting("Degrees to turn frames clockwise.")] = 0
    loop: Annotated[bool, Setting("Begin a recording again when it ends.")] = False
    real_time: Annotated[
        bool, Setting("Play a recording at its own speed, not as fast as possible.")
    ] = True
    timeout: Annotated[float, Setting("Seconds to wait for a frame.", 0.1, 60)] = 2.0
    misses: Annotated[
        int, Setting("Failed reads in a row before the camera is reopened.", 1, 100)
    ] = 3
    reopens: Annotated[
        int,
        Setting("Failed reopenings in a row before the service ends, to be restarted.", 1, 1000),
    ] = 40
    reopen_pause: Annotated[
        float,
        Setting("Seconds between reopenings, growing to ten times that.", 0.05, 60),
    ] = 1.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SensingSettings(Table):
    """How faces are looked for and read."""

    model: Annotated[str, Setting("Emotion model (.tflite); empty for the shipped one.")] = ""
    runtime: Annotated[Runtime, Setting("What runs the models.")] = "auto"
    threads: Annotated[int, Setting("CPU threads for one model.", 1, MAX_THREADS)] = 1
    search_interval: Annotated[
        float,
        Setting(
            "Seconds between searches of the whole picture while known faces are followed.", 0, 60
        ),
    ] = 1.0
    motion: Annotated[
        float,
        Setting(
            "Mean change, in grey levels of a thumbnail, from which a scene without faces is "
            "searched; 0 searches every frame.",
            0,
            255,
        ),
    ] = 2.0
    heartbeat: Annotated[
        float,
        Setting("Seconds between searches of a scene without faces and without motion.", 0.1, 600),
    ] = 2.0
    min_face_score: Annotated[
        float,
        Setting(
            "How sure it must be that something is a face. Real faces mostly score 0.7 or more; a "
            "picture on the wall or a pet that is mistaken for one scores less.",
            0.1,
            1,
        ),
    ] = FACE_SCORE
    max_faces: Annotated[int, Setting("Faces to follow at a time, largest first.", 1, 50)] = 5
    memory: Annotated[
        float, Setting("Seconds for which a face missing from frames keeps its number.", 0, 60)
    ] = 1.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MoodSettings(Table):
    """How single frames become a mood."""

    smoothing: Annotated[
        float, Setting("Time constant of the average of scores, seconds; 0 for none.", 0, 60)
    ] = 0.5
    prior_exponent: Annotated[
        float,
        Setting(
            "How much to expect common emotions: 0 treats all seven as equally likely, 1 as likely "
            "as among the faces the model learnt from; never more than the model says. Less finds "
            "rare ones such as fear more readily; more is surer of neutral and happy.",
            0,
            1,
        ),
    ] = PRIOR_EXPONENT
    floor: Annotated[
        float,
        Setting(
            "Least score of an emotion in one frame, so that no odd frame rules it out.",
            1e-6,
            0.1,
        ),
    ] = 0.001
    margin: Annotated[
        float, Setting("By how much another emotion's score must lead to replace the mood.", 0, 1)
    ] = 0.1
    dwell: Annotated[float, Setting("Seconds for which it must lead.", 0, 600)] = 0.5
    minimum: Annotated[float, Setting("Shortest time that a mood lasts, seconds.", 0, 600)] = 1.0
    no_face_after: Annotated[float, Setting("Seconds without a face until no_face.", 0, 600)] = 2.0
    uncertain_after: Annotated[
        float,
        Setting(
            "Seconds for which neither the highest score nor the mood's reaches its threshold "
            "until the mood is uncertain; plus dwell if emotions take turns; for somebody who has "
            "just come, dwell alone.",
            0,
            600,
        ),
    ] = 2.0
    primary_lead: Annotated[
        float,
        Setting("How many times as large another face must be to become the primary one.", 1, 100),
    ] = 1.5


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StdoutSettings(Table):
    """JSON lines on standard output, for `serenbox run` by hand: systemd's unit drops them."""

    enabled: Annotated[bool, Setting("Whether to print events.")] = True
    moods: Annotated[
        bool, Setting("Also print the state between events, at most once a second.")
    ] = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MqttSettings(Table):
    """Publishing to an MQTT broker."""

    enabled: Annotated[bool, Setting("Whether to publish over MQTT.")] = False
    host: Annotated[str, Setting("The broker's name or address.")] = "localhost"
    port: Annotated[int, Setting("The broker's port.", 1, 65535)] = 1883
    username: Annotated[
        str,
        Setting(
            "User; the password comes from the systemd credential mqtt-password or the environment "
            "variable SERENBOX_MQTT_PASSWORD."
        ),
    ] = ""
    tls: Annotated[bool, Setting("Encrypt the connection; often port 8883.")] = False
    ca_file: Annotated[
        str, Setting("Certificates to trust (PEM) if tls is true; empty for the system's.")
    ] = ""
    keepalive: Annotated[int, Setting("MQTT keep-alive interval, seconds.", 5, 3600)] = 15
    prefix: Annotated[str, Setting("First part of every topic.")] = "serenbox"
    discovery: Annotated[bool, Setting("Announce the box to Home Assistant.")] = True
    discovery_prefix: Annotated[str, Setting("Home Assistant's discovery prefix.")] = (
        "homeassistant"
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DiffuserSettings(Table):
    """A diffuser with two oils, A and B, that follows the mood over MQTT (docs/diffuser.md)."""

    enabled: Annotated[bool, Setting("Whether to publish which oil is on.")] = False
    angry: Annotated[Wish, Setting("What is on while angry.")] = "A"
    disgust: Annotated[Wish, Setting("What is on while disgusted.")] = "B"
    fear: Annotated[Wish, Setting("What is on while fearful.")] = "A"
    happy: Annotated[Wish, Setting("What is on while happy.")] = "B"
    neutral: Annotated[Wish, Setting("What is on while neutral.")] = "B"
    sad: Annotated[Wish, Setting("What is on while sad.")] = "B"
    surprise: Annotated[Wish, Setting("What is on while surprised.")] = "A"
    uncertain: Annotated[
        OffOrKeep, Setting("What is on while no emotion is clear; keep changes nothing.")
    ] = "keep"
    no_face: Annotated[OffOrKeep, Setting("What is on while nobody is seen.")] = "off"
    no_camera: Annotated[OffOrKeep, Setting("What is on without a camera.")] = "off"
    paused: Annotated[OffOrKeep, Setting("What is on while paused; off acts at once.")] = "off"
    dwell: Annotated[
        float,
        Setting("Seconds for which moods must ask for an oil to turn it on.", 0, 3600),
    ] = 10.0
    off_after: Annotated[
        float, Setting("Seconds for which they must ask for off to turn it off.", 0, 3600)
    ] = 30.0
    minimum_on: Annotated[
        float, Setting("Shortest time that an oil stays on, seconds.", 0, 86400)
    ] = 60.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class WebSettings(Table):
    """The web page of the box."""

    enabled: Annotated[bool, Setting("Whether to serve the page.")] = False
    host: Annotated[
        str,
        Setting(
            "Address to listen on; 0.0.0.0 for all. Beyond this machine a token is needed, in "
            "the systemd credential web-token or the environment variable SERENBOX_WEB_TOKEN."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Setting("Port to listen on.", 1, 65535)] = 8765
    names: Annotated[
        str,
        Setting("Further host names of the page, separated by blanks; no addresses."),
    ] = ""
    streams: Annotated[int, Setting("Most live viewers at a time.", 1, 200)] = 64
    preview: Annotated[
        bool,
        Setting(
            "Whether a visitor may watch the camera live for one visit: anyone who has the token "
            "or, without one, sits at this machine. The page shows everybody that it is on."
        ),
    ] = True


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HistorySettings(Table):
    """A summary of the mood per minute, kept on the box."""

    enabled: Annotated[
        bool,
        Setting(
            "Whether to keep it. What was kept stays when this is turned off; `serenbox history "
            "--delete` removes it."
        ),
    ] = False
    days: Annotated[int, Setting("Days to keep the summary of a minute.", 1, 3650)] = 30


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ServiceSettings(Table):
    """The service around it."""

    stats_interval: Annotated[float, Setting("Seconds between statistics.", 1, 3600)] = 30.0
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Setting("What to log.")] = (
        "info"
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HookSettings(Table):
    """A command to run on events, here an example; repeat it for each command (docs/hooks.md)."""

    events: Annotated[tuple[HookEvent, ...], Setting("When to run it.", example=("mood",))]
    command: Annotated[
        tuple[str, ...],
        Setting(
            "Program and arguments, without a shell; the event comes as JSON on standard input.",
            example=("/etc/serenbox/hooks/on-mood",),
        ),
    ]
    timeout: Annotated[float, Setting("Seconds after which it is ended.", 0.1, 3600)] = 10.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Settings(Table):
    """The whole configuration: one field per table, or array of tables, of the TOML file."""

    device: DeviceSettings = field(default_factory=DeviceSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    sensing: SensingSettings = field(default_factory=SensingSettings)
    mood: MoodSettings = field(default_factory=MoodSettings)
    stdout: StdoutSettings = field(default_factory=StdoutSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    diffuser: DiffuserSettings = field(default_factory=DiffuserSettings)
    web: WebSettings = field(default_factory=WebSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)
    hooks: tuple[HookSettings, ...] = ()
