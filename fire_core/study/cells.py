"""The cells of a study: which trainings there are, and what makes each one itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from fire_core.config.training import ReplayConfig
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fire_core.config.study import StudyConfig
    from fire_core.config.training import TrainConfig

ALL: Final = "all"
"""Selection of a cell that trains on the whole pool."""
FORMAT: Final = 1
"""Part of every identity; raised when a cell's computation changes."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of a study.

    Attributes
    ----------
    variant
        Name of its settings.
    labels
        Frames to learn from, validation included.
    selection
        How they are chosen from the pool; `all` where nothing is left to choose.
    seed
        Source of every random number of the cell.
    """

    variant: str
    labels: int
    selection: str
    seed: int

    @property
    def name(self) -> str:
        """The cell for a person: `fire-kmeans-9-seed0`."""
        return f"{self.variant}-{self.selection}-{self.labels}-seed{self.seed}"


@dataclass(frozen=True, slots=True)
class SharedHashes:
    """Hashes of what the cells of a study share.

    Attributes
    ----------
    pool, test, heldout
        Of the labelled frames.
    backbone
        sha256 of the foundation model.
    dtype
        Floating-point type.
    replay
        Of what each variant may rehearse; empty for one that rehearses nothing.
    """

    pool: str
    test: str
    heldout: str
    backbone: str
    dtype: str
    replay: Mapping[str, str]


def settings_of(config: StudyConfig, variant: str) -> TrainConfig:
    """Return a variant's settings as its trainings are given them.

    Where the replay set lies does not matter to a training, what is in it does (the
    identity of a cell holds its content); without rehearsal nothing of it matters.
    """
    settings = config.variants[variant]
    replay = ReplayConfig(ratio=0.0)
    if settings.rehearses:
        bundled = settings.replay.source == "bundled"
        source = "bundled" if bundled else "given"
        replay = settings.replay.model_copy(update={"source": source})
    return settings.model_copy(update={"replay": replay})


def plan_cells(config: StudyConfig, n_pool: int) -> list[Cell]:
    """Return every cell once, in the order in which they are run.

    A whole grid with the first seed comes first, small sizes before large ones. Of
    the whole pool nothing is chosen, so it is run once and not for each selection.

    Raises
    ------
    ConfigError
        A size asks for more frames than the pool has, or for fewer than two.
    """
    counts = sorted({count_labels(size, n_pool) for size in config.sizes})
    cells = [
        Cell(variant, count, ALL if count == n_pool else selection, seed)
        for seed in config.seeds
        for count in counts
        for selection in config.selection
        for variant in config.variants
    ]
    return list(dict.fromkeys(cells))


def count_labels(size: float, n_pool: int) -> int:
    """Return the frames that a size (a fraction, or a count) stands for."""
    count = size if isinstance(size, int) else round(size * n_pool)
    if not 2 <= count <= n_pool:
        msg = (
            f"sizes: {size} is {count} of the {n_pool} frames in the pool; a training "
            f"needs at least 2 and at most all of them"
        )
        raise ConfigError(msg)
    return count


def identify_cell(cell: Cell, config: StudyConfig, shared: SharedHashes) -> str:
    """Return a hash of all that a cell's errors depend on, 16 hex digits.

    The device and the number of threads change rounding and time only and are not
    part of it, so a study may go on elsewhere.
    """
    train = settings_of(config, cell.variant)
    chooses_in_space = cell.selection not in {ALL, "random"}
    facts = {
        "format": FORMAT,
        "labels": cell.labels,
        "selection": cell.selection,
        "seed": cell.seed,
        "train": train.model_dump(
            mode="json", exclude={"devices", *train.without_effect}
        ),
        "space": describe_space(config) if chooses_in_space else None,
        "shared": asdict(shared) | {"replay": shared.replay[cell.variant]},
    }
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def describe_space(config: StudyConfig) -> dict[str, object]:
    """Return the settings that shape the space in which frames are chosen."""
    return {
        "soap": config.soap.model_dump(mode="json", exclude={"workers"}),
        "components": config.pca_components,
        "variance": config.pca_variance,
    }


def estimate_seconds(
    cells: Iterable[Cell], config: StudyConfig, measured: Mapping[str, float]
) -> float | None:
    """Return about how long the trainings of some cells take, s.

    Parameters
    ----------
    cells
        What is left to run.
    config
        The study.
    measured
        Training frames per second (target and replay) of each variant that has a
        finished cell; the slowest of them stands for a variant that has none.

    Returns
    -------
    float | None
        None before the first cell is finished.
    """
    if not measured:
        return None
    slowest = min(measured.values())
    return sum(
        frames_seen(cell, config) / measured.get(cell.variant, slowest)
        for cell in cells
    )


def frames_seen(cell: Cell, config: StudyConfig) -> float:
    """Return how many frames a cell's training sees, every epoch and replay counted."""
    settings = config.variants[cell.variant]
    n_train = cell.labels * (1.0 - settings.valid_fraction)
    ratio = settings.replay.ratio if settings.rehearses else 0.0
    return settings.epochs * n_train * (1.0 + ratio)
