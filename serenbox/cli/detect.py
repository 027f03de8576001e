"""`serenbox-detect`: find the faces in pictures and say which emotion each one shows."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, ClassVar, get_args

from serenbox.cli.annotated import prepare_folder, write_annotated
from serenbox.cli.common import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    Tool,
    UsageError,
    native_messages_hidden,
    number_type,
    path_of,
    write_line,
)
from serenbox.cli.inputs import RAW_SUFFIXES, STDIN, find_inputs
from serenbox.cli.table import render, style_for
from serenbox.cli.terminal import Progress, is_terminal
from serenbox.defaults import FACE_SCORE, MAX_THREADS, PRIOR_EXPONENT
from serenbox.errors import ImageError, reason_of
from serenbox.runtime_names import Runtime

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from serenbox.detector import EmotionDetector
    from serenbox.pixels import Pixels
    from serenbox.results import Face

_LEAST_FACE_SCORE = 0.1
"""Below this, most of what is found is not a face."""

_score = number_type("a number from 0 to 1", lambda score: 0 <= score <= 1)
_face_score = number_type(
    f"a number from {_LEAST_FACE_SCORE} to 1", lambda score: _LEAST_FACE_SCORE <= score <= 1
)
_count = number_type(
    f"a whole number from 1 to {MAX_THREADS}", lambda count: 1 <= count <= MAX_THREADS, whole=True
)


class DetectTool(Tool):
    """Find the faces in pictures and say which emotion each one shows.

    IMAGE is a file, a folder (with everything below it; files are taken by their suffix), a quoted
    pattern such as 'photos/**/*.jpg', or - for standard input. JPEG, PNG, WebP, GIF, BMP, TIFF, PGM
    and PPM are read, turned upright as their EXIF data say; of an animation the first frame counts.

    With --json one object per picture is printed on one line, as soon as it is known:
      {"image", "width", "height", "faces": [{"box": [x, y, width, height], "emotion",
       "confidence", "scores": {"angry": 0.01, ...}}]}
    and "annotated", the file written, with --annotate. Boxes are in pixels of the upright picture.

    Exit code: 0 if all pictures were read, whether or not there are faces; 1 if some could not be;
    2 if the call was wrong, no picture was found, or the model or its runtime cannot be used.
    """

    prog: ClassVar[str] = "serenbox-detect"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_argument
        add("images", metavar="IMAGE", nargs="+", help="picture, folder, quoted pattern or -")
        add("--json", action="store_true", help="print one JSON object per picture and line")
        add(
            "--cropped",
            action="store_true",
            help="each picture is already a face (as in FER2013): do not search for faces",
        )
        add(
            "--annotate",
            metavar="DIR",
            type=path_of,
            help="also write each picture, with boxes and scores drawn on it, to this folder; "
            "a name already taken there gets a number",
        )
        add(
            "--model",
            metavar="FILE",
            help="emotion model (.tflite) to use instead of the usual one",
        )
        add(
            "--min-confidence",
            metavar="SCORE",
            type=_score,
            help='an emotion with a score below this is "uncertain", 0 to 1 '
            "(default: a threshold for each emotion, from the model)",
        )
        add(
            "--prior-exponent",
            metavar="SHARE",
            type=_score,
            default=PRIOR_EXPONENT,
            help="how much to expect common emotions: 0 treats all seven as equally likely, so "
            "that rare ones are found more often, 1 as likely as in training; never more than "
            f"the model says (default: {PRIOR_EXPONENT})",
        )
        add(
            "--min-face-score",
            metavar="SCORE",
            type=_face_score,
            default=FACE_SCORE,
            help="how sure it must be that something is a face, 0.1 to 1; higher finds fewer "
            f"faces, and fewer false ones (default: {FACE_SCORE})",
        )
        add(
            "--runtime",
            choices=get_args(Runtime),
            default="auto",
            help="what runs the models (default: whichever is installed)",
        )
        add("--threads", metavar="N", type=_count, default=1, help="threads to use (default: 1)")

    def run(self, args: argparse.Namespace) -> int:
        """Read every picture; one that cannot be read does not stop the others."""
        inputs = find_inputs(args.images, skip=args.annotate)
        for problem in inputs.problems:
            self.error(problem)
        if not inputs.names:
            return EXIT_USAGE
        if STDIN in inputs.names and is_terminal(sys.stdin):
            raise UsageError("standard input is a terminal: pipe a picture into it")
        if args.annotate:
            prepare_folder(args.annotate)
        run = _Run(self, args, len(inputs.names))
        for number, name in enumerate(inputs.names, 1):
            run.picture(number, name)
        return EXIT_FAILED if run.failed or inputs.problems else EXIT_OK


class _Run:
    """Works on one picture after another; `failed` is true once anything went wrong."""

    def __init__(self, tool: Tool, args: argparse.Namespace, total: int) -> None:
        self.failed = False
        self._tool = tool
        self._args = args
        self._progress = Progress(total)
        self._style = style_for(sys.stdout)
        self._printed = False
        with native_messages_hidden(show=args.debug):
            self._detector = _open_detector(args)

    def picture(self, number: int, name: str) -> None:
        """Read one picture, print what it shows, and write it annotated if wanted."""
        import cv2

        self._progress.show(number, name)
        try:
            with native_messages_hidden(show=self._args.debug):
                image = _read_picture(name)
                faces = self._faces(image)
        except ImageError as error:
            self._fail(str(error))
        except (MemoryError, cv2.error) as error:
            reason = "not enough memory" if isinstance(error, MemoryError) else error.err
            self._fail(f"{name}: it cannot be processed ({reason}): make it smaller")
        else:
            self._print(name, image, faces, self._annotate(name, image, faces))

    def _faces(self, image: Pixels) -> Sequence[Face]:
        if self._args.cropped:
            return [self._detector.classify_cropped(image)]
        return self._detector.detect(image)

    def _annotate(self, name: str, image: Pixels, faces: Sequence[Face]) -> str | None:
        if self._args.annotate is None:
            return None
        from serenbox.annotate import annotate

        picture = annotate(image, faces)
        try:
            path = write_annotated(self._args.annotate, "stdin" if name == STDIN else name, picture)
        except ImageError as error:
            self._fail(str(error))
            return None
        return os.fspath(path)

    def _print(
        self, name: str, image: Pixels, faces: Sequence[Face], annotated: str | None
    ) -> None:
        self._progress.clear()
        height, width = image.shape[:2]
        if self._args.json:
            result: dict[str, object] = {"image": name, "width": width, "height": height}
            result["faces"] = [face.as_dict() for face in faces]
            if annotated:
                result["annotated"] = annotated
            write_line(json.dumps(result))
            return
        note = f"annotated: {annotated}" if annotated else ""
        text = render(name, width, height, faces, self._style, note)
        write_line("\n" + text if self._printed else text)
        self._printed = True

    def _fail(self, message: str) -> None:
        self.failed = True
        self._progress.clear()
        self._tool.error(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `serenbox-detect` and return its exit code."""
    return DetectTool().main(argv)


def _open_detector(args: argparse.Namespace) -> EmotionDetector:
    # A second safeguard: if OpenCV reads a header differently from us, it refuses what is too large
    # as well. It reads this variable when it is imported, so it must not be imported earlier.
    from serenbox.image_header import MAX_PIXELS

    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
    from serenbox.detector import EmotionDetector

    return EmotionDetector(
        args.model,
        runtime=args.runtime,
        threads=args.threads,
        min_confidence=args.min_confidence,
        prior_exponent=args.prior_exponent,
        min_face_score=args.min_face_score,
    )


def _read_picture(name: str) -> Pixels:
    from serenbox.image_header import MAX_BYTES
    from serenbox.images import read_image

    if name.lower().endswith(RAW_SUFFIXES):
        kind = name.rpartition(".")[2].upper()
        raise ImageError(
            f"{name}: it is in the format {kind}, which SerenBox does not read: "
            "convert it to JPEG or PNG"
        )
    if name != STDIN:
        return read_image(name)
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""
    except OSError as error:
        raise ImageError(
            f"standard input: it cannot be read ({reason_of(error)}): pipe a picture into it"
        ) from error
    if not content:
        raise ImageError("standard input: it is empty: pipe a picture into it")
    return read_image(content, name="standard input")


if __name__ == "__main__":
    sys.exit(main())
