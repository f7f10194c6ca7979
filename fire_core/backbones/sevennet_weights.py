"""SevenNet's networks as neutral tensors, and networks of neutral tensors."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.neutral import NeutralModel, read_neutral
from fire_core.errors import BackboneError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import torch

    from fire_core.backbones.kernels.nequip import Architecture, NequipStack

FAMILY: Final = "sevennet"
COUPLING: Final = "coupling_"
SHIFT: Final = "shift"


def couplings(degrees: Sequence[tuple[int, int, int]]) -> dict[Any, torch.Tensor]:
    """Return Wigner's 3j symbols of real harmonics, in double precision.

    Signs and axes are those of e3nn 0.4.4. Another release may choose other signs, to
    which weights belong: a file of weights carries its own.
    """
    import torch

    from fire_core.backbones.mace import import_mace

    import_mace()  # must come before e3nn
    from e3nn.o3 import wigner_3j

    return {key: wigner_3j(*key, dtype=torch.float64) for key in degrees}


def new_module(setting: Architecture, *, seed: int) -> NequipStack:
    """Return a network with random weights, in double precision on the CPU."""
    import torch

    from fire_core.backbones.kernels.nequip import NequipStack, couplings_of

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = NequipStack(setting, couplings(couplings_of(setting)))
    module.double()
    return module


def to_neutral(module: NequipStack, notice: Mapping[str, str]) -> NeutralModel:
    """Return a network as neutral tensors."""
    tensors = dict(module.state_dict())
    for key, value in module.couplings().items():
        tensors[COUPLING + "".join(map(str, key))] = value
    setting = asdict(module.setting)
    if not setting["adapted"]:  # files of before `adapted` have the same bytes
        del setting["adapted"]
    return NeutralModel(FAMILY, setting, tensors, notice)


def from_neutral(model: NeutralModel) -> NequipStack:
    """Return the network of neutral tensors, in double precision on the CPU.

    Raises
    ------
    BackboneError
        The tensors are not those of the architecture.
    """
    from fire_core.backbones.kernels.nequip import Architecture, NequipStack

    try:
        setting = Architecture(**_frozen(model.hyperparameters))
        symbols, weights = {}, {}
        for name, value in model.tensors.items():
            if name.startswith(COUPLING):
                a, b, c = map(int, name.removeprefix(COUPLING))
                symbols[a, b, c] = value.double()
            else:
                weights[name] = value.double()
        module = NequipStack(setting, symbols)
        module.double()
        module.load_state_dict(weights)
    except (TypeError, KeyError, ValueError, RuntimeError) as error:
        msg = (
            f"the tensors are not those of a network of SevenNet that this FIRE knows "
            f"({error}); install the model again with fire backbone install"
        )
        raise BackboneError(msg) from error
    return module


def adapt_elements(module: NequipStack, symbols: Collection[str]) -> NequipStack:
    """Return a network that has weights of their own for atoms of these elements.

    They are zero, so that it computes what it did; a network that has such weights
    already keeps them.

    Raises
    ------
    TrainingError
        It has such weights of fewer elements: they would no longer give way to the new
        ones, and it would not compute what it did.
    """
    import torch

    from fire_core.backbones.kernels.nequip import NequipStack

    setting = module.setting
    kinds = {setting.elements.index(symbol) for symbol in symbols}
    more = sorted(setting.elements[kind] for kind in kinds - set(setting.adapted))
    if more and setting.adapted:
        have = ", ".join(setting.elements[kind] for kind in setting.adapted)
        msg = (
            f"the model has weights of its own for {have}, which give way to "
            f"{', '.join(more)}: it cannot be adapted to these as well; train from the "
            "published model, or with adapt: all"
        )
        raise TrainingError(msg)
    wider = replace(setting, adapted=tuple(sorted(kinds | set(setting.adapted))))
    with torch.random.fork_rng(devices=[]):
        new = NequipStack(wider, module.couplings())
    weights = new.state_dict() | module.state_dict()
    device, dtype = module.shift.device, module.embedding.dtype
    adapted: NequipStack = place(new, device=device, dtype=dtype)
    adapted.load_state_dict(weights)
    return adapted


def is_own(name: str, kinds: Sequence[int]) -> bool:
    """Return whether a weight is one that only atoms of these elements have."""
    word = name.rpartition(".")[2]
    return word.startswith("own_") and int(word.rpartition("_")[2]) in kinds


def read_module(path: Path) -> tuple[NequipStack, dict[str, str]]:
    """Return the network of a neutral file and the notice of its authors.

    Raises
    ------
    BackboneError
        The file is not there, or holds no network of SevenNet.
    """
    model = read_neutral(path, family=FAMILY)
    return from_neutral(model), dict(model.notice)


def place(module: NequipStack, *, device: torch.device, dtype: torch.dtype) -> Any:
    """Return the network on a device in a type; references stay in double precision."""
    import torch

    shift = module.shift.double()
    module = module.to(device=device, dtype=dtype)
    module.shift = shift.to(device=device, dtype=torch.float64)
    return module


def _frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of JSON with tuples in place of lists."""

    def freeze(value: Any) -> Any:
        return tuple(map(freeze, value)) if isinstance(value, list) else value

    return {key: freeze(value) for key, value in values.items()}
