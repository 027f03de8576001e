"""`python -m convert --inspect`: shows what a .tflite file is and what it says about itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convert.flatbuffer import read_structure
from serenbox.errors import ModelError
from serenbox.model_file import read_metadata, read_model_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def inspect_file(path: Path, *, as_json: bool) -> str:
    """Describe a .tflite file, with or without metadata.

    Args:
        path: The file.
        as_json: Whether to return JSON instead of readable text.

    Raises:
        ModelError: It cannot be read or is not a .tflite.

    """
    try:
        facts = examine(read_model_bytes(path))
    except ModelError as error:
        text = str(error)
        raise ModelError(text if str(path) in text else f"{path}: {text}") from error
    facts = {"file": str(path), **facts}
    if as_json:
        return json.dumps(facts, indent=2, ensure_ascii=False)
    return "\n".join(_lines(facts))


def examine(content: bytes) -> dict[str, Any]:
    """Return everything that is known about a .tflite, ready for JSON.

    Returns:
        `bytes`, `sha256`, `inputs`, `outputs`, `operators`, `metadata` (None if there is none)
        and `metadata_error` (why there is none, or None).

    Raises:
        ModelError: It is not a .tflite.

    """
    structure = read_structure(content)
    metadata, reason = None, None
    try:
        metadata = read_metadata(content).as_dict()
    except ModelError as error:
        reason = str(error)
    return {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": [asdict(tensor) for tensor in structure.inputs],
        "outputs": [asdict(tensor) for tensor in structure.outputs],
        "operators": [asdict(operator) for operator in structure.operators],
        "metadata": metadata,
        "metadata_error": reason,
    }


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{facts['file']}: {facts['bytes']:,} bytes"
    yield f"sha256 {facts['sha256']}"
    for kind in ("inputs", "outputs"):
        for tensor in facts[kind]:
            yield f"{kind[:-1]}: {_tensor(tensor)}"
    yield "operations:"
    for operator in facts["operators"]:
        yield f"  {operator['name']} version {operator['version']}, {operator['count']} times"
    if facts["metadata"] is None:
        yield f"metadata: none ({facts['metadata_error']})"
        return
    yield "metadata:"
    yield from _tree(facts["metadata"], "  ")


def _tensor(tensor: Mapping[str, Any]) -> str:
    shape = "x".join(map(str, tensor["shape"]))
    scales = len(tensor["scale"])
    text = f"{tensor['name']}, {tensor['dtype']} {shape}"
    if scales == 1:
        return f"{text}, scale {tensor['scale'][0]:.6g}, zero point {tensor['zero_point'][0]}"
    return f"{text}, {scales} scales" if scales else f"{text}, not quantised"


def _tree(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _tree(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value) or "none"
