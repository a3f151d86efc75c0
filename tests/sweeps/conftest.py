"""A small text of our own, and configs that train on it in a second."""

import pytest

from sweeps.config.yaml_file import config_from_mapping


@pytest.fixture
def text_files(tmp_path):
    """Forty files of a kilobyte each, all different."""
    folder = tmp_path / "text"
    folder.mkdir()
    for number in range(40):
        lines = [f"{number * line} apples cost {number + line} coins.\n" for line in range(40)]
        (folder / f"{number:02}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def tiny_mapping(text_files):
    """A mapping of a sweep of two widths and one held-out run, about 50 steps each."""
    return {
        "name": "tiny",
        "grid": {"width": [16, 32], "tokens": 8000},
        "held_out": [{"width": 32, "tokens": 16000}],
        "model": {"context": 32, "head_size": 16},
        "data": {"files": [str(text_files / "*.txt")], "validation_windows": 16},
        "recipe": {"name": "cpt-adamw-tiny/1"},
        "launch": {"workers": 1, "device": "cpu"},
    }


@pytest.fixture
def tiny_config(tiny_mapping):
    return config_from_mapping(tiny_mapping)
