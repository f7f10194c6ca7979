"""What every measurement works on: request, structure, model, parts that are done."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict

from fire_core.backbones.registry import has_file, load_configured
from fire_core.campaign.leases import LEASE_S, Lease, hold
from fire_core.campaign.state import PATIENCE_S
from fire_core.config.properties.request import PropertyRequest
from fire_core.errors import StoreError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.records import PropertyResult
    from fire_core.storage.properties import PropertyAsked, PropertyRow

Settings = TypeVar("Settings")


class PropertyRef(BaseModel):
    """A measurement's key and where its store is; travels between flows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    name: str
    db: str
    blobs: str


class Bench:
    """One measurement while it runs.

    Attributes
    ----------
    request
        Every setting.
    asked
        How it is entered in the store.
    say
        Tells a person what is being done.
    """

    def __init__(
        self,
        store: Store,
        asked: PropertyAsked,
        lease: Lease,
        say: Callable[[str], None],
    ) -> None:
        self.request = PropertyRequest.model_validate_json(asked.request_json)
        self.asked = asked
        self.say = say
        self._store = store
        self.hold = lease
        shared = store.properties.shared_parts(asked.work)
        self._parts = shared | store.properties.parts(asked.key)

    def settings(self, kind: type[Settings]) -> Settings:
        """Return what is measured and how, which is of that kind."""
        settings = self.request.measure
        if not isinstance(settings, kind):
            msg = f"{self.asked.name} is a {settings.kind}, not a {kind.__name__}"
            raise StoreError(msg)
        return settings

    def row(self) -> PropertyRow:
        """Return the measurement as the store has it now."""
        return self._store.properties.need(self.asked.key)

    def finish(self, result: PropertyResult, wall_s: float) -> None:
        """Keep the result."""
        self.hold.check()
        self._store.properties.finish(self.asked.key, result, wall_s)

    def structure(self) -> Atoms:
        """Return the structure that is measured."""
        if self.asked.structure is None:
            msg = f"{self.asked.name} has no structure; measure it with a `system`"
            raise StoreError(msg)
        return self._store.structures.get([self.asked.structure])[0]

    def backbone(self) -> Backbone:
        """Load the model that the measurement was asked for, by its sha256."""
        settings, threads = self.request.need_backbone(), self.request.threads
        if not has_file(settings.name):  # its weights are in its package
            return load_configured(settings, threads)
        path = self._store.blobs.path(self.asked.subject_sha)
        return load_configured(settings, threads, path)

    def file(self, path: str) -> bytes:
        """Return what a file of the request held when the measurement was entered."""
        return self._store.blobs.get_bytes(self._parts[file_part(path)])

    def finished(self, name: str) -> PropertyRow:
        """Return another measurement, which has to be finished, by name or key."""
        row = self._store.properties.need(name)
        row.need_result()
        return row

    def part(self, name: str, compute: Callable[[], bytes]) -> bytes:
        """Return a part of the measurement: from the store, or computed and kept.

        Work that took long is cut into parts; a measurement that was killed does only
        those again that are missing. Names that begin with `dynamics-` are shared by
        all measurements of the same work.
        """
        if name not in self._parts:
            data = compute()
            self.hold.check()
            self._parts[name] = self._store.properties.save_part(
                self.asked.key, name, data
            )
        return self._store.blobs.get_bytes(self._parts[name])

    def json_part(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return a part that is plain numbers, lists and mappings; see `part`."""
        return json.loads(self.part(name, lambda: json.dumps(compute()).encode()))

    def has_part(self, name: str) -> bool:
        """Say whether a part is done."""
        return name in self._parts


def file_part(path: str) -> str:
    """Return the name under which a file of the request is kept with its parts."""
    return f"file-{hashlib.sha256(path.encode()).hexdigest()[:32]}"


@contextmanager
def open_bench(ref: PropertyRef, say: Callable[[str], None]) -> Iterator[Bench]:
    """Open a measurement; no two processes have it open at once."""
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        row = store.properties.get(ref.key)
        if row is None:
            msg = f"no measurement {ref.key} in {ref.db}; ask for it again"
            raise StoreError(msg)
        lease = Lease(
            f"measurement {ref.name!r}",
            lambda owner: store.properties.hold(ref.key, owner, LEASE_S),
            lambda owner: store.properties.release(ref.key, owner),
        )
        with hold(lease, say):
            yield Bench(store, row.asked, lease, say)
