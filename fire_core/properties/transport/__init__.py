"""Transport of ions: diffusion, conductivity and their activation energies.

D. Frenkel and B. Smit, Understanding Molecular Simulation, ch. 4, for the mean squared
displacement; J. T. Bullerjahn, S. von Bülow and G. Hummer, J. Chem. Phys. 153, 024116
(2020), and A. R. McCluskey et al., J. Chem. Theory Comput. 21, 79 (2025), for its
covariance.
"""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="transport",
    package=__name__,
    settings_at=".settings:TransportConfig",
)
