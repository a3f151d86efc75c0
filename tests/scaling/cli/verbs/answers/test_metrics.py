"""Facts about `scaling forecast --metric`: several at once, and each within its range."""

import json
import re
from html import unescape

import numpy as np
import pytest

from scaling.cli import main
from scaling.laws import Chinchilla
from scaling.records import read_records, write_records
from scaling.simulate import isoflop_runs, simulate_records

LAW = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    runs = isoflop_runs(np.geomspace(1e16, 1e19, 5), [0.5, 1.0, 2.0], LAW)
    records = simulate_records(LAW, runs, relative_noise=0.003, seed=1)
    loss = records.column("loss")
    records.table["accuracy"] = 0.25 + 0.75 / (1 + np.exp(4 * (loss - 3)))
    records.table["answer_bpb"] = 0.4 * loss
    path = tmp_path_factory.mktemp("metrics") / "runs.csv"
    write_records(records, path)
    return str(path)


def test_an_accuracy_and_a_proxy_of_it_are_answered_in_one_call(table, capsys):
    several = ("--metric", "accuracy", "--metric", "answer_bpb")
    assert main(["forecast", table, *several, "--flops", "3e19", "--json"]) == 0
    accuracy, proxy = json.loads(capsys.readouterr().out)
    assert 'not "answer_bpb"' in accuracy["notes"][0]["text"]  # each has how its own runs were read
    assert proxy["notes"][0]["text"] == 'columns: loss = "answer_bpb"'
    (target,) = accuracy["targets"]
    assert 0 <= target["intervals"]["0.9"][0] <= target["median"] <= target["intervals"]["0.9"][1]
    assert target["intervals"]["0.9"][1] <= 1 and len(target["routes"]) == 2
    truth = 0.4 * LAW.loss(target["at"]["params"], target["at"]["tokens"])
    assert proxy["targets"][0]["median"] == pytest.approx(truth, rel=0.03)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--seal", "one", "--flops", "3e19"), "--seal is of losses"),
        (("--target-loss", "2"), "--target-loss is of losses"),
        (("--law", "chinchilla", "--flops", "3e19"), "--law is of losses"),
        ((), "nothing to predict"),
        (("--metric", "accuracy", "--flops", "3e19"), "names a column twice"),
    ],
)
def test_what_only_losses_answer_is_refused_of_a_range(table, capsys, flags, said):
    assert main(["forecast", table, "--metric", "accuracy", *flags]) == 2
    assert said in capsys.readouterr().err


def test_other_verbs_take_one_metric(table, capsys):
    assert main(["fit", table, "--metric", "accuracy", "--metric", "answer_bpb"]) == 2
    assert "`scaling forecast` takes several" in capsys.readouterr().err


def test_a_metric_that_the_table_lacks_is_one_line(table, capsys):
    assert main(["forecast", table, "--metric", "f1", "--flops", "3e19"]) == 2
    assert 'no column "f1"' in capsys.readouterr().err
    assert main(["forecast", table, "--metric", "acc", "--flops", "3e19"]) == 2
    assert 'no column "acc"; did you mean "accuracy"?' in capsys.readouterr().err


@pytest.mark.parametrize("verb", [("fit",), ("forecast", "--flops", "3e19"), ("backtest",)])
def test_a_metric_of_unknown_direction_that_does_not_fall_is_asked_about(table, capsys, verb):
    name, *flags = verb
    records = read_records(table)
    path = table.replace("runs.csv", "odd.csv")
    records.table.assign(merit=records.table["accuracy"]).to_csv(path, index=False)
    assert main([name, path, "--metric", "merit", *flags]) == 2
    said = capsys.readouterr().err
    assert '"merit" does not fall with train_flops' in said and "--better higher" in said
    assert main([name, path, "--metric", "merit", "--better", "higher", *flags, "-q"]) in (0, 2)
    assert "does not say" not in capsys.readouterr().err
    assert main([name, path, "--metric", "answer_bpb", *flags, "-q"]) == 0


def test_a_forecast_of_a_metric_carries_the_limits_of_the_loss_that_it_goes_through(table, capsys):
    ask = ["forecast", table, "--flops", "1e22", "--json"]
    assert main(ask) == 0
    of_loss = json.loads(capsys.readouterr().out)["limits"]
    assert main([*ask, "--metric", "accuracy"]) == 0
    of_metric = json.loads(capsys.readouterr().out)[0]["limits"]
    assert of_loss
    for limit in of_loss:
        text = f"the loss that it goes through: {limit['text']}"
        assert {"code": limit["code"], "text": text} in of_metric


def test_a_report_on_an_accuracy_forecasts_it_and_the_loss(table, tmp_path, capsys):
    page = tmp_path / "page.html"
    asked = ["--metric", "accuracy", "--flops", "3e19"]
    assert main(["report", table, *asked, "-o", str(page)]) == 0
    assert main(["forecast", table, *asked, "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)[0]["targets"]
    text = unescape(re.sub(r"<[^>]+>", " ", page.read_text()))
    assert f"accuracy should be {target['median']:.4f}" in text
    assert "1 - accuracy" not in text and "nats per token" in text
    assert "accuracy against compute" in text


def test_a_report_on_an_accuracy_without_a_loss_is_on_what_is_missing_to_it(table, tmp_path):
    records, page = read_records(table), tmp_path / "page.html"
    path = tmp_path / "bare.csv"
    records.table.drop(columns=["loss", "answer_bpb"]).to_csv(path, index=False)
    asked = ["--metric", "accuracy", "--better", "higher", "-o", str(page)]
    assert main(["report", str(path), *asked]) == 0
    assert "1 - accuracy" in page.read_text()


def test_allocate_points_to_the_verb_that_knows_the_budget_for_a_loss(table, capsys):
    assert main(["allocate", table, "--target-loss", "2.5"]) == 2
    assert "`scaling forecast SOURCE --target-loss 2.5`" in capsys.readouterr().err
    assert main(["allocate", table]) == 2
    assert "no budget to split; give one or more with --flops C" in capsys.readouterr().err


def test_one_metric_is_drawn_where_asked_and_several_are_not(table, tmp_path, capsys):
    figure = tmp_path / "accuracy.svg"
    asked = ["forecast", table, "--metric", "accuracy", "--flops", "3e19", "--figure", str(figure)]
    assert main(asked) == 0
    assert "accuracy" in figure.read_text() and f"figure: {figure}" in capsys.readouterr().err
    figure.unlink()
    assert main([*asked, "--metric", "answer_bpb"]) == 2
    assert "more than one --metric has none" in capsys.readouterr().err
    assert not figure.exists()
