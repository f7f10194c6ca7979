"""A step in parts is the same step; memory that runs out makes parts, not failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.config.training import TrainConfig
from fire_core.errors import TrainingError
from fire_core.training.batches import Example
from fire_core.training.stepping import Stepper, split_evenly
from tests.training.conftest import labelled, make_backbone, make_network, rattled

if TYPE_CHECKING:
    from fire_core.backbones.mace_training import MaceNetwork

CONFIG = TrainConfig(learning_rate=1e-3)


def mixed_examples(network: MaceNetwork) -> list[Example]:
    """Two target frames of 32 atoms and four replay frames of 8."""
    target = [atoms.repeat((2, 2, 1)) for atoms in rattled("LiF", 2, 1)]
    items = [(i, False) for i in labelled(target)]
    items += [(i, True) for i in labelled(rattled("LiCl", 4, 2), epsilon=0.05)]
    return [Example(network.graph(i.atoms), i.label, r) for i, r in items]


def make_stepper(
    model: Any = None, config: TrainConfig = CONFIG
) -> tuple[Stepper, list[Example]]:
    import torch
    from torch_ema import ExponentialMovingAverage

    backbone = make_backbone(dtype="float64")
    network = make_network(backbone)
    parameters = list(network.module.parameters())
    examples = mixed_examples(network)
    if model is not None:
        network.fast = model(network.fast)
    stepper = Stepper(
        network,
        torch.optim.SGD(parameters, lr=1e-3),
        ExponentialMovingAverage(parameters, decay=0.9),
        config,
        device=backbone.device,
        dtype=backbone.dtype,
    )
    return stepper, examples


def weights(stepper: Stepper) -> np.ndarray[Any, Any]:
    groups = stepper.optimizer.param_groups
    return np.concatenate(
        [p.detach().numpy().ravel() for g in groups for p in g["params"]]
    )


def small_memory(atoms: int) -> Any:
    """Return a wrapper of a model that runs out of memory beyond so many atoms."""
    import torch

    class Small(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, data: Any, **options: Any) -> Any:
            if len(data["positions"]) > atoms:
                msg = "CUDA out of memory"
                raise torch.OutOfMemoryError(msg)
            return self.inner(data, **options)

    return Small


@pytest.mark.parametrize("n_parts", [2, 3, 6, 9])
def test_a_step_in_parts_is_the_same_step(n_parts: int) -> None:
    whole, examples = make_stepper()
    before = weights(whole)
    loss = whole.step(examples)
    parted, _ = make_stepper()
    parted.n_parts = n_parts
    assert parted.step(examples) == pytest.approx(loss, rel=1e-12)
    moved = np.abs(weights(whole) - before).max()
    assert moved > 1e-8
    assert np.abs(weights(parted) - weights(whole)).max() < 1e-9 * moved


def test_out_of_memory_halves_the_batch_and_changes_nothing_else() -> None:
    whole, examples = make_stepper()
    short, _ = make_stepper(small_memory(examples[0].n_atoms))
    assert short.step(examples) == pytest.approx(whole.step(examples), rel=1e-12)
    assert short.n_parts == 4
    assert np.allclose(weights(short), weights(whole), rtol=0, atol=1e-14)


def test_out_of_memory_in_torchscript_is_one_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TorchScript raises a plain RuntimeError with torch's words in it."""
    import torch

    class ScriptedError(RuntimeError):
        pass

    monkeypatch.setattr(torch, "OutOfMemoryError", ScriptedError)
    short, examples = make_stepper(small_memory(make_stepper()[1][0].n_atoms))
    whole, _ = make_stepper()
    assert short.step(examples) == pytest.approx(whole.step(examples), rel=1e-12)
    assert short.n_parts == 4


def test_a_frame_that_no_memory_holds_is_an_error_with_a_remedy() -> None:
    stepper, examples = make_stepper(small_memory(1))
    with pytest.raises(TrainingError, match=r"one frame of 32 atoms.*backbone.device"):
        stepper.step(examples)


def test_parts_of_so_many_atoms_are_the_same_step() -> None:
    whole, examples = make_stepper()
    parted, _ = make_stepper(
        small_memory(40), CONFIG.model_copy(update={"part_atoms": 40})
    )
    assert parted.step(examples) == pytest.approx(whole.step(examples), rel=1e-12)
    assert parted.n_parts == 1  # no memory ran out
    assert np.allclose(weights(parted), weights(whole), rtol=0, atol=1e-14)


def test_parts_keep_the_order_and_lose_nothing() -> None:
    _, examples = make_stepper()
    for n in range(1, 9):
        parts = split_evenly(examples, n)
        assert [id(e) for part in parts for e in part] == [id(e) for e in examples]
        assert len(parts) == min(n, len(examples))
