"""A step of the dynamics waits for the device once in each force call's search."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.backbones.repeatable import repeatable
from fire_core.config.ensemble import BarostatConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.exploration.guards import Guards
from fire_core.exploration.noise import noise_of
from fire_core.exploration.parts import PartLimit
from tests.exploration.conftest import Free
from tests.models import small_sevennet
from tests.waits import waits_of

IN_A_STEP = {"fire-mini": 3, "chgnet": 2, "small sevennet": 1}
"""At most: whether the pairs hold and how many there are, 1; how many short bonds and
angles CHGNet has, 1; how long the blocks of MACE's edges are, 2."""


def config_of(**options) -> DynamicsConfig:
    defaults = {"temperatures": (50.0,), "replicas": 2, "timestep": 0.5}
    defaults |= {"steps": 20, "segment": 20, "save_every": 20}
    return DynamicsConfig(**(defaults | options))


def batch_of(model, config: DynamicsConfig) -> ReplicaBatch:
    crystal = bulk("LiCl", "rocksalt", a=5.1)
    states = start_states([crystal], config, seed=1)
    batch = ReplicaBatch(model, states, PartLimit(0, 0))
    batch.start()
    return batch


def noise_for(batch: ReplicaBatch) -> dict:
    return {state.replica: noise_of(state, 1, 0) for state in batch.states}


@pytest.mark.parametrize("barostat", [None, BarostatConfig(axes="each")])
@pytest.mark.parametrize("name", IN_A_STEP)
def test_a_step_waits_for_the_device_as_seldom_as_can_be(name, barostat):
    if name == "small sevennet":
        backbone = small_sevennet()
    else:
        backbone = load_backbone(name, device="cpu", dtype="float64")
    config = config_of(barostat=barostat)
    model = backbone.batched_model(stress=barostat is not None)
    with repeatable(model.device):
        batch = batch_of(model, config)
        noise = noise_for(batch)
        batch.advance(1, config, noise)
        waits = waits_of(lambda: batch.advance(2, config, noise))
    assert waits.total() <= 2 * IN_A_STEP[name], waits
    assert waits["tolist"] >= 2, "the search itself was not counted"


def test_guards_wait_once_for_all_replicas_while_their_pairs_hold():
    config = config_of(replicas=5)
    batch = batch_of(Free(), config)
    guards = Guards(batch, config.guards, config.steps)
    assert guards.judge(batch) == [None] * 5
    assert waits_of(lambda: guards.judge(batch)).total() == 1


def test_a_segment_reads_its_replicas_only_where_they_are_saved_or_end():
    """Two looks of the guards and two readings: after the start, at the end."""

    class Counted(Free):
        calls = 0

        def __call__(self, state):
            type(self).calls += 1
            return super().__call__(state)

    config = config_of(replicas=3)
    states = start_states([bulk("LiCl", "rocksalt", a=5.1)], config, seed=1)
    where = {"segment_index": 0, "seed": 1, "model_sha": "m"}
    waits = waits_of(lambda: run_segment(Counted(), states, config, **where))
    assert Counted.calls == 21
    searched, looks, start_energies, readings = 1, 2, 1, 2
    assert waits.total() <= searched + looks + start_energies + readings, waits


def test_a_moment_stays_as_it_was_and_is_read_in_one_transfer():
    config = config_of(barostat=BarostatConfig())
    batch = batch_of(Free(), config)
    noise = noise_for(batch)
    before = batch.snapshots()
    moment = batch.moment()
    batch.advance(3, config, noise)
    after = []
    assert waits_of(lambda: after.extend(moment.read())).total() == 1
    for old, new, now in zip(before, after, batch.snapshots(), strict=True):
        assert np.array_equal(old.state.positions, new.state.positions)
        assert np.array_equal(old.state.momenta, new.state.momenta)
        assert np.array_equal(old.state.cell, new.state.cell)
        assert not np.array_equal(new.state.positions, now.state.positions)
        assert (new.state.step, now.state.step) == (0, 3)


def test_models_of_the_same_systems_look_at_them_once():
    """A batch knows that its atoms do not change; a copy of them is compared."""
    backbone = load_backbone("fire-mini", device="cpu", dtype="float64")
    config = config_of()
    model = backbone.batched_model()
    batch = batch_of(model, config)
    systems = batch.systems
    model.facts_of(systems)
    assert waits_of(lambda: model.facts_of(systems)).total() == 0
    assert waits_of(lambda: model.facts_of(copy.copy(systems))).total() == 1
