"""Facts about `scaling forecast --metric`: several at once, and each within its range."""

import json

import numpy as np
import pytest

from scaling.cli import main
from scaling.laws import Chinchilla
from scaling.records import write_records
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
