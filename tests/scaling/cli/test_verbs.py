"""Facts about the `scaling` command: it prints what the library answers."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import analysis
from analysis.display import plain_values
from analysis.forecasting.forecast import forecast
from analysis.forecasting.question.options import ForecastOptions
from analysis.forecasting.question.targets import Targets
from scaling.cli import VERBS, main
from scaling.records import read_records
from scaling.version import installed_version

ROOT = Path(__file__).parents[3]


def test_help_imports_nothing_heavy():
    probe = (
        "import sys; sys.argv = ['scaling', 'fit', '--help']\n"
        "from scaling.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'matplotlib', 'pandas', 'scipy', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--huber-delta" in done.stdout


def test_the_bare_command_prints_its_help_and_version_the_installed_one(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(verb.__name__.rstrip("_") in printed for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == installed_version()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb.__name__.rstrip("_"), "--help"])
    assert ended.value.code == 0
    assert verb.__doc__.splitlines()[0][:20] in capsys.readouterr().out


def test_fit_prints_what_the_library_call_returns(runs, capsys):
    options = ["--law", "chinchilla", "--bootstrap", "50", "--level", "0.9", "--level", "0.5"]
    assert main(["fit", runs, *options, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {note["code"] for note in printed.pop("notes")} == {"understood", "filled in"}
    fitted = analysis.fit_law(runs, "chinchilla", bootstrap=50)
    assert printed == json.loads(json.dumps(plain_values(fitted.to_dict((0.9, 0.5)))))
    assert printed["limits"] == [vars(limit) for limit in fitted.limits]
    assert printed["constants"]["alpha"]["estimate"] == fitted.law.alpha
    spread = printed["constants"]["alpha"]["intervals"]
    assert spread["0.9"] == list(fitted.interval(lambda law: law.alpha, 0.9))
    assert spread["0.5"] == list(fitted.interval(lambda law: law.alpha, 0.5))
    assert (printed["law"], printed["n_runs"]) == ("chinchilla", 25)
    assert "reload" not in printed


def test_fit_writes_its_result_where_o_says(runs, tmp_path, capsys):
    target = tmp_path / "deep" / "fit.json"
    assert main(["fit", runs, "--law", "chinchilla", "--bootstrap", "0", "-o", str(target)]) == 0
    assert json.loads(target.read_text())["law"] == "chinchilla"
    assert "alpha" in capsys.readouterr().out


def test_the_frontier_leaves_out_runs_that_a_cheaper_one_beats(runs, capsys):
    assert main(["fit", runs, "--frontier", "--bootstrap", "0", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["n_runs"] < 25
    assert printed["n_runs"] + sum(printed["dropped"].values()) == 25
    assert main(["fit", runs, "--all-runs", "--bootstrap", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_runs"] == 25


def test_a_fixed_constant_stays_where_it_was_put(runs, capsys):
    options = ["--law", "chinchilla", "--fix", "E=1.8", "--bootstrap", "0", "--json"]
    assert main(["fit", runs, *options]) == 0
    assert json.loads(capsys.readouterr().out)["constants"]["E"]["estimate"] == 1.8


def test_cross_checks_and_card_are_printed_when_asked_for(runs, capsys):
    options = ["--law", "chinchilla", "--bootstrap", "50"]
    assert main(["fit", runs, *options, "--card", "--cross-checks"]) == 0
    printed = capsys.readouterr().out
    assert "approach 1 (envelope)" in printed
    assert "checklist" in printed
    assert main(["fit", runs, *options, "--cross-checks", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["cross_checks"]
    assert [check["approach"][:10] for check in checks] == ["approach 1", "approach 2"]


def test_a_reader_that_goes_away_ends_the_command_quietly(runs):
    command = f"{sys.executable} -m scaling fit {runs} --law chinchilla --json | head -c 10"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""


def test_fit_takes_bounds_and_ties(runs, capsys):
    options = ["--law", "chinchilla", "--bootstrap", "0"]
    assert main(["fit", runs, *options, "--bound", "E=2:", "--bound", "alpha=:.5", "--json"]) == 0
    bounded = json.loads(capsys.readouterr().out)
    assert bounded["bounds"] == {"E": [2.0, None], "alpha": [None, 0.5]}
    assert bounded["constants"]["E"]["estimate"] == 2.0
    assert main(["fit", runs, *options, "--bound", "E=2:"]) == 0
    assert "at its bound" in capsys.readouterr().out
    assert main(["fit", runs, *options, "--tie", "beta=alpha", "--json"]) == 0
    tied = json.loads(capsys.readouterr().out)["constants"]
    assert tied["alpha"]["estimate"] == tied["beta"]["estimate"]


def test_forecast_prints_what_forecast_returns(runs, capsys):
    assert main(["forecast", runs, "--params", "1e9", "--tokens", "1e11", "--json"]) == 0
    (printed,) = json.loads(capsys.readouterr().out)["targets"]
    (target,) = forecast(
        read_records(runs),
        Targets.runs([1e9], [1e11]),
        options=ForecastOptions(confidence_levels=(0.9,)),
    ).targets
    assert printed["median"] == target.median
    assert tuple(printed["intervals"]["0.9"]) == tuple(target.intervals[0.9])


def test_a_column_to_go_along_may_be_spelt_as_in_the_table(runs, capsys):
    printed = []
    for spelling in ("D", "tokens"):
        assert main(["forecast", runs, "--x", spelling, "--values", "2e10", "--json"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert main(["fit", runs, "--x", "D", "--where", "N > 5e7", "--bootstrap", "0"]) == 0


def test_targets_are_repeated_to_the_last_digit(runs, capsys):
    assert main(["forecast", runs, "--params", "1e9", "--tokens", "1e11", "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert (target["at"]["params"], target["at"]["tokens"]) == (1e9, 1e11)


def test_forecast_and_allocate_measure_one_distance(runs, capsys):
    budgets = ["--flops", "1e10", "1e19"]  # below all runs; beyond them most in size
    assert main(["forecast", runs, *budgets, "--json"]) == 0
    forecasts = json.loads(capsys.readouterr().out)["targets"]
    assert main(["allocate", runs, *budgets, "--json"]) == 0
    splits = json.loads(capsys.readouterr().out)
    for target, split in zip(forecasts, splits, strict=True):
        assert split["decades_beyond"] == pytest.approx(target["decades_beyond"])
        assert split["decades_beyond"] > 0.5
    assert main(["allocate", runs, *budgets, "--inference-tokens", "1", "--json"]) == 0
    low, _ = json.loads(capsys.readouterr().out)
    assert low["decades_beyond"] > 4  # 1e10 against runs from 6e14 FLOP


def test_splits_count_compute_as_the_table_does_with_limits_or_without(runs, tmp_path, capsys):
    table = pd.read_csv(runs)
    table["C"] = 4 * table["N"] * table["D"]
    path = tmp_path / "counted.csv"
    table.to_csv(path, index=False)
    command = ["allocate", str(path), "--flops", "1e20", "--law", "chinchilla", "--json"]
    assert main(command) == 0
    (plain,) = json.loads(capsys.readouterr().out)
    assert main([*command, "--inference-tokens", "1"]) == 0
    (served,) = json.loads(capsys.readouterr().out)
    for split in (plain, served):
        assert 4 * split["params"] * split["tokens"] == pytest.approx(1e20, rel=1e-6)


def test_backtest_prints_one_json_document(runs, capsys):
    assert main(["backtest", runs, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["overall"]["predictions"] > 0


def test_a_forecast_can_be_sealed_and_verified_later(
    runs, tracking_uri, tmp_path, monkeypatch, capsys
):
    assert main(["forecast", runs, "--params", "1e9", "--tokens", "1e11", "--seal", "bet"]) == 0
    landed = tmp_path / "landed.csv"
    row = "1e9,1e11,2.2\n"
    landed.write_text(Path(runs).read_text() + row)
    capsys.readouterr()
    assert main(["verify", "bet", str(landed), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (verdict,) = printed["verdicts"]
    assert verdict["measured"] == 2.2 and verdict["counted"]
    assert (printed["seal"]["number"], printed["count"], printed["published"]) == (1, 1, None)
    assert "not proved" in [limit["code"] for limit in printed["limits"]]
    landed.write_text(landed.read_text().replace("1e9,1e11,2.2", "1e9,1e11,2.3"))
    assert main(["verify", "bet", str(landed), "--published", "0" * 64]) == 0
    shown = capsys.readouterr().out
    assert "NOT COUNTED" in shown
    assert "first verified" in shown and "no seal of this store has the published digest" in shown
    lossless = tmp_path / "lossless.csv"
    lossless.write_text("N,D\n1e9,1e11\n")
    assert main(["verify", "bet", str(lossless)]) == 2
    assert 'no column "loss"' in capsys.readouterr().err


def test_a_forecast_that_does_not_reach_the_artifact_store_is_not_called_sealed(
    runs, tracking_uri, tmp_path, monkeypatch, capsys
):
    (tmp_path / "mlruns").write_text("a file where the folder of artifacts should be")
    assert main(["forecast", runs, "--params", "1e9", "--tokens", "1e11", "--seal", "bet"]) == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert '"bet" is not sealed' in complaint and "sealed as" not in complaint
    assert main(["verify", "bet"]) == 2
    assert 'no sealed forecast "bet"' in capsys.readouterr().err


def test_text_becomes_shards_that_a_sweep_can_name(tmp_path, capsys):
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"document {number}: " + "some text " * number)
    files, folder = str(tmp_path / "*.txt"), str(tmp_path / "shards")
    options = ["--validation-share", "0.2", "-o", folder, "--json"]
    assert main(["tokenize", files, *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {shard["split"] for shard in printed["shards"]} == {"train", "validation"}
    assert main(["tokenize", str(tmp_path / "*.absent"), "-o", folder]) == 2


@pytest.mark.slow
def test_all_sealed_forecasts_are_verified_from_their_own_sources(
    runs, tracking_uri, tmp_path, monkeypatch, capsys
):
    source = tmp_path / "growing.csv"
    source.write_text(Path(runs).read_text().replace("val_loss", "quality"))
    read = ["--columns", "loss=quality", "--where", "N > 1"]
    bet = ["--params", "1e9", "--tokens", "1e11"]
    for name in ("one", "two"):
        assert main(["forecast", str(source), *read, *bet, "--seal", name]) == 0
    source.write_text(source.read_text() + "1e9,1e11,2.2\n")
    capsys.readouterr()
    assert main(["verify", "--all", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [standing["seal"]["name"] for standing in printed] == ["one", "two"]
    assert all(standing["verdicts"][0]["measured"] == 2.2 for standing in printed)
    report = tmp_path / "report.html"
    assert main(["report", str(source), *read, "-o", str(report)]) == 0
    text = report.read_text()
    assert "Sealed forecasts and their verdicts" in text
    assert "2 sealed forecasts: 2 verdicts, 0 waiting" in text


def test_the_reverse_question_and_its_refusals(runs, capsys):
    assert main(["forecast", runs, "--target-loss", "2.2", "0.5", "--json"]) == 0
    near, beyond = json.loads(capsys.readouterr().out)
    low, high = near["ranges"]["0.9"]
    assert low < near["median"] < high
    assert beyond["median"] is None  # under the floor: no budget reaches it
    assert main(["forecast", runs, "--target-loss", "2.2", "0.5"]) == 0
    assert "unbounded" in capsys.readouterr().out


def test_allocate_says_which_law_answers(runs, capsys):
    assert main(["allocate", runs, "--flops", "1e20", "--json"]) == 0
    (plain,) = json.loads(capsys.readouterr().out)
    assert 6 * plain["params"] * plain["tokens"] == pytest.approx(1e20, rel=1e-6)
    low, high = plain["params_range"]["0.9"]
    assert low < plain["params"] < high
    serving = ["--inference-tokens", "1e11"]
    assert main(["allocate", runs, "--flops", "1e20", *serving, "--json"]) == 0
    (served,) = json.loads(capsys.readouterr().out)
    assert served["params"] < plain["params"]
    assert served["train_flops"] < served["budget"] == 1e20
    assert served["law"] == plain["law"]  # one engine, whatever the budget must pay for
    assert main(["allocate", runs, "--flops", "1e20", "--unique-tokens", "1e9"]) == 0
    assert "published, since these runs repeat no data" in capsys.readouterr().out


@pytest.mark.parametrize(
    "asked", [["--flops", "1e21", "1e22"], ["--params", "1e9", "--tokens", "1e10"]]
)
def test_a_forecast_is_drawn_where_asked(runs, asked, tmp_path, capsys):
    figure = tmp_path / "forecast.svg"
    assert main(["forecast", runs, *asked, "--draws", "200", "--figure", str(figure)]) == 0
    assert f"figure: {figure}" in capsys.readouterr().err
    assert figure.read_text().startswith("<?xml")


def test_an_answer_is_not_lost_where_its_figure_cannot_be_written(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    figure = tmp_path / "file" / "forecast.svg"
    asked = ["--flops", "1e21", "--draws", "200", "--json"]
    assert main(["forecast", runs, *asked, "--figure", str(figure)]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["targets"] and "cannot be written" in said.err


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_a_backtest_is_drawn_where_asked(runs, ending, tmp_path, capsys):
    figure = tmp_path / f"backtest.{ending}"
    assert main(["backtest", runs, "--figure", str(figure), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    assert figure.read_bytes().startswith(start)
