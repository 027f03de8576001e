from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from serenbox.errors import ModelError
from serenbox.model_metadata import ModelMetadata, parse_metadata


@pytest.fixture
def data(metadata: ModelMetadata) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(metadata.as_dict()))
    return content


def changed(data: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    data = copy.deepcopy(data)
    *parents, key = path.split(".")
    section = data
    for parent in parents:
        section = section[parent]
    section[key] = value
    return data


def test_json_gives_the_metadata_back(data: dict[str, Any], metadata: ModelMetadata) -> None:
    assert parse_metadata(data) == metadata


def test_unknown_keys_are_passed_over(data: dict[str, Any], metadata: ModelMetadata) -> None:
    assert parse_metadata({**data, "mood": "good"}) == metadata


def test_lift_may_be_left_out(data: dict[str, Any]) -> None:
    del data["crop"]["lift"]

    assert parse_metadata(data).crop.lift == 0


def test_logits_are_shifted_only_where_the_file_says_so(data: dict[str, Any]) -> None:
    data["scores"]["shift"] = [0.1, 0, 0, 0, 0, 0, -0.1]
    assert parse_metadata(data).scores.shift == (0.1, 0, 0, 0, 0, 0, -0.1)

    del data["scores"]["shift"]
    assert parse_metadata(data).scores.shift == ()


def test_the_commit_may_be_unknown(metadata: ModelMetadata) -> None:
    known = metadata._replace(commit="abc")

    assert parse_metadata(known.as_dict()).commit == "abc"
    assert parse_metadata(metadata.as_dict()).commit is None


@pytest.mark.parametrize(
    "path",
    [
        *("schema", "name", "version", "license", "description", "labels", "input", "crop"),
        *("scores", "training", "accuracy", "tensorflow", "commit", "created"),
        *("input.color", "input.pixel_range", "crop.margin", "crop.level_eyes"),
        *("crop.resolution", "scores.temperature", "scores.class_prior"),
        *("scores.prior_exponent", "scores.thresholds"),
    ],
)
def test_a_missing_key_is_named(path: str, data: dict[str, Any]) -> None:
    *parents, key = path.split(".")
    section = data[parents[0]] if parents else data
    del section[key]

    with pytest.raises(ModelError, match="no ") as error:
        parse_metadata(data)
    assert str(error.value).startswith(f"metadata.json has no {path!r}: ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", ""),
        ("version", 1),
        ("labels", "happy"),
        ("labels", ["happy"]),
        ("labels", ["happy", "happy"]),
        ("labels", ["happy", " sad"]),
        ("labels", ["happy", "s\nad"]),
        ("labels", ["happy", 3]),
        ("input", []),
        ("input.color", "gray"),
        ("input.pixel_range", [255, 0]),
        ("input.pixel_range", [0]),
        ("input.pixel_range", [0, "255"]),
        ("input.pixel_range", 255),
        ("crop.margin", -0.1),
        ("crop.margin", float("nan")),
        ("crop.margin", True),
        ("crop.level_eyes", 1),
        ("crop.resolution", 48.0),
        ("crop.resolution", 0),
        ("crop.lift", 0.6),
        ("scores.temperature", 0),
        ("scores.temperature", float("inf")),
        ("scores.temperature", 10**400),
        ("scores.class_prior", [1.0]),
        ("scores.class_prior", [0.5] * 7),
        ("scores.class_prior", [0, 0, 0, 0, 0, 0, 1]),
        ("scores.prior_exponent", 1.1),
        ("scores.shift", [0.1]),
        ("scores.shift", ["0"] * 7),
        ("scores.shift", [1e308] * 7),
        ("scores.shift", [0, 0, 0, 0, 0, 0, -100.1]),
        ("scores.shift", 0),
        ("scores.thresholds", {"happy": 0.5}),
        ("scores.thresholds.happy", 2),
        ("training", "FER2013"),
        ("commit", 7),
        ("created", "yesterday"),
        ("created", "2026-01-31T12:00:00"),
        ("created", "2026-01-31T12:00:00+01:00"),
    ],
)
def test_a_wrong_value_is_named(path: str, value: object, data: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="must be") as error:
        parse_metadata(changed(data, path, value))
    assert f"{path!r} " in str(error.value)


def test_another_schema_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="schema 2, and this version of SerenBox reads schema 1"):
        parse_metadata({**data, "schema": 2})


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_it_must_be_an_object(content: object) -> None:
    with pytest.raises(ModelError, match="must be a JSON object"):
        parse_metadata(content)
