"""Facts about asking on the command line what budgets take."""

import json

import pytest

from scaling.cli import main
from tests.grids import grid_of_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("money") / "runs.csv"
    grid_of_runs(4, noise=0).to_csv(path, index=False)
    return str(path)


def asked(runs, *flags):
    return ["allocate", runs, "--flops", "1e19", "2e19", *flags]


def test_text_and_json_have_the_same_costs(runs, capsys):
    flags = ["--price", "2.5USD/h", "--mfu", ".4", "--devices", "4", "--device-memory", "80GB"]
    assert main(asked(runs, *flags, "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["currency"] == "USD" and len(document["budgets"]) == 2
    assert main(asked(runs, *flags)) == 0
    text = capsys.readouterr().out
    assert "cost USD" in text and "on 4 devices" in text
    for planned in document["budgets"]:
        assert f"{planned['cost']:.3g}" in text and f"{planned['device_hours']:.3g}" in text


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--price", "2USD/h"], "no run was timed"),
        (["--price", "2USD/h", "--price", "3EUR/h", "--mfu", ".4"], "in EUR and in USD"),
        (["--price", "2USD/h", "--price", "3USD/h", "--mfu", ".4"], "given twice"),
        (["--mfu", ".4", "--devices", "1.5"], "whole number"),
        (["--mfu", "40%", "--device", "\x1b[31mGPU\n9"], "is not known"),
        (["--unique-tokens", "0", "--mfu", ".4"], "unique tokens"),
    ],
)
def test_what_cannot_be_told_is_one_line_and_exit_code_2(runs, flags, said, capsys):
    assert main(asked(runs, *flags)) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert said in line and "\x1b" not in line and printed.out == ""


@pytest.mark.parametrize("price", ["", "USD/h", "two/h", "2USD3EUR/h", "-1/h"])
def test_what_is_no_price_is_refused_by_its_flag(runs, price, capsys):
    with pytest.raises(SystemExit) as refused:
        main(asked(runs, f"--price={price}", "--mfu", ".4"))
    assert refused.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--price" in line


def test_devices_and_a_deadline_need_no_budget(runs, capsys):
    flags = ["--mfu", ".4", "--devices", "2", "--deadline", "5h", "--json"]
    assert main(["allocate", runs, *flags]) == 0
    (planned,) = json.loads(capsys.readouterr().out)["budgets"]
    assert planned["wall_hours"] == pytest.approx(5)
    assert main(["allocate", runs, "--mfu", ".4", "--devices", "2"]) == 2
    assert "--deadline" in capsys.readouterr().err
