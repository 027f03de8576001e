from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest

from serenbox.errors import ModelError
from serenbox.model_file import (
    ModelMetadata,
    append_metadata,
    load_model_file,
    read_metadata,
    read_model_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path

TFLITE = b"\x1c\0\0\0TFL3" + bytes(range(256))


def with_files(**files: str) -> bytes:
    buffer = io.BytesIO()
    buffer.write(TFLITE)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return buffer.getvalue()


def test_what_is_appended_is_read_back(metadata: ModelMetadata) -> None:
    assert read_metadata(append_metadata(TFLITE, metadata)) == metadata


def test_the_model_comes_first_and_unchanged(metadata: ModelMetadata) -> None:
    content = append_metadata(TFLITE, metadata)

    assert content.startswith(TFLITE)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("labels.txt").decode().split() == list(metadata.labels)
        assert json.loads(archive.read("metadata.json"))["schema"] == 1


def test_the_same_arguments_give_the_same_bytes(metadata: ModelMetadata) -> None:
    assert append_metadata(TFLITE, metadata) == append_metadata(TFLITE, metadata)


def test_metadata_replaces_older_metadata(metadata: ModelMetadata) -> None:
    older = append_metadata(TFLITE, metadata._replace(version="0.9"))

    assert append_metadata(older, metadata) == append_metadata(TFLITE, metadata)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_other_files_are_refused(content: bytes, metadata: ModelMetadata) -> None:
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        read_metadata(content)
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        append_metadata(content, metadata)


def test_a_model_without_metadata_is_refused() -> None:
    with pytest.raises(ModelError, match="carries no metadata"):
        read_metadata(TFLITE)


def test_an_archive_without_metadata_is_refused() -> None:
    with pytest.raises(ModelError, match="not an emotion model of SerenBox"):
        read_metadata(with_files(labels_txt="happy\n"))


def test_metadata_that_is_no_json_is_refused() -> None:
    with pytest.raises(ModelError, match="not JSON"):
        read_metadata(with_files(metadata_json="{"))


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000])
def test_metadata_that_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="is not JSON"):
        read_metadata(with_files(metadata_json=text))


def test_labels_that_contradict_each_other_are_refused(metadata: ModelMetadata) -> None:
    text = json.dumps(metadata.as_dict())

    with pytest.raises(ModelError, match="different labels"):
        read_metadata(with_files(metadata_json=text, labels_txt="a\nb\n"))


@pytest.mark.parametrize("place", [20, 200])
def test_a_changed_model_is_noticed(place: int, metadata: ModelMetadata) -> None:
    content = bytearray(append_metadata(TFLITE, metadata))
    content[place] ^= 1

    with pytest.raises(ModelError, match="damaged"):
        read_metadata(bytes(content))


def test_damage_anywhere_never_gives_other_metadata(metadata: ModelMetadata) -> None:
    content = append_metadata(TFLITE, metadata)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        try:
            assert read_metadata(bytes(damaged)) == metadata, place
        except ModelError:
            continue


def test_a_file_cut_short_is_refused_at_any_length(metadata: ModelMetadata) -> None:
    content = append_metadata(TFLITE, metadata)
    for length in range(len(content)):
        with pytest.raises(ModelError):
            read_metadata(content[:length])


def test_a_huge_associated_file_is_not_unpacked() -> None:
    buffer = io.BytesIO()
    buffer.write(TFLITE)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", " " * (2 << 20))

    with pytest.raises(ModelError):
        read_metadata(buffer.getvalue())


def test_many_other_files_are_not_unpacked(metadata: ModelMetadata) -> None:
    buffer = io.BytesIO(append_metadata(TFLITE, metadata))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(50):
            archive.writestr(f"{number}.txt", " " * (1 << 20))
    content = buffer.getvalue()
    tracemalloc.start()
    try:
        assert read_metadata(content) == metadata
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_load_returns_the_whole_file(tmp_path: Path, metadata: ModelMetadata) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(append_metadata(TFLITE, metadata))

    assert load_model_file(path) == (path.read_bytes(), metadata)


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(TFLITE)

    with pytest.raises(ModelError, match=r"m\.tflite: the model carries no metadata"):
        load_model_file(path)


@pytest.mark.parametrize("name", ["a\0b.tflite", "\ud800.tflite"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(ModelError, match=f"the model {name}: no file can have such a name; give"):
        load_model_file(name)


def test_an_empty_name() -> None:
    with pytest.raises(ModelError, match="cannot read the model '': the name is empty; give"):
        load_model_file("")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read the model .*gone\.tflite: No such file"):
        read_model_bytes(tmp_path / "gone.tflite")
