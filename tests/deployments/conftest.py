"""Where the files of a deployment are, and how their vendors' programs are run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
BIN: Final = Path(sys.executable).parent
COMPOSE: Final = ROOT / "docker" / "compose.yaml"
SHARED: Final = ROOT / "docker" / "shared.yaml"
ENVIRONMENT: Final = ROOT / "docker" / "env.example"
DOCKERFILES: Final = sorted((ROOT / "docker").glob("*.Dockerfile"))
TEMPLATES: Final = sorted((ROOT / "deployments" / "templates").glob("*.json"))
MANIFESTS: Final = ROOT / "deployments" / "kubernetes" / "worker.yaml"
SCRIPTS: Final = [
    ROOT / "deployments" / "worker.sh",
    *sorted((ROOT / "deployments" / "slurm").glob("*.sbatch")),
    *sorted((ROOT / "docker" / "initdb").glob("*.sh")),
]
PROFILES: Final = ("cpu", "gpu")
SECRETS: Final = (
    "POSTGRES_PASSWORD",
    "PREFECT_DB_PASSWORD",
    "FIRE_DB_PASSWORD",
    "PREFECT_SERVER_API_AUTH_STRING",
    "FIRE_DASHBOARD_AUTH",
)


def tool(program: str | Path, *arguments: object) -> str:
    """Run a program of the development environment; return what it printed."""
    done = subprocess.run(
        [str(BIN / program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{program}:\n{done.stdout}{done.stderr}"
    return done.stdout


def docker_compose(*arguments: object) -> str:
    """Run Docker Compose itself: the wheel's own command forgets the exit status."""
    spec = find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    return tool(Path(spec.origin).with_name("docker-compose"), *arguments)


def steps_of(dockerfile: Path, *words: str) -> list[str]:
    """Return the instructions of a Dockerfile that begin with one of `words`."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line for line in lines if line.split(" ")[0] in words]


def resolve(folder: Path, *files: Path, **more: str) -> dict[str, Any]:
    """Return the services as Docker Compose's own loader resolves them.

    The secrets, which the example leaves empty, are set, and `more`.
    """
    text = ENVIRONMENT.read_text(encoding="utf-8")
    for name, value in {**dict.fromkeys(SECRETS, "a:secret"), **more}.items():
        assert f"\n{name}=\n" in text, f"{name} must be empty in {ENVIRONMENT}"
        text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    environment = folder / "env"
    environment.write_text(text, encoding="utf-8")
    options: list[object] = ["--env-file", environment]
    options += [word for file in files for word in ("--file", file)]
    options += [word for name in PROFILES for word in ("--profile", name)]
    return dict(json.loads(docker_compose(*options, "config", "--format=json")))


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return every service of the Compose file."""
    return resolve(tmp_path_factory.mktemp("compose"), COMPOSE)
