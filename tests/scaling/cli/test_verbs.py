"""Facts about the `scaling` command: it mirrors the library; a mistake is one line, code 2."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import analysis
from analysis.forecasting.forecast import forecast
from analysis.forecasting.options import ForecastOptions
from analysis.forecasting.targets import Targets
from analysis.text.tables import plain_values
from scaling.cli import VERBS, main
from scaling.records import read_records
from scaling.version import installed_version
from tests.grids import grid_of_runs

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A noisy ladder of 25 runs as a CSV, under other people's column names."""
    path = tmp_path_factory.mktemp("cli") / "runs.csv"
    theirs = {"params": "N", "tokens": "D", "loss": "val_loss"}
    grid_of_runs(5).rename(columns=theirs).to_csv(path, index=False)
    return str(path)


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


def test_a_table_of_points_keeps_its_columns_and_order(runs, tmp_path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("label,N,D\nbig,1e9,1e11\nsmall,2e8,2e10\n")
    predictions = tmp_path / "predictions.csv"
    levels = ["--level", "0.9", "--level", "0.5"]
    assert main(["forecast", runs, "--at", str(points), *levels, "-o", str(predictions)]) == 0
    table = pd.read_csv(predictions)
    assert list(table["label"]) == ["big", "small"]
    assert list(table.columns)[3:] == ["median", "low_90", "high_90", "low_50", "high_50"]
    assert (table["low_90"] < table["low_50"]).all()


def test_the_rest_of_a_table_of_points_is_kept_to_the_letter(runs, tmp_path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("id,N,D,note\n007,1e9,1.50e11,NA\n010,2e8,20000000000,\n")
    assert main(["forecast", runs, "--at", str(points)]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(",")[:4] for row in rows] == [
        ["007", "1e9", "1.50e11", "NA"],
        ["010", "2e8", "20000000000", ""],
    ]


def test_points_are_understood_in_the_spelling_of_the_runs(runs, tmp_path, capsys):
    table, points = tmp_path / "mine.csv", tmp_path / "points.csv"
    table.write_text(Path(runs).read_text().replace("N,D", "my_n,my_d"))
    points.write_text("my_n,my_d\n1e9,1e11\n")
    columns = ["--columns", "params=my_n", "--columns", "tokens=my_d"]
    assert main(["forecast", str(table), *columns, "--at", str(points)]) == 0
    mine = capsys.readouterr().out.splitlines()[1]
    points.write_text("N,D\n1e9,1e11\n")
    assert main(["forecast", runs, "--at", str(points)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == mine


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ("N,D\n1e9,1e11\n,1e11\n", "params is blank (point 2)"),
        ("N,D\n1e9,lots\n", 'tokens is "lots", not a number (point 1)'),
        ("N,D,N\n1e9,1e11,1e9\n", 'two columns are named "N"'),
        ("N,D,median\n1e9,1e11,2\n", 'column "median" exists already'),
        ("N,D\n", "no rows"),
        ("N,D\n1e9,1e11,3\n", "more fields than the header"),
        ("", "cannot be read"),
    ],
)
def test_points_that_cannot_be_read_are_named(runs, points, says, tmp_path, capsys):
    path = tmp_path / "points.csv"
    path.write_text(points)
    assert main(["forecast", runs, "--at", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert says in printed.err


@pytest.mark.parametrize(
    "points",
    [
        "N;D;note\n1,5e9;1,25e11;a\n2e9;1e11;1,5\n",
        'N,D,note\n"1,5e9","1,25e11",a\n2e9,1e11,"1,5"\n',
        "# mine\nN\tD\tnote\n1.5e9\t125B\ta\n2e9\t1e11\t1,5\n",
    ],
    ids=["semicolons", "quoted", "tabs"],
)
def test_points_are_read_as_tables_are_and_kept_to_the_letter(runs, points, tmp_path, capsys):
    path = tmp_path / "points.csv"
    path.write_text(points)
    asked = ["forecast", runs, "--law", "chinchilla", "--at", str(path)]
    assert main([*asked, "--json"]) == 0
    targets = json.loads(capsys.readouterr().out)["targets"]
    assert [(t["at"]["params"], t["at"]["tokens"]) for t in targets] == [
        (1.5e9, 1.25e11),
        (2e9, 1e11),
    ]
    assert main(asked) == 0
    assert ',"1,5",' in capsys.readouterr().out  # a note, which is no number of ours


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


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_a_backtest_is_drawn_where_asked(runs, ending, tmp_path, capsys):
    figure = tmp_path / f"backtest.{ending}"
    assert main(["backtest", runs, "--figure", str(figure), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    assert figure.read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["backtest", "{runs}", "--figure", "curve.docx"], "no figure of that kind"),
        (["forecast", "{runs}", "--target-loss", "0"], "above zero"),
        (["allocate", "{runs}", "--flops", "0"], "above zero"),
        (["allocate", "{runs}", "--flops", "1e20", "--unique-tokens", "0"], "above zero"),
        (["allocate", "{runs}", "--flops", "1e20", "--law", "power_law"], "choose auto or one of"),
        (["allocate", "{runs}", "--flops", "1e20", "--level", "90"], "between 0 and 1"),
        (["allocate", "{runs}", "--flops", "1e20", "--inference-tokens", "nan"], "finite number"),
        (["allocate", "{runs}", "--flops", "1e20", "--unique-tokens", "inf"], "finite number"),
        (["allocate", "{runs}", "--flops", "1e20", "--where", "N < 2e6"], "scaling forecast --x"),
        (["allocate", "{runs}", "--flops", "1e20", "--inference-tokens", "1e30"], "uses up"),
        (["verify"], "--all"),
        (["fit", "absent.csv"], "no such file"),
        (["fit", "{runs}", "--columns", "loss=nothing"], 'names no column "nothing"'),
        (["fit", "{runs}", "--where", "N near 5"], "column op value"),
        (["fit", "{runs}", "--where", "N > 1e30"], "no row is left"),
        (["fit", "{runs}", "--law", "chinchila"], "chinchilla"),
        (["fit", "{runs}", "--fix", "c=1", "--fix", "c=2"], "given twice"),
        (["fit", "{runs}", "--fix", "E"], "not of the form name=value"),
        (["fit", "{runs}", "--fix", "E=low"], "is no number and no column"),
        (["fit", "{runs}", "--x", "D"], "differ in what the law does not see"),
        (["fit", "{runs}", "--bound", "c=2"], "not of the form name=value"),
        (["fit", "{runs}", "--bound", "c=3:2"], "not below"),
        (["fit", "{runs}", "--bound", "c=nan:2"], "not of the form name=value"),
        (["fit", "{runs}", "--tie", "q=2"], "no constant q"),
        (["fit", "{runs}", "--law", "chinchilla", "--tie", "beta=import"], "not an expression"),
        (["fit", "{runs}", "--bootstrap", "1"], "10 at least"),
        (["fit", "{runs}", "--x", "nothing"], 'no column "nothing"'),
        (["fit", "{runs}", "--law", "chinchilla", "--where", "N < 5e6"], "chinchilla"),
        (["forecast", "{runs}"], "nothing to predict"),
        (["forecast", "{runs}", "--flops", "0"], "above zero"),
        (["forecast", "{runs}", "--flops=-1e20"], "above zero"),
        (["forecast", "{runs}", "--params", "1e9", "--tokens", "1e10", "2e10"], "pair up"),
        (["forecast", "{runs}", "--flops", "1e21", "--level", "1.5"], "between 0 and 1"),
        (["forecast", "{runs}", "--flops", "1e21", "--level", ".9999"], "needs 10000 draws"),
        (["forecast", "{runs}", "--target-loss", "2.2", "--level", "90"], "between 0 and 1"),
        (["forecast", "{runs}", "--target-loss", "2.2", "--seal", "bet"], "not --target-loss"),
        (["forecast", "{runs}", "--at", "points.csv", "--seal", "bet"], "not --at"),
        (["forecast", "{runs}", "--flops", "1e21", "--publish"], "name it with --seal"),
        (["forecast", "{runs}", "--flops", "1e21", "--seal", ""], "a name holds"),
        (["forecast", "{runs}", "--flops", "1e21", "--target-loss", "2"], "one at a time"),
        (["forecast", "{runs}", "--flops", "1e21", "--params", "1e9"], "one at a time"),
        (["forecast", "{runs}", "--at", "points.csv", "--flops", "1e21"], "one at a time"),
        (["forecast", "{runs}", "--params", "1e9"], "pair up"),
        (["forecast", "{runs}", "--values", "1e9"], "name it with --x"),
        (["forecast", "{runs}", "--at", "absent.csv"], "cannot be read"),
        (["fit", "mlflow:nothing"], "no such database"),
        (["verify", "nothing"], "no sealed forecast"),
        (["plan", "absent.yaml"], "absent.yaml"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    runs, arguments, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    assert main([part.replace("{runs}", runs) for part in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    assert says in printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["fitt"],
        ["fit"],
        ["fit", "runs.csv", "--lwa", "m4"],
        ["fit", "runs.csv", "--seed", "-1"],
        ["allocate", "runs.csv", "--flops", "1e20", "--x", "tokens"],  # it knows no such column
    ],
)
def test_a_mistyped_command_is_one_line_and_exit_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_an_unreachable_server_is_one_line_and_exit_code_two(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["fit", "mlflow:anything"]) == 2
    assert "does not answer" in capsys.readouterr().err


def test_a_launch_beyond_its_budget_or_large_and_unconfirmed_is_refused_before_it_starts(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal: nobody to ask
    command = ["run", "quickstart", "--set"]
    assert main([*command, "budget.flops=1"]) == 2
    assert "more than budget.flops 1; drop or exclude runs" in capsys.readouterr().err
    assert main([*command, "budget.ask_above_device_hours=1e-6"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()
