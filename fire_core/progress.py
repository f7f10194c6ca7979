"""How far long work is, told to whoever shows it; nobody listens unless asked to."""

from __future__ import annotations

import threading
import time
from collections.abc import Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

T = TypeVar("T")


class Listener(Protocol):
    """Shows work; called from any thread."""

    def began(self, work: Work) -> None:
        """Show work that begins."""

    def moved(self, work: Work) -> None:
        """Show that more of it is done."""

    def ended(self, work: Work) -> None:
        """Show it no longer."""


_listeners: list[Listener] = []
_lock = threading.Lock()


class Work:
    """Work that takes time, as a context.

    Parameters
    ----------
    title
        What is being done, as a person would say it.
    total
        Units of it in all; None: not known.
    """

    def __init__(self, title: str, total: int | None = None) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self._moved = time.monotonic()
        self._pace: tuple[float, int] | None = None  # since when, from which unit

    def __enter__(self) -> Self:
        """Report that it begins."""
        _tell(lambda listener: listener.began(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Report that it is over, whether it succeeded or not."""
        _tell(lambda listener: listener.ended(self))

    def reach(self, done: int) -> None:
        """Report how many units are done by now."""
        if done == self.done:
            return
        now = time.monotonic()
        if self._pace is None:  # what was done before this process began is no pace
            self._pace = (self._moved, 0) if done == 1 else (now, done)
        self.done, self._moved = done, now
        _tell(lambda listener: listener.moved(self))

    def advance(self, units: int = 1) -> None:
        """Report that more units are done."""
        self.reach(self.done + units)

    def words(self) -> str:
        """Return how far it is, as in `3 of 10, 2 min 5 s left`."""
        text = f"{self.done}" if self.total is None else f"{self.done} of {self.total}"
        left = self.left_s()
        return text if left is None else f"{text}, {words_of_time(left)} left"

    def left_s(self) -> float | None:
        """Return how long the rest will take at this pace, s; None: nobody knows."""
        if self.total is None or self._pace is None:
            return None
        began, before = self._pace
        if self.done <= before:
            return None
        each = (self._moved - began) / (self.done - before)
        since = time.monotonic() - self._moved
        return max(0.0, each * (self.total - self.done) - since)


def tracked(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield items, telling after each that it is done.

    Parameters
    ----------
    items
        What is worked on.
    title
        What is being done with them.
    total
        How many there are; None: as many as `len` says, or unknown.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Work(title, total) as work:
        for item in items:
            yield item
            work.advance()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report to a listener all work of this process during a block."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def words_of_time(seconds: float) -> str:
    """Return a duration as people say it: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _tell(call: Callable[[Listener], None]) -> None:
    if not _listeners:
        return
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        call(listener)
