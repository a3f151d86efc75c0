"""Facts about limits in JSON: one name, one form and known codes, whatever verb answers."""

import json

import pytest

from scaling.cli import main
from scaling.limits import LimitCode
from tests.grids import grid_of_runs

#: What limits had been called before they had one name.
OLD_NAMES = {"refusal", "refusals", "trend_refusal", "unsupported_because", "warnings"}
FAR, NEAR = ["1e28"], ["1e20"]
QUESTIONS = {
    "fit": ["--bootstrap", "20", "--law", "chinchilla", "--cross-checks"],
    "fit along a column": ["--bootstrap", "0", "--x", "tokens", "--where", "N > 5e7"],
    "forecast": ["--flops", *NEAR, *FAR],
    "forecast of a budget": ["--target-loss", "2.2", "0.5"],
    "backtest": [],
    "allocate": ["--flops", *NEAR, *FAR],
    "allocate with inference": ["--flops", *NEAR, *FAR, "--inference-tokens", "1e9"],
    "health": [],
    "verify": [],
    "verify all": [],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A noisy ladder of 16 runs, one of them diverged, whose spikes were counted."""
    table = grid_of_runs(4).rename(columns={"params": "N", "tokens": "D"}).assign(spikes=0)
    table["status"] = ["diverged", *["finished"] * 15]
    path = tmp_path_factory.mktemp("limits") / "runs.csv"
    table.to_csv(path, index=False)
    return str(path)


def all_values(document, name):
    """Every value under a key of this name, however deep."""
    if isinstance(document, dict):
        found = [value for key, value in document.items() if key == name]
        return found + [one for value in document.values() for one in all_values(value, name)]
    if isinstance(document, list):
        return [one for value in document for one in all_values(value, name)]
    return []


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_answer_in_json_says_under_one_name_what_limits_it(
    question, runs, tracking_uri, capsys
):
    verb, *_ = question.split()
    asked = [verb, *([] if verb == "verify" else [runs]), *QUESTIONS[question], "--json"]
    if verb == "verify":
        assert main(["forecast", runs, "--params", "1e9", "--tokens", "1e11", "--seal", "bet"]) == 0
        asked[1:1] = ["--all"] if question == "verify all" else ["bet"]
        capsys.readouterr()
    assert main(asked) == 0
    document = json.loads(capsys.readouterr().out)
    for answer in document if isinstance(document, list) else [document]:
        assert "limits" in answer
    for limits in all_values(document, "limits"):
        for limit in limits:
            assert limit.keys() == {"code", "text"}
            assert LimitCode(limit["code"]) and limit["text"]
    for name in OLD_NAMES:
        assert not all_values(document, name)


def test_what_cannot_be_answered_far_out_has_the_code_for_it(runs, capsys):
    codes = {}
    for verb in ("forecast", "allocate"):
        assert main([verb, runs, "--flops", *NEAR, *FAR, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        answers = document["targets"] if verb == "forecast" else document
        codes[verb] = ["unsupported" in [one["code"] for one in a["limits"]] for a in answers]
    assert codes == {"forecast": [False, True], "allocate": [False, True]}
