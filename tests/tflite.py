"""Real .tflite files altered into ones that no converter would make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def altered(content: bytes, change: Callable[[Any], object]) -> bytes:
    """Return a model whose graph has been changed.

    Args:
        content: The model, without metadata.
        change: Called with the graph, a `SubGraphT` of LiteRT's schema.

    """
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model.subgraphs[0])
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
