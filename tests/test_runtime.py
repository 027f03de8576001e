from __future__ import annotations

import importlib.util
import re
import sys
from types import SimpleNamespace
from typing import Any, cast, get_args

import numpy as np
import pytest

from serenbox.defaults import MAX_THREADS
from serenbox.errors import ModelError, RuntimeUnavailableError
from serenbox.results import EMOTIONS
from serenbox.runtime import Runtime, RuntimeName, TensorSpec, open_model
from tests.tflite import altered

INSTALLED = [
    name
    for name in get_args(RuntimeName)
    if importlib.util.find_spec(name.replace("-", "_")) is not None
]
litert = pytest.mark.skipif("ai-edge-litert" not in INSTALLED, reason="checks content by itself")
each_runtime = pytest.mark.parametrize("name", INSTALLED)

TFLITE = b"\x1c\0\0\0TFL3"
"""The first bytes of a model, enough for a missing runtime or a stand-in."""


def hide(monkeypatch: pytest.MonkeyPatch, *names: RuntimeName) -> None:
    for name in names:
        package = name.replace("-", "_")
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setitem(sys.modules, f"{package}.interpreter", None)


def put(monkeypatch: pytest.MonkeyPatch, name: RuntimeName, interpreter: object) -> None:
    package = name.replace("-", "_")
    monkeypatch.setitem(sys.modules, package, SimpleNamespace())
    monkeypatch.setitem(
        sys.modules, f"{package}.interpreter", SimpleNamespace(Interpreter=interpreter)
    )


def raising(error: Exception) -> object:
    def interpreter(**_: object) -> None:
        raise error

    return interpreter


@each_runtime
@pytest.mark.parametrize("threads", [1, 2])
def test_runs_a_real_model(name: RuntimeName, threads: int, small_tflite: bytes) -> None:
    model = open_model(small_tflite, runtime=name, threads=threads)

    assert model.runtime == name
    assert model.inputs[0].shape == (1, 96, 96, 1)
    assert model.inputs[0].dtype == np.uint8
    assert model.outputs[0].shape == (1, 7)
    (bright,) = model.run(np.full((1, 96, 96, 1), 255, np.uint8))
    logits = model.outputs[0].dequantize(bright[0])
    assert EMOTIONS[int(logits.argmax())] == "happy"
    assert logits == pytest.approx([0, 0, 0, 4, 0, -4, 0], abs=0.1)


@each_runtime
def test_as_many_threads_as_there_may_be(name: RuntimeName, small_tflite: bytes) -> None:
    threads = cast("int", np.int64(MAX_THREADS))  # as from a NumPy array
    model = open_model(small_tflite, runtime=name, threads=threads)

    model.run(np.full((1, 96, 96, 1), 255, np.uint8))


@each_runtime
@pytest.mark.parametrize("lacking", ["inputs", "outputs"])
def test_a_model_of_no_use_is_refused(name: RuntimeName, lacking: str, small_tflite: bytes) -> None:
    content = altered(small_tflite, lambda graph: setattr(graph, lacking, []))

    with pytest.raises(ModelError, match="the model has no input or no output"):
        open_model(content, runtime=name)


@each_runtime
def test_what_a_run_returned_stays_as_it_was(name: RuntimeName, small_tflite: bytes) -> None:
    model = open_model(small_tflite, runtime=name)
    (bright,) = model.run(np.full((1, 96, 96, 1), 255, np.uint8))
    kept = bright.copy()

    model.run(np.zeros((1, 96, 96, 1), np.uint8))

    assert np.array_equal(bright, kept)


def test_both_runtimes_agree(small_tflite: bytes) -> None:
    if len(INSTALLED) < 2:
        pytest.skip("only one runtime is installed")
    pixels = np.random.default_rng(1).integers(0, 256, (1, 96, 96, 1), np.uint8)
    first, second = (open_model(small_tflite, runtime=name).run(pixels)[0] for name in INSTALLED)

    assert np.abs(first.astype(int) - second.astype(int)).max() <= 1


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((96, 96, 1), np.uint8), np.zeros((1, 96, 96, 1), np.float32)],
    ids=["shape", "dtype"],
)
def test_another_input_is_refused(pixels: np.ndarray[Any, Any], small_tflite: bytes) -> None:
    with pytest.raises(ModelError, match=r"takes uint8 of shape \(1, 96, 96, 1\), not"):
        open_model(small_tflite).run(pixels)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"TFL3"])
def test_other_content_never_reaches_a_runtime(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        open_model(content)


@litert
def test_a_damaged_model_is_refused(small_tflite: bytes) -> None:
    for length in range(8, len(small_tflite) - 64, 97):
        with pytest.raises(ModelError, match=r"cannot open the model: .*damaged"):
            open_model(small_tflite[:length], runtime="ai-edge-litert")


def test_auto_prefers_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in get_args(RuntimeName):
        put(monkeypatch, name, raising(ValueError(name)))

    with pytest.raises(ModelError, match=r"^ai-edge-litert cannot open the model: ai-edge"):
        open_model(TFLITE)


def test_auto_falls_back_to_tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "ai-edge-litert")
    put(monkeypatch, "tflite-runtime", raising(RuntimeError("Op version 12")))

    with pytest.raises(ModelError, match=r"tflite-runtime cannot open .*Op version 12.*newer"):
        open_model(TFLITE)


def test_no_runtime_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "ai-edge-litert", "tflite-runtime")

    with pytest.raises(RuntimeUnavailableError, match="run `pip install ai-edge-litert`"):
        open_model(TFLITE)


def test_the_runtime_asked_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "tflite-runtime")

    with pytest.raises(RuntimeUnavailableError, match="run `pip install tflite-runtime`"):
        open_model(TFLITE, runtime="tflite-runtime")


def test_numpy_2_under_tflite_runtime_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, "tflite-runtime", raising(SystemError("returned a result with ...")))

    with pytest.raises(RuntimeUnavailableError, match=r"cannot work with numpy .*'numpy<2'"):
        open_model(TFLITE, runtime="tflite-runtime")


def test_arguments_are_checked() -> None:
    for threads in (0, -1, MAX_THREADS + 1, 2**70, 1.5, "2", None):
        wanted = re.escape(f"threads is {threads!r}, and must be a whole number from 1 to 64")
        with pytest.raises(ValueError, match=f"^{wanted}$"):
            open_model(TFLITE, threads=cast("int", threads))
    with pytest.raises(ValueError, match="must be one of: auto, ai-edge-litert, tflite-runtime"):
        open_model(TFLITE, runtime=cast("Runtime", "torch"))


def test_dequantize() -> None:
    raw = np.array([-128, 0, 127], np.int8)
    quantised = TensorSpec("x", (3,), np.dtype(np.int8), scale=0.5, zero_point=-128)
    plain = TensorSpec("x", (3,), np.dtype(np.float32), scale=0.0, zero_point=0)

    assert quantised.dequantize(raw).tolist() == [0, 64, 127.5]
    assert plain.dequantize(raw).tolist() == [-128, 0, 127]
    assert quantised.dequantize(raw).dtype == np.float32
