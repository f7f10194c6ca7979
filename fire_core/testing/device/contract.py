"""What a backbone keeps to on an accelerator."""

from __future__ import annotations

import io
import json
import subprocess
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest
from ase.io import write

from fire_core.children import python_command

if TYPE_CHECKING:
    from ase import Atoms

PATHS: Final = (
    *("predict", "calculator", "features", "committee", "dynamics"),
    *("reload", "export", "gates", "train", "train in parts", "resume"),
)
"""Paths that every backbone has which FIRE trains; see `paths`."""

Found = dict[str, dict[str, Any]]


def paths_of_training(*options: str) -> tuple[str, ...]:
    """Return the paths of trainings with some of `trainable.OPTIONAL`."""
    return tuple(f"train {option}" for option in options)


@pytest.mark.timeout(1800)
class DeviceContract:
    """No tensor on the wrong device, on any path; no wait in a step.

    Attributes
    ----------
    loader
        `module:function`, which returns the backbone on a device in single precision;
        or a name that `load_backbone` knows.
    paths
        What is walked.
    waits
        Most times that the host waits for the device in one optimiser step.
    seconds
        The paths may take that long, on a machine that is busy; they take one or two
        minutes where it is not.
    """

    loader: ClassVar[str]
    paths: ClassVar[tuple[str, ...]] = PATHS
    waits: ClassVar[int] = 0
    seconds: ClassVar[float] = 1700.0

    @classmethod
    def crystal(cls) -> Atoms:
        """Return a rattled periodic crystal of some eight atoms."""
        from ase.build import bulk

        salt = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
        salt.rattle(0.1, seed=0)
        return salt

    @pytest.fixture(scope="class")
    @classmethod
    def found(cls) -> Found:
        """Walk the paths once, in another process; return what was found on each."""
        text = io.StringIO()
        write(text, cls.crystal(), format="extxyz")
        order = {
            "loader": cls.loader,
            "frame": text.getvalue(),
            "only": [*cls.paths, "step"],
        }
        command = python_command("fire_core.testing.device.run", json.dumps(order))
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=cls.seconds, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found: Found = json.loads(done.stdout.splitlines()[-1])
        return found

    def test_no_path_meets_a_tensor_on_the_wrong_device(self, found: Found) -> None:
        problems = {name: told["problem"] for name, told in found.items()}
        assert set(problems) == {*self.paths, "step"}
        assert not {name: words for name, words in problems.items() if words}

    def test_a_step_does_not_wait_for_the_device(self, found: Found) -> None:
        """Nor for its labels, nor for what it reached."""
        waits = found["step"]["waits"]
        assert sum(count for *_, count in waits) <= self.waits, waits
