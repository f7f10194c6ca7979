"""A child is known from the moment that it runs, whatever signal comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cli.service.supervise import Child, put_off, stop_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_start_and_note_leaves_no_orphan(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen

    def started_and_interrupted(*arguments: Any, **options: Any) -> Any:
        process = real(*arguments, **options)
        os.kill(os.getpid(), number)
        return process

    stop_once()
    child = Child("sleeper", SLEEPER, dict(os.environ), tmp_path / "log")
    monkeypatch.setattr(subprocess, "Popen", started_and_interrupted)
    with pytest.raises(KeyboardInterrupt):
        child.start()
    assert child.process is not None
    assert child.process.poll() is None
    child.stop()
    assert child.process.poll() == -signal.SIGTERM


def test_only_the_first_signal_interrupts() -> None:
    stop_once()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)


def test_signals_that_were_put_off_come_afterwards_once() -> None:
    done = []

    def interrupted() -> None:
        with put_off():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            done.append("block")

    stop_once()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["block"]
