"""Energy references: found, mended, and refused where the data cannot give them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase import Atoms

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


def with_noise(
    formulas: list[str], truth: dict[str, float], seed: int, own: float, shared: float
) -> list[LabelledStructure]:
    """Energies on a known scale, wrong by so much per frame and per composition."""
    rng = np.random.default_rng(seed)
    wrong = {formula: rng.normal(0, shared) for formula in sorted(set(formulas))}
    items = []
    for formula in formulas:
        atoms = Atoms(formula)
        energy = sum(truth[s] for s in atoms.get_chemical_symbols())
        energy += len(atoms) * (wrong[formula] + rng.normal(0, own))
        label = Label(energy, np.zeros((len(atoms), 3)))
        items.append(LabelledStructure(formula, atoms, label, "t"))
    return items


def zeros(items: list[LabelledStructure]) -> list[Label]:
    return [Label(0.0, item.label.forces) for item in items]


VACANCY = ["Li32Cl32"] * 38 + ["Li31Cl32"] * 2


def test_what_two_frames_with_a_vacancy_say_of_an_element_is_named() -> None:
    """The model's error of 10 meV/atom moves Li by half an eV, and Cl back."""
    truth = {"Li": -1.0, "Cl": -4.0}
    items = with_noise(VACANCY, truth, 0, 0.01, 0.0)
    fit = fit_references(items, zeros(items), ridge=True)
    assert abs(fit.shift["Li"] - truth["Li"]) > 0.3
    assert fit.undetermined == ("Cl", "Li")
    assert fit.standard_errors["Li"] > abs(fit.shift["Li"] - truth["Li"])
    assert "Li -1.334 ± 0.87" in fit.describe()
    assert fit.shift["Li"] + fit.shift["Cl"] == pytest.approx(-5.0, abs=0.01)


def test_a_refusal_gives_the_standard_errors() -> None:
    backbone = make_backbone(dtype="float64")
    frames = rattled("LiF", 12, 1)
    for atoms in frames[:2]:
        atoms.symbols[0] = "F"
    items = labelled(frames)
    rng = np.random.default_rng(0)
    items = [
        replace(i, label=replace(i.label, energy=i.label.energy + rng.normal(0, 3.0)))
        for i in items
    ]
    with pytest.raises(TrainingError, match=r"F, Li one by one to 0.1 eV .*Li .* ± "):
        find_shift(backbone, items, config(under_determined="refuse"))


def test_a_ridge_keeps_what_noise_says_near_the_models_own_scale() -> None:
    truth = {"Li": 0.02, "Cl": -0.01}
    error: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(50):
        items = with_noise(VACANCY, truth, seed, 0.01, 0.0)
        for ridge, found in error.items():
            fit = fit_references(items, zeros(items), ridge=ridge)
            found.append(fit.shift["Li"] - truth["Li"])
    assert np.std(error[False]) > 0.3
    assert np.abs(error[True]).max() < 0.1


def test_standard_errors_are_the_spread_over_many_sets() -> None:
    """Of frames that err on their own, and of compositions that err as a whole."""
    truth = {"Li": -1.0, "Cl": -4.0, "F": 2.0}
    formulas = ["LiCl", "LiF", "Li2ClF", "Li3Cl", "LiF2", "Li2Cl", "Li3F2", "LiClF"] * 6
    for own, shared in ((0.02, 0.0), (0.01, 0.05)):
        fits = []
        for seed in range(200):
            items = with_noise(formulas, truth, seed, own, shared)
            fits.append(fit_references(items, zeros(items)))
        for symbol, value in truth.items():
            found = np.array([f.shift[symbol] for f in fits])
            told = np.sqrt(np.mean([f.standard_errors[symbol] ** 2 for f in fits]))
            assert found.mean() == pytest.approx(value, abs=4 * told / 200**0.5)
            # never too small; too large where compositions err less than is assumed
            assert 0.9 < told / found.std() < (1.2 if shared else 3.0)


def test_isolated_atoms_decide_what_compositions_cannot() -> None:
    backbone = make_backbone(dtype="float64")  # its own references: -1, -2, -3 eV
    items = on_another_level(backbone, rattled("LiF", 5, 1))
    summed = OFFSETS["Li"] + OFFSETS["F"]
    fit = find_shift(backbone, items, config(isolated_atoms={"Li": -10.0}))
    assert fit.undetermined == ()
    assert fit.shift["Li"] == pytest.approx(-9.0, abs=1e-4)
    assert fit.shift["Li"] + fit.shift["F"] == pytest.approx(summed, abs=1e-4)


def test_an_isolated_atom_settles_what_a_vacancy_leaves_open() -> None:
    truth = {"Li": -1.0, "Cl": -4.0}
    items = with_noise(VACANCY, truth, 0, 0.01, 0.0)
    fit = fit_references(items, zeros(items), known={"Li": -1.0}, ridge=True)
    assert fit.undetermined == ()
    assert fit.shift == pytest.approx(truth, abs=0.02)
    assert fit.standard_errors.keys() == {"Cl"}


def test_elements_of_no_structure_are_told_to_keep_the_models_scale() -> None:
    backbone = make_backbone(dtype="float64")
    items = on_another_level(backbone, rattled("LiF", 5, 1))
    fit = find_shift(backbone, items, config())
    assert fit.unshifted == ("Cl",)
    assert "elements that no structure holds (Cl) stay on the model's" in fit.describe()
    same = labelled(rattled("LiF", 5, 1))
    predicted = [Label(i.label.energy, i.label.forces) for i in same]
    assert "no structure holds" not in fit_references(same, predicted).describe()


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
