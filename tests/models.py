"""Models that several rooms' tests look into."""

from __future__ import annotations

from fire_core.backbones.assets import bundled_model
from fire_core.backbones.mace import MaceBackbone, load_mace


def load_mini(dtype: str = "float64") -> MaceBackbone:
    """Return the bundled model as the MACE model that it is, on one CPU thread."""
    import torch

    torch.set_num_threads(1)
    return load_mace(bundled_model(), name="fire-mini", device="cpu", dtype=dtype)
