"""Contracts that an addition inherits: pytest classes, one module for each open set.

A class that names what it tests inherits the tests of its kind, in FIRE's own test
suite or in that of another package. pytest is no dependency of FIRE at run time.
"""

from pkgutil import iter_modules

try:
    import pytest
except ImportError as error:
    msg = "fire_core.testing needs pytest: pip install pytest"
    raise ImportError(msg) from error

# so that a failed assertion shows its values
pytest.register_assert_rewrite(
    *(f"{__name__}.{m.name}" for m in iter_modules(__path__))
)
