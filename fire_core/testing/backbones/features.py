"""What a backbone keeps to that gives features of atoms (`HasFeatures`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.data import chemical_symbols

from fire_core.backbones.base import has_features, mean_features
from fire_core.errors import UnknownElementError
from fire_core.testing.backbones.frames import batch, rattled, turn

if TYPE_CHECKING:
    from fire_core.backbones.base import HasFeatures


class FeaturesContract:
    """What a backbone keeps to that gives features of atoms (`HasFeatures`).

    Attributes
    ----------
    feature
        Largest difference by rounding, of the largest feature.
    """

    feature: ClassVar[float] = 1e-5

    def test_features_are_those_of_atoms_whatever_the_axes(
        self, backbone: HasFeatures, atoms: Atoms
    ) -> None:
        assert has_features(backbone)
        turned, _ = turn(atoms)
        order = np.random.default_rng(1).permutation(len(atoms))
        frames = [atoms, turned, atoms[order], atoms * (1, 2, 1)]
        plain, rotated, permuted, doubled = backbone.atom_features(frames)
        assert plain.shape[0] == len(atoms)
        assert plain.dtype == np.float64
        assert doubled.shape == (2 * len(atoms), plain.shape[1])
        limit = self.feature * np.abs(plain).max()
        assert np.allclose(rotated, plain, rtol=0, atol=limit)
        assert np.allclose(permuted, plain[order], rtol=0, atol=limit)
        assert np.allclose(doubled[: len(atoms)], plain, rtol=0, atol=limit)

    def test_features_of_a_batch_are_those_of_single_frames(
        self, backbone: HasFeatures, atoms: Atoms
    ) -> None:
        frames = batch(backbone, atoms)
        together = backbone.atom_features(frames, batch_atoms=10_000)
        assert [len(rows) for rows in together] == [len(frame) for frame in frames]
        limit = self.feature * max(np.abs(rows).max() for rows in together)
        for frame, rows in zip(frames, together, strict=True):
            (alone,) = backbone.atom_features([frame])
            assert np.allclose(rows, alone, rtol=0, atol=limit)
        means = mean_features(backbone, frames[:1])
        assert np.allclose(means[0], together[0].mean(axis=0), rtol=0, atol=limit)

    def test_features_tell_structures_apart_and_change_smoothly(
        self, backbone: HasFeatures, atoms: Atoms
    ) -> None:
        near, nearer = rattled(atoms, 1, 2, 1e-2)[0], rattled(atoms, 1, 2, 1e-3)[0]
        plain, a, b = backbone.atom_features([atoms, near, nearer])
        far, close = (float(np.linalg.norm(rows - plain)) for rows in (a, b))
        assert 2.0 < far / close < 50.0

    def test_features_of_an_unknown_element_are_refused(
        self, backbone: HasFeatures
    ) -> None:
        unknown = sorted(set(chemical_symbols[1:]) - backbone.elements)[0]
        strange = Atoms([unknown], cell=np.eye(3) * 4.0, pbc=True)
        with pytest.raises(UnknownElementError, match=rf"does not know {unknown}"):
            backbone.atom_features([strange])
