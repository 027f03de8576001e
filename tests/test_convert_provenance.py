import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from convert.errors import InputError
from convert.provenance import chosen_exponent, class_prior, describe_run, kept_out, read_run
from serenbox.results import EMOTIONS
from training.data import Faces

PRIOR = {label: 1.0 + index for index, label in enumerate(EMOTIONS)}


def faces(labels: list[int]) -> Faces:
    rng = np.random.default_rng(0)
    count = len(labels)
    return Faces(
        rng.integers(0, 256, (count, 48, 48)).astype(np.uint8),
        np.array(labels),
        np.array(["Training"] * count),
        np.zeros(count, np.bool_),
        None,
        {"fer2013": "0" * 64},
    )


def write(folder: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "run.json").write_text(text)
    return folder / "model.keras"


def test_the_prior_of_the_run_is_taken_in_the_order_of_the_labels(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, {"class_prior": PRIOR}))
    labels = tuple(reversed(EMOTIONS))
    prior = class_prior(run, faces([0]), "fer2013", labels)
    assert prior == pytest.approx([share / 28 for share in (7, 6, 5, 4, 3, 2, 1)])


@pytest.mark.parametrize(
    ("balance", "exponent"), [(1.0, 0.9), (0.5, 0.45), (0.0, 0.0), (None, 0.0)]
)
def test_as_much_of_the_prior_is_put_back_as_suits_the_training(
    balance: float | None, exponent: float
) -> None:
    run = {} if balance is None else {"settings": {"balance": balance}}
    assert chosen_exponent(None, run) == exponent


def test_how_much_of_the_prior_the_run_kept_out(tmp_path: Path) -> None:
    for settings, known in (({"balance": 0.5}, 0.5), ({}, 1.0)):
        run = read_run(write(tmp_path, {"class_prior": PRIOR, "settings": settings}))
        assert kept_out(run) == known
    assert kept_out({}) is None
    assert kept_out({"settings": {"balance": 1}}) == 1
    for impossible in ("much", 1.01, -1):
        with pytest.raises(InputError, match=rf"settings\.balance is {impossible!r}"):
            kept_out({"settings": {"balance": impossible}})


def test_no_more_of_the_prior_is_put_back_than_the_run_kept_out() -> None:
    run = {"settings": {"balance": 0.5}}
    assert chosen_exponent(0.5, run) == 0.5
    with pytest.raises(InputError, match=r"--prior-exponent 0\.6 is more .*: give 0\.5 or less"):
        chosen_exponent(0.6, run)
    assert chosen_exponent(0.6, {}) == 0.6, "of a foreign model nothing is known"


def test_without_a_run_the_training_faces_are_counted(tmp_path: Path) -> None:
    run = read_run(tmp_path / "model.keras")
    assert run == {}
    prior = class_prior(run, faces([0, 1, 2, 3, 3, 3, 4, 5, 6, 6]), "fer2013", EMOTIONS)
    assert prior == pytest.approx([0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.2])


@pytest.mark.parametrize(
    "content",
    [
        "{",
        [],
        {},
        {"class_prior": [1, 2]},
        {"class_prior": {"angry": 1}},
        {"class_prior": {**PRIOR, "sad": 0}},
        {"class_prior": {**PRIOR, "bored": 0.1}},
        {"class_prior": {**PRIOR, "sad": "much"}},
        {"class_prior": {**PRIOR, "sad": float("inf")}},
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=r"run\.json"):
        read_run(write(tmp_path, content))


def test_the_record_of_another_model_is_refused(tmp_path: Path) -> None:
    named = {"class_prior": PRIOR, "model_sha256": hashlib.sha256(b"mine").hexdigest()}
    model = write(tmp_path, named)
    model.write_bytes(b"mine")
    assert read_run(model) == named
    model.write_bytes(b"another")
    with pytest.raises(InputError, match=r"of another model: convert model\.keras from a folder"):
        read_run(model)


def test_the_record_in_the_repository_is_that_of_its_model() -> None:
    model = Path(__file__).parent.parent / "training" / "models" / "emotion.keras"
    run = read_run(model)
    assert run["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_what_strangers_read_holds_no_path_of_mine() -> None:
    run = {
        "settings": {"weights": "/home/me/secret/mobilenet.weights.h5", "size": 96},
        "training_faces": 5,
        "commit": "0123abc",
        "class_prior": PRIOR,
        "versions": {},
    }
    assert describe_run(run) == {
        "settings": {"weights": "mobilenet.weights.h5", "size": 96},
        "training_faces": 5,
        "commit": "0123abc",
    }


def test_a_foreign_model_has_no_run() -> None:
    assert describe_run({}) is None


def test_a_mean_of_runs_names_the_weights_of_each() -> None:
    run = {"settings": {"weights": ["/home/me/one.keras", "two.keras"], "seed": [1, 2]}}
    assert describe_run(run) == {
        "settings": {"weights": ["one.keras", "two.keras"], "seed": [1, 2]}
    }
