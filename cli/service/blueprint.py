"""Read what is deployed where: deployments/prefect.yaml and the base job templates."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

import yaml

from fire_core.errors import ConfigError

POOL_TYPES: Final = ("process", "docker", "kubernetes")
CONTROL_POOL: Final = "control-pool"
CPU_POOL: Final = "cpu-pool"
GPU_POOL: Final = "gpu-pool"
POOLS: Final = (CONTROL_POOL, CPU_POOL, GPU_POOL)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a deployment runs by itself."""

    cron: str
    timezone: str
    slug: str
    active: bool


@dataclass(frozen=True, slots=True)
class Deployment:
    """A flow on a pool; `entrypoint` is a module path."""

    name: str
    entrypoint: str
    pool: str
    description: str | None = None
    tags: list[str] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)


def read_deployments() -> list[Deployment]:
    """Return every deployment of `deployments/prefect.yaml`."""
    text = files("deployments").joinpath("prefect.yaml").read_text(encoding="utf-8")
    return [
        Deployment(
            name=item["name"],
            entrypoint=item["entrypoint"],
            pool=item["work_pool"]["name"],
            description=item.get("description"),
            tags=item.get("tags", []),
            schedules=[Schedule(**s) for s in item.get("schedules", [])],
        )
        for item in yaml.safe_load(text)["deployments"]
    ]


def read_template(pool: str, pool_type: str) -> dict[str, Any]:
    """Return the base job template of a pool.

    Raises
    ------
    ConfigError
        There is no such type of pool.
    """
    if pool_type not in POOL_TYPES:
        msg = f"expected a pool type of {', '.join(POOL_TYPES)}, got {pool_type!r}"
        raise ConfigError(msg)
    name = pool_type
    if pool_type == "kubernetes":
        name += "-gpu" if pool == GPU_POOL else "-cpu"
    folder = files("deployments").joinpath("templates")
    return dict(json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8")))
