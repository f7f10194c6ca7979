"""CHGNet in the steps that ask for more than predictions: MD, replay, uncertainty."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import units
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.backbones.systems import frames_to_state
from fire_core.config.ensemble import BarostatConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.records import LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.testing.backbones.networks import PREDICTED
from fire_core.training.replay import choose_source
from fire_core.uncertainty.last_layer import sum_features

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.chgnet import ChgnetBackbone

ROUNDING = 1e-8  # Å after some steps in double precision


@pytest.fixture(scope="module")
def chgnet() -> ChgnetBackbone:
    return load_backbone("chgnet", device="cpu", dtype="float64", threads=1)


def rattled(size: float, seed: int) -> Atoms:
    atoms = bulk("LiCl", "rocksalt", a=5.15, cubic=True)
    rng = np.random.default_rng(seed)
    atoms.positions += rng.normal(0, size, atoms.positions.shape)
    return atoms


def verlet_energies(chgnet: ChgnetBackbone, timestep: float, n_steps: int) -> list:
    """Total energies along velocity-Verlet steps, eV/atom; timestep in fs."""
    import torch

    atoms = bulk("LiCl", "rocksalt", a=5.15, cubic=True)
    masses = torch.tensor(atoms.get_masses(), dtype=torch.float64)[:, None]
    draw = torch.tensor(np.random.default_rng(0).normal(size=(len(atoms), 3)))
    velocities = draw * torch.sqrt(units.kB * 600 / masses)
    velocities -= (masses * velocities).sum(0) / masses.sum()
    model = chgnet.batched_model()
    state = frames_to_state([atoms], device=chgnet.device, dtype=torch.float64)
    output, step, energies = model(state), timestep * units.fs, []
    for _ in range(n_steps):
        velocities = velocities + step / 2 * output["forces"] / masses
        state = replace(state, positions=state.positions + step * velocities)
        output = model(state)
        velocities = velocities + step / 2 * output["forces"] / masses
        kinetic = float((masses * velocities.square()).sum() / 2)
        energies.append((float(output["energy"][0]) + kinetic) / len(atoms))
    return energies


def test_energy_is_conserved_to_second_order_of_the_timestep(
    chgnet: ChgnetBackbone,
) -> None:
    """Velocity Verlet on exact slopes: the energy swings by dt² and does not drift."""
    coarse = np.array(verlet_energies(chgnet, 2.0, 50))
    fine = np.array(verlet_energies(chgnet, 0.5, 200))
    assert coarse.std() < 1e-4
    assert 9 < coarse.std() / fine.std() < 30  # 16 where the third order is nothing
    assert abs(fine[:100].mean() - fine[100:].mean()) < 5e-6


@pytest.mark.parametrize("barostat", [None, BarostatConfig(axes="each")])
def test_replicas_run_together_as_if_alone(
    chgnet: ChgnetBackbone, barostat: BarostatConfig | None
) -> None:
    cells = [rattled(0.05, 1), bulk("LiF", "rocksalt", a=4.05)]

    def run(batch: str | int) -> list:
        config = DynamicsConfig(
            replicas=4,
            temperatures=(200.0, 400.0),
            steps=12,
            segment=12,
            save_every=4,
            barostat=barostat,
            batch=batch,
        )
        states = start_states(cells, config, seed=4)
        done = run_segment(
            chgnet, states, config, segment_index=0, seed=4, model_sha="m"
        )
        assert not done.breaches
        return done.frames

    together, alone = run("auto"), run(1)
    assert len(together) == 4 * 3
    for a, b in zip(together, alone, strict=True):
        assert a.tag == b.tag
        assert np.allclose(a.atoms.positions, b.atoms.positions, atol=ROUNDING)
        assert np.allclose(a.atoms.cell, b.atoms.cell, atol=ROUNDING)
        # a saved frame's energy is the calculator's
        assert a.energy == pytest.approx(chgnet.predict([a.atoms])[0].energy, abs=1e-8)


def labelled(chgnet: ChgnetBackbone, frames: list[Atoms]) -> list[LabelledStructure]:
    labels = chgnet.predict(frames)
    return [
        LabelledStructure(structure_key(f), f, x, PREDICTED)
        for f, x in zip(frames, labels, strict=True)
    ]


def test_diverse_replay_takes_the_kinds_that_differ(chgnet: ChgnetBackbone) -> None:
    """Of ten alike and three others the four farthest apart hold all kinds."""
    alike = [rattled(0.01, seed) for seed in range(10)]
    others = [bulk(s, "rocksalt", a=a) for s, a in (("MgO", 4.2), ("NaI", 6.5))]
    others.append(bulk("Si", "diamond", a=5.43))
    replay = labelled(chgnet, [*alike, *others])
    config = ReplayConfig(draw="diverse", pool=4)
    pool = choose_source(chgnet, replay, [], config)
    kinds = {item.atoms.get_chemical_formula() for item in pool}
    assert kinds == {"Cl4Li4", "MgO", "INa", "Si2"}


def test_what_it_was_not_trained_on_is_held_less(chgnet: ChgnetBackbone) -> None:
    """Local prediction rigidity: atoms unlike the training's deviate more."""
    known = [rattled(0.05, seed) for seed in range(8)]
    metric = sum_features(chgnet.atom_features(known)).metric(1e-4)
    near, hot, strange = (
        metric.deviation(chgnet.atom_features([atoms])[0]).mean()
        for atoms in (
            rattled(0.05, 20),
            rattled(0.4, 20),
            bulk("MgO", "rocksalt", a=4.2),
        )
    )
    assert near < hot < strange


def test_the_readout_of_moments_stays_as_it_was(chgnet: ChgnetBackbone) -> None:
    """There are no moments among the labels; its layer is not among the trained."""
    import torch

    network = chgnet.network(TrainConfig(strategy="naive"), [], seed=1)
    head = network.module.site_wise
    assert not any(p.requires_grad for p in head.parameters())
    weights = [p for p in network.module.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=1e-3, weight_decay=0.1)
    before = [p.clone() for p in head.parameters()]
    out = network.forward([network.graph(rattled(0.1, 1))], stress=False)
    out.forces.square().sum().backward()
    optimiser.step()
    assert all(
        torch.equal(a, b) for a, b in zip(before, head.parameters(), strict=True)
    )
    packed = network.export([w.detach() for w in weights], {})
    assert len(packed) > 1e6
