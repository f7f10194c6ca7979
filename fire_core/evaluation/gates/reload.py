"""Gate on the file: saved and loaded again, the model predicts the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.backbones.export import largest_differences
from fire_core.backbones.trainable import need_trainable
from fire_core.evaluation.gates.gate import Gate
from fire_core.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import EvaluateConfig
    from fire_core.evaluation.gates.gate import GateData

RELOAD_ENERGY: Final = 1e-5  # eV/atom: single precision of a few hundred eV
RELOAD_FORCE: Final = 1e-3  # eV/Å


def gate_reload(backbone: Backbone, frames: Sequence[Atoms]) -> GateResult:
    """Save the model, load the bytes again, compare energies and forces.

    Raises
    ------
    BackboneError
        The model cannot be saved, since it is none that FIRE trains.
    """
    model = need_trainable(backbone)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "again.model"
        model.save(path)
        again = model.reload(path)
    energy, force = largest_differences(again.predict(frames), backbone.predict(frames))
    passed = energy <= RELOAD_ENERGY and force <= RELOAD_FORCE
    text = (
        f"after saving and loading, energies of {len(frames)} structures differ by up "
        f"to {1e3 * energy:.2g} meV/atom (limit {1e3 * RELOAD_ENERGY:g}) and forces by "
        f"{1e3 * force:.2g} meV/Å (limit {1e3 * RELOAD_FORCE:g})"
    )
    return GateResult("reload", passed, 1e3 * force, 1e3 * RELOAD_FORCE, "meV/Å", text)


def _measure(
    backbone: Backbone, data: GateData, _config: EvaluateConfig
) -> list[GateResult]:
    frames = [item.atoms for item in data.test] or [data.start]
    return [gate_reload(backbone, frames)]


RELOAD: Final = Gate(measure=_measure, words=lambda *_: "the file, loaded again")
