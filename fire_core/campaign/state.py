"""A campaign as its store has it: the questions that every step asks.

Nothing here writes; the verbs are in `campaign.campaign` and the modules of the steps.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from pydantic import ValidationError

from fire_core.backbones.registry import load_configured
from fire_core.campaign.kinds import JUDGEMENT
from fire_core.campaign.leases import Lease, hold, step_lease
from fire_core.campaign.names import (
    ATOMS,
    FIRE,
    PERTURB,
    START,
    TEST,
    model_name,
    sub_seed,
)
from fire_core.campaign.observer import LogObserver
from fire_core.campaign.reference import CampaignRef
from fire_core.config.campaign import CampaignConfig
from fire_core.config.retired import without_retired
from fire_core.errors import StoreError
from fire_core.labelling.isolated import atom_theory
from fire_core.labelling.theory import Theory, theory_from_config
from fire_core.records import LabelState
from fire_core.storage.selections import LabelScope
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.campaign.observer import Observer
    from fire_core.config.theory import TheoryConfig
    from fire_core.records import LabelledStructure, Split
    from fire_core.storage.campaigns import CampaignRow

PATIENCE_S: Final = 900.0  # that a step waits for a database that is away


class CampaignState:
    """A campaign: its store, its stored configuration, its name.

    Parameters
    ----------
    store
        Open.
    config
        As it is stored.
    ref
        Name and place.
    observer
        Hears of what happens; left out: Python's logging.
    """

    def __init__(
        self,
        store: Store,
        config: CampaignConfig,
        ref: CampaignRef,
        observer: Observer | None = None,
    ) -> None:
        self.store = store
        self.config = config
        self.ref = ref
        self.observer: Observer = observer or LogObserver()

    @classmethod
    def find(
        cls,
        ref: CampaignRef,
        observer: Observer | None = None,
        *,
        patience_s: float = PATIENCE_S,
    ) -> Self:
        """Open the store, waiting for its database, and read a campaign of it.

        Use it as a context, which closes the store, or call `close`. A database that
        is away is waited for `patience_s` seconds.

        Raises
        ------
        StoreError
            There is no such campaign, or another FIRE wrote its settings.
        """
        store = Store.open(ref.db, ref.blobs, patience_s=patience_s)
        try:
            return cls(store, read_config(need_row(store, ref)), ref, observer)
        except BaseException:
            store.close()
            raise

    @classmethod
    def within(cls, store: Store, row: CampaignRow) -> Self:
        """Return a campaign of an open store.

        Raises
        ------
        StoreError
            Another FIRE wrote its settings.
        """
        ref = CampaignRef(
            name=row.name,
            db=store.engine.url.render_as_string(),
            blobs=str(store.blobs.folder),
        )
        return cls(store, read_config(row), ref)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Name of the campaign."""
        return self.ref.name

    def seed(self, *path: str | int) -> int:
        """Return the seed of one step."""
        return sub_seed(self.config, *path)

    def theory_of(self, purpose: str = "") -> TheoryConfig:
        """Return the theory level at which a choice of structures is labelled."""
        theory = self.config.theory
        return atom_theory(theory) if purpose == ATOMS else theory

    def theory(self, purpose: str = "") -> str:
        """Return the identity of the theory level of a choice's labels.

        It was recorded when the campaign was registered: another release of the code
        that is installed since then changes nothing about the labels that are there.
        """
        recorded = self.recorded_theory(purpose)
        return self.find_theory(purpose) if recorded is None else recorded

    def find_theory(self, purpose: str = "") -> str:
        """Return the identity of the level that a campaign's labels are at.

        That is the level of its configuration in the release that is installed, or in
        another one where labels of the first structures are of that.
        """
        here = theory_from_config(self.theory_of(purpose))
        settings = json.loads(here.settings_json)
        same = [
            level.fingerprint
            for level in self.store.theories.list()
            if level.code == here.code and json.loads(level.settings_json) == settings
        ]
        counts = {identity: self.count_first_labels(identity) for identity in same}
        if not any(counts.values()) or counts.get(here.fingerprint, 0) > 0:
            return here.fingerprint
        return max(counts, key=lambda identity: counts[identity])

    def count_first_labels(self, theory: str) -> int:
        """Return how many labels of round 0 a theory level has, wanted ones aside."""
        scopes = [LabelScope(self.name, 0, purpose) for purpose in (PERTURB, ATOMS)]
        counts = [self.store.labels.counts(theory, scope) for scope in scopes]
        return sum(
            number
            for found in counts
            for state, number in found.items()
            if state is not LabelState.WANTED
        )

    def recorded_theory(self, purpose: str = "") -> str | None:
        """Return the identity that was recorded; None before the registration."""
        row = self.store.campaigns.get(self.name)
        if row is None:
            return None
        return row.atom_theory if purpose == ATOMS else row.theory

    def theory_level(self) -> Theory:
        """Return the theory level of the labels, as it was when they were computed."""
        level = self.store.theories.get(self.theory())
        if level is None:
            return theory_from_config(self.config.theory)
        return Theory(level.code, level.version, level.settings_json)

    def load_foundation(self) -> Backbone:
        """Load the foundation model, the very one that the campaign began with.

        Raises
        ------
        StoreError
            Its file is another one by now.
        """
        backbone = self.load()
        row = self.store.campaigns.get(self.name)
        recorded = None if row is None else row.foundation_sha
        if recorded not in {None, backbone.sha256}:
            msg = (
                f"campaign {self.name!r} began with a foundation model of sha256 "
                f"{recorded}, but backbone.name {self.config.backbone.name!r} is "
                f"{backbone.sha256} now; put the old file back, or start the campaign "
                "again under another name (its labels are reused)"
            )
            raise StoreError(msg)
        return backbone

    @contextmanager
    def holding(self, step: str) -> Iterator[Lease]:
        """Run a block alone among all processes; wait while another one runs it."""
        lease = step_lease(self.store, self.name, step)
        with hold(lease, self.observer.info):
            yield lease

    def is_chosen(self, round_: int, purpose: str) -> bool:
        """Return whether a choice of structures was made."""
        return self.store.selections.get(self.name, round_, purpose) is not None

    def chosen_keys(self, round_: int, purpose: str) -> list[str]:
        """Return the keys of a choice of structures, in its order.

        Raises
        ------
        StoreError
            It was not made yet.
        """
        row = self.store.selections.get(self.name, round_, purpose)
        if row is None:
            msg = (
                f"campaign {self.name!r} has chosen nothing for {purpose!r} in round "
                f"{round_}; run that step first"
            )
            raise StoreError(msg)
        return list(row.keys)

    def paid_choice(self, round_: int, purpose: str) -> LabelScope:
        """Return what is labelled of a choice: all, or the first ones approved."""
        approval = self.store.approvals.get(self.name, round_, purpose)
        first = None if approval is None else approval.n_approved
        return LabelScope(self.name, round_, purpose, first)

    def label_counts(self, round_: int, purpose: str) -> dict[LabelState, int]:
        """Return how many labels of a choice that may be paid for are in each state."""
        choice = self.paid_choice(round_, purpose)
        return dict(self.store.labels.counts(self.theory(purpose), choice))

    def is_labelled(self, round_: int, purpose: str) -> bool:
        """Return whether every label of a choice that may be paid for is settled."""
        row = self.store.selections.get(self.name, round_, purpose)
        if row is None:
            return False
        first = self.paid_choice(round_, purpose).first
        counts = self.label_counts(round_, purpose)
        settled = counts.get(LabelState.DONE, 0) + counts.get(LabelState.FAILED, 0)
        return settled == len(set(row.keys[:first]))

    def labelled(self, round_: int, purpose: str) -> list[LabelledStructure]:
        """Return the structures of a choice that have a label, in its order."""
        keys = self.chosen_keys(round_, purpose)
        return self.store.labels.labelled(keys, self.theory(purpose))

    def part(self, model: str, split: Split) -> list[LabelledStructure]:
        """Return the labels of one part of a model's dataset, in order of keys."""
        members = self.store.datasets.get(self.name, model)
        keys = sorted(key for key, part in members.items() if part is split)
        return self.store.labels.labelled(keys, self.theory())

    def start(self) -> list[Atoms]:
        """Return the starting structures."""
        return self.store.structures.get(self.chosen_keys(0, START))

    def is_trained(self, round_: int, kinds: Sequence[str]) -> bool:
        """Return whether every one of some kinds of model is there."""
        have = {model.name for model in self.store.models.list(self.name)}
        return have >= {model_name(kind, round_) for kind in kinds}

    def model_file(self, name: str) -> Path:
        """Return the verified file of a stored model."""
        return self.store.blobs.path(self.store.models.need(self.name, name).blob_sha)

    def load(self, name: str | None = None) -> Backbone:
        """Load a stored model, or without a name the foundation model."""
        config, file = self.config, None if name is None else self.model_file(name)
        return load_configured(config.backbone, config.threads, file)

    def last_judged_round(self) -> int | None:
        """Return the last round whose fine-tuned model was judged; None: none was."""
        judged = self.store.evaluations.list(JUDGEMENT, self.name)
        return max((row.round for row in judged if row.subject == FIRE), default=None)

    def test_keys(self) -> list[str]:
        """Return the structures of the last independent trajectory.

        Raises
        ------
        StoreError
            The campaign has not come so far.
        """
        for round_ in range(self.config.rounds, 0, -1):
            row = self.store.selections.get(self.name, round_, TEST)
            if row is not None:
                return list(row.keys)
        msg = (
            f"campaign {self.name!r} has no test structures yet: its gates need the "
            "labelled independent trajectory; finish it with `fire campaign run FILE`"
        )
        raise StoreError(msg)


def need_row(store: Store, ref: CampaignRef) -> CampaignRow:
    """Return a campaign's row.

    Raises
    ------
    StoreError
        There is none of that name; the message lists those that are there.
    """
    row = store.campaigns.get(ref.name)
    if row is None:
        known = ", ".join(c.name for c in store.campaigns.list()) or "none"
        msg = (
            f"no campaign {ref.name!r} in {ref.db} (there: {known}); start it "
            "with `fire campaign run FILE`"
        )
        raise StoreError(msg)
    return row


def read_config(row: CampaignRow) -> CampaignConfig:
    """Return a stored campaign's configuration.

    Raises
    ------
    StoreError
        It was written by another FIRE, whose settings had other names.
    """
    try:
        raw = without_retired(json.loads(row.config_json))
        return CampaignConfig.model_validate(raw)
    except ValidationError as error:
        names = sorted({".".join(map(str, e["loc"])) for e in error.errors()})
        why = error.errors()[0]["msg"]
        msg = (
            f"campaign {row.name!r} was started by another FIRE, or with a package "
            "that is not installed here: this one does not know its settings "
            f"{', '.join(names)} ({why}); finish it with the FIRE and the packages "
            "that began it, or start it again under another name (its labels are "
            "reused)"
        )
        raise StoreError(msg) from error
