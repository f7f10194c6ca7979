"""Child processes that are started, watched, started again, and stopped in order."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 60.0
STOP_S: Final = 30.0
ENDING: Final = (signal.SIGINT, signal.SIGTERM)


def stop_once() -> None:
    """Make the first SIGINT or SIGTERM a KeyboardInterrupt, and later ones nothing.

    A second one must not leave half of the children running.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        ignore_ending()
        raise KeyboardInterrupt

    for number in ENDING:
        signal.signal(number, stop)


def ignore_ending() -> None:
    """Ignore SIGINT and SIGTERM from now on."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def put_off() -> Iterator[None]:
    """Let SIGINT and SIGTERM come after a block, which they must not interrupt."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@dataclass(slots=True)
class Child:
    """A program that is kept running; its output goes to `log`."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 1.0
    due: float = field(default=0.0)

    def start(self) -> None:
        """Start the program in a session of its own.

        A signal that comes meanwhile waits: else a program could run that nobody knows.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out, put_off():
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started = time.monotonic()

    def look(self, say: Callable[[str], None]) -> None:
        """Start the program again if it has ended, each time after a longer pause."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due:
                self.start()
            return
        status = self.process.poll()
        if status is None:
            return
        if now - self.started > STEADY_S:
            self.pause = 1.0
        say(
            f"{self.name} ended (exit status {status}); started again in "
            f"{self.pause:.0f} s; its log is {self.log}"
        )
        self.process, self.due = None, now + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE_S)

    def ask_to_stop(self) -> None:
        """Send the program SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Send the program SIGTERM; kill it where it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
