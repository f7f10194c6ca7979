"""Draw the README's picture, the loop and what it gave, from a campaign's numbers.

    python -m docs.tools.picture results/licl-gaf3/results.json

keeps the numbers that the picture shows in docs/images/licl-gaf3.json and draws
docs/images/fire.svg from them; without an argument it draws from the kept ones.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).resolve().parents[1] / "images"
NUMBERS: Final = FOLDER / "licl-gaf3.json"
PICTURE: Final = FOLDER / "fire.svg"
WIDTH, HEIGHT = 1000, 450
STYLE: Final = """
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  fill: #1f2328; }
.card { fill: #ffffff; stroke: #d0d7de; }
.box { fill: #f6f8fa; stroke: #8c959f; }
.fire { fill: #bc4c00; } .vanilla { fill: #8c959f; } .zero { fill: #c8ced5; }
.quiet { fill: #57606a; }
.arrow { stroke: #57606a; stroke-width: 2; fill: none; }
.head { fill: #57606a; }
.again { stroke: #bc4c00; } .again-head { fill: #bc4c00; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .card { fill: #0d1117; stroke: #30363d; }
  .box { fill: #161b22; stroke: #6e7681; }
  .fire { fill: #f0883e; } .vanilla { fill: #8b949e; } .zero { fill: #484f58; }
  .quiet { fill: #9ea7b1; }
  .arrow { stroke: #9ea7b1; } .head { fill: #9ea7b1; }
  .again { stroke: #f0883e; } .again-head { fill: #f0883e; }
}
"""
LONGEST: Final = 270
"""Pixels of the longest bar."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: whose it is, its value in meV/Å, its class in the style."""

    name: str
    value: float
    look: str


def numbers_of(results: dict[str, Any]) -> dict[str, Any]:
    """Return what the picture shows of a campaign's `results.json`."""
    models = results["models"]
    config = yaml.safe_load(results["config_yaml"])
    return {
        "name": results["name"],
        "perturbed": config["perturb"]["n"],
        "candidates": results["pca"]["n_candidates"],
        "selected": results["pca"]["n_selected"],
        "test": results["n_test"],
        "force_rmse_mev_per_angstrom": {
            key: models[key]["force_rmse_mev_per_angstrom"]
            for key in ("zero_shot", "vanilla", "fire")
        },
        "forgetting_added_mev_per_angstrom": {
            key: models[key]["forgetting_added_mev_per_angstrom"]
            for key in ("vanilla", "fire")
        },
    }


def draw(numbers: dict[str, Any]) -> str:
    """Return the picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title">',
        f'<title id="title">{escape(_words(numbers))}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="1" y="1" width="{WIDTH - 2}" height="{HEIGHT - 2}" '
        'rx="12"/>',
        *_loop(numbers),
        *_bars(numbers),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _words(numbers: dict[str, Any]) -> str:
    force = numbers["force_rmse_mev_per_angstrom"]
    added = numbers["forgetting_added_mev_per_angstrom"]
    return (
        "Six steps: perturb and label, pre-fine-tune, explore, select, label, "
        "fine-tune with replay. Force error on the interface: zero-shot "
        f"{force['zero_shot']:.0f}, without replay {force['vanilla']:.0f}, FIRE "
        f"{force['fire']:.0f} meV/Å. Error added on pre-training data: without replay "
        f"{added['vanilla']:.0f}, FIRE {added['fire']:.0f} meV/Å."
    )


def _loop(numbers: dict[str, Any]) -> list[str]:
    """Draw the six steps in two columns; rounds go from the last back to the third."""
    steps = (
        ("1  Perturb, label", f"{numbers['perturbed']} rattled, strained cells"),
        ("2  Pre-fine-tune", "a first model of the interface"),
        ("3  Explore", f"dynamics: {numbers['candidates']:,} frames"),
        ("4  Select", f"SOAP, PCA, K-means: {numbers['selected']} frames"),
        ("5  Label", "xTB or a DFT code, each once"),
        ("6  Fine-tune with replay", "replay drawn anew each epoch"),
    )
    left, right, wide, tall = 30, 302, 238, 72
    places = [(left, 70), (left, 190), (left, 310), (right, 310), (right, 190)]
    places.append((right, 70))
    parts = [_text(30, 42, "One campaign", 20, bold=True)]
    for (x, y), (name, about) in zip(places, steps, strict=True):
        parts += [
            f'<rect class="box" x="{x}" y="{y}" width="{wide}" '
            f'height="{tall}" rx="8"/>',
            _text(x + 14, y + 31, name, 16, bold=True),
            _text(x + 14, y + 54, about, 13, look="quiet"),
        ]
    middle = left + wide / 2
    other = right + wide / 2
    parts += [
        _arrow((middle, 142), (middle, 188)),
        _arrow((middle, 262), (middle, 308)),
        _arrow((left + wide, 346), (right - 2, 346)),
        _arrow((other, 310), (other, 264)),
        _arrow((other, 190), (other, 144)),
        '<path class="arrow again" stroke-dasharray="5 4" '
        'd="M302 106 C 272 106, 290 280, 250 303"/>',
        '<path class="again-head" d="M244 308 l11.5 -11 l3.5 8 z"/>',
        _text(30, 418, "Dashed: the next round.", 13, look="quiet"),
    ]
    return parts


def _bars(numbers: dict[str, Any]) -> list[str]:
    force = numbers["force_rmse_mev_per_angstrom"]
    added = numbers["forgetting_added_mev_per_angstrom"]
    names = {"zero_shot": "zero-shot", "vanilla": "no replay", "fire": "FIRE"}
    looks = {"zero_shot": "zero", "vanilla": "vanilla", "fire": "fire"}
    x = 590
    first = [Bar(names[k], force[k], looks[k]) for k in names]
    second = [Bar(names[k], added[k], looks[k]) for k in ("vanilla", "fire")]
    about = f"LiCl/GaF₃, {numbers['test']} frames of an independent trajectory"
    return [
        _text(x, 42, "What it gave", 20, bold=True),
        _text(x, 86, "Force error on the interface, meV/Å", 16, bold=True),
        _text(x, 106, about, 13, look="quiet"),
        *_group(x, 122, first),
        _text(x, 272, "Forgetting, meV/Å", 16, bold=True),
        _text(x, 292, "force error added on held-out pre-training data", 13, "quiet"),
        *_group(x, 308, second),
        _text(x, 418, "GFN1-xTB labels, two CPU cores, no GPU.", 13, look="quiet"),
    ]


def _group(x: float, y: float, bars: list[Bar]) -> list[str]:
    """Draw bars on a scale of their own, the longest of full length."""
    parts = []
    scale = LONGEST / max(bar.value for bar in bars)
    for row, bar in enumerate(bars):
        top = y + 36 * row
        size = max(bar.value * scale, 3)
        parts += [
            _text(x, top + 19, bar.name, 14, bold=bar.look == "fire"),
            f'<rect class="{bar.look}" x="{x + 80}" y="{top}" width="{size:.1f}" '
            'height="27" rx="3"/>',
            _text(x + 88 + size, top + 19, f"{bar.value:.0f}", 15, bold=True),
        ]
    return parts


def _text(
    x: float, y: float, words: str, size: int, look: str = "", *, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    kind = f' class="{look}"' if look else ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}"'
    return f"<text {place}{weight}{kind}>{escape(words)}</text>"


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Draw a straight arrow along an axis; its point is at `end`."""
    (x0, y0), (x1, y1) = start, end
    is_upright = x0 == x1
    sign = (1 if y1 > y0 else -1) if is_upright else (1 if x1 > x0 else -1)
    side, back = 6, 10 * sign
    points = (
        f"{x1},{y1} {x1 - side},{y1 - back} {x1 + side},{y1 - back}"
        if is_upright
        else f"{x1},{y1} {x1 - back},{y1 - side} {x1 - back},{y1 + side}"
    )
    stop = (x1, y1 - back) if is_upright else (x1 - back, y1)
    return (
        f'<path class="arrow" d="M{x0} {y0} L{stop[0]} {stop[1]}"/>'
        f'<polygon class="head" points="{points}"/>'
    )


def main(arguments: list[str]) -> None:
    """Draw the picture, from new numbers where a file is named."""
    if arguments:
        results = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        text = json.dumps(numbers_of(results), indent=2) + "\n"
        NUMBERS.write_text(text, encoding="utf-8")
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    PICTURE.write_text(draw(numbers), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
