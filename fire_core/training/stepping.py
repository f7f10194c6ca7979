"""One optimiser step, in as many parts as the device's memory asks for."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.memory import is_out_of_memory
from fire_core.backbones.torch_types import default_dtype
from fire_core.errors import TrainingError
from fire_core.training.loss import gather_targets, share_step, weighted_loss
from fire_core.training.parallel import current_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from fire_core.backbones.trainable import Network
    from fire_core.config.training import TrainConfig
    from fire_core.training.batches import Example
    from fire_core.training.loss import Shares

CPU_ATOMS: Final = 512
"""Most atoms computed at once on a CPU, where parts cost no time and save memory."""


class Stepper:
    """Takes optimiser steps on a network.

    Joined processes (`training.parallel`) share each step: all are given the same
    examples.

    A step is computed in parts of at most `part_atoms` atoms, whose gradients add up to
    those of the whole (`training.loss`). Out of memory, it is done again in twice as
    many parts, and so are all later ones.

    Parameters
    ----------
    network, optimizer, average
        The network, its optimiser, the moving average of its weights.
    config
        Loss weights and the gradient's largest norm.
    device, dtype
        Where and in what type the network computes.

    Attributes
    ----------
    n_parts
        Parts that a step, or a process's share of it, is computed in at least: what
        memory that ran out has asked for. `part_atoms` may ask for more.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Any,
        average: Any,
        config: TrainConfig,
        *,
        device: Any,
        dtype: Any,
    ) -> None:
        self.network, self.optimizer, self.average = network, optimizer, average
        self.config, self.device, self.dtype = config, device, dtype
        self.group = current_group()
        self.n_parts = 1

    def step(self, examples: Sequence[Example]) -> float:
        """Take one step on the examples; return their mean loss, waiting for it."""
        return float(self.queue(examples))

    def queue(self, examples: Sequence[Example]) -> torch.Tensor:
        """Take one step on the examples; return their mean loss, (), float64.

        On a GPU the host has gone on before the loss is computed; it waits where the
        number is looked at.

        Raises
        ------
        TrainingError
            A single frame does not fit into the device's memory.
        """
        import torch

        while (value := self._attempt(examples)) is None:
            # here its error, whose traceback held the tensors, is gone
            n_parts = len(self._divide(examples))
            if n_parts >= len(examples):
                largest = max(example.n_atoms for example in examples)
                msg = (
                    f"the device's memory does not hold one frame of {largest} "
                    "atoms; leave such frames out, or take a device with more "
                    "memory or backbone.device: cpu"
                )
                raise TrainingError(msg)
            self.n_parts = 2 * max(self.n_parts, n_parts // self.group.size)
            gc.collect()
            torch.cuda.empty_cache()
        return value

    def _attempt(self, examples: Sequence[Example]) -> torch.Tensor | None:
        """Take the step; return its loss, or None if any process's memory ran out."""
        import torch

        self.optimizer.zero_grad(set_to_none=True)
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        with default_dtype(self.dtype):
            value = None
            try:
                value = self._add_up(examples)
            except (RuntimeError, MemoryError) as error:  # TorchScript's is the former
                if not is_out_of_memory(error):
                    raise
            if self.group.any(flag=value is None):
                return None
            for parameter in parameters:  # of elements that this step has not: Adam
                if parameter.grad is None:  # treats them alike on any number of devices
                    parameter.grad = torch.zeros_like(parameter)
            self.group.add_gradients(parameters)
            torch.nn.utils.clip_grad_norm_(parameters, max_norm=self.config.clip)
            self.optimizer.step()
            self.average.update()
        if self.group.size == 1 or value is None:
            return value
        return torch.tensor(self.group.add(float(value)), dtype=torch.float64)

    def _add_up(self, examples: Sequence[Example]) -> torch.Tensor:
        """Add this process's gradients to the parameters'; return its loss."""
        import torch

        shares = share_step(examples, self.config)
        value = torch.zeros((), dtype=torch.float64, device=self.device)
        for part in self.group.mine(self._divide(examples)):
            loss = self._loss(part, shares)
            loss.backward()
            value = value + loss.detach().double()
        return value

    def _divide(self, examples: Sequence[Example]) -> list[list[Example]]:
        """Return the parts of a step, those of all processes."""
        most = self.config.part_atoms or (CPU_ATOMS if self.device.type == "cpu" else 0)
        n_parts = self.n_parts * self.group.size
        parts = split_evenly(examples, n_parts)
        while most and any(_is_large(part, most) for part in parts):
            n_parts += self.group.size
            parts = split_evenly(examples, n_parts)
        return parts

    def _loss(self, part: Sequence[Example], shares: Shares) -> Any:
        wants_stress = self.config.stress_weight > 0 and any(
            example.label.stress is not None for example in part
        )
        output = self.network.forward([e.graph for e in part], stress=wants_stress)
        targets = gather_targets(part, shares, device=self.device, dtype=self.dtype)
        return weighted_loss(output, targets, self.config)


def _is_large(part: Sequence[Example], most: int) -> bool:
    return len(part) > 1 and sum(example.n_atoms for example in part) > most


def split_evenly(examples: Sequence[Example], n_parts: int) -> list[list[Example]]:
    """Return at most `n_parts` parts of about equal numbers of edges, in order."""
    if n_parts >= len(examples):
        return [[example] for example in examples]
    total = sum(example.n_edges for example in examples)
    parts: list[list[Example]] = [[]]
    seen = 0
    for example in examples:
        full = seen >= total * len(parts) / n_parts
        if parts[-1] and full and len(parts) < n_parts:
            parts.append([])
        parts[-1].append(example)
        seen += example.n_edges
    return parts
