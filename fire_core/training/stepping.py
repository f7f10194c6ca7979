"""One optimiser step, in as many parts as the device's memory asks for."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from fire_core.backbones.mace import default_dtype
from fire_core.errors import TrainingError
from fire_core.training.loss import count_totals, weighted_loss
from fire_core.training.parallel import current_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.config.training import TrainConfig


class Stepper:
    """Takes optimiser steps on a model.

    Joined processes (`training.parallel`) share each step: all are given the same
    graphs.

    Out of memory, a step is done again in twice as many parts whose gradients add up
    to the same (`training.loss`), and so are all later ones.

    Parameters
    ----------
    model, optimizer, average
        The network, its optimiser, the moving average of its weights.
    config
        Loss weights and the gradient's largest norm.
    device, dtype
        Where and in what type the model computes.

    Attributes
    ----------
    n_parts
        Parts that a step, or a process's share of it, is computed in.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        average: Any,
        config: TrainConfig,
        *,
        device: Any,
        dtype: Any,
    ) -> None:
        self.model, self.optimizer, self.average = model, optimizer, average
        self.config, self.device, self.dtype = config, device, dtype
        self.group = current_group()
        self.n_parts = 1

    def step(self, graphs: Sequence[Any]) -> float:
        """Take one step on the graphs; return their mean loss.

        Raises
        ------
        TrainingError
            A single graph does not fit into the device's memory.
        """
        import torch

        while (value := self._attempt(graphs)) is None:
            # here its error, whose traceback held the tensors, is gone
            if self.n_parts * self.group.size >= len(graphs):
                largest = max(int(graph.num_nodes) for graph in graphs)
                msg = (
                    f"the device's memory does not hold one frame of {largest} "
                    "atoms; leave such frames out, or take a device with more "
                    "memory or backbone.device: cpu"
                )
                raise TrainingError(msg)
            self.n_parts *= 2
            gc.collect()
            torch.cuda.empty_cache()
        return value

    def _attempt(self, graphs: Sequence[Any]) -> float | None:
        """Take the step; return its loss, or None if any process's memory ran out."""
        import torch

        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        with default_dtype(self.dtype):
            value, short = 0.0, False
            try:
                value = self._add_up(graphs)
            except torch.OutOfMemoryError:
                short = True
            if self.group.any(flag=short):
                return None
            self.group.add_gradients(parameters)
            torch.nn.utils.clip_grad_norm_(parameters, max_norm=self.config.clip)
            self.optimizer.step()
            self.average.update()
        return self.group.add(value)

    def _add_up(self, graphs: Sequence[Any]) -> float:
        """Add this process's gradients to the parameters'; return its loss."""
        totals, value = count_totals(graphs), 0.0
        parts = split_evenly(graphs, self.n_parts * self.group.size)
        for part in self.group.mine(parts):
            loss = self._loss(part, totals)
            loss.backward()
            value += float(loss.detach())
        return value

    def _loss(self, part: Sequence[Any], totals: Any) -> Any:
        from mace.tools.torch_geometric import Batch

        batch = Batch.from_data_list(list(part)).to(self.device)
        wants_stress = self.config.stress_weight > 0 and bool(batch.stress_weight.any())
        output = self.model(
            batch.to_dict(),
            training=True,
            compute_force=True,
            compute_stress=wants_stress,
        )
        return weighted_loss(output, batch, self.config, totals)


def split_evenly(graphs: Sequence[Any], n_parts: int) -> list[list[Any]]:
    """Return at most `n_parts` parts of about equal numbers of edges, in order."""
    if n_parts >= len(graphs):
        return [[graph] for graph in graphs]
    total = sum(int(graph.edge_index.shape[1]) for graph in graphs)
    parts: list[list[Any]] = [[]]
    seen = 0
    for graph in graphs:
        full = seen >= total * len(parts) / n_parts
        if parts[-1] and full and len(parts) < n_parts:
            parts.append([])
        parts[-1].append(graph)
        seen += int(graph.edge_index.shape[1])
    return parts
