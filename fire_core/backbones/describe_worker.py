"""Say what a backbone is, as JSON, to a process of another environment.

Started as ``python -m fire_core.backbones.describe_worker NAME``.
"""

from __future__ import annotations

import json
import sys

from fire_core.backbones.registry import load_backbone
from fire_core.errors import FireError


def main(name: str) -> None:
    """Print what a backbone says of itself, or why it cannot be loaded."""
    try:
        backbone = load_backbone(name, device="cpu", threads=1)
    except FireError as error:
        facts: dict[str, object] = {"error": str(error)}
    else:
        facts = {
            "name": backbone.name,
            "elements": sorted(backbone.elements),
            "cutoff": backbone.cutoff,
            "sha256": backbone.sha256,
        }
    sys.stdout.write(f"{json.dumps(facts)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
