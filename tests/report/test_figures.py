"""Every figure is drawn from plain arrays into two files, without global state."""

from __future__ import annotations

import struct
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from fire_core.report import figures
from fire_core.report.data import MODEL_NAMES

DRAWN = {
    "pca_map": (figures.draw_pca_map, "pca"),
    "parity_forces": (figures.draw_force_parity, "parity"),
    "parity_energies": (figures.draw_energy_parity, "parity"),
    "learning_curves": (figures.draw_learning_curves, "learning_curves"),
    "stability": (figures.draw_stability, "stability"),
    "errors": (figures.draw_errors, "models"),
    "cost": (figures.draw_cost, "seconds"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_png_and_svg_have_the_promised_size(name, report_data, tmp_path):
    draw, source = DRAWN[name]
    files = draw(getattr(report_data, source), tmp_path / "new")
    assert (files.png.name, files.svg.name) == (f"{name}.png", f"{name}.svg")
    width, height = struct.unpack(">II", files.png.read_bytes()[16:24])
    assert width == pytest.approx(files.width * figures.DPI, abs=1)
    assert figures.ONE_COLUMN <= files.width <= 7.6
    root = ET.parse(files.svg).getroot()
    assert float(root.get("width")[:-2]) == pytest.approx(72 * files.width)
    assert 0.15 < height / width < 1.0


def test_parity_titles_state_the_rmse_of_the_arrays(report_data, tmp_path):
    files = figures.draw_force_parity(report_data.parity, tmp_path)
    drawn = files.svg.read_text(encoding="utf-8")
    for key, pairs in report_data.parity.items():
        away = pairs.force_model - pairs.force_label
        rmse = figures.format_short(1e3 * np.sqrt(np.mean(away**2)))
        assert f"<!-- RMSE {rmse} meV/Å -->" in drawn
        assert f"<!-- {MODEL_NAMES[key]} -->" in drawn


def test_each_model_has_its_own_colour_dash_and_marker():
    for style in (figures.COLOURS, figures.DASHES, figures.MARKERS):
        assert list(style) == list(MODEL_NAMES)
        assert len(set(style.values())) == len(MODEL_NAMES)


def test_colours_differ_in_lightness_too():
    """What a colour-blind reader or a grey print sees: luminance steps."""
    lightness = []
    for colour in figures.COLOURS.values():
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        lightness.append(float(rgb @ [0.2126, 0.7152, 0.0722]))
    assert min(np.diff(sorted(lightness))) > 8


def test_pyplot_is_not_loaded(report_data, tmp_path):
    before = "matplotlib.pyplot" in sys.modules  # another test may have loaded it
    figures.draw_cost(report_data.seconds, tmp_path)
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.2, "3.20"), (68.234, "68.2"), (367.6, "368"), (0.04, "0.0400"), (0.0, "0.00")],
)
def test_three_digits(value, text):
    assert figures.format_short(value) == text


def test_a_ramps_temperatures_are_few_on_the_map() -> None:
    ramp = np.linspace(300.0, 1200.0, 200)
    shown = figures._few_temperatures(ramp)
    assert len(np.unique(shown)) == figures.MOST_COLOURS
    assert np.abs(shown - ramp).max() <= 900.0 / (figures.MOST_COLOURS - 1) / 2 + 0.5
    two = np.array([300.0, 600.0, 300.0])
    assert np.array_equal(figures._few_temperatures(two), two)
