"""Facts about configs that are written: they load again, and hold what differs from defaults."""

import pytest
import yaml

from sweeps.config.description.written import cells_text, config_text
from sweeps.config.shipped import shipped_configs
from sweeps.config.sweep import Grid
from sweeps.config.yaml_file import config_from_mapping, load_config


@pytest.mark.parametrize("name", shipped_configs())
def test_a_config_that_was_written_is_the_config_again(name):
    config = load_config(name)
    assert config_from_mapping(yaml.safe_load(config_text(config, "."))) == config


def test_files_are_named_as_seen_from_the_folder_of_the_config(tmp_path):
    (tmp_path / "text.txt").write_text("some text")
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    first = tmp_path / "one" / "config.yaml"
    mapping = {"name": "a", "grid": {"width": 32, "tokens": 1e6}, "data": {"files": "../text.txt"}}
    first.write_text(yaml.safe_dump(mapping))
    second = tmp_path / "other" / "config.yaml"
    second.write_text(config_text(load_config(first), second.parent, ["a heading"]))
    assert second.read_text().startswith("# a heading\n")
    assert "../text.txt" in second.read_text()
    again = load_config(second)
    assert [str(tmp_path / "text.txt")] == [
        str((tmp_path / "other" / file).resolve()) for file in ["../text.txt"]
    ]
    assert again.data.files == (str(second.parent / "../text.txt"),)


def test_defaults_are_left_out_and_numbers_stay_short():
    config = load_config("quickstart")
    text = config_text(config, ".")
    assert "precision" not in text and "3.0e+10" in text


def test_cells_are_a_line_each():
    cells = (Grid(width=(8,), flops=(1e9,)), Grid(width=(16,), flops=(2e9, 4e9), seed=(3,)))
    assert cells_text(cells).splitlines() == [
        "- {width: [8], flops: [1.0e+9]}".replace("e+9", "e+09"),
        "- {width: [16], flops: [2.0e+09, 4.0e+09], seed: [3]}",
    ]
    assert cells_text(()) == ""
