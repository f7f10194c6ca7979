"""The weights of a MACE network that only atoms of some elements have.

MACE has weights of each element from the start: the embedding, the self-interaction
of a layer's features (`skip_tp`), and the coefficients of the products. Where only
those of the target's elements are trained, structures without these elements are
computed as before, and the file is one of MACE like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


def train_elements_alone(model: Any, kinds: Sequence[int]) -> None:
    """Let nothing of a network change but what atoms of some elements alone have.

    Where a tensor holds other elements' weights too, their gradients are made zero.

    Parameters
    ----------
    model
        Network in MACE's layers.
    kinds
        Places of the elements in its table.

    Raises
    ------
    TrainingError
        The network has no weights of single elements.
    """
    masks = element_masks(model, kinds)
    if not masks:
        msg = (
            f"a {type(model).__name__} has no weights of single elements that FIRE "
            "knows; leave out adapt: elements"
        )
        raise TrainingError(msg)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name in masks)
        if parameter.requires_grad:
            parameter.register_hook(_masked(masks[name].to(parameter)))


def element_masks(model: Any, kinds: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return for each tensor with weights of single elements which are theirs.

    1 where a weight belongs to one of the elements, else 0, in the tensor's shape.
    """
    import torch

    n_elements = len(model.atomic_numbers)
    mine = torch.zeros(n_elements)
    mine[list(kinds)] = 1.0
    masks = {}
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        shape = tuple(parameter.shape)
        if name.startswith("node_embedding.linear."):
            mask = mine[:, None].expand(-1, parameter.numel() // n_elements)
        elif ".skip_tp." in name and hasattr(owner, "irreps_in2"):
            mask = torch.cat([_of_instruction(i, mine) for i in owner.instructions])
        elif ".symmetric_contractions." in name and shape[0] == n_elements:
            mask = mine.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        else:
            continue
        masks[name] = mask.reshape(shape)
    return masks


def _of_instruction(instruction: Any, mine: torch.Tensor) -> torch.Tensor:
    """Return the mask of one path's weights, (features, elements, features)."""
    import torch

    if not instruction.has_weight:
        return torch.empty(0)
    return mine[None, :, None].expand(instruction.path_shape).flatten()


def _masked(mask: torch.Tensor) -> Any:
    def hook(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * mask

    return hook
