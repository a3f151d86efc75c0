"""The tables of one forecast: where its width comes from, and which laws answer."""

from collections.abc import Iterable

from analysis.forecasting.answer.result import Forecast, TargetForecast
from analysis.intervals import interval_at
from analysis.report.tables.cells import Table
from analysis.text.forecasting import pinned_median, pinned_note
from analysis.text.numbers import in_print, loss_in_words, percent_in_words

#: What each part of the width of an interval is, in words.
PARTS = {
    "parameters": "how well the runs pin down the constants of each law",
    "law choice": "how far the laws differ there",
    "drift of ladders": "larger runs are trained a little better or worse than small ones",
    "model misspecification": "no law is quite true, and rough losses hide by how much",
    "tuning": "what was taken off for bad tuning is known in part only",
    "new-run noise": "equal runs do not end equal",
}
#: What the word of a law's name means, where it is one of size and tokens.
WORDS = {
    "additive": "additive: Chinchilla's law, E + A/N^a + B/D^b",
    "coupled": "coupled: size and tokens under one power, E + (A/N^a + B/D^b)^k",
    "break": "break: the slope changes near the largest runs",
    "badly tuned": "badly tuned small runs: the smaller a run, the further it lies above the law",
    "shared exponent": "shared exponent: additive with a = b",
}
SMALLEST_SHARE = 0.005  # below which a part is none


def parts_table(target: TargetForecast) -> Table:
    """Where the width of the interval comes from, in words, the largest part first."""
    rows = [
        (name, f"{100 * share:.0f}%", PARTS[name])
        for name, share in sorted(target.shares.items(), key=lambda item: -item[1])
        if share >= SMALLEST_SHARE
    ]
    return Table(head=("Part of the width", "Share", "What it is"), rows=tuple(rows))


def pinned_floors_table(made: Forecast, level: float) -> Table:
    """What the first target would reach if the irreducible loss were known; no rows where the runs
    tell it, or where no law of the forecast has one."""
    if made.floor_identified or not made.pinned_floors:
        return Table(head=(), rows=())
    ends = interval_at(made.targets[0].intervals, level)
    rows = [
        (loss_in_words(floor), pinned_median(medians[0], ends))
        for floor, medians in made.pinned_floors.items()
    ]
    note = in_print(f"{pinned_note(made)}.")
    return Table(head=("If the irreducible loss were", "Loss"), rows=tuple(rows), note=note)


def laws_table(target: TargetForecast) -> Table:
    """The laws that answer together: what each says alone, its weight and why it has it."""
    rows = []
    for name, weight in sorted(target.weights.items(), key=lambda item: -item[1]):
        reason, loss = target.weight_reasons[name], target.law_losses.get(name)
        fitted, error = reason.fitted_weight, reason.backtest_error
        rows.append(
            (
                name,
                "\u2013" if loss is None else loss_in_words(loss, 5),
                f"{100 * weight:.0f}%",
                f"{100 * reason.first_weight:.0f}%",
                "\u2013" if fitted is None else f"{100 * fitted:.0f}%",
                "\u2013" if error is None else percent_in_words(error),
            )
        )
    head = ("Law", "Loss alone", "Weight", "Before", "After the fit", "Error of backtests")
    notes = [target.weights_because, *meant(target.weights)]
    return Table(head=head, rows=tuple(rows), note=f"Weights: {'; '.join(notes)}.")


def meant(laws: Iterable[str]) -> list[str]:
    """What the words of these laws' names mean, each once."""
    names = " ".join(laws)
    return [told for word, told in WORDS.items() if word in names]
