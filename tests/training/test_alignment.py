"""Energy references: found, mended, and refused where the data cannot give them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.config.training import ReferenceConfig, TrainConfig
from fire_core.errors import TrainingError
from fire_core.evaluation.references import fit_references
from fire_core.records import Label, LabelledStructure
from fire_core.training.alignment import find_shift, to_foundation_scale
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from fire_core.backbones.mace import MaceBackbone

OFFSETS = {"Li": -7.3, "F": 2.1, "Cl": 40.0}


def on_another_level(
    backbone: MaceBackbone, frames: list[Any]
) -> list[LabelledStructure]:
    """The backbone's own predictions, moved by a constant for each element."""
    predicted = backbone.predict(frames)
    items = []
    for atoms, label in zip(frames, predicted, strict=True):
        moved = label.energy + sum(OFFSETS[s] for s in atoms.get_chemical_symbols())
        item = labelled([atoms])[0]
        items.append(replace(item, label=Label(moved, label.forces, label.stress)))
    return items


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(references=ReferenceConfig(**settings))


def test_offsets_between_levels_are_found_and_taken_out() -> None:
    backbone = make_backbone(dtype="float64")
    frames = [*rattled("LiF", 3, 1), *rattled("LiCl", 3, 2)]
    frames[0].symbols[:3] = "Li"  # a third composition
    items = on_another_level(backbone, frames)
    fit = find_shift(backbone, items, config())
    assert fit.undetermined == ()
    for symbol, offset in OFFSETS.items():
        assert fit.shift[symbol] == pytest.approx(offset, abs=1e-6)
    assert fit.rms_after < 1e-6 < fit.rms_before
    for item, label in zip(
        to_foundation_scale(items, fit.shift), backbone.predict(frames), strict=True
    ):
        assert item.label.energy == pytest.approx(label.energy, abs=1e-5)


def test_one_composition_shifts_only_what_it_determines() -> None:
    backbone = make_backbone(dtype="float64")
    items = on_another_level(backbone, rattled("LiF", 5, 1))
    fit = find_shift(backbone, items, config())
    assert fit.undetermined == ("F", "Li")
    assert fit.shift["Li"] + fit.shift["F"] == pytest.approx(
        OFFSETS["Li"] + OFFSETS["F"], abs=1e-6
    )
    assert fit.rms_after < 1e-6
    assert "do not tell F, Li apart" in fit.describe()
    with pytest.raises(TrainingError, match=r"do not determine .* F, Li one by one"):
        find_shift(backbone, items, config(under_determined="refuse"))


def test_an_element_in_two_compositions_of_three_is_determined_alone() -> None:
    """LiF and Li fix Li and F; Cl beside a fixed Li is fixed too, S with Cl is not."""
    frames = [*rattled("LiF", 1, 1), *rattled("LiF", 1, 2), *rattled("NaCl", 1, 3)]
    frames[1].symbols[:] = "Li"
    fit = fit_references(labelled(frames), [Label(0.0, np.zeros((8, 3)))] * 3)
    assert fit.undetermined == ("Cl", "Na")


def test_isolated_atoms_take_the_place_of_a_fit() -> None:
    backbone = make_backbone(dtype="float64")  # its own references: -1, -2, -3 eV
    items = labelled(rattled("LiF", 2, 1))
    given = {"Li": -10.0, "F": -20.0}
    fit = find_shift(
        backbone, items, config(method="isolated_atoms", isolated_atoms=given)
    )
    assert fit.shift == pytest.approx({"Li": -9.0, "F": -18.0})
    with pytest.raises(TrainingError, match=r"isolated_atoms lacks F"):
        find_shift(
            backbone,
            items,
            config(method="isolated_atoms", isolated_atoms={"Li": -1.0}),
        )


def test_keep_keeps() -> None:
    backbone = make_backbone(dtype="float64")
    items = on_another_level(backbone, rattled("LiF", 2, 1))
    fit = find_shift(backbone, items, config(method="keep"))
    assert fit.shift == {}
    assert fit.rms_after == fit.rms_before > 1.0


def test_scratch_fits_references_to_total_energies() -> None:
    """With the model's own references plus a constant as labels, the constant is it."""
    backbone = make_backbone(dtype="float64")
    frames = [*rattled("LiF", 2, 1), *rattled("LiCl", 2, 2), *rattled("LiF", 1, 3)]
    frames[4].symbols[:] = "Li"
    items = [
        replace(
            item,
            label=Label(
                sum(
                    backbone.atomic_energies[s] + OFFSETS[s]
                    for s in item.atoms.get_chemical_symbols()
                ),
                item.label.forces,
            ),
        )
        for item in labelled(frames)
    ]
    fit = find_shift(backbone, items, TrainConfig(strategy="scratch"))
    assert fit.shift == pytest.approx(OFFSETS, abs=1e-8)
