"""The labelling process, which halts before each label until a test lets it go on.

Started as ``python -m tests.campaign.halting_worker FOLDER SECONDS ...``, the rest
being the options of `fire_core.campaign.steps.label_worker`. Before its n-th label it
writes `FOLDER/label-n` and waits for `FOLDER/label-n-go`. SECONDS is the work that it
claims at once, so that how many labels it holds does not depend on how long one takes.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

from fire_core.campaign.steps import label_worker
from tests.events import halt


def main() -> int:
    folder, seconds = Path(sys.argv.pop(1)), float(sys.argv.pop(1))
    compute, numbers = label_worker.run_label, itertools.count(1)

    def halt_and_compute(*given: Any, **options: Any) -> Any:
        halt(folder, f"label-{next(numbers)}")
        return compute(*given, **options)

    setattr(label_worker, "run_label", halt_and_compute)  # noqa: B010 - not mypy's
    setattr(label_worker, "CLAIM_S", seconds)  # noqa: B010
    return label_worker.main()


if __name__ == "__main__":
    sys.exit(main())
