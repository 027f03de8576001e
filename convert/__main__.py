"""`python -m convert`: converts a trained model for the device, or inspects a converted file."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convert.arguments import PROGRAM, parse, to_options
from convert.errors import ConversionError, InputError
from serenbox.cli.common import (
    EXIT_CLOSED_PIPE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    OutputError,
    abandon_output,
    flush_output,
    write_line,
)
from serenbox.errors import SerenBoxError
from training.errors import TerminatedError, TrainingError, refusal_of, terminate
from training.quiet import check_streams, import_tensorflow

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 1 result refused, 2 unusable input."""
    parsed = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        check_streams()
        with _heeding_sigterm():
            _run(parsed)
        flush_output()
    except BrokenPipeError:  # the reader has gone
        abandon_output()
        return EXIT_CLOSED_PIPE
    except OutputError as error:
        abandon_output()
        return _fail(error, EXIT_FAILED)
    except ConversionError as error:
        return _fail(error, error.exit_code)
    except (SerenBoxError, TrainingError) as error:
        return _fail(error, InputError.exit_code)
    except OSError as error:
        return _fail(refusal_of(error), InputError.exit_code)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED
    except TerminatedError:
        print(f"{PROGRAM}: told to stop; nothing was written", file=sys.stderr)
        return 128 + signal.SIGTERM
    return 0


@contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C, so that no half-made file stays behind."""
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(error: Exception | str, code: int) -> int:
    print(f"{PROGRAM}: error: {error}", file=sys.stderr)
    return code


def _run(parsed: argparse.Namespace) -> None:
    if parsed.inspect is not None:
        if parsed.model is not None:
            raise InputError("--inspect looks at one file and converts nothing: leave MODEL out")
        from convert.inspection import inspect_file

        write_line(inspect_file(parsed.inspect, as_json=parsed.json))
        return
    if parsed.model is None:
        raise InputError("give a MODEL.keras to convert, or --inspect FILE.tflite")
    if parsed.json:
        raise InputError("--json goes with --inspect only: leave it out")
    _convert(parsed)


def _convert(parsed: argparse.Namespace) -> None:
    options = to_options(parsed)
    _say("starting TensorFlow")
    try:
        import_tensorflow()
    except ImportError as error:
        raise InputError(
            f"TensorFlow cannot be imported ({error}): run `pip install '.[training]'`"
        ) from error
    from convert.pipeline import convert
    from convert.summary import summarize

    converted = convert(options, _say)
    write_line(summarize(options, converted))


def _say(line: str) -> None:
    print(f"convert: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
