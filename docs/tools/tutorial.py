"""Follow docs/tutorial.md literally: write its files, type its commands, time them.

    python -m docs.tools.tutorial [CHECKOUT]

runs in a checkout (left out: this one) with an environment in `.venv`, in a new folder
there, as the page says. Blocks in `sh` are typed one after the other in one shell that
ends at the first failure; blocks with a title are files, and written where the page
says so. The dashboard is asked for its page and stopped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from docs.tools.blocks import Block, read_blocks

PAGE: Final = Path(__file__).resolve().parents[1] / "tutorial.md"
LOOK: Final = """
{command} & dashboard=$!
for _ in $(seq 600); do
  if curl --silent --fail --output /dev/null http://127.0.0.1:8501/; then break; fi
  sleep 1
done
curl --silent --fail --output /dev/null http://127.0.0.1:8501/
kill $dashboard
"""


def script_of(blocks: list[Block]) -> str:
    """Return the page's commands as one shell script that stops at a failure."""
    parts = ["set -euo pipefail"]
    for block in blocks:
        if block.title:
            parts.append(f"cat > {block.title} <<'FIRE_END'\n{block.text}FIRE_END")
        elif block.language == "sh":
            parts += [_typed(line) for line in _lines(block.text)]
    return "\n".join(parts) + "\n"


def _lines(text: str) -> list[str]:
    """Return the commands of a block; a backslash continues one."""
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def _typed(line: str) -> str:
    """Return a line that says itself and its time; a server is stopped."""
    command = line.split("#", maxsplit=1)[0].strip()
    run = LOOK.format(command=command) if command == "fire dashboard" else line
    shown = line.replace("'", "'\\''")
    return f"printf '\\n$ %s\\n' '{shown}'\nSECONDS=0\n{run}\necho \"[$SECONDS s]\""


def main(arguments: list[str]) -> int:
    """Follow the page in a checkout; return the shell's exit status."""
    checkout = Path(arguments[0] if arguments else PAGE.parents[1]).resolve()
    start = time.monotonic()
    script = script_of(read_blocks(PAGE))
    shell = shutil.which("bash") or "/bin/bash"
    done = subprocess.run([shell, "-c", script], cwd=checkout, check=False)
    print(f"the page took {(time.monotonic() - start) / 60:.1f} minutes")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
