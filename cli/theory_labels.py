"""Labels that a person asks for one by one: from the store, or computed and kept."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.labelling.run import run_label
from fire_core.labelling.theory import theory_from_config

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.config.theory import TheoryConfig
    from fire_core.records import Label
    from fire_core.storage.store import Store


def label_once(
    store: Store, theory: TheoryConfig, atoms: Atoms, source: str
) -> tuple[Label, str]:
    """Return a label and the seconds that it took, or "stored".

    Raises
    ------
    LabellingError
        The code failed.
    """
    (key,) = store.structures.add([atoms], source=source)
    level = theory_from_config(theory)
    facts = (level.code, level.version, level.settings_json)
    store.theories.add(level.fingerprint, *facts)
    known = store.labels.get([key], level.fingerprint)
    if key in known:
        return known[key], "stored"
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        label = run_label(theory, atoms, workdir=Path(folder))
    store.labels.add({key: label}, level.fingerprint)
    return label, f"{time.monotonic() - start:.0f}"
