import importlib
import importlib.util
from dataclasses import replace
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from convert.errors import RefusedError
from convert.flatbuffer import Operator, Structure, Tensor, read_structure
from convert.opcheck import MAX_VERSIONS, check_integers, check_operators
from serenbox.errors import ModelError, RuntimeUnavailableError
from serenbox.runtime import open_model

PIXELS = Tensor("pixels", (1, 96, 96, 1), "uint8", (1.0,), (0,))
LOGITS = Tensor("logits", (1, 7), "int8", (0.1,), (3,))
GOOD = Structure(
    (Operator("CONV_2D", 3, 36), Operator("FULLY_CONNECTED", 4, 1)),
    (PIXELS,),
    (LOGITS,),
    (PIXELS, LOGITS),
)


def one_operation(name: str, version: int) -> bytes:
    """Return a .tflite with one float input, one operation of this version and one output."""
    code: Any = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    if name == "CUSTOM":
        code.customCode = "Mine"
    graph: Any = schema.SubGraphT()
    graph.tensors = []
    for tensor_name in ("a", "b"):
        tensor: Any = schema.TensorT()
        tensor.shape, tensor.type, tensor.name, tensor.buffer = [1], 0, tensor_name, 0
        graph.tensors.append(tensor)
    operator: Any = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model: Any = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    model.operatorCodes, model.subgraphs = [code], [graph]
    # An untyped package that comes with LiteRT.
    builder = importlib.import_module("flatbuffers").Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_the_structure_is_read_from_the_flatbuffer() -> None:
    structure = read_structure(one_operation("CONV_2D", 5))
    assert structure.operators == (Operator("CONV_2D", 5, 1),)
    assert structure.inputs == (Tensor("a", (1,), "float32", (), ()),)
    assert structure.outputs[0].name == "b"


def test_an_operation_beyond_the_first_127_is_named() -> None:
    assert read_structure(one_operation("GELU", 1)).operators == (Operator("GELU", 1, 1),)


def test_a_custom_operation_is_named() -> None:
    structure = read_structure(one_operation("CUSTOM", 1))
    with pytest.raises(RefusedError, match="CUSTOM:Mine"):
        check_operators(structure)


@pytest.mark.parametrize(
    "content", [b"", b"nothing at all", b"\xff\xff\xff\x7fTFL3" + b"\xff" * 99]
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        read_structure(content)


def test_a_damaged_model_is_refused() -> None:
    content = one_operation("ADD", 1)
    refused = 0
    lengths = range(8, len(content), 7)
    for length in lengths:
        try:
            read_structure(content[:length])
        except ModelError:
            refused += 1
    assert refused > len(lengths) / 2  # the last bytes may be none that are read


def test_a_good_model_passes() -> None:
    check_operators(GOOD)
    check_integers(GOOD)


@pytest.mark.parametrize(("name", "newest"), MAX_VERSIONS.items())
def test_a_version_too_new_is_refused_by_name(name: str, newest: int) -> None:
    check_operators(read_structure(one_operation(name, newest)))
    with pytest.raises(RefusedError, match=f"{name} version {newest + 1}.* up to {newest}:"):
        check_operators(read_structure(one_operation(name, newest + 1)))


def test_what_dynamic_range_quantisation_makes_is_refused() -> None:
    with pytest.raises(RefusedError, match="FULLY_CONNECTED version 12"):
        check_operators(read_structure(one_operation("FULLY_CONNECTED", 12)))


def test_an_unknown_operation_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match="COS"):
        check_operators(read_structure(one_operation("COS", 1)))


@pytest.mark.skipif(
    importlib.util.find_spec("tflite_runtime") is None, reason="tflite-runtime is not installed"
)
@pytest.mark.parametrize(("name", "newest"), MAX_VERSIONS.items())
def test_the_table_is_that_of_the_real_runtime(name: str, newest: int) -> None:
    def refusal(version: int) -> str:
        try:
            open_model(one_operation(name, version), runtime="tflite-runtime")
        except RuntimeUnavailableError as error:
            pytest.skip(str(error))
        except ModelError as error:
            # Other errors only mean that this senseless model of one operation cannot run.
            return str(error)
        return ""

    missing = "Didn't find op for builtin opcode"
    assert missing not in refusal(newest)
    assert missing in refusal(newest + 1)


def test_a_float_tensor_is_refused() -> None:
    middle = Tensor("middle", (1, 4), "float32", (), ())
    with pytest.raises(RefusedError, match="'middle' is float32"):
        check_integers(replace(GOOD, tensors=(PIXELS, middle, LOGITS)))


@pytest.mark.parametrize(
    "pixels",
    [
        replace(PIXELS, dtype="int8"),
        replace(PIXELS, scale=(0.98,)),
        replace(PIXELS, scale=(1 / 255,)),
        replace(PIXELS, scale=(), zero_point=()),
    ],
)
def test_an_input_that_is_not_raw_pixels_is_refused(pixels: Tensor) -> None:
    with pytest.raises(RefusedError, match="not raw uint8 pixels"):
        check_integers(replace(GOOD, inputs=(pixels,)))


@pytest.mark.parametrize(
    "logits",
    [
        replace(LOGITS, dtype="uint8"),
        replace(LOGITS, dtype="int32", scale=(), zero_point=()),  # such as the top class alone
        replace(LOGITS, scale=(), zero_point=()),
        replace(LOGITS, scale=(0.1, 0.2), zero_point=(3, 3)),
    ],
)
def test_an_output_that_is_not_int8_logits_is_refused(logits: Tensor) -> None:
    with pytest.raises(RefusedError, match=f"output of the finished model is {logits.dtype} with"):
        check_integers(replace(GOOD, outputs=(logits,), tensors=(PIXELS, logits)))
