"""One interface over the two TensorFlow Lite runtimes.

`ai-edge-litert` is tried first: it is many times faster on int8 models. `tflite-runtime` serves
32-bit ARM, for which nothing else is built. Both are imported only here, and only when needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, get_args

import numpy as np

from serenbox.defaults import MAX_THREADS
from serenbox.errors import ModelError, RuntimeUnavailableError
from serenbox.model_file import check_identifier
from serenbox.runtime_names import Runtime, RuntimeName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

__all__ = ["LoadedModel", "Runtime", "RuntimeName", "TensorSpec", "open_model"]

_NUMPY_2 = (
    "tflite-runtime cannot work with numpy {version}, as it was built for numpy 1: run `pip "
    "install 'numpy<2' 'opencv-python-headless<4.12'`, or use the other runtime with `pip install "
    "ai-edge-litert`"
)


class _Interpreter(Protocol):
    """The methods of both runtimes' interpreters that this module uses."""

    def allocate_tensors(self) -> None: ...
    def get_input_details(self) -> list[dict[str, Any]]: ...
    def get_output_details(self) -> list[dict[str, Any]]: ...
    def set_tensor(self, tensor_index: int, value: npt.NDArray[Any]) -> None: ...
    def get_tensor(self, tensor_index: int) -> npt.NDArray[Any]: ...
    def tensor(self, tensor_index: int) -> Callable[[], npt.NDArray[Any]]: ...
    def invoke(self) -> None: ...


class TensorSpec(NamedTuple):
    """An input or output of a model."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    """Real value of one quantisation step; 0 if the tensor is not quantised."""
    zero_point: int
    """The quantised value that stands for 0."""

    def dequantize(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Convert raw values in this tensor's type to real ones, float32."""
        if not self.scale:
            return values.astype(np.float32)
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)

    def dequantize_few(self, values: Sequence[float]) -> list[float]:
        """Convert a few raw values to real ones: for a few, this is faster than with arrays."""
        if not self.scale:
            return list(values)
        return [(value - self.zero_point) * self.scale for value in values]


class LoadedModel:
    """A model ready to run. Use it from one thread at a time: a run overwrites its buffers."""

    def __init__(self, interpreter: _Interpreter, runtime: RuntimeName) -> None:
        self.runtime: RuntimeName = runtime
        """The runtime that runs it."""
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self.inputs = tuple(_tensor_spec(details) for details in inputs)
        """The input tensors."""
        self.outputs = tuple(_tensor_spec(details) for details in outputs)
        """The output tensors, in the order of what `run` returns."""
        self._interpreter = interpreter
        self._input_index = int(inputs[0]["index"])
        self._input = interpreter.tensor(self._input_index)
        self._output_indices = [int(details["index"]) for details in outputs]

    def run(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Run the model once on its first input.

        Args:
            array: Of exactly the shape and dtype of `inputs[0]`.

        Returns:
            The raw (not dequantised) outputs, copied.

        Raises:
            ModelError: The array has another shape or dtype, or the model fails.

        """
        spec = self.inputs[0]
        if array.shape != spec.shape or array.dtype != spec.dtype:
            raise ModelError(
                f"the model takes {spec.dtype} of shape {spec.shape}, not {array.dtype} of shape "
                f"{array.shape}: give it what its input tensor asks for"
            )
        self._interpreter.set_tensor(self._input_index, array)
        return self._invoke()

    def run_on(self, fill: Callable[[npt.NDArray[Any]], object]) -> list[npt.NDArray[Any]]:
        """Run the model once on what `fill` writes into its first input, without copying it.

        Args:
            fill: Called with an array of the shape and dtype of `inputs[0]`, which it must not
                keep.

        Returns:
            The same as `run`.

        Raises:
            ModelError: The model fails.

        """
        fill(self._input())
        return self._invoke()

    def _invoke(self) -> list[npt.NDArray[Any]]:
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the model failed to run with {self.runtime}: {error}") from error
        return [self._interpreter.get_tensor(index) for index in self._output_indices]


def open_model(content: bytes, *, threads: int = 1, runtime: Runtime = "auto") -> LoadedModel:
    """Open a TensorFlow Lite model.

    tflite-runtime does not check the content and crashes if it is damaged: compare a checksum
    first, as `serenbox.model_file` does.

    Args:
        content: The model file's bytes; what is appended to the model does not matter.
        threads: CPU threads for one run, 1 to 64.
        runtime: Which runtime to use.

    Raises:
        ModelError: The content is damaged or holds operations that the runtime does not know.
        RuntimeUnavailableError: The runtime is not installed or cannot run here.
        ValueError: `threads` or `runtime` is not one of the allowed values.

    """
    if not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MAX_THREADS:
        raise ValueError(
            f"threads is {threads!r}, and must be a whole number from 1 to {MAX_THREADS}"
        )
    name, interpreter_class = _find_runtime(runtime)
    check_identifier(content)
    try:
        interpreter: _Interpreter = interpreter_class(
            model_content=content, num_threads=int(threads)
        )
        interpreter.allocate_tensors()
    except SystemError as error:
        # Raised by tflite-runtime 2.14, which was built for numpy 1, under numpy 2.
        raise RuntimeUnavailableError(_NUMPY_2.format(version=np.__version__)) from error
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{name} cannot open the model: {_first_line(error)}. It is damaged or was made for a "
            "newer runtime: copy the file again, or update the runtime"
        ) from error
    if not interpreter.get_input_details() or not interpreter.get_output_details():
        raise ModelError(
            "the model has no input or no output, so it cannot read pictures: use another one"
        )
    return LoadedModel(interpreter, name)


def _find_runtime(runtime: Runtime) -> tuple[RuntimeName, Any]:
    """Return the runtime's name and its interpreter class."""
    known = get_args(RuntimeName)
    if runtime not in ("auto", *known):
        raise ValueError(f"runtime is {runtime!r}, and must be one of: auto, {', '.join(known)}")
    names: tuple[RuntimeName, ...] = known if runtime == "auto" else (runtime,)
    reasons = []
    for name in names:
        try:
            module = importlib.import_module(f"{name.replace('-', '_')}.interpreter")
        except ImportError as error:
            reasons.append(f"{name}: {_first_line(error)}")
        else:
            return name, module.Interpreter
    raise RuntimeUnavailableError(
        f"no TensorFlow Lite runtime can be loaded ({'; '.join(reasons)}): run `pip install "
        f"{names[0]}`"
    )


def _tensor_spec(details: Mapping[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name=str(details["name"]),
        shape=tuple(int(length) for length in details["shape"]),
        dtype=np.dtype(details["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
