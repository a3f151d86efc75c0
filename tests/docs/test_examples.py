"""Facts about the examples: each runs as it stands, and draws something."""

import runpy

import matplotlib
import pytest
from matplotlib import pyplot as plt

from tests.docs.blocks import ROOT

matplotlib.use("Agg")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_draws(path, capsys):
    try:
        runpy.run_path(str(path), run_name="__main__")
        assert plt.get_fignums() and capsys.readouterr().out
    finally:
        plt.close("all")


def test_the_figures_of_the_documents_can_be_drawn(tmp_path):
    """The cheapest of them: their imports and those of all others are of names that exist."""
    from docs.figures import FIGURES, FOLDER, OF_SEVERAL_AXES, draw

    by_benchmarks = {"objectives"}  # its page says which command
    drawn = {*FIGURES, *OF_SEVERAL_AXES, *by_benchmarks}
    assert {path.stem for path in FOLDER.glob("*.svg")} == drawn
    for name in ("schedules", "decoder_contexts"):
        draw(name, tmp_path / f"{name}.svg")
        assert "<svg" in (tmp_path / f"{name}.svg").read_text()
