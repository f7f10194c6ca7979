"""Every path of a backbone on a pretend accelerator, as a test class to inherit.

No GPU is needed (`pretend`): numbers are computed on the CPU, by an accelerator's
rules. Derive from `DeviceContract` and say how the backbone is loaded on a device::

    class TestMineOnADevice(DeviceContract):
        loader = "my_tests.models:load_mine"  # a function of torch's name of a device
        paths = (*PATHS, *paths_of_training("lora"))

A loader is imported by another process, for torch counts its devices once.
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.contract", f"{__name__}.paths")

from fire_core.testing.device.contract import (  # noqa: E402
    PATHS,
    DeviceContract,
    paths_of_training,
)

__all__ = ["PATHS", "DeviceContract", "paths_of_training"]
