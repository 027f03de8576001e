from __future__ import annotations

import json

import pytest

from serenbox.results import EMOTIONS, Box, Face

SCORES = dict(zip(EMOTIONS, (0.1, 0.0, 0.05, 0.6, 1 / 9, 0.1, 0.15 - 1 / 90), strict=True))


def test_as_dict_is_json_in_label_order() -> None:
    face = Face(Box(1, 2, 30, 40), "happy", 0.6, SCORES)

    result = face.as_dict()

    assert json.loads(json.dumps(result)) == result
    assert list(result) == ["box", "emotion", "confidence", "scores"]
    assert result["box"] == [1, 2, 30, 40]
    scores = result["scores"]
    assert isinstance(scores, dict)
    assert list(scores) == ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    assert scores["neutral"] == 0.111111


def test_results_cannot_be_changed() -> None:
    box = Box(1, 2, 3, 4)

    with pytest.raises(AttributeError):
        box.__setattr__("x", 5)
