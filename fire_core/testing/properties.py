"""Contract of a kind of property, and a measurement that is kept in memory.

A package that adds a kind inherits `PropertyContract` in its tests::

    class TestPhonons(PropertyContract):
        kind = "phonons"
        settings = {"supercell": [2, 2, 2]}  # that take a second or so

        @classmethod
        def inputs(cls):
            return {"atoms": bulk("LiCl", "rocksalt", a=5.1), "backbone": my_model()}
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest

from fire_core.errors import ConfigError
from fire_core.properties.kinds import KINDS
from fire_core.properties.load import parse_property
from fire_core.properties.measurement import Measurement
from fire_core.properties.request import PropertyRequest
from fire_core.properties.settings import PropertySettings
from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.theory import TheoryConfig
    from fire_core.properties.kind import PropertyKind
    from fire_core.records import JsonDict

HEAVY: Final = ("torch", "mace", "matplotlib", "phonopy", "impedance", "kinisi")
"""Packages that settings may not import: every command reads them."""
CRYSTAL: Final = {"kind": "crystal", "crystal": "LiCl"}


class KilledError(Exception):
    """Stands for the end of the process that measures."""


class MemoryMeasurement:
    """A measurement whose inputs are given and whose parts are kept in memory.

    Parameters
    ----------
    request
        Every setting.
    atoms, backbone
        Structure and model; None where the measurement is of none.
    files
        Content of files by the path that the settings name.
    earlier
        Name and result of the measurement that this one goes on from.

    Attributes
    ----------
    measurement
        What the kind measures with.
    parts
        Finished parts by name.
    computed
        Names of the parts that were computed, in order.
    """

    def __init__(
        self,
        request: PropertyRequest,
        *,
        atoms: Atoms | None = None,
        backbone: Any = None,
        files: Mapping[str, bytes] | None = None,
        earlier: tuple[str, PropertyResult] | None = None,
    ) -> None:
        self.parts: dict[str, bytes] = {}
        self.computed: list[str] = []
        self.measurement = Measurement(request, "model", self, self, lambda _: None)
        self._atoms, self._backbone = atoms, backbone
        self._files, self._earlier = files or {}, earlier

    def structure(self) -> Atoms:
        """Return a copy of the structure."""
        return _given(self._atoms, "structure").copy()

    def backbone(self) -> Backbone:
        """Return the model."""
        found: Backbone = _given(self._backbone, "model")
        return found

    def file(self, path: str) -> bytes:
        """Return the content of a file."""
        return self._files[path]

    def earlier(self) -> tuple[str, PropertyResult]:
        """Return the measurement that this one goes on from."""
        found: tuple[str, PropertyResult] = _given(self._earlier, "measurement")
        return found

    def labeller(self, theory: TheoryConfig) -> Callable[[Atoms], object]:
        """Return a function that computes nothing, at once."""
        del theory
        return lambda atoms: atoms

    def has(self, name: str, *, shared: bool) -> bool:
        """Return whether a part is done."""
        del shared  # there is no other measurement
        return name in self.parts

    def read(self, name: str, *, shared: bool) -> bytes:
        """Return a part."""
        del shared
        return self.parts[name]

    def save(self, name: str, data: bytes, *, shared: bool) -> None:
        """Keep a part."""
        del shared
        self.parts[name] = data
        self.computed.append(name)


class PropertyContract:
    """What every kind of property keeps; a subclass says which kind, and on what.

    Attributes
    ----------
    kind
        Its name in the registry.
    settings
        Settings beside `kind` that make the measurement quick.
    system
        The `system` of its request; None where it is of no structure.
    is_drawn
        Whether it has figures.
    """

    kind: ClassVar[str]
    settings: ClassVar[JsonDict] = {}
    system: ClassVar[JsonDict | None] = CRYSTAL
    is_drawn: ClassVar[bool] = True

    @classmethod
    def inputs(cls) -> dict[str, Any]:
        """Return the arguments of `MemoryMeasurement` beside the request."""
        return {}

    @classmethod
    def request(cls, **more: Any) -> PropertyRequest:
        """Return the request, some of its settings changed."""
        measure = {"kind": cls.kind, **cls.settings, **more}
        raw: JsonDict = {"name": "contract", "measure": measure}
        if cls.system is not None:
            raw["system"] = cls.system
        return parse_property(raw)

    @classmethod
    def registered(cls) -> PropertyKind:
        """Return the kind as the registry has it."""
        return KINDS.load(cls.kind)

    @pytest.fixture(scope="class")
    @classmethod
    def measured(cls) -> tuple[MemoryMeasurement, PropertyResult]:
        """Return the measurement and its result, measured once."""
        here = MemoryMeasurement(cls.request(), **cls.inputs())
        return here, cls.registered().run(here.measurement)

    def test_settings_are_those_of_the_kind(self) -> None:
        settings = self.registered().settings
        assert issubclass(settings, PropertySettings)
        assert self.registered().name == self.kind
        assert settings.model_fields["kind"].default == self.kind
        assert (settings.__doc__ or "").strip()

    def test_a_request_comes_back_from_its_json(self) -> None:
        request = self.request()
        text = request.model_dump_json()
        assert PropertyRequest.model_validate_json(text) == request
        assert type(request.measure) is self.registered().settings

    def test_an_unknown_setting_is_refused_by_its_place(self) -> None:
        with pytest.raises(ConfigError, match=rf"measure\.{self.kind}\.no_such_thing"):
            self.request(no_such_thing=1)

    def test_settings_are_light(self) -> None:
        """Every command and every flow imports them."""
        code = (
            f"import sys, {self.registered().settings.__module__}; "
            f"print([name for name in {HEAVY!r} if name in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"

    def test_numbers_say_what_they_are(
        self, measured: tuple[MemoryMeasurement, PropertyResult]
    ) -> None:
        _, result = measured
        assert result.values
        for value in result.values:
            assert value.name.isidentifier()
            assert value.value is not None or value.note, f"{value.name}: say why not"
            for given in value.conditions.values():
                assert isinstance(given, str | float | int)

    def test_a_stored_result_comes_back_and_is_drawn(
        self, measured: tuple[MemoryMeasurement, PropertyResult], tmp_path: Path
    ) -> None:
        """From JSON alone: figures are drawn of what the store kept."""
        _, result = measured
        facts = json.loads(json.dumps(asdict(result)))
        stored = PropertyResult(
            tuple(PropertyValue(**value) for value in facts["values"]),
            facts["curves"],
            tuple(facts["notes"]),
        )
        assert json.loads(json.dumps(asdict(stored))) == facts
        figures = self.registered().draw(stored, tmp_path)
        assert bool(figures) is self.is_drawn
        for figure in figures:
            assert figure.png.stat().st_size > 0
            assert figure.svg.stat().st_size > 0

    def test_finished_parts_are_not_computed_again(
        self, measured: tuple[MemoryMeasurement, PropertyResult]
    ) -> None:
        """The whole result comes of the parts, and the model is not loaded."""
        here, result = measured
        without = self.inputs() | {"backbone": None}
        again = MemoryMeasurement(self.request(), **without)
        again.parts.update(here.parts)
        assert self.registered().run(again.measurement) == result
        assert again.computed == []

    def test_killed_it_goes_on_after_the_last_finished_part(
        self, measured: tuple[MemoryMeasurement, PropertyResult]
    ) -> None:
        whole, result = measured
        if not whole.computed:
            return  # so quick that it has no parts

        class Killed(MemoryMeasurement):
            """Ends before it keeps the last part."""

            def save(self, name: str, data: bytes, *, shared: bool) -> None:
                if name == whole.computed[-1]:
                    raise KilledError
                super().save(name, data, shared=shared)

        torn = Killed(self.request(), **self.inputs())
        with pytest.raises(KilledError):
            self.registered().run(torn.measurement)
        assert torn.computed == whole.computed[:-1]
        heir = MemoryMeasurement(self.request(), **self.inputs())
        heir.parts.update(torn.parts)
        again = self.registered().run(heir.measurement)
        assert heir.computed == whole.computed[-1:]
        if not self.request().measure.needs().machine:
            assert again == result


def _given(found: Any, what: str) -> Any:
    if found is None:
        msg = f"a {what} was asked for that the test does not give"
        raise AssertionError(msg)
    return found
