from __future__ import annotations

import gzip
import lzma
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.results import EMOTIONS
from tests import fer2013
from training import near_copies
from training.data import Faces, describe, load_faces, training_faces
from training.errors import DataError
from training.labels import FERPLUS_COLUMNS
from training.pairing import check_agreement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "fer2013.csv"
    path.write_text(fer2013.csv_text())
    return path


@pytest.fixture
def votes_file(tmp_path: Path) -> Path:
    path = tmp_path / "ferplus.csv"
    path.write_text(fer2013.ferplus_text())
    return path


def test_reads_pixels_labels_and_official_split(csv_file: Path) -> None:
    read = load_faces(csv_file)

    expected = fer2013.faces()
    assert len(read) == len(expected)
    np.testing.assert_array_equal(read.images, np.stack([image for _, image, _ in expected]))
    assert read.labels.tolist() == [label for label, _, _ in expected]
    assert read.splits.tolist() == [split for _, _, split in expected]


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_compressed_csv_is_the_same(csv_file: Path, suffix: str, compress: object) -> None:
    assert callable(compress)
    packed = csv_file.with_suffix(f".csv.{suffix}")
    packed.write_bytes(compress(csv_file.read_bytes()))

    np.testing.assert_array_equal(load_faces(packed).images, load_faces(csv_file).images)


def test_folders_hold_the_same_faces(csv_file: Path, tmp_path: Path) -> None:
    fer2013.write_folders(tmp_path / "kaggle")

    from_folders, from_csv = load_faces(tmp_path / "kaggle"), load_faces(csv_file)

    def as_set(faces: Faces) -> set[tuple[bytes, int, str]]:
        return {
            (image.tobytes(), int(label), str(split))
            for image, label, split in zip(faces.images, faces.labels, faces.splits, strict=True)
        }

    assert as_set(from_folders) == as_set(from_csv)


def test_second_read_comes_from_the_cache(csv_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_faces(csv_file)
    monkeypatch.setattr("training.data.read_faces", lambda _: pytest.fail("read the file again"))

    np.testing.assert_array_equal(load_faces(csv_file).images, first.images)


def test_changed_file_is_read_again(csv_file: Path) -> None:
    load_faces(csv_file)
    csv_file.write_text("\n".join(csv_file.read_text().splitlines()[:-1]) + "\n")

    assert len(load_faces(csv_file)) == len(fer2013.faces()) - 1


@pytest.mark.parametrize("damage", ["other", "cut off", "changed"])
def test_damaged_cache_is_replaced(csv_file: Path, tmp_path: Path, damage: str) -> None:
    load_faces(csv_file)
    (cached,) = (tmp_path / "cache").rglob("*.npz")
    whole = cached.read_bytes()
    middle = len(whole) // 2
    changed = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    damaged = {"other": b"PK not an archive", "cut off": whole[:middle], "changed": changed}
    cached.write_bytes(damaged[damage])

    assert len(load_faces(csv_file)) == len(fer2013.faces())
    assert cached.read_bytes() == whole


def test_a_cache_that_cannot_be_written_leaves_nothing(csv_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "serenbox"
    load_faces(csv_file)
    (cached,) = folder.iterdir()
    cached.unlink()
    cached.mkdir()  # a folder in the way of the cache file

    assert len(load_faces(csv_file)) == len(fer2013.faces())
    assert list(folder.iterdir()) == [cached]


def test_a_cache_out_of_reach_is_done_without(
    csv_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/" + 300 * "x")  # refused to every user, root included

    assert len(load_faces(csv_file)) == len(fer2013.faces())


def test_without_a_home_there_is_no_cache(csv_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        msg = "Could not determine home directory."
        raise RuntimeError(msg)

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("training.data.Path.home", no_home)

    assert len(load_faces(csv_file)) == len(fer2013.faces())


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_damage_inside_a_compressed_csv_is_told(
    csv_file: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    packed = csv_file.with_suffix(f".csv.{suffix}")
    content = bytearray(compress(csv_file.read_bytes()))
    content[200:400] = bytes(200)
    packed.write_bytes(content)

    with pytest.raises(DataError, match="cannot be read as CSV text"):
        load_faces(packed)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("emotion,pixels,Usage", "label,pixels,Usage", "first line"),
        ("PublicTest", "Validation", "line 72"),
        ("\n6,", "\n9,", "line 6"),
        ("\n0,", "\n0,300 ", "line 2"),
        ("\n0,", "\n0,99999999999999999999 ", "line 2"),
    ],
)
def test_damaged_row_is_named(csv_file: Path, old: str, new: str, named: str) -> None:
    csv_file.write_text(csv_file.read_text().replace(old, new, 1))

    with pytest.raises(DataError, match=named):
        load_faces(csv_file)


def test_truncated_archive_is_named(csv_file: Path) -> None:
    packed = csv_file.with_suffix(".csv.xz")
    packed.write_bytes(lzma.compress(csv_file.read_bytes())[:-40])

    with pytest.raises(DataError, match=r"fer2013\.csv\.xz"):
        load_faces(packed)


@pytest.mark.parametrize("rewrite", ["byte order mark", "blank end", "by name"])
def test_the_same_csv_in_other_words(csv_file: Path, votes_file: Path, rewrite: str) -> None:
    read = load_faces(csv_file, votes_file)
    for path in (csv_file, votes_file):
        text = path.read_text()
        if rewrite == "byte order mark":
            text = "\ufeff" + text
        elif rewrite == "blank end":
            text += "\n\r\n"
        else:  # the first column goes last, and the header has spaces, as in icml_face_data.csv
            header, *rows = (line.split(",") for line in text.splitlines())
            lines = [", ".join([*header[1:], header[0]])]
            text = "\n".join(lines + [",".join([*row[1:], row[0]]) for row in rows]) + "\n"
        path.write_text(text, encoding="utf-8", newline="")

    again = load_faces(csv_file, votes_file)

    for name in ("images", "labels", "splits", "ballots"):
        np.testing.assert_array_equal(getattr(again, name), getattr(read, name))


def test_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the path"):
        load_faces(tmp_path / "nowhere.csv")


def test_what_else_lies_in_the_folders_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "archive" / "kaggle"
    fer2013.write_folders(folder)
    sha256 = load_faces(folder).sha256
    next(folder.glob("train/*")).joinpath(".ipynb_checkpoints").mkdir()
    assert load_faces(folder).sha256 == sha256
    odd = next(folder.glob("train/*/*.png"))
    odd.rename(os.fsdecode(os.fsencode(odd).replace(b".png", b"\xff.png")))
    assert len(load_faces(folder)) == len(fer2013.faces())

    with pytest.raises(DataError, match="give the folder that has train/ and test/ in it"):
        load_faces(tmp_path / "archive")


def test_damaged_picture_is_named(tmp_path: Path) -> None:
    fer2013.write_folders(tmp_path / "kaggle")
    broken = next((tmp_path / "kaggle").glob("train/*/*"))
    broken.write_bytes(b"text")

    with pytest.raises(DataError, match=broken.name):
        load_faces(tmp_path / "kaggle")


def test_duplicates_are_marked_and_not_trained_on(csv_file: Path) -> None:
    faces = fer2013.faces()
    in_test = next(face for face in faces if face[2] == "PrivateTest")
    in_training = faces[0]
    with csv_file.open("a") as file:
        file.write(fer2013.csv_row(in_test[0], in_test[1], "Training") + "\n")  # leaked
        file.write(fer2013.csv_row(in_training[0], in_training[1], "Training") + "\n")  # twice

    read = load_faces(csv_file)

    assert np.flatnonzero(read.duplicate).tolist() == [
        next(i for i, face in enumerate(faces) if face is in_test),
        len(faces),
        len(faces) + 1,
    ]
    train = training_faces(read, "fer2013")
    pixels = [image.tobytes() for image in train.images]
    assert in_test[1].tobytes() not in pixels
    assert pixels.count(in_training[1].tobytes()) == 1
    assert "2 duplicates" in describe(read)[0]


def test_constant_images_are_counted_and_left_out(csv_file: Path) -> None:
    with csv_file.open("a") as file:
        file.write(fer2013.csv_row(0, np.full((48, 48), 9, np.uint8), "Training") + "\n")

    read = load_faces(csv_file)

    assert "1 of one colour" in describe(read)[0]
    assert len(training_faces(read, "fer2013")) == len(read.select("Training")) - 1


def test_votes_become_shares_of_the_seven_emotions(csv_file: Path, votes_file: Path) -> None:
    read = load_faces(csv_file, votes_file)

    np.testing.assert_array_equal(read.truth("ferplus"), read.labels)
    np.testing.assert_allclose(read.targets("ferplus"), np.eye(len(EMOTIONS))[read.labels])
    assert read.usable.all()


def test_face_that_most_call_no_emotion_is_not_usable(csv_file: Path, votes_file: Path) -> None:
    header, first, *rest = votes_file.read_text().splitlines()
    no_face = ",".join([*first.split(",")[:2], "1", *["0"] * 8, "9"])
    votes_file.write_text("\n".join([header, no_face, *rest]) + "\n")

    read = load_faces(csv_file, votes_file)

    assert np.flatnonzero(~read.usable).tolist() == [0]
    assert len(training_faces(read, "ferplus")) == len(training_faces(read, "fer2013")) - 1


def test_votes_that_are_divided(csv_file: Path, votes_file: Path) -> None:
    read = load_faces(csv_file, votes_file)
    assert read.ballots is not None
    ballots = read.ballots.copy()
    # Neutral, happy, surprise, sad, angry, disgust, fear, contempt, unknown, no face.
    ballots[:4] = [
        [2, 1, 0, 0, 1, 0, 0, 2, 0, 0],  # contempt has as many votes as neutral
        [2, 1, 0, 0, 1, 0, 0, 0, 3, 0],
        [0, 0, 0, 5, 5, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]

    divided = replace(read, ballots=ballots)

    assert divided.usable[:4].tolist() == [True, False, True, False]
    some = divided[np.array([0, 2])]
    shares = [dict(zip(EMOTIONS, row.tolist(), strict=True)) for row in some.targets("ferplus")]
    rest = dict.fromkeys(EMOTIONS, 0.0)
    assert shares == [
        rest | {"neutral": 0.5, "happy": 0.25, "angry": 0.25},
        rest | {"sad": 0.5, "angry": 0.5},
    ]
    assert [EMOTIONS[index] for index in some.truth("ferplus")] == ["neutral", "angry"]


def test_votes_of_another_length_are_refused(csv_file: Path, votes_file: Path) -> None:
    votes_file.write_text("\n".join(votes_file.read_text().splitlines()[:-1]) + "\n")

    with pytest.raises(DataError, match="not a pair"):
        load_faces(csv_file, votes_file)


def test_votes_in_another_order_are_refused(csv_file: Path, votes_file: Path) -> None:
    first, *rest = votes_file.read_text().splitlines()
    votes_file.write_text("\n".join([first, *reversed(rest)]) + "\n")

    with pytest.raises(DataError, match=r"says that face 1 is of PrivateTest, .* not a pair"):
        load_faces(csv_file, votes_file)


def test_votes_in_another_order_within_a_split_are_refused(tmp_path: Path) -> None:
    header, *votes = fer2013.ferplus_text().splitlines()
    votes = [row for row in votes if row.startswith("Training")] * 5
    first, *rows = fer2013.csv_text().splitlines()
    rows = [row for row in rows if row.endswith("Training")] * 5

    def load(votes: list[str]) -> Faces:
        (tmp_path / "fer2013.csv").write_text("\n".join([first, *rows[: len(votes)]]) + "\n")
        (tmp_path / "ferplus.csv").write_text("\n".join([header, *votes]) + "\n")
        return load_faces(tmp_path / "fer2013.csv", tmp_path / "ferplus.csv")

    assert len(load(votes)) == 350
    with pytest.raises(DataError, match=r"agree on only 0% .* of Training, so their rows are in"):
        load([*votes[1:], votes[0]])
    few = votes[:299]
    assert len(load([*few[1:], few[0]])) == 299, "too few to judge"


def voted(agreed: int, unseen: int) -> Faces:
    """Make 400 happy faces; FER+ agrees on some, sees no emotion in some, else sees anger."""
    columns = list(FERPLUS_COLUMNS)
    answers = ["happiness"] * agreed + ["NF"] * unseen + ["anger"] * (400 - agreed - unseen)
    ballots = np.array([[10 * (column == answer) for column in columns] for answer in answers])
    return Faces(
        np.zeros((400, 48, 48), np.uint8),
        np.full(400, EMOTIONS.index("happy")),
        np.array(["Training"] * 400),
        np.zeros(400, np.bool_),
        ballots,
        {},
    )


def test_votes_agree_with_the_labels_far_more_often_in_the_right_order() -> None:
    check_agreement(voted(agreed=230, unseen=0), "votes", "faces")
    check_agreement(voted(agreed=150, unseen=90), "votes", "faces")
    with pytest.raises(DataError, match="agree on only 20% of the emotions of Training"):
        check_agreement(voted(agreed=80, unseen=0), "votes", "faces")


def test_class_without_faces_is_named(csv_file: Path) -> None:
    lines = csv_file.read_text().splitlines()
    csv_file.write_text("\n".join(line for line in lines if not line.startswith("1,")) + "\n")

    with pytest.raises(DataError, match="disgust"):
        training_faces(load_faces(csv_file), "fer2013")


def test_another_copy_of_a_test_face_is_not_learnt_from(csv_file: Path) -> None:
    read = load_faces(csv_file)
    before = training_faces(read, "fer2013")
    chosen = np.flatnonzero(read.splits == "Training")[:3]
    test = read.images[read.splits == "PrivateTest"]
    images = read.images.copy()
    # Two near copies (cropped, darkened and printed on; mirrored) and one with only the same greys.
    images[chosen[0]] = cv2.resize(test[0][:47, :47], (48, 48)) // 2
    images[chosen[0], 45:, 4:20] = 127
    images[chosen[1]] = test[1][:, ::-1]
    images[chosen[2]] = np.sort(test[2].ravel()).reshape(48, 48)

    train = training_faces(replace(read, images=images), "fer2013")

    assert len(train) == len(before) - 2
    assert (train.images == images[chosen[2]]).all(axis=(1, 2)).any()


def test_copies_are_found_among_more_faces_than_are_compared_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faces = np.stack([image for _, image, _ in fer2013.faces()[:14]])
    monkeypatch.setattr(near_copies, "_AT_ONCE", 3)

    assert near_copies.show_one_of(faces, faces[[4, 13]]).nonzero()[0].tolist() == [4, 13]


def test_test_faces_that_training_shows_are_known(csv_file: Path) -> None:
    read = load_faces(csv_file)
    images = read.images.copy()
    first, second, *_ = np.flatnonzero(read.splits == "Training")
    test = np.flatnonzero(read.splits == "PublicTest")
    images[first] = images[test[2]][:, ::-1] // 2
    images[second] = images[test[5]]

    shown = replace(read, images=images).shown_in_training("PublicTest")

    assert np.flatnonzero(shown).tolist() == [2, 5]
