"""What every backbone keeps to: symmetries, derivatives, batches, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.data import chemical_symbols

from fire_core.errors import FireError, UnknownElementError
from fire_core.testing.backbones.frames import (
    VOIGT,
    batch,
    in_vacuum,
    lonely,
    small,
    strained,
    tensor,
    turn,
)

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.records import Label


class BackboneContract:
    """What every backbone keeps to.

    Attributes
    ----------
    energy, force, stress
        Largest differences by rounding: eV, of a crystal of some eight atoms; eV/Å;
        eV/Å³.
    step
        Displacement, Å, and strain of finite differences.
    slope
        Largest difference of forces and stresses from finite differences, eV/Å and a
        fifth of it in eV/Å³.
    """

    energy: ClassVar[float] = 2e-5
    force: ClassVar[float] = 2e-4
    stress: ClassVar[float] = 1e-5
    step: ClassVar[float] = 1e-3
    slope: ClassVar[float] = 1e-3

    def agree(self, one: Label, two: Label) -> None:
        """Assert that two labels of one structure differ by rounding alone."""
        n_atoms = len(one.forces)
        assert two.energy == pytest.approx(
            one.energy, abs=self.energy * max(1, n_atoms / 8)
        )
        assert np.allclose(two.forces, one.forces, rtol=0, atol=self.force)
        assert (one.stress is None) == (two.stress is None)
        if one.stress is not None and two.stress is not None:
            assert np.allclose(two.stress, one.stress, rtol=0, atol=self.stress)

    def test_it_says_what_it_is(self, backbone: Backbone) -> None:
        assert backbone.name
        assert backbone.elements
        assert backbone.elements <= set(chemical_symbols[1:])
        assert backbone.cutoff > 0
        assert len(backbone.sha256) == 64
        assert int(backbone.sha256, 16) >= 0

    def test_a_label_is_finite_and_has_its_shapes(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        (label,) = backbone.predict([atoms])
        assert np.isfinite(label.energy)
        assert label.forces.shape == (len(atoms), 3)
        assert label.forces.dtype == np.float64
        assert np.abs(label.forces).max() > 50 * self.force, "rattle the atoms more"
        assert label.stress is not None
        assert label.stress.shape == (6,)
        assert np.isfinite(label.stress).all()

    def test_a_shift_of_all_atoms_changes_nothing(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        shifted, other_images = atoms.copy(), atoms.copy()
        shifted.positions += [11.3, -7.7, 0.21]
        other_images.positions[0] += atoms.cell.array[1] - atoms.cell.array[2]
        plain, *others = backbone.predict([atoms, shifted, other_images])
        for label in others:
            self.agree(plain, label)
        assert np.allclose(plain.forces.sum(axis=0), 0, atol=len(atoms) * self.force)

    def test_energy_is_invariant_and_forces_and_stress_turn_with_the_crystal(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        turned, rotation = turn(atoms)
        plain, rotated = backbone.predict([atoms, turned])
        assert rotated.energy == pytest.approx(plain.energy, abs=self.energy)
        assert np.allclose(plain.forces @ rotation, rotated.forces, atol=self.force)
        assert plain.stress is not None
        assert rotated.stress is not None
        expected = rotation.T @ tensor(plain.stress) @ rotation
        assert np.allclose(tensor(rotated.stress), expected, atol=self.stress)

    def test_the_order_of_atoms_does_not_matter(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        order = np.random.default_rng(1).permutation(len(atoms))
        plain, permuted = backbone.predict([atoms, atoms[order]])
        assert permuted.energy == pytest.approx(plain.energy, abs=self.energy)
        assert np.allclose(plain.forces[order], permuted.forces, atol=self.force)

    def test_a_doubled_cell_has_twice_the_energy_and_the_same_stress(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        one, two = backbone.predict([atoms, atoms * (1, 2, 1)])
        assert two.energy == pytest.approx(2 * one.energy, abs=2 * self.energy)
        assert np.allclose(two.forces, np.tile(one.forces, (2, 1)), atol=self.force)
        assert one.stress is not None
        assert two.stress is not None
        assert np.allclose(one.stress, two.stress, atol=self.stress)

    def test_an_atom_in_a_small_cell_sees_all_its_images(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        cell = small(atoms)
        one, eight = backbone.predict([cell, cell * (2, 2, 2)])
        assert eight.energy == pytest.approx(8 * one.energy, abs=8 * self.energy)
        assert np.allclose(one.forces, 0, atol=self.force)
        assert np.allclose(eight.forces, 0, atol=self.force)

    def test_forces_are_slopes_of_the_energy(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        last = len(atoms) - 1
        label = backbone.predict([atoms])[0]
        moves = [((0, 0),), ((last // 2, 1),), ((last, 2),)]
        frames = []
        for ((atom, axis),) in moves:
            for sign in (1, -1):
                copy = atoms.copy()
                copy.positions[atom, axis] += sign * self.step
                frames.append(copy)
        energies = [found.energy for found in backbone.predict(frames)]
        for i, ((atom, axis),) in enumerate(moves):
            slope = (energies[2 * i] - energies[2 * i + 1]) / (2 * self.step)
            assert label.forces[atom, axis] == pytest.approx(-slope, abs=self.slope)

    def test_forces_are_slopes_along_all_atoms_at_once(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        """Along the forces themselves the energy falls by their length."""
        forces = backbone.predict([atoms])[0].forces
        length = float(np.linalg.norm(forces))
        frames = [atoms.copy(), atoms.copy()]
        for sign, copy in zip((1, -1), frames, strict=True):
            copy.positions += sign * self.step * forces / length
        up, down = (found.energy for found in backbone.predict(frames))
        slope = (up - down) / (2 * self.step)
        assert slope == pytest.approx(-length, abs=self.slope * len(atoms) ** 0.5)

    def test_stress_is_the_slope_along_every_strain(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        """Per volume, positive under tension, in the order xx yy zz yz xz xy."""
        label = backbone.predict([atoms])[0]
        assert label.stress is not None
        frames = [
            strained(atoms, i, j, sign * self.step)
            for i, j in VOIGT
            for sign in (1, -1)
        ]
        energies = np.array([found.energy for found in backbone.predict(frames)])
        slopes = (energies[::2] - energies[1::2]) / (2 * self.step)
        expected = slopes / atoms.get_volume()
        assert np.allclose(label.stress, expected, rtol=0, atol=0.2 * self.slope)

    def test_frames_in_a_batch_are_predicted_like_single_ones(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        """Of 8 and 200 atoms, one that sees nobody, one that sees only itself."""
        frames = batch(backbone, atoms)
        assert max(map(len, frames)) >= 200
        together = backbone.predict(frames, batch_atoms=10_000)
        in_parts = backbone.predict(frames, batch_atoms=20)
        for frame, one, two in zip(frames, together, in_parts, strict=True):
            (alone,) = backbone.predict([frame])
            self.agree(alone, one)
            self.agree(alone, two)

    def test_an_atom_that_sees_nobody_is_right_or_refused(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        """Its energy does not depend on the cell, and nothing pulls at it."""
        near = lonely(atoms, backbone.cutoff)
        far = near.copy()
        far.set_cell(2 * near.cell.array)
        try:
            one, two = backbone.predict([near, far])
        except FireError as error:
            reason = str(error)
        else:
            reason = ""
        if reason:
            assert "neighbour" in reason  # it says what it wants
            return
        assert two.energy == pytest.approx(one.energy, abs=self.energy)
        assert np.allclose(one.forces, 0, atol=self.force)
        assert one.stress is not None
        assert np.allclose(one.stress, 0, atol=self.stress)

    def test_nothing_asked_is_nothing_predicted(self, backbone: Backbone) -> None:
        assert backbone.predict([]) == []

    def test_the_calculator_agrees_with_predictions(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        work = atoms.copy()
        work.calc = backbone.calculator()
        (alone,) = backbone.predict([atoms])
        energy = work.get_potential_energy()
        assert energy == pytest.approx(alone.energy, abs=self.energy / 1e3)
        assert np.allclose(work.get_forces(), alone.forces)
        assert alone.stress is not None
        assert np.allclose(work.get_stress(), alone.stress)
        work.positions[0] += 0.1  # it does not answer with what it kept
        (moved,) = backbone.predict([work])
        assert work.get_potential_energy() == pytest.approx(
            moved.energy, abs=self.energy / 1e3
        )

    @pytest.mark.parametrize("open_axes", [(2,), (1,), (0, 1, 2)])
    def test_open_boundaries_are_right_or_refused(
        self, backbone: Backbone, atoms: Atoms, open_axes: tuple[int, ...]
    ) -> None:
        """Without periodicity along an axis nobody is seen beyond it.

        The same atoms with enough vacuum along it, fully periodic, are the reference.
        """
        opened = atoms.copy()
        opened.pbc = [axis not in open_axes for axis in range(3)]
        try:
            (found,) = backbone.predict([opened])
        except FireError as error:
            reason = str(error)
        else:
            reason = ""
        if reason:
            assert "period" in reason  # it says what it wants
            return
        (expected,) = backbone.predict([in_vacuum(atoms, open_axes, backbone.cutoff)])
        assert found.energy == pytest.approx(expected.energy, abs=self.energy)
        assert np.allclose(found.forces, expected.forces, atol=self.force)

    def test_the_callers_structures_are_left_alone(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        before = atoms.copy()
        backbone.predict([atoms])
        assert atoms == before
        assert atoms.calc is None

    def test_an_unknown_element_is_named_with_its_frame(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        unknown = sorted(set(chemical_symbols[1:]) - backbone.elements)[0]
        strange = Atoms([unknown], cell=np.eye(3) * 4.0, pbc=True)
        with pytest.raises(
            UnknownElementError, match=rf"does not know {unknown} in frame 1"
        ):
            backbone.predict([atoms, strange])
