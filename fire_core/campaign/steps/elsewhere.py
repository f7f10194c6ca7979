"""Run a step in the environment of the campaign's backbone, where that is another one.

A model whose package cannot share FIRE's environment is only loaded in its own. A step
that loads it runs there as a whole: its process gets the names of step and campaign,
and numbers; it reads the store, works, and writes the store. What it tells comes back
through its output, what it returns through a file.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import shutil
import signal
import sys
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, cast

from fire_core import errors
from fire_core.backbones.registry import backbone_interpreter
from fire_core.campaign.observer import CampaignEvent
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps.processes import follow, start_process
from fire_core.children import python_command

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fire_core.campaign.observer import Observer
    from fire_core.campaign.state import CampaignState
    from fire_core.progress import Work

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="CampaignState")

WORKER: Final = "fire_core.campaign.steps.elsewhere_worker"
TELLS: Final = "\x01"
"""Begins a line of the worker's output that is a message, in JSON."""
SAY: Final = "say"
"""Argument of a step that is called with lines of text."""
JOB: Final = "job"
RESULT: Final = "result"
TAIL: Final = 2000  # characters of a worker's log in a message


@dataclass(frozen=True, slots=True)
class Job:
    """A step to run in another environment.

    Attributes
    ----------
    module, name
        Of the step.
    ref
        The campaign; None: the step is of none.
    args, kwargs
        Of the step beside the campaign; `say` left out.
    says
        Whether it takes `say`.
    """

    module: str
    name: str
    ref: CampaignRef | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    says: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: a value, or the kind and message of an error of FIRE."""

    value: Any = None
    error: str | None = None
    message: str = ""


def where_backbone_lives(
    step: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """Let a step of a campaign run in the environment of its backbone.

    Everything that it is given beside the campaign, and what it returns, has to travel
    between processes.
    """

    @functools.wraps(step)
    def run(campaign: S, *args: P.args, **kwargs: P.kwargs) -> R:
        interpreter = backbone_interpreter(campaign.config.backbone.name)
        if interpreter is None:
            return step(campaign, *args, **kwargs)
        relay = Relay(campaign.observer, kwargs.pop(SAY, None))  # type: ignore[arg-type]
        says = relay.say is not None
        job = Job(step.__module__, step.__name__, campaign.ref, args, kwargs, says)
        found: R = run_elsewhere(job, interpreter, campaign.ref.workdir, relay)
        return found

    return cast("Callable[Concatenate[S, P], R]", run)


def run_elsewhere(job: Job, interpreter: Path, workdir: Path, relay: Relay) -> Any:
    """Run a step by another interpreter and return what it returns.

    Raises
    ------
    FireError
        The step raised it there, or its process ended without a word.
    """
    folder = workdir / f"{job.name}-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True, mode=0o700)
    (folder / JOB).write_bytes(pickle.dumps(job))
    log = folder / "worker.log"
    command = python_command(WORKER, str(folder), quiet=True, interpreter=interpreter)
    child = start_process(command, log, {})
    try:
        with relay:
            status = follow(child, log, relay.hear)
    finally:
        _end(child)
    outcome = _read(folder / RESULT)
    if outcome is None:
        tail = log.read_text(encoding="utf-8", errors="replace")[-TAIL:]
        msg = (
            f"the step {job.name} in {interpreter} ended with exit status {status}; "
            f"its log {log}: {tail}"
        )
        raise errors.FireError(msg)
    shutil.rmtree(folder, ignore_errors=True)
    if outcome.error is not None:
        raise _error(outcome)
    return outcome.value


@dataclass
class Relay:
    """Passes on what a step in another process tells; a context while it runs.

    Attributes
    ----------
    observer
        Of the campaign; None: lines go to `say`.
    say
        Called with what the step says to the one who called it.
    """

    observer: Observer | None
    say: Callable[[str], None] | None = None
    _works: dict[str, Work] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._works.clear()
        self._stack.close()

    def hear(self, line: str) -> None:
        """Pass on a line of the worker's output."""
        if not line.startswith(TELLS):
            self._inform(line)
            return
        kind, *rest = json.loads(line.removeprefix(TELLS))
        observer = self.observer
        if kind == SAY and self.say is not None:
            self.say(*rest)
        elif kind == "info" or observer is None:
            self._inform(str(rest[0]))
        elif kind == "warning":
            observer.warning(*rest)
        elif kind == "began":
            key, title, total = rest
            work = observer.progress(key, title, total)
            self._works[key] = self._stack.enter_context(work)
        elif kind == "reached" and rest[0] in self._works:
            self._works[rest[0]].reach(rest[1])
        elif kind == "event":
            event, ref, text = rest
            observer.event(CampaignEvent(event), CampaignRef(**ref), text)

    def _inform(self, text: str) -> None:
        if self.observer is not None:
            self.observer.info(text)
        elif self.say is not None:
            self.say(text)


def _read(path: Path) -> Outcome | None:
    try:
        outcome = pickle.loads(path.read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):
        return None
    return outcome if isinstance(outcome, Outcome) else None


def _error(outcome: Outcome) -> errors.FireError:
    kind = getattr(errors, outcome.error or "", errors.FireError)
    error: errors.FireError = kind.__new__(kind)
    Exception.__init__(error, outcome.message)
    return error


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a worker that is alive although nobody follows it any more."""
    if child.poll() is None:
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
