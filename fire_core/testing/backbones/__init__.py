"""What every backbone keeps to, as test classes that a backbone's tests inherit.

Derive from the classes whose protocol the backbone has, and give two fixtures::

    class TestMine(BackboneContract, TrainableContract):
        @pytest.fixture
        def backbone(self):
            return load_backbone("mine", device="cpu", dtype="float64")

        @pytest.fixture
        def atoms(self):
            return ...  # a rattled periodic crystal of some eight atoms

Single precision asks for wider limits: they are attributes of each class.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{name}"
        for name in ("dynamics", "features", "networks", "predictions", "trainings")
    )
)

from fire_core.testing.backbones.dynamics import DynamicsContract  # noqa: E402
from fire_core.testing.backbones.features import FeaturesContract  # noqa: E402
from fire_core.testing.backbones.predictions import BackboneContract  # noqa: E402
from fire_core.testing.backbones.trainings import TrainableContract  # noqa: E402

__all__ = [
    "BackboneContract",
    "DynamicsContract",
    "FeaturesContract",
    "TrainableContract",
]
