"""Progress: what is told, the time left, and what a terminal and a pipe see of it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from fire_core import progress
from fire_core.progress import Work, listening, tracked, words_of_time

WORKER = """
import json, sys, time
from cli.progress import terminal_listener
from fire_core.progress import listening, tracked
with listening(terminal_listener()):
    for _ in tracked(range(8), "Counting [sheep]"):
        time.sleep(0.2)
print(json.dumps({"counted": 8}))
"""

LOGGING = """
import logging, time
from cli.progress import Above, terminal_listener
from fire_core.progress import Work, listening, tracked
with listening(terminal_listener()), Work("campaign"):
    from prefect.logging.handlers import PrefectConsoleHandler  # after the bar
    log, handler = logging.getLogger(), PrefectConsoleHandler()
    log.addHandler(handler)
    log.setLevel("INFO")
    while not isinstance(handler.console.file, Above):  # until it is drawn again
        time.sleep(0.01)
    for i in tracked(range(5), "Labels"):
        time.sleep(0.3)
        log.info("label %d done in %s", i, "x" * 90)
"""


QUICK = """
import time
now = [0.0]
time.monotonic = lambda: now[0]
time.sleep = lambda seconds: now.__setitem__(0, now[0] + seconds)
from rich.console import Console
from cli.progress import Lines
"""
"""A clock that only sleeping moves."""


class Clock:
    """A clock that a test turns."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr(progress.time, "monotonic", turned)
    return turned


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def began(self, work: Work) -> None:
        self.lines.append(f"+ {work.title}")

    def moved(self, work: Work) -> None:
        self.lines.append(f"{work.title} {work.done}/{work.total}")

    def ended(self, work: Work) -> None:
        self.lines.append(f"- {work.title}")


def test_the_time_left_follows_the_pace(clock: Clock) -> None:
    with Work("steps", 10) as work:
        assert work.left_s() is None
        clock.now += 4
        work.advance()
        assert work.left_s() == pytest.approx(9 * 4)
        clock.now += 2
        work.advance()
        assert work.left_s() == pytest.approx(8 * 3)  # 6 s for two
        clock.now += 5
        assert work.left_s() == pytest.approx(8 * 3 - 5)
        clock.now += 1000
        assert work.left_s() == 0


def test_what_was_done_before_is_no_pace(clock: Clock) -> None:
    """Seven of ten epochs were there when an interrupted training went on."""
    with Work("epochs", 10) as work:
        clock.now += 1
        work.reach(7)
        assert work.left_s() is None
        clock.now += 30
        work.reach(8)
        assert work.left_s() == pytest.approx(2 * 30)
        assert work.words() == "8 of 10, 1 min 0 s left"


def test_listeners_hear_of_work_that_fails_and_of_work_left_early() -> None:
    heard = Heard()
    with listening(heard):
        for item in tracked("abc", "letters"):
            if item == "b":
                break
        with pytest.raises(ZeroDivisionError), Work("division"):
            1 / 0  # noqa: B018 - raises
    assert heard.lines == [
        *("+ letters", "letters 1/3", "- letters"),
        *("+ division", "- division"),
    ]
    with Work("later"):
        pass
    assert heard.lines[-1] == "- division"


def test_work_of_several_threads_is_told_whole() -> None:
    heard = Heard()

    def count(name: str) -> None:
        for _ in tracked(range(200), name):
            pass

    with listening(heard):
        threads = [threading.Thread(target=count, args=(n,)) for n in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in "abcd":
        own = [line for line in heard.lines if name in line]
        moved = [f"{name} {i + 1}/200" for i in range(200)]
        assert own == [f"+ {name}", *moved, f"- {name}"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7530, "2 h 5 min")],
)
def test_a_duration_in_words(seconds: float, words: str) -> None:
    assert words_of_time(seconds) == words


def run_at_terminal(code: str, columns: int) -> tuple[str, str]:
    """Return what a script wrote to its terminal, and to standard output's pipe."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs, stderr=theirs, stdout=subprocess.PIPE,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        seen += part
    out, _ = child.communicate()
    os.close(ours)
    assert child.returncode == 0
    return seen.decode(), out.decode()


def test_a_terminal_sees_a_bar_with_the_time_left_and_a_pipe_only_results() -> None:
    seen, out = run_at_terminal(WORKER, 100)
    assert "Counting [sheep]" in seen
    assert "of 8" in seen
    assert "s left" in seen
    assert json.loads(out) == {"counted": 8}


def test_what_prefect_logs_stays_above_the_bars() -> None:
    seen, _ = run_at_terminal(LOGGING, 80)
    lines = re.split(r"[\r\n]+", seen)
    for number in range(5):
        (line,) = (one for one in lines if f"label {number} done" in one)
        assert "━" not in line  # a bar on the same line would be wiped, and it with it


def test_where_there_is_no_terminal_lines_are_few() -> None:
    code = WORKER.replace("terminal_listener()", "Lines(Console(stderr=True), 0.5)")
    code = QUICK + code
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines() == [
        "Counting [sheep]: 3 of 8, 1 s left",
        "Counting [sheep]: 6 of 8, 0 s left",
    ]
    assert json.loads(done.stdout) == {"counted": 8}
