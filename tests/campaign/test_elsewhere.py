"""A step in another process: its result, its errors, what it tells, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from ase.build import bulk
from ase.io import write

from fire_core.campaign.campaign import Campaign
from fire_core.campaign.observer import CampaignEvent
from fire_core.campaign.steps import elsewhere, perturbing
from fire_core.campaign.steps.elsewhere import Job, Relay, run_elsewhere
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import FireError, LabellingError, StoreError, UnknownElementError
from fire_core.progress import Work
from tests.campaign.conftest import TINY
from tests.events import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fire_core.campaign.reference import CampaignRef

THIS = Path(sys.executable)
STEPS = "fire_core.campaign.steps"
OURS = "tests.campaign.elsewhere_steps"


class Heard:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.works: list[tuple[str, int, int]] = []
        self.events: list[tuple[CampaignEvent, str, str]] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.lines.append(f"warning: {text}")

    def progress(self, key: str, title: str, total: int) -> Work:
        works = self.works

        class Kept(Work):
            def reach(self, done: int) -> None:
                super().reach(done)
                works.append((key, done, total))

        return Kept(title, total)

    def event(self, event: CampaignEvent, ref: CampaignRef, text: str) -> None:
        self.events.append((event, ref.name, text))


@pytest.fixture
def heard() -> Heard:
    return Heard()


def config(folder: Path, **changes: object) -> CampaignConfig:
    store = {"url": f"sqlite:///{folder}/fire.db", "blobs": f"{folder}/blobs"}
    return CampaignConfig.model_validate(TINY | {"store": store} | changes)


@pytest.fixture
def campaign(tmp_path: Path, heard: Heard) -> Iterator[Campaign]:
    with Campaign.open(config(tmp_path), heard) as opened:
        yield opened


def run(campaign: Campaign, module: str, name: str, *args: object) -> object:
    job = Job(module, name, campaign.ref, args, {}, says=False)
    relay = Relay(campaign.observer)
    return run_elsewhere(job, THIS, campaign.ref.workdir, relay)


@pytest.fixture
def elsewhere_is_this(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every backbone lives in an environment that happens to be this one."""
    monkeypatch.setattr(elsewhere, "backbone_interpreter", lambda _: THIS)


@pytest.mark.usefixtures("elsewhere_is_this")
def test_a_step_there_leaves_in_the_store_what_it_leaves_here(
    tmp_path: Path, campaign: Campaign
) -> None:
    with Campaign.open(config(tmp_path / "here")) as here:
        before = perturbing.perturb_structures.__wrapped__(here)  # type: ignore[attr-defined]
        expected = here.chosen_keys(0, "perturb"), here.chosen_keys(0, "start")
        foundation = here.store.campaigns.get("tiny")
    assert campaign.perturb() == before == 6
    found = campaign.chosen_keys(0, "perturb"), campaign.chosen_keys(0, "start")
    assert found == expected
    row = campaign.store.campaigns.get("tiny")
    assert row is not None
    assert foundation is not None
    assert row.foundation_sha == foundation.foundation_sha
    assert list(campaign.ref.workdir.iterdir()) == []  # nothing is left of the job


@pytest.mark.usefixtures("elsewhere_is_this")
def test_an_error_there_is_the_same_error_here(tmp_path: Path) -> None:
    write(tmp_path / "xenon.xyz", bulk("Xe", cubic=True), format="extxyz")
    system = {"kind": "file", "path": f"{tmp_path}/xenon.xyz"}
    with (
        Campaign.open(config(tmp_path, system=system)) as campaign,
        pytest.raises(UnknownElementError, match="fire-mini does not know Xe"),
    ):
        campaign.perturb()


def test_a_step_that_is_not_due_says_so(campaign: Campaign) -> None:
    with pytest.raises(StoreError, match="no model"):
        run(campaign, f"{STEPS}.exploring", "plan_run", 1, "explore")


def test_errors_that_hold_more_than_a_message_keep_the_message(
    campaign: Campaign,
) -> None:
    with pytest.raises(LabellingError, match="scf: it did not converge"):
        run(campaign, OURS, "fail")


def test_a_worker_that_dies_shows_the_end_of_its_log(campaign: Campaign) -> None:
    with pytest.raises(
        FireError,
        match=r"(?s)step nothing in .* exit status 1.*has no attribute 'nothing'",
    ):
        run(campaign, OURS, "nothing")


def test_what_a_step_tells_is_heard_here(campaign: Campaign, heard: Heard) -> None:
    said: list[str] = []
    job = Job(OURS, "tell_everything", campaign.ref, (), {}, says=True)
    relay = Relay(heard, said.append)
    pid = run_elsewhere(job, THIS, campaign.ref.workdir, relay)
    assert pid != os.getpid()
    assert heard.lines == [
        "a library printed this",
        "an Å of news",
        "warning: look here",
    ]
    assert said == ["for the caller"]
    assert heard.works == [("key", n, 3) for n in (1, 2, 3)]
    assert heard.events == [(CampaignEvent.FAILED_LABELS, "tiny", "two failed")]


def test_a_step_ends_with_the_process_that_waits_for_it(tmp_path: Path) -> None:
    """Whether that is killed or interrupted: nobody would read the step's end."""
    code = (
        "import signal, sys; from pathlib import Path;"
        # a shell's background job ignores the interrupt, and its children do
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from fire_core.campaign.steps.elsewhere import Job, Relay, run_elsewhere;"
        f"job = Job({OURS!r}, 'wait_for_ever', None, (sys.argv[1],), {{}}, says=False);"
        "run_elsewhere(job, Path(sys.executable), Path(sys.argv[1]), Relay(None))"
    )
    for number, end in enumerate((signal.SIGKILL, signal.SIGINT)):
        folder = tmp_path / str(number)
        folder.mkdir()
        parent = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stderr=subprocess.DEVNULL
        )
        wait_for(lambda: list(folder.glob("*.pid")), parent)  # noqa: B023 - at once
        (mark,) = folder.glob("*.pid")
        child = psutil.Process(int(mark.stem))
        parent.send_signal(end)
        parent.wait()
        wait_for(lambda: not is_alive(child))  # noqa: B023 - at once
        assert parent.returncode != 0
        assert not is_alive(child)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
