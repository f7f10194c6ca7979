"""Show on the terminal how far long work is, and how long it will still take."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from fire_core.progress import Listener, Work

PLAIN_S: Final = 30.0
"""Between two lines where the output is no terminal."""
SHOWN_AFTER_S: Final = 0.5


def terminal_listener() -> Listener:
    """Return what shows work on standard error, below what is logged meanwhile.

    Bars with the time left on a terminal, else a line every `PLAIN_S` seconds.
    """
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines(console)


class Above(io.TextIOBase):
    """A file whose lines appear above what a console keeps drawing."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._begun = ""

    def write(self, text: str) -> int:
        """Print the lines that are whole by now, their colours kept."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)


class _Patient(Progress):
    """Shows work only once it has taken a moment, so that nothing flickers."""

    def get_renderables(self) -> Iterable[RenderableType]:
        if hasattr(self, "live"):  # rich asks once before it has one
            _log_above(self.console)  # Prefect sets its handlers up when it is imported
        for task in self.tasks:
            task.visible = (task.elapsed or 0.0) >= SHOWN_AFTER_S
        return super().get_renderables()


class Left(ProgressColumn):
    """How many units are done of how many, and the time that the others will take."""

    def render(self, task: Task) -> Text:
        """Return nothing where no unit is known."""
        work: Work = task.fields["work"]
        known = work.total is not None or work.done
        return Text(work.words() if known else "", style="progress.remaining")


class Bars:
    """One bar for each title, on a terminal, while there is any work.

    Work of the same title at once shares a bar.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()

    def began(self, work: Work) -> None:
        """Add a bar, unless there is one of that title."""
        with self._lock:
            if self._progress is None:
                self._progress = self._start()
            self._open[work.title] = self._open.get(work.title, 0) + 1
            if work.title not in self._bars:
                self._bars[work.title] = self._progress.add_task(
                    escape(work.title), total=work.total, work=work
                )

    def moved(self, work: Work) -> None:
        """Move the bar."""
        with self._lock:
            bar = self._bars.get(work.title)
            if self._progress is not None and bar is not None:
                self._progress.update(bar, completed=work.done, work=work)

    def ended(self, work: Work) -> None:
        """Take the bar away with the last work of its title, the display with all."""
        with self._lock:
            self._open[work.title] = self._open.get(work.title, 1) - 1
            if self._open[work.title] > 0 or self._progress is None:
                return
            bar = self._bars.pop(work.title, None)
            if bar is not None:
                self._progress.remove_task(bar)
            if not self._bars:
                self._progress.stop()
                self._progress = None

    def _start(self) -> Progress:
        progress = _Patient(
            SpinnerColumn(),
            TextColumn(
                "{task.description}",
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            BarColumn(bar_width=12),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            Left(table_column=Column(no_wrap=True)),
            console=self._console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # a pipe's bytes stay in the pipe
        )
        progress.start()
        return progress


def _log_above(console: Console) -> None:
    """Make log handlers that write by rich, as Prefect's do, write above the bars.

    A console of their own would write over the bars, and be wiped away with them.
    """
    for handler in logging.getLogger().handlers:
        own = getattr(handler, "console", None)
        if isinstance(own, Console) and not isinstance(own.file, Above):
            own.file = Above(console)  # type: ignore[assignment]


class Lines:
    """A line now and then, for logs and pipes."""

    def __init__(self, console: Console, every_s: float = PLAIN_S) -> None:
        self._console = console
        self._every_s = every_s
        self._said = time.monotonic()

    def began(self, work: Work) -> None:
        """Report nothing yet."""

    def moved(self, work: Work) -> None:
        """Report how far it is, unless a line was written a moment ago."""
        now = time.monotonic()
        if now - self._said < self._every_s:
            return
        self._said = now
        text = f"{work.title}: {work.words()}"
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def ended(self, work: Work) -> None:
        """Report nothing: what is logged tells what came of it."""
