"""Environments of models: what is missing is said in one sentence with its cure."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from fire_core.backbones.environments.folders import (
    RECORD,
    EnvironmentRecord,
    environment_folder,
    find_interpreter,
    home_prefix,
    interpreter_in,
    is_importable,
    read_record,
    write_record,
)
from fire_core.backbones.environments.install import install_environment
from fire_core.backbones.environments.packages import PACKAGES, requirements
from fire_core.backbones.registry import (
    FAMILIES,
    backbone_interpreter,
    environment_of,
    known_elements,
    load_backbone,
    package_of,
    release_of,
)
from fire_core.campaign.names import work_queue_of
from fire_core.config.environment import default_models_folder
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = [name for name, package in PACKAGES.items() if not is_importable(package)]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("FIRE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.mark.parametrize("family", ABSENT)
def test_a_missing_package_is_named_with_the_command_that_mends_it(
    family: str,
) -> None:
    wanted = rf"{family} needs the package .*`fire backbone install {family}`"
    for ask in (find_interpreter, backbone_interpreter, load_backbone, known_elements):
        with pytest.raises(BackboneError, match=wanted):
            ask(family)
    with pytest.raises(BackboneError, match=wanted):
        load_backbone(f"{family}:some/model.pt")


@pytest.mark.parametrize("family", sorted(PACKAGES))
def test_everything_that_is_installed_is_pinned(family: str) -> None:
    pins = requirements(family)
    assert pins[0].startswith(f"{PACKAGES[family].distribution}==")
    assert all(pin.count("==") == 1 and "*" not in pin for pin in pins)
    names = [pin.partition("==")[0].lower().replace("_", "-") for pin in pins]
    assert len(set(names)) == len(names)
    assert {"torch", "numpy", "ase"}.isdisjoint(names)  # FIRE's own


@pytest.mark.parametrize("family", sorted(PACKAGES))
def test_every_family_has_a_loader(family: str) -> None:
    assert callable(FAMILIES.load(family))
    assert package_of(family) == PACKAGES[family].distribution


def test_the_folder_of_models_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_models_folder() == tmp_path / "models"
    monkeypatch.delenv("FIRE_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_models_folder() == tmp_path / "data" / "fire" / "models"


def test_models_of_fires_own_environment_run_here() -> None:
    for name in ("fire-mini", "chgnet", "medium-mpa-0"):
        assert backbone_interpreter(name) is None
        assert environment_of(name) is None
        assert work_queue_of(name) is None
    assert release_of("chgnet") == version("chgnet")


@pytest.mark.skipif("matris" not in ABSENT, reason="matris is installed here")
def test_a_finished_environment_is_used_until_it_is_another_one() -> None:
    folder = environment_folder("matris")
    interpreter_in(folder).parent.mkdir(parents=True)
    record = EnvironmentRecord("matris", requirements("matris"), home_prefix())
    write_record(folder, record)
    assert backbone_interpreter("matris") == interpreter_in(folder)
    assert backbone_interpreter("matris:a/file.pth.tar") == interpreter_in(folder)
    assert environment_of("matris:a/file.pth.tar") == "matris"
    assert work_queue_of("matris") == "backbone-matris"
    assert release_of("matris") == requirements("matris")[0].partition("==")[2]
    with pytest.raises(BackboneError, match=r"environment of its own.*bin/python"):
        load_backbone("matris")
    for other in (
        EnvironmentRecord("matris", ["matris==0.0.1"], home_prefix()),
        EnvironmentRecord("matris", requirements("matris"), "/another/fire"),
    ):
        write_record(folder, other)
        with pytest.raises(
            BackboneError, match=r"made by another FIRE.*`fire backbone install matris`"
        ):
            backbone_interpreter("matris")
    (folder / RECORD).write_text("{half a rec")
    assert read_record(folder) is None
    with pytest.raises(BackboneError, match="needs the package matris"):
        backbone_interpreter("matris")


def test_what_cannot_be_installed_leaves_nothing_behind(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No index can be reached: pip is told to use none."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(models))
    said: list[str] = []
    with pytest.raises(
        BackboneError,
        match=r"environment of matris cannot be made.*`fire backbone install matris`",
    ):
        install_environment("matris", said.append)
    assert said == ["making an environment with matris==0.1.0 and 0 other packages"]
    assert list((models / "environments").iterdir()) == []


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(BackboneError, match="expected one of sevenn, mattersim, orb"):
        install_environment("nothing")


def test_an_environment_sees_fire_and_its_packages(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Made of a wheel of this test's own, which stands for the package."""
    import zipfile

    facts = "matris-0.1.0.dist-info"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "matris-0.1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("matris/__init__.py", "WORD = 'own'\n")
        wheel.writestr("e3nn/__init__.py", "__version__ = 'own'\n")
        wheel.writestr(
            f"{facts}/METADATA", "Metadata-Version: 2.1\nName: matris\nVersion: 0.1.0\n"
        )
        wheel.writestr(
            f"{facts}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(
            f"{facts}/RECORD",
            f"matris/__init__.py,,\ne3nn/__init__.py,,\n{facts}/METADATA,,\n"
            f"{facts}/WHEEL,,\n{facts}/RECORD,,\n",
        )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    folder = install_environment("matris")
    assert folder == models / "environments" / "matris"
    code = (
        "import json, e3nn, fire_core, matris, sys, torch;"
        "from fire_core.backbones.environments.folders import find_interpreter, "
        "home_prefix;"
        "print(json.dumps([matris.WORD, e3nn.__version__, torch.__version__, "
        "fire_core.__file__, home_prefix(), str(find_interpreter('matris'))]))"
    )
    done = subprocess.run(
        [interpreter_in(folder), "-P", "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    import fire_core

    assert json.loads(done.stdout) == [
        "own",
        "own",  # its packages come before FIRE's
        version("torch"),
        fire_core.__file__,
        sys.prefix,
        "None",  # there it is this process's own
    ]
    said: list[str] = []
    install_environment("matris", said.append)
    assert said == [f"matris is installed in {folder}"]
    (folder / "mark").touch()
    install_environment("matris", again=True)
    assert not (folder / "mark").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["matris"]
