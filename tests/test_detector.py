from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox import EmotionDetector, ImageError, ModelError
from serenbox.classifier import EmotionClassifier
from serenbox.crop import crop_face, face_to_input
from serenbox.model_file import append_metadata
from serenbox.models import EMOTION_MODEL
from serenbox.results import EMOTIONS, UNCERTAIN, Box, Face, FaceLocation
from serenbox.runtime import LoadedModel, Runtime, open_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serenbox.model_file import ModelMetadata

Image = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def detector(emotion_model: Path, face_model: Path) -> EmotionDetector:
    assert face_model.exists()
    return EmotionDetector(emotion_model)


def check(face: Face) -> None:
    assert face.emotion in (*EMOTIONS, UNCERTAIN)
    assert list(face.scores) == list(EMOTIONS)
    assert sum(face.scores.values()) == pytest.approx(1)
    assert face.confidence == max(face.scores.values())


def test_detects_in_a_portrait(detector: EmotionDetector, portrait: Image) -> None:
    (face,) = detector.detect(portrait)

    check(face)
    assert face.location is not None
    assert face.location.box == face.box


def test_a_face_is_cropped_and_classified_as_in_training(
    detector: EmotionDetector, portrait: Image
) -> None:
    (face,) = detector.detect(portrait)
    assert face.location is not None

    crop = crop_face(portrait, face.location, detector.classifier.metadata.crop, grey=True)
    scores = detector.classifier.classify(face_to_input(crop, 96, "grey"))

    assert list(face.scores.values()) == pytest.approx(scores.tolist())


def test_file_bytes_and_pixels_give_the_same(
    detector: EmotionDetector, portrait: Image, tmp_path: Path
) -> None:
    path = tmp_path / "portrait.png"
    assert cv2.imwrite(str(path), portrait)

    expected = detector.detect(portrait)

    assert detector.detect(path) == expected
    assert detector.detect(str(path)) == expected
    assert detector.detect(path.read_bytes()) == expected


def test_a_grey_picture_will_do(detector: EmotionDetector, portrait: Image) -> None:
    grey = np.asarray(cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY), np.uint8)

    (face,) = detector.detect(grey)
    (same,) = detector.detect(grey[:, :, None])

    check(face)
    assert face == same


def test_no_face_is_an_empty_list(detector: EmotionDetector) -> None:
    assert detector.detect(np.full((200, 300, 3), 80, np.uint8)) == []


@pytest.mark.parametrize("tiles", [False, True])
def test_small_faces_are_looked_for_where_that_is_asked_for(
    emotion_model: Path, portrait: Image, *, tiles: bool
) -> None:
    image = np.full((1200, 1200, 3), 90, np.uint8)
    head = cv2.resize(portrait[20:200, 134:314], (120, 120), interpolation=cv2.INTER_AREA)
    image[540:660, 540:660] = head

    assert len(EmotionDetector(emotion_model, tiles=tiles).detect(image)) == tiles


def test_both_models_run_as_asked_for(emotion_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = EmotionClassifier(emotion_model).runtime
    asked: list[tuple[int, Runtime]] = []

    def note(content: bytes, *, threads: int, runtime: Runtime) -> LoadedModel:
        asked.append((threads, runtime))
        return open_model(content, threads=threads, runtime=runtime)

    for user in ("classifier", "face_finder"):
        monkeypatch.setattr(f"serenbox.{user}.open_model", note)

    assert EmotionDetector(emotion_model, threads=2, runtime=runtime).finder
    assert asked == [(2, runtime)] * 2


@pytest.mark.parametrize(("level", "emotion"), [(250, "happy"), (5, "sad"), (128, UNCERTAIN)])
@pytest.mark.parametrize("shape", [(48, 48), (200, 150, 3), (10, 10, 3)])
def test_a_cropped_face_needs_no_face_finder(
    detector: EmotionDetector, shape: tuple[int, ...], level: int, emotion: str
) -> None:
    face = detector.classify_cropped(np.full(shape, level, np.uint8))

    check(face)
    assert face.emotion == emotion
    assert face.box == Box(0, 0, shape[1], shape[0])
    assert face.location is None


def test_cropped_faces_do_not_load_the_face_finder(
    emotion_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenbox.face_finder.FACE_MODEL", tmp_path / "gone.tflite")
    detector = EmotionDetector(emotion_model)

    check(detector.classify_cropped(np.zeros((48, 48), np.uint8)))
    with pytest.raises(ModelError, match=r"gone\.tflite"):
        detector.detect(np.zeros((48, 48, 3), np.uint8))


def test_a_confidence_asked_for_replaces_the_thresholds(emotion_model: Path) -> None:
    grey = np.full((48, 48), 128, np.uint8)

    assert EmotionDetector(emotion_model).classify_cropped(grey).emotion == UNCERTAIN
    low = EmotionDetector(emotion_model, min_confidence=0.0).classify_cropped(grey)
    assert low.emotion in EMOTIONS
    high = EmotionDetector(emotion_model, min_confidence=1.0).classify_cropped(grey + 100)
    assert high.emotion == UNCERTAIN
    with pytest.raises(ValueError, match=r"min_confidence is 1\.5, and must be from 0 to 1"):
        EmotionDetector(emotion_model, min_confidence=1.5)


def test_half_of_the_prior_counts_unless_told_otherwise(portrait: Image) -> None:
    model = EmotionClassifier().metadata
    given = {e: EmotionDetector(prior_exponent=e).classify_cropped(portrait).scores for e in (0, 1)}
    assert EmotionDetector(prior_exponent=1).classifier.metadata == model, "no more than its own"

    # A score is proportional to exp(logit / T) * prior^(e / T), so the ratios between the scores
    # show how much the class prior counts.
    shares = dict(zip(model.labels, model.scores.class_prior, strict=True))
    weights = {label: share ** (0.5 / model.scores.temperature) for label, share in shares.items()}
    total = sum(given[0][label] * weights[label] for label in EMOTIONS)
    wanted = {label: given[0][label] * weights[label] / total for label in EMOTIONS}

    assert EmotionDetector().classify_cropped(portrait).scores == pytest.approx(wanted, rel=1e-4)
    assert given[0]["disgust"] > 1.5 * wanted["disgust"] > 2 * given[1]["disgust"]
    with pytest.raises(ValueError, match=r"prior_exponent is -0\.1, and must be from 0 to 1"):
        EmotionDetector(prior_exponent=-0.1)
    with pytest.raises(ValueError, match=r"min_face_score is 0, and must be above 0"):
        EmotionDetector(min_face_score=0)


def ways_in(detector: EmotionDetector) -> tuple[Callable[[Any], object], ...]:
    """Return every method of a detector that takes pixels."""
    location = FaceLocation(Box(2, 2, 6, 6), ((5.0, 5.0),) * 6, 0.9)
    return (
        detector.detect,
        detector.classify_cropped,
        lambda pixels: detector.classify(pixels, location),
    )


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((10, 10, 3), np.float32),
        np.zeros((10, 10)),
        np.zeros((10, 10, 3), np.uint16),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10,), np.uint8),
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((1, 10, 10, 3), np.uint8),
    ],
    ids=["float", "float64", "16 bits", "alpha", "line", "empty", "batch"],
)
def test_other_pixels_are_refused(
    detector: EmotionDetector, pixels: npt.NDArray[np.generic]
) -> None:
    for way_in in ways_in(detector):
        with pytest.raises(ImageError, match=r"must be uint8 of shape \(height, width\)"):
            way_in(pixels)


def test_what_is_no_picture_is_refused(detector: EmotionDetector) -> None:
    for way_in in ways_in(detector):
        with pytest.raises(ImageError, match="the picture is None, which OpenCV gives"):
            way_in(None)
        with pytest.raises(ImageError, match=r"of the type list, and must be .*an array of pixels"):
            way_in([[0]])


def test_what_holds_a_picture_in_another_way_is_told_how_to_give_it(
    detector: EmotionDetector,
) -> None:
    for way_in in (detector.detect, detector.classify_cropped):
        with pytest.raises(ImageError, match="bytearray, and must be a path, the bytes of a file"):
            way_in(bytearray(b"GIF89a"))  # type: ignore[arg-type]


def test_every_way_in_takes_the_same_shapes_of_grey(
    detector: EmotionDetector, portrait: Image
) -> None:
    grey = np.asarray(cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY), np.uint8)
    (face,) = detector.detect(grey)
    assert face.location is not None

    assert detector.classify(grey, face.location) == face
    assert detector.classify(grey[:, :, None], face.location) == face
    assert detector.classify_cropped(grey[:, :, None]) == detector.classify_cropped(grey)


def test_a_model_of_rgb_gets_rgb(
    detector: EmotionDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Image] = []

    class Spy:
        metadata = detector.classifier.metadata._replace(
            input=detector.classifier.metadata.input._replace(color="rgb"),
        )
        input_size = 32

        def classify(self, pixels: Image) -> npt.NDArray[np.float32]:
            seen.append(pixels)
            return np.full(7, 1 / 7, np.float32)

    monkeypatch.setattr(detector, "classifier", Spy())
    blue = np.zeros((60, 60, 3), np.uint8)
    blue[:, :, 0] = 200

    detector.classify_cropped(blue)

    assert seen[0].shape == (32, 32, 3)
    assert seen[0][0, 0].tolist() == [0, 0, 200]


def test_crop_and_scores_cost_little(detector: EmotionDetector, portrait: Image) -> None:
    """The network of the small model takes next to no time; 5 ms allow for a busy machine."""
    location = detector.finder.find(portrait)[0]
    times = []
    for _ in range(30):
        start = time.perf_counter()
        detector.classify(portrait, location)
        times.append(time.perf_counter() - start)

    assert statistics.median(times) < 0.005


def test_crop_geometry_comes_from_the_model_file(
    small_tflite: bytes, metadata: ModelMetadata, portrait: Image, tmp_path: Path
) -> None:
    """The small model judges by the crop's brightness, which depends on the margin."""
    results = []
    for margin in (0.0, 0.8):
        crop = metadata.crop._replace(margin=margin)
        path = tmp_path / f"{margin}.tflite"
        path.write_bytes(append_metadata(small_tflite, metadata._replace(crop=crop)))
        results.append(EmotionDetector(path).detect(portrait)[0].scores["happy"])

    assert abs(results[0] - results[1]) > 0.02


def test_the_shipped_models_read_a_smile(portrait: Image) -> None:
    if not EMOTION_MODEL.exists():
        pytest.skip("the emotion model is not there yet")

    (face,) = EmotionDetector().detect(portrait)

    check(face)
    assert max(face.scores, key=lambda label: face.scores[label]) == "happy"
