"""Facts about config files: what they may say, and how mistakes are answered."""

import pytest

from scaling.errors import ConfigError
from sweeps.config.sweep import Grid, SweepConfig
from sweeps.config.yaml_file import load_config

GOOD = """
name: tiny
grid: {width: [32, 64], flops: [1e9, 3e9], seed: 1}
"""


@pytest.fixture
def write(tmp_path):
    def write_text(text):
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


def test_a_file_states_only_what_differs_from_the_defaults(write):
    config = load_config(write(GOOD))
    assert config == SweepConfig(
        name="tiny", grid=Grid(width=(32, 64), flops=(1e9, 3e9), seed=(1,))
    )


@pytest.mark.parametrize("override", ["=3", "grid..width=3", "model.=3"])
def test_an_override_of_an_empty_key_is_refused_not_skipped(write, override):
    with pytest.raises(ConfigError, match="a key is never empty"):
        load_config(write(GOOD), [override])


def test_overrides_replace_single_values(write):
    config = load_config(write(GOOD), ["grid.seed=[4, 5]", "--model.context=32", "grid.flops=2e9"])
    assert config.grid.seed == (4, 5)
    assert config.grid.flops == (2e9,)
    assert config.model.context == 32
    assert config.grid.width == (32, 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\ngrid: {widht: 3}", 'unknown key "grid.widht"; did you mean "width"'),
        ("name: a\nlunch: {}", 'unknown key "lunch"; did you mean "launch"'),
        ("name: a\ngrid: {'': 3}", 'unknown key "grid."; a key is never empty'),
        ("name: a\ncells: [{flop: 3}]", r'unknown key "cells\[0\].flop"; did you mean "flops"'),
        ("name: a\ngrid: {width: wide}", "grid.width is 'wide'; it must be a whole number"),
        (
            "name: a\ngrid: {width: 32.5, flops: 1e9}",
            "grid.width is 32.5; .* a whole number",
        ),
        ("name: a\nmodel: 3", "model is 3"),
        ("grid: {width: 32, flops: 1e9}", "name is missing"),
        ("name: a", "the grid is empty"),
        ("name: a\ngrid: {width: [], flops: 1e9}", "the grid is empty"),
        ("name: a\ngrid: {width: 32}", "exactly one of tokens, tokens_per_param, flops"),
        ("name: a\ngrid: {width: 32, flops: 1, tokens: 1}", "given: tokens and flops"),
        ("name: a\ngrid: {width: 0, flops: 1e9}", "width holds 0"),
        ("name: a\ngrid: {width: 32, flops: -1e9}", "flops holds -1e"),
        ("name: a\ngrid: {width: 32, flops: .nan}", "grid.flops is nan; it must be a number up to"),
        ("name: a\ngrid: {width: 32, flops: 1e9, seed: -1}", "seed holds -1"),
        ("name: a\ngrid: {width: 32, flops: 1e9}\nmodel: {head_size: 0}", "head_size is 0"),
        ("name: a\ngrid: {width: 33, flops: 1e9}\nmodel: {head_size: 11}", "even"),
        ("name: a\ngrid: {width: 32, flops: 1e9}\ndata: {tokenizer: bpe}", "choose one of bytes"),
        ("name: a\ngrid: {width: 32, flops: 1e9}\ndata: {validation_share: 1}", "between 0 and 1"),
        ("name: a\ngrid: {width: [32", "line 2"),
        ("- a list", "holds no settings"),
        ("", "holds no settings"),
    ],
)
def test_a_mistake_is_one_line_that_begins_with_the_file(write, text, message):
    path = write(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_binary_one_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "nowhere.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(binary)


def test_an_override_without_a_value_is_refused(write):
    with pytest.raises(ConfigError, match="key.path=value"):
        load_config(write(GOOD), ["grid.seed"])
    with pytest.raises(ConfigError, match='did you mean "seed"'):
        load_config(write(GOOD), ["grid.sede=3"])


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        (["grid.seed"], "--set grid.seed: "),
        (["grid.seed=[4, 5]", "model.head_size=7"], "--set model.head_size=7: "),
        (["grid.seed=3", "grid.sede=3", "grid.seed=4"], "--set grid.sede=3: "),
        (["grid.flops=[1"], r"--set grid.flops=\[1: "),
    ],
)
def test_a_mistake_in_an_override_is_not_blamed_on_the_file(write, overrides, where):
    with pytest.raises(ConfigError, match=f"^{where}"):
        load_config(write(GOOD), overrides)
    broken = write("name: a\ngird: {}\n")
    with pytest.raises(ConfigError, match=f"^{broken}: "):
        load_config(broken, ["name=b"])


def test_paths_of_a_file_belong_to_its_folder_and_those_of_overrides_to_the_current_one(tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    path = folder / "one.yaml"
    path.write_text(
        "{name: one, grid: {width: 16, tokens: 1e6}, "
        "data: {files: [text/*.txt, /abs/*.txt, ~/x], tokenizer: own/tokenizer.json}}"
    )
    data = load_config(path).data
    assert data.files == (f"{folder}/text/*.txt", "/abs/*.txt", "~/x")
    assert data.tokenizer == f"{folder}/own/tokenizer.json"
    assert load_config(path, ["data.tokenizer=bytes"]).data.tokenizer == "bytes"
    assert load_config(path, ["data.files=[here/*.txt]"]).data.files == ("here/*.txt",)
    assert load_config(path).launch.checkpoints.folder == "checkpoints"  # a result


@pytest.mark.parametrize(
    "text, message",
    [
        ("{width: 16310000000000000000000000000000}", "must be a number up to 2.1"),
        ("{width: 2000000, flops: 1e9}", "at most 1,000,000"),
        ("{width: 32, depth: 20000, flops: 1e9}", "at most 10,000"),
        ("{width: 32, flops: 1e308}", "must be a number up to 1e\\+30"),
        ("{width: 32, tokens: 1e-300}", "must be 0, or at least 1e-30"),
        (
            f"{{width: 32, flops: 1e9, seed: [{','.join(map(str, range(1000)))}], "
            f"depth: [{','.join(map(str, range(1, 102)))}]}}",
            "holds 101,000 runs; .* at most 100,000",
        ),
    ],
)
def test_numbers_have_bounds_that_are_named(write, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(f"name: a\ngrid: {text}"))


def test_a_config_may_come_from_a_pipe_and_is_read_to_its_bound():
    with pytest.raises(ConfigError, match="/dev/zero: .*"):
        load_config("/dev/zero")


def test_a_key_into_a_list_is_answered_with_the_whole_list(write):
    path = write("name: a\ngrid: {width: 32, flops: 1e9}\nheld_out: [{width: 32, flops: 1e10}]")
    with pytest.raises(ConfigError, match="--set held_out.0.flops=1e11: .* give the whole list"):
        load_config(path, ["held_out.0.flops=1e11"])


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match="a folder; name a YAML file"):
        load_config(tmp_path)
