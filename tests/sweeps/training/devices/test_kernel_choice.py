"""Facts about the choice between fused kernels, plain operations and compiled blocks."""

import dataclasses

import pytest
import torch

from scaling.errors import ConfigError
from sweeps.config.launch import LaunchConfig, SpeedConfig
from sweeps.models.kernels.fused import ALL, PLAIN, Fused
from sweeps.planning.plan import plan_sweep
from sweeps.training.devices import kernel_choice
from sweeps.training.devices.kernel_choice import Sizes, choose_kernels, chosen, compiles

CPU = torch.device("cpu")
SIZES = Sizes(width=16, head_size=8, vocab_size=11, squares=True)


@pytest.fixture(autouse=True)
def without_memory():
    chosen.cache_clear()
    yield
    chosen.cache_clear()


@pytest.fixture
def run(tiny_config):
    return plan_sweep(tiny_config).runs[0]


def pretended(**milliseconds):
    """A clock by which the named kernels take so long, and everything else 10 ms."""

    def seconds(work, fused):
        (name,) = fused.names or (None,)
        return milliseconds.get(name, 10) / 1e3

    return seconds


def test_each_operation_is_fused_where_that_is_faster():
    clock = pretended(norm=5, heads=20, mlp=9, loss=1)
    choice = chosen(SIZES, CPU, torch.float32, measured=True, seconds=clock)
    assert choice.fused == Fused(norm=True, heads=False, mlp=True, loss=True)
    assert dict(choice.ratios) == pytest.approx(
        {"norm": 2, "heads": 0.5, "mlp": 10 / 9, "loss": 10}
    )
    assert choice.notes == ()


def test_without_a_measurement_all_is_fused_that_the_model_has():
    assert chosen(SIZES, CPU, torch.bfloat16, measured=False).fused == ALL
    gated = SIZES._replace(squares=False)
    assert chosen(gated, CPU, torch.float32, measured=False).fused == ALL._replace(mlp=False)
    linear = Sizes(width=16, head_size=0, vocab_size=11, squares=False)
    assert chosen(linear, CPU, torch.float32, measured=False).fused == Fused(loss=True)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda found: (_ for _ in ()).throw(ImportError("No module named 'triton'")),
            "ImportError: No",
        ),
        (lambda found: [1.5 * one for one in found], "is off by 0.5: not used"),
        (lambda found: [one * float("nan") for one in found], "is off by nan: not used"),
    ],
)
def test_a_kernel_that_fails_or_is_wrong_leaves_its_twin_and_a_note(monkeypatch, spoil, said):
    original = kernel_choice.works

    def spoilt(*arguments):
        found = original(*arguments)
        right = found["heads"]
        found["heads"] = lambda fused: spoil(right(fused)) if fused.heads else right(fused)
        return found

    monkeypatch.setattr(kernel_choice, "works", spoilt)
    choice = chosen(SIZES, CPU, torch.float32, measured=False)
    assert choice.fused == ALL._replace(heads=False)
    (note,) = choice.notes
    assert "fused kernel heads" in note
    assert said in note


def test_a_cpu_has_no_kernels_and_plain_asks_for_none(run):
    assert choose_kernels(run, LaunchConfig(), CPU).fused == PLAIN
    launch = LaunchConfig(speed=SpeedConfig(kernels="plain"))
    assert choose_kernels(run, launch, torch.device("meta")).fused == PLAIN


def of_seconds(run, seconds):
    """The run, and a launch by whose rate it takes so long."""
    speed = SpeedConfig(flops_per_second=run.train_flops / seconds)
    return run, LaunchConfig(speed=speed)


def test_blocks_are_compiled_where_nothing_is_fused_and_the_run_is_long(run):
    for seconds, fused, on_gpu, expected in (
        (301, PLAIN, True, True),
        (299, PLAIN, True, False),
        (3000, ALL, True, False),
        (3000, PLAIN, False, False),
    ):
        one, launch = of_seconds(run, seconds)
        assert compiles([one], launch, fused, on_gpu) is expected
    short, launch = of_seconds(run, 200)
    other = dataclasses.replace(short, seed=7)
    assert compiles([short, other], launch, PLAIN, True)  # a pack is compiled once


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_said_of_compiling_counts(run, wanted):
    launch = LaunchConfig(speed=SpeedConfig(compile=wanted))
    assert compiles([run], launch, ALL, True) is wanted


def test_words_that_mean_nothing_are_refused():
    with pytest.raises(ConfigError, match=r'launch.speed.compile is "maybe"; it must be true'):
        SpeedConfig(compile="maybe")
    with pytest.raises(ConfigError, match=r'launch.speed.kernels is "triton"; choose one of auto'):
        SpeedConfig(kernels="triton")
