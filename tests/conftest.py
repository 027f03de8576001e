"""What several tests need: a small real model, its metadata, and real photographs."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import signal
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.model_file import (
    CropSpec,
    InputSpec,
    ModelMetadata,
    ScoreSpec,
    append_metadata,
)
from serenbox.models import FACE_MODEL
from serenbox.results import EMOTIONS
from tests.browser import DESKTOP, Page, chromium, fetch_axe, shape
from tests.capture import Device, capturing
from tests.daemon_process import write_script
from tests.history_output import History
from tests.history_tool import keep_minutes, known_state
from tests.missing import missing
from tests.server_process import PATIENT, QUICK, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

    from serenbox.daemon.capture import Capture

ROOT = Path(__file__).parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Tests that run in the background start with Ctrl-C ignored, and so would every process that a
    # test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONG = ("training_fit", "training_cluster", "notebooks", "training_run", "training_vertex", "wheel")
"""The slowest test files: started last, one would keep a single worker busy at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {f"test_{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))


def make_small_model() -> bytes:
    """Convert a network that calls bright faces happy and dark faces sad."""
    import tensorflow as tf

    network = tf.keras.Sequential(
        [
            tf.keras.Input((96, 96, 1)),
            tf.keras.layers.Rescaling(1 / 127.5, offset=-1),
            tf.keras.layers.AveragePooling2D(8),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(len(EMOTIONS)),
        ]
    )
    slopes = {"happy": 4.0, "sad": -4.0}
    kernel = np.array([[slopes.get(label, 0.0) for label in EMOTIONS]], np.float32)
    network.layers[-1].set_weights([kernel, np.zeros(len(EMOTIONS), np.float32)])
    levels = np.linspace(0, 255, 50, dtype=np.float32)
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [np.full((1, 96, 96, 1), level, np.float32)] for level in levels
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    return bytes(converter.convert())


@pytest.fixture(scope="session")
def small_tflite(pytestconfig: pytest.Config) -> bytes:
    """A model of 96 x 96 grey pixels to seven logits, without metadata.

    TensorFlow makes it once; later runs take it from pytest's cache, even in an environment without
    TensorFlow.
    """
    version = hashlib.sha256(inspect.getsource(make_small_model).encode()).hexdigest()[:12]
    path = Path(pytestconfig.cache.mkdir("serenbox"), f"small-{version}.tflite")
    if not path.exists():
        if importlib.util.find_spec("tensorflow") is None:
            missing("TensorFlow, which makes the small model, is not installed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow's own
            made = path.with_suffix(f".{os.getpid()}")  # another process may make it, too
            made.write_bytes(make_small_model())
            made.replace(path)
    return path.read_bytes()


@pytest.fixture(scope="session")
def metadata() -> ModelMetadata:
    """The metadata of the small model."""
    return ModelMetadata(
        name="small",
        version="1.0",
        license="Apache-2.0",
        description="Bright is happy, dark is sad.",
        labels=EMOTIONS,
        input=InputSpec("grey", (0, 255)),
        crop=CropSpec(margin=0.1, level_eyes=True, resolution=48),
        scores=ScoreSpec(
            temperature=1.0,
            class_prior=(1 / 7,) * 7,
            prior_exponent=0.0,
            thresholds=dict.fromkeys(EMOTIONS, 0.4),
        ),
        training={"dataset": "none"},
        accuracy={},
        tensorflow="2.21.0",
        commit=None,
        created="2026-01-31T12:00:00Z",
    )


@pytest.fixture(scope="session")
def emotion_model(
    small_tflite: bytes, metadata: ModelMetadata, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The file of the small model, complete with metadata."""
    path = tmp_path_factory.mktemp("models") / "small.tflite"
    path.write_bytes(append_metadata(small_tflite, metadata))
    return path


@pytest.fixture(scope="session")
def face_model() -> Path:
    """The face finder's model, which the build puts in place."""
    if not FACE_MODEL.exists():
        pytest.fail(f"{FACE_MODEL} is missing: run `pip install -e .` once, which brings it")
    return FACE_MODEL


@pytest.fixture(scope="session")
def portrait_file() -> Path:
    """A colour photograph with one face, 512 x 512: NASA's Eileen Collins, public domain.

    It comes with scikit-image, whose code is not imported.
    """
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        missing("scikit-image, which carries a portrait, is not installed")
    return Path(package.origin).parent / "data" / "astronaut.png"


@pytest.fixture(scope="session")
def portrait_bytes(portrait_file: Path) -> bytes:
    """The same, as the PNG that it is."""
    return portrait_file.read_bytes()


@pytest.fixture(scope="session")
def portrait(portrait_file: Path) -> npt.NDArray[np.uint8]:
    """The pixels of the portrait, BGR."""
    image = cv2.imread(str(portrait_file))
    assert image is not None
    return np.asarray(image, np.uint8)


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    """Photographs with one face each; without them the test is skipped."""
    folder = Path(os.environ.get("SERENBOX_DATA", ROOT.parent / "shared" / "data"), "photos")
    found = sorted(folder.glob("*/*.jpg"))
    if not found:
        pytest.skip("no photographs: name the folder of data in SERENBOX_DATA")
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`serenbox serve`, which waits a second for what a client sends."""
    with serving(tmp_path_factory.mktemp("server") / "log", *QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def patient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`serenbox serve`, which waits a minute for what a client sends."""
    with serving(tmp_path_factory.mktemp("patient_server") / "log", *PATIENT) as running:
        yield running


@pytest.fixture
def device() -> Device:
    """A camera that gives what a test puts into it."""
    return Device()


@pytest.fixture
def woken() -> threading.Event:
    """Is set when the capture thread has something new."""
    return threading.Event()


@pytest.fixture
def capture(device: Device, woken: threading.Event) -> Iterator[Capture]:
    """What captures from this camera once a test starts it."""
    with capturing(device, woken) as made:
        yield made


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A history output that keeps minutes in a file of this test."""
    made = History(tmp_path / "state" / "history.db")
    yield made
    made.output.close(30)
    assert not made.output._thread.is_alive()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder, at a known moment in a known place, without a service."""
    with known_state(tmp_path, monkeypatch) as folder:
        yield folder


@pytest.fixture
def kept(state: Path) -> Path:
    """Today an hour happy, an hour half known and 3 s sad; three days ago a pause of two hours."""
    return keep_minutes(state)


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    """A scripted camera that shows the portrait for as long as a test needs."""
    (tmp_path / "face.png").write_bytes(portrait_file.read_bytes())
    return write_script(
        tmp_path / "script.json", [{"frames": "face.png", "count": 1_000_000}], fps=5
    )


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A real browser."""
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(browser: Chrome, pytestconfig: pytest.Config) -> Page:
    """The browser's page, at first of desktop size and in light colours."""
    shape(browser, **DESKTOP)  # type: ignore[arg-type]
    return Page(browser, fetch_axe(pytestconfig.cache.mkdir("serenbox")))
