"""Faces that are changed, and how far annotators agree: arithmetic with known answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from tests import fer2013
from training import network, plots
from training.annotators import majority_again, one_against_others
from training.data import load_faces
from training.errors import DataError
from training.robustness import CHANGES, Trial, largest_drop, trials_csv, try_changes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_changes_faces_unless_its_amount_is_none(name: str) -> None:
    change = CHANGES[name]
    faces = np.stack([image for _, image, _ in fer2013.faces()[:7]])

    same = change.apply(faces, change.plain)
    assert same.dtype == np.uint8
    assert np.array_equal(same, faces)
    assert list(change.amounts) == sorted(change.amounts)
    distances = {
        amount: np.abs(change.apply(faces, amount).astype(int) - faces).mean()
        for amount in change.amounts
    }
    assert all(distance > 0.5 for amount, distance in distances.items() if amount != change.plain)


def test_changes_go_where_their_names_say() -> None:
    face = np.zeros((1, 48, 48), np.uint8)
    face[0, 20:28, 20:28] = 255

    def middle(name: str, amount: float) -> tuple[float, float, float]:
        changed = CHANGES[name].apply(face, amount)[0].astype(float)
        rows, columns = np.mgrid[:48, :48]
        whole = changed.sum()
        return (rows * changed).sum() / whole, (columns * changed).sum() / whole, whole / 255

    rows, columns, area = middle("scale", 1.0)
    assert middle("shift across", 0.1) == pytest.approx((rows, columns + 4.8, area), abs=0.05)
    assert middle("shift down", -0.1) == pytest.approx((rows - 4.8, columns, area), abs=0.05)
    assert middle("scale", 1.2)[2] == pytest.approx(1.44 * area, rel=0.03)
    assert middle("rotation", 20)[2] == pytest.approx(area, rel=0.03)
    dark = CHANGES["brightness"].apply(face, -60)[0]
    assert (dark.min(), dark.max()) == (0, 195)


def test_noise_is_the_same_for_every_model() -> None:
    grey = np.full((2, 48, 48), 128, np.uint8)
    first, second = (CHANGES["noise"].apply(grey, 8) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.mean() == pytest.approx(128, abs=0.3)


def test_the_largest_drop_is_found_and_everything_listed_and_drawn() -> None:
    trials = [
        Trial(name, amount, 0.8 - 0.1 * (amount != change.plain) * (name == "noise"), 0.6)
        for name, change in CHANGES.items()
        for amount in change.amounts
    ]

    drop, worst = largest_drop(trials)
    assert (round(drop, 3), worst.change) == (0.1, "noise")
    lines = trials_csv(trials).splitlines()
    assert len(lines) == 1 + len(trials)
    assert 'noise,"grey levels, standard deviation",4,0.7000,0.6000' in lines
    for title in ("a title", "half of a formula: $^$"):
        assert plots.draw_robustness(trials, title).startswith(b"\x89PNG")


def test_annotators_of_one_mind_and_of_two() -> None:
    sure = np.array([[10, 0, 0], [0, 10, 0]])
    assert one_against_others(sure) == 1
    assert majority_again(sure) == 1
    # With four votes against two, only the four annotators agree with the majority of the others.
    assert one_against_others(np.array([[4, 2, 0]])) == pytest.approx(4 / 6)
    # Two who differ never agree; a lone annotator has nobody to agree with.
    assert one_against_others(np.array([[1, 1, 0], [1, 0, 0]])) == 0
    divided = np.tile([6, 4, 0], (500, 1))
    # P(X > 5) + P(X = 5), X binomial with n = 10 and p = 0.6: in a tie the first emotion leads.
    assert majority_again(divided) == pytest.approx(0.834, abs=0.01)


def test_what_uncertain_buys_can_be_drawn() -> None:
    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.ones(7), 40).astype(np.float32)
    truth = rng.integers(0, 7, 40)
    for chosen in ((0.2, 0.5), (1.0, None)):
        assert plots.draw_trade_off(scores, truth, chosen).startswith(b"\x89PNG")


def test_a_network_is_read_once_for_all_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    faces = load_faces(fer2013.write_files(tmp_path) / "fer2013.csv").select("PublicTest")
    layers = [keras.layers.Flatten(), keras.layers.Dense(7)]
    keras.Sequential([keras.Input((32, 32, 1)), *layers]).save(tmp_path / "model.keras")
    read, load = [], network.load_network

    def load_network(path: Path, role: str) -> keras.Model:
        read.append(path)
        return load(path, role)

    monkeypatch.setattr(network, "load_network", load_network)

    trials = list(try_changes(tmp_path / "model.keras", faces, "fer2013", 0.0))

    assert read == [tmp_path / "model.keras"]
    assert len(trials) == sum(len(change.amounts) for change in CHANGES.values())
    assert len({trial.accuracy for trial in trials}) > 1
    nobody = replace(faces, ballots=np.full((len(faces), 10), [0] * 7 + [10, 0, 0]))
    with pytest.raises(DataError, match="saw none of the seven emotions in any face"):
        next(try_changes(tmp_path / "model.keras", nobody, "ferplus", 0.0))
