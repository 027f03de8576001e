"""The outcome of a fuzz run, and the search for anything that must not happen.

What must not happen: a 5xx other than 503, a traceback in an answer, an error that is not JSON, no
answer to a request with a whole head, a worker that died, or one that grew beyond its bound.
"""

from __future__ import annotations

import collections
import json
import re
from dataclasses import dataclass, field
from typing import Any

from serenbox.server.settings import ServerSettings

MIB = 2**20

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

_NEXT = re.compile(rb"HTTP/1\.[01] \d")
"""The start of the next answer, which comes right after the headers of an answer to HEAD."""

SLACK = 128 * MIB
"""For what is not counted: gunicorn reads up to 1 MiB at a time in each of 33 threads, and copies
it; decoders have buffers, and the allocator keeps memory."""


def most_growth(settings: ServerSettings) -> int:
    """Return by how many bytes a worker may grow.

    Its bodies, twice while a form is taken apart, and one decoded picture of three bytes a pixel,
    twice while it is turned upright. Pictures of other kinds, which take more (docs/server.md), are
    not sent in this size.
    """
    return 2 * settings.max_memory + 2 * 3 * settings.max_pixels + SLACK


@dataclass
class Outcome:
    """The outcome of a run."""

    codes: dict[str, collections.Counter[str]] = field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    """Answers by kind of request and status; "none" if no answer came."""
    faults: list[str] = field(default_factory=list)
    """What must not have happened."""
    described: dict[str, Any] = field(default_factory=dict)
    """What schemathesis reported."""
    workers: tuple[set[int], set[int]] = (set(), set())
    """Process ids before and after."""
    memory: list[tuple[int, int, int]] = field(default_factory=list)
    """Bytes of each worker at the start, at most, and at the end."""
    log: str = ""
    """What the server wrote."""
    code: int = -1
    """The server's exit code."""
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many were sent."""
        own = sum(counter.total() for counter in self.codes.values())
        return own + int(self.described.get("test_cases", {}).get("generated", 0))

    def problems(self) -> list[str]:
        """Return a sentence for each thing that is not as it must be."""
        found = self.faults[:10]
        if len(self.faults) > len(found):
            found.append(f"and {len(self.faults) - len(found)} more")
        if self.described.get("exit_code"):
            found += [
                f"schemathesis: {one['title']} ({one['count']})"
                for one in [*self.described["failures"], *self.described["errors"]]
            ]
        before, after = self.workers
        if before != after:
            found.append(f"the workers were {sorted(before)} and are {sorted(after)}")
        limit = most_growth(ServerSettings())
        found += [
            f"a worker grew from {start // MIB} to {most // MIB} MiB, by more than {limit // MIB}"
            for start, most, _ in self.memory
            if most - start > limit
        ]
        if "Traceback" in self.log or "WORKER" in self.log or "mistake" in self.log:
            found.append(f"the log tells of a failure: {self.log[-2000:]}")
        if self.code:
            found.append(f"the server ended with exit code {self.code}")
        return found

    def summary(self) -> str:
        """Describe what was sent and what came back."""
        cases = self.described.get("test_cases", {})
        lines = [
            f"{self.requests} requests in {self.seconds:.0f} s",
            f"  schemathesis: {cases.get('generated')}, {cases.get('with_failures')} failed",
        ]
        lines += [f"  {kind}: {dict(sorted(c.items()))}" for kind, c in self.codes.items()]
        lines += [
            f"worker: {start // MIB} MiB at the start, {end // MIB} in the end, "
            f"{most // MIB} at most (bound {(start + most_growth(ServerSettings())) // MIB})"
            for start, most, end in self.memory
        ]
        before, after = self.workers
        lines.append(f"workers {'as before' if before == after else 'REPLACED'}")
        lines.append(f"lines of log: {len(self.log.splitlines())}")
        return "\n".join(lines)


def fault(answer: bytes, *, whole: bool) -> str:
    """Return what is wrong with an answer; empty if nothing is.

    Args:
        answer: All that came over the connection.
        whole: Whether the request had a whole head, so that an answer must come.

    """
    if not answer:
        return "no answer" if whole else ""
    head, _, body = answer.partition(b"\r\n\r\n")
    code = head[9:12]
    if not head.startswith(b"HTTP/1.") or not code.isdigit():
        return f"an answer that is not HTTP ({answer[:100]!r})"
    if b"Traceback" in answer:
        return "a traceback"
    if code.startswith(b"5") and code != b"503":
        return f"status {code.decode()}"
    # A damaged head may turn one request into two, and so get two answers.
    length = _LENGTH.search(head)
    body = body[: int(length[1])] if length else body
    if code.startswith(b"4") and body and not (_is_error(body, int(code)) or _NEXT.match(body)):
        return f"an error that is not JSON ({body[:100]!r})"
    return ""


def _is_error(body: bytes, code: int) -> bool:
    try:
        content = json.loads(body)
    except ValueError:
        return False
    if not isinstance(content, dict):
        return False
    return set(content) == {"status", "error", "message"} and content["status"] == code
