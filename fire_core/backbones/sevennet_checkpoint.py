"""The authors' checkpoints of SevenNet as neutral tensors.

A checkpoint is a pickle of tensors, numbers and NumPy arrays; it is read by torch's
restricted unpickler, which runs no code of the file. What is kept are the weights of
one level of theory; the optimiser's state and the settings of the training are not.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.sevennet_weights import new_module, to_neutral
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from fire_core.backbones.kernels.nequip import Architecture, NequipStack
    from fire_core.backbones.neutral import NeutralModel

EXPECTED: Final = {
    "is_parity": False,
    "self_connection_type": "linear",
    "use_bias_in_linear": False,
    "readout_as_fcn": False,
    "act_radial": "silu",
    "lmax_edge": -1,
    "_normalize_sph": True,
}
"""Settings of the package that FIRE's network has no other choice of."""


def read_checkpoint(data: bytes) -> dict[str, Any]:
    """Return what a checkpoint of SevenNet holds.

    Raises
    ------
    BackboneError
        It holds anything but tensors, arrays and plain values.
    """
    import numpy as np
    import torch
    from numpy._core.multiarray import _reconstruct

    arrays = [
        (_reconstruct, "numpy.core.multiarray._reconstruct"),  # written by NumPy 1
        (_reconstruct, "numpy._core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        type(np.dtype(np.float32)),
        type(np.dtype(np.float64)),
    ]
    try:
        with torch.serialization.safe_globals(arrays):
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        lines = str(error).splitlines()
        reason = next((line for line in lines if "Unsupported" in line), lines[0])
        msg = (
            f"this is no checkpoint of SevenNet that can be read safely: "
            f"{reason.strip()[:200]}"
        )
        raise BackboneError(msg) from error
    return dict(found)


def checkpoint_to_neutral(
    checkpoint: Mapping[str, Any], *, mode: str | None, notice: Mapping[str, str]
) -> NeutralModel:
    """Return a checkpoint's weights as neutral tensors.

    Parameters
    ----------
    checkpoint
        Of `read_checkpoint`.
    mode
        Which level of theory of several; None where it has one.
    notice
        Authors, licence and source.

    Raises
    ------
    BackboneError
        Its architecture is none that FIRE's network has.
    """
    config, state = checkpoint["config"], checkpoint["model_state_dict"]
    different = {
        key: config[key]
        for key, value in EXPECTED.items()
        if key in config and config[key] != value
    }
    if different or not config.get("irreps_manual"):
        msg = (
            f"a checkpoint of SevenNet with {different or 'no irreps_manual'} is of an "
            f"architecture that FIRE does not have; expected {EXPECTED}"
        )
        raise BackboneError(msg)
    number = None if mode is None else config["_modal_map"][mode]
    module = new_module(architecture(config), seed=0)
    _fill(module, state, number)
    model = to_neutral(module, notice)
    single = {
        key: value if key.startswith("coupling") else value.float()
        for key, value in model.tensors.items()
    }
    return type(model)(model.family, model.hyperparameters, single, model.notice)


def architecture(config: Mapping[str, Any]) -> Architecture:
    """Return the architecture of a checkpoint's settings."""
    from fire_core.backbones.kernels.nequip import Architecture

    envelope = config["cutoff_function"]
    is_xplor = envelope["cutoff_function_name"] == "XPLOR"
    numbers = config["_type_map"]
    return Architecture(
        elements=_symbols(numbers),
        cutoff=float(config["cutoff"]),
        channels=tuple(_channels(irreps) for irreps in config["irreps_manual"]),
        l_edge=int(config["lmax"]),
        n_radial=int(config["radial_basis"]["bessel_basis_num"]),
        hidden=tuple(config["weight_nn_hidden_neurons"]),
        envelope="xplor" if is_xplor else "polynomial",
        envelope_from=float(
            envelope["cutoff_on"] if is_xplor else envelope["poly_cut_p_value"]
        ),
        n_modes=int(config.get("_number_of_modalities", 0)),
    )


def _symbols(numbers: Mapping[int, int]) -> tuple[str, ...]:
    from ase.data import chemical_symbols

    return tuple(chemical_symbols[z] for z in sorted(numbers, key=lambda z: numbers[z]))


def _channels(irreps: str) -> tuple[int, ...]:
    """Return the channels of `128x0e+64x1e+32x2e` as (128, 64, 32)."""
    parts = [part.split("x") for part in irreps.replace(" ", "").split("+")]
    if [irrep for _, irrep in parts] != [f"{degree}e" for degree in range(len(parts))]:
        msg = f"expected features of every degree from 0e on, got {irreps}"
        raise BackboneError(msg)
    return tuple(int(number) for number, _ in parts)


def _fill(
    module: NequipStack, state: Mapping[str, torch.Tensor], mode: int | None
) -> None:
    """Put a checkpoint's weights into a network."""
    setting = module.setting
    modes = setting.n_modes if mode is not None else 0
    n_elements = len(setting.elements)
    new: dict[str, torch.Tensor] = {
        "wave_numbers": state["edge_embedding.basis_function.coeffs"],
        "embedding": state["onehot_to_feature_x.linear.weight"].reshape(n_elements, -1),
        "scale": state["rescale_atomic_energy.scale"],
        "shift": state["rescale_atomic_energy.shift"],
    }
    if mode is not None:
        new["shift"] = new["shift"][mode]
    for i, layer in enumerate(module.layers):
        for name, source, n_modes in (
            ("keep", "self_connection_intro", 0),
            ("before", "self_interaction_1", modes),
            ("after", "self_interaction_2", modes),
        ):
            flat = state[f"{i}_{source}.linear.weight"]
            part = getattr(layer, name)
            new |= _mixing(f"layers.{i}.{name}", part, flat, n_modes, mode)
        new[f"layers.{i}.denominator"] = state[f"{i}_convolution.denominator"][0]
        last = len(setting.hidden)
        for k in range(last + 1):
            weight = state[f"{i}_convolution.weight_nn.layer{k}.weight"]
            if k == last:
                weight = weight[:, _order_of_columns(layer.convolution)]
            new[f"layers.{i}.radial.weights.{k}"] = weight
        _check_couplings(layer.convolution, state, i)
    for name, source, n_modes in (
        ("hidden", "reduce_input_to_hidden", modes),
        ("energy", "reduce_hidden_to_energy", 0),
    ):
        flat = state[f"{source}.linear.weight"]
        new |= _mixing(name, getattr(module, name), flat, n_modes, mode)
    module.load_state_dict({key: value.double() for key, value in new.items()})


def _mixing(
    name: str, mixing: Any, flat: torch.Tensor, n_modes: int, mode: int | None
) -> dict[str, torch.Tensor]:
    """Return the weights of a mixing layer: one matrix after the other in `flat`."""
    found, start = {}, 0
    for degree in mixing.degrees:
        shape = getattr(mixing, f"weight_{degree}").shape
        end = start + shape.numel()
        found[f"{name}.weight_{degree}"] = flat[start:end].reshape(shape)
        start = end
    if n_modes:
        rows = flat[start:].reshape(n_modes, -1)
        found[f"{name}.mode"] = rows[mode]
        start += rows.numel()
    if start != len(flat):
        msg = f"expected {start} weights of {name}, the checkpoint has {len(flat)}"
        raise BackboneError(msg)
    return found


def _order_of_columns(convolution: Any) -> torch.Tensor:
    """Return for each weight of the network its place in an old checkpoint.

    The package listed paths as they are found until its version 0.11, and sorts them by
    the degree of the message since.
    """
    import torch

    found = sorted(convolution.paths, key=lambda path: path.degrees)
    starts, start = {}, 0
    for path in found:
        starts[path.degrees] = start
        start += convolution.channels[path.l_in]
    return torch.cat(
        [
            starts[path.degrees] + torch.arange(convolution.channels[path.l_in])
            for path in convolution.paths
        ]
    )


def _check_couplings(
    convolution: Any, state: Mapping[str, torch.Tensor], layer: int
) -> None:
    """Give the network's couplings the signs of the checkpoint's."""
    import torch

    found = convolution.couplings()
    for key, value in found.items():
        name = "_".join(map(str, key))
        own = state.get(
            f"{layer}_convolution.convolution._compiled_main_left_right._w3j_{name}"
        )
        if own is None:
            continue  # with a degree of 0 there is one convention
        if (value * own).sum() < 0:
            value.neg_()
        if not torch.allclose(value, own.double(), atol=1e-6):
            msg = f"the couplings of degrees {name} of the checkpoint are unknown"
            raise BackboneError(msg)
    convolution.use(found)
