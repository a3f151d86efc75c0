"""Facts about control characters: whatever a table, a name or an answer holds, none is obeyed."""

import pytest

from scaling.cli import main
from scaling.store.run_store import RunStore

ESCAPE = "\x1b]0;owned\x07\x1b[31m"


@pytest.fixture
def table(tmp_path):
    rows = [f"run{ESCAPE}{n},{n}e6,{n}e7,{4 - n / 10},note{ESCAPE}" for n in range(1, 9)]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([f"run_id,params,tokens,loss,my {ESCAPE} note", *rows]))
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "{table}", "--bootstrap", "0"],
        ["fit", "{table}", "--where", f"{ESCAPE} > 1"],
        ["fit", "{table}", "--columns", f"loss={ESCAPE}"],
        ["fit", "{table}", "--law", ESCAPE],
        ["fit", f"{ESCAPE}.csv"],
        ["fit", "{table}", "--tie", f"a={ESCAPE}"],
        ["fit", "{table}", "--tie", f"{ESCAPE}=a"],
        ["forecast", "{table}", "--flops", ESCAPE],
        ["import", "{table}", "--sweep", ESCAPE],
        ["plan", ESCAPE],
        ["plan", "quickstart", "--set", f"name={ESCAPE}"],
        ["plan", "quickstart", "--set", f"{ESCAPE}=1"],
        ["fit", f"mlflow:{ESCAPE}"],
        [ESCAPE],
    ],
)
def test_no_verb_hands_a_control_character_to_the_terminal(words, table, capsys, tracking_uri):
    RunStore.open("other")
    try:
        main([word.replace("{table}", table) for word in words])
    except SystemExit as left:
        assert left.code == 2
    printed = capsys.readouterr()
    assert printed.out + printed.err
    assert all(c.isprintable() or c == "\n" for c in printed.out + printed.err)
