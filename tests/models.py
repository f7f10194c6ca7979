"""Models that several rooms' tests look into."""

from __future__ import annotations

from fire_core.backbones.assets import bundled_model
from fire_core.backbones.mace import MaceBackbone, load_mace
from fire_core.backbones.sevennet import SevennetBackbone


def load_mini(dtype: str = "float64") -> MaceBackbone:
    """Return the bundled model as the MACE model that it is, on one CPU thread."""
    import torch

    torch.set_num_threads(1)
    return load_mace(bundled_model(), name="fire-mini", device="cpu", dtype=dtype)


def random_mace_on(device: str) -> MaceBackbone:
    """Return a small random MACE with vector features, single precision, on a device.

    For Li, F and Cl.
    """
    from tests.training.conftest import make_backbone

    made = make_backbone(hidden="8x0e+8x1o")
    return MaceBackbone(
        made.model, name="random", sha256="0" * 64, device=device, dtype="float32"
    )


def small_sevennet_on(device: str) -> SevennetBackbone:
    """Return `small_sevennet` in single precision on a device."""
    return small_sevennet("float32", device=device)


def small_sevennet(
    dtype: str = "float64", seed: int = 3, device: str = "cpu"
) -> SevennetBackbone:
    """Return a network of SevenNet's class with random weights and few channels."""
    import torch

    from fire_core.backbones.kernels.nequip import Architecture
    from fire_core.backbones.sevennet_weights import new_module

    torch.set_num_threads(1)
    setting = Architecture(
        elements=("Cl", "Li", "Na", "F"),
        cutoff=4.0,
        channels=((8,), (8, 6, 4), (8, 6, 4), (8,)),
        l_edge=2,
        hidden=(16, 16),
        envelope_from=3.5,
    )
    module = new_module(setting, seed=seed)
    module.shift += torch.tensor([-1.5, -2.0, -1.0, -1.2])
    for layer in module.layers:
        layer.denominator.fill_(6.0)
    return SevennetBackbone(
        module, name="small", sha256="0" * 64, device=device, dtype=dtype
    )
