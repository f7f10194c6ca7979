"""interim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.storage.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvaluationKind(Generic[T]):
    """A kind."""

    name: str
    encode: Callable[[T], str]
    decode: Callable[[str], T]


@dataclass(frozen=True, slots=True)
class Evaluated(Generic[T]):
    """One."""

    round: int
    subject: str
    value: T


def dataclass_kind(name: str, record: type[T]) -> EvaluationKind[T]:
    """Return a kind."""
    from pydantic import TypeAdapter

    adapter: Any = TypeAdapter(record)

    def encode(value: T) -> str:
        return str(adapter.dump_json(value).decode())

    return EvaluationKind(name, encode, adapter.validate_json)


class Evaluations:
    """interim."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def save(
        self,
        kind: EvaluationKind[T],
        campaign: str,
        value: T,
        *,
        round_: int = 0,
        subject: str = "",
    ) -> None:
        """Save."""
        self.store.save_evaluation(
            campaign, subject or "-", f"{kind.name}-{round_}", kind.encode(value)
        )

    def get(
        self,
        kind: EvaluationKind[T],
        campaign: str,
        *,
        round_: int = 0,
        subject: str = "",
    ) -> T | None:
        """Get."""
        row = self.store.get_evaluation(
            campaign, subject or "-", f"{kind.name}-{round_}"
        )
        return None if row is None else kind.decode(row.result_json)

    def list(
        self, kind: EvaluationKind[T], campaign: str, *, round_: int | None = None
    ) -> list[Evaluated[T]]:
        """List."""
        out = []
        for row in self.store.list_evaluations(campaign):
            head, _, tail = row.dataset.rpartition("-")
            if head == kind.name and round_ in {None, int(tail)}:
                out.append(
                    Evaluated(int(tail), row.model, kind.decode(row.result_json))
                )
        return out
