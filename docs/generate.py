"""The pages under docs/reference that follow from the code: `python -m docs.generate` writes them,
and the tree of docs/architecture.md (`docs.rooms`).

Each page is one function without arguments that gives its text; `PAGES` names them, and
tests/docs/test_reference.py holds the committed pages against them.
"""

import argparse
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from docs import rooms
from scaling.cli.command import parser
from scaling.columns import COLUMNS
from scaling.extra_columns.references import BASELINE, BASELINES, NEVER, UNSEEN
from scaling.laws.base import Law
from scaling.laws.registry import LAWS
from scaling.limits import LimitCode
from scaling.tables.cells.numbers import number
from scaling.tables.spellings import LOSS_WORDS, NO_LOSS, QUANTITIES, meaning_of
from sweeps.config.description.describe import field_docstrings, settings_of
from sweeps.config.recipe import Recipe
from sweeps.config.rules.section import Section
from sweeps.config.sweep import SweepConfig

FOLDER = Path(__file__).parent / "reference"
MOST_ARGUMENTS = 4  # of a call in a table; its entry below has them all
PACKAGES = ("analysis", "scaling", "scaling.laws", "sweeps")
_WRITTEN = "Written by `python -m docs.generate` from {source}: change that, not this page.\n"


def laws_page() -> str:
    """Every law that is registered: form, inputs, constants with units and bounds, source."""
    laws = _own(LAWS)
    head = (
        "# Laws\n\n" + _WRITTEN.format(source="`scaling/laws/registry.py`") + "\n"
        "N is the number of parameters, D the training tokens, U the distinct ones, C the training "
        "FLOP,\nw the width, l the number of layers; L is the loss in nats per token.\n"
    )
    contents = [f"- [{law.name}](#{_anchor(law.name)}): {_first_line(law)}" for law in laws]
    return "\n".join([head, *contents, *(law_section(law) for law in laws)]) + "\n"


def law_section(law: type[Law]) -> str:
    """What the reference says of one law."""
    bounds, rows = law.bounds(), []
    for name in law.constant_names():
        symbol, searched = law.symbols[name], _range(*bounds[name])
        rows.append([f"`{name}`", symbol.meaning, symbol.unit, searched])
    forms = "\n".join(f"    {part.strip()}" for part in law.form.split(";"))
    inputs = ", ".join(f"`{name}`" for name in law.inputs)
    if (source := law.reference) is None:
        raise AssertionError(f"{law.name} is in the reference and cites nothing")
    floor = f"`{law.floor}`" if law.floor else "no constant of its own"
    return "\n".join(
        [
            f"\n## {law.name}\n",
            f"{_first_line(law)}\n",
            f"{forms}\n",
            f"Inputs: {inputs}. Irreducible loss: {floor}.\n",
            _table(["constant", "meaning", "unit", "searched"], rows),
            f"\nSource: {source.citation}.\n",
            f"```bibtex\n{source.bibtex}\n```",
        ]
    )


def columns_page() -> str:
    """Every column of the runs table: what it holds, and the spellings that are understood."""
    rows = [
        [f"`{name}`", column.meaning, column.kind, _codes(column.aliases)]
        for name, column in COLUMNS.items()
    ]
    return (
        "# Columns of the runs table\n\n"
        + _WRITTEN.format(source="`scaling/columns.py` and `scaling/tables/`")
        + "\nOne row is one run. A fit needs `loss` and one of `train_flops`, or `params` and "
        "`tokens`.\nA spelling of one letter must match in case; longer ones match whatever their "
        "case, blanks, dots\nand underscores; [headings](#headings) and [numbers](#numbers) say "
        "what else is understood. `--columns OURS=THEIRS` maps any other name. Columns "
        "that are not listed are kept,\nand may be the input of `--x` and `--where`.\n\n"
        + _table(["column", "meaning", "kind", "other spellings"], rows)
        + "\n\n"
        + _baselines_text()
        + "\n"
        + _headings_text()
        + "\n"
        + _numbers_text()
    )


def _baselines_text() -> str:
    """Which columns losses are held against."""
    rows = [[f"`{BASELINE}{name}`", about] for name, about in BASELINES.items()]
    return (
        "## Baselines\n\nWhat counting the training text gives on the validation set of the loss, "
        "in its unit. They are lines in figures of losses and rows of\nthe report, and so is any "
        f"other column `{BASELINE}NAME`. Where something never came in the text, the loss "
        f"is infinite: the column is\nleft out, and `{BASELINE}NAME{UNSEEN}` and "
        f"`{BASELINE}NAME{NEVER}` say how much.\n\n" + _table(["column", "meaning"], rows) + "\n"
    )


def _headings_text() -> str:
    """By which words a heading is understood that is none of the spellings."""
    words = [
        [f"`{ours}`", _codes(sorted(heads)), _codes(sorted(others))]
        for ours, (heads, others) in QUANTITIES.items()
    ]
    no_loss = f"any but {_codes(sorted(NO_LOSS))}"
    words.append(["`loss`", _codes(sorted(LOSS_WORDS)) + ", first or last", no_loss])
    examples = ("n_params", "config.n_params", "params (M)", "tokens_in_billions", "val/loss")
    examples = (*examples, "total train ZFLOP", "non_embedding_params")
    read = [
        [f"`{heading}`", f"`{meaning.ours}`", f"{meaning.factor:g}"]
        for heading in examples
        if (meaning := meaning_of(heading)) is not None
    ]
    return (
        "## Headings\n\nOther headings are taken apart into words. One means a quantity if it has "
        "a word of the second column and\nall others are of the third; a unit may stand behind it "
        "or in brackets, and groups of an export (`config.`)\nbefore it. Several that differ are "
        "asked about, never guessed.\n\n"
        + _table(["column", "one of", "beside"], words)
        + "\n\n"
        + _table(["heading", "is", "its numbers times"], read)
        + "\n"
    )


def _numbers_text() -> str:
    """How numbers are written that are understood, as the reader itself reads them."""
    written = ("10M", "1.5B", "1.4 trillion tokens", "124,439,808", "1_000_000", "1.5x10^21")
    written = (*written, "3 ZFLOP", "2 PF-days", "45%", "~7B")
    rows = [[f"`{text}`", f"{number(text):.10g}"] for text in written]
    rows += [
        [f"`{text}`, where commas are decimal points", f"{number(text, True):.10g}"]
        for text in ("4,91", "1.234.567,5")
    ]
    return (
        "## Numbers\n\nIn tables, on the command line and in configs alike. Commas are decimal "
        "points where the cells of a column,\nor the other columns of the table, say so (`4,91`); "
        "else thousands. `-`, `n/a`, `none`, `?` and their\nlike are blank. `--unit params=M` says "
        "a unit that the table leaves out.\n\n" + _table(["written", "read as"], rows) + "\n"
    )


def config_page() -> str:
    """Every key of a sweep's config, and the names that keys take from a registry."""
    from sweeps.config.launch import ENGINES
    from sweeps.config.recipe import RECIPES, Recipe
    from sweeps.models.registry import FAMILIES
    from sweeps.objectives.registry import OBJECTIVES

    parts = [
        "# Config keys\n",
        _WRITTEN.format(source="the dataclasses of `sweeps/config/`"),
        "A config is one YAML file; `scaling plan CONFIG` says what it means. Any key may be given "
        "on the command\nline too: `--set launch.workers=4`. `null` sets a key back to its default."
        " A list of one may be written\nwithout brackets.\n",
        *_sections(SweepConfig, ""),
        "\n## recipe.overrides\n",
        "The constants of a recipe that `recipe.overrides` may replace.\n",
        _fields_table(Recipe, "", skipped=("name",)),
        "\n## Names\n",
    ]
    named = {
        "`model.family`": [family.name for family in _own(FAMILIES)],
        "`objective`": [objective.name for objective in _own(OBJECTIVES)],
        "`recipe.name`": list(RECIPES),
        "`launch.engine`": list(ENGINES),
    }
    return "\n".join([*parts, _table(["key", "names"], [[k, _codes(v)] for k, v in named.items()])])


def recipes_page() -> str:
    """Every constant of every recipe: where its value comes from."""
    from sweeps.config.evidence import evidence_in_words
    from sweeps.config.recipe import RECIPES

    parts = [
        "# Recipes, constant by constant\n",
        _WRITTEN.format(source="`sweeps/config/recipe.py` and `sweeps/config/evidence.py`"),
        "Where each value comes from: measured on runs of this project ([the log](../log.md) has "
        "the section), taken from a paper, or\nnever varied. The interval is where the best value "
        "lies as far as it was measured: a value at its edge, or outside, is one that a later\n"
        "measurement speaks against. What a constant does is said "
        "[there](config.md#recipe-overrides). Cells are width : FLOP.\n",
    ]
    for recipe in RECIPES.values():
        said = evidence_in_words(recipe)
        parts += [f"\n## {recipe.name}\n", f"{said[0].upper()}{said[1:]}.\n"]
        parts.append(_evidence_table(recipe))
    return "\n".join(parts)


def _evidence_table(recipe: Recipe) -> str:
    from sweeps.config.evidence import evidence_of

    rows = [
        [
            f"`{name}`",
            f"`{row.value}`",
            "" if row.interval is None else "{:g} to {:g}".format(*row.interval),
            row.origin,
            row.basis + (f" (log: {row.where})" if row.where else ""),
        ]
        for name, row in evidence_of(recipe).items()
    ]
    return _table(["constant", "value", "interval", "origin", "on what"], rows)


def verbs_page() -> str:
    """Every verb of the command line with its arguments and options."""
    (verbs,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    parts = [
        "# Verbs\n",
        _WRITTEN.format(source="`scaling/cli/command.py` and the options beside it"),
        "SOURCE is a table or `mlflow:EXPERIMENT`. A mistake is one line that says what, where and "
        "what next,\nwith exit code 2. With `--json` a verb prints exactly one JSON document on "
        "standard output. `-o FILE` is where the result is\nwritten, in the form that the ending "
        "names. `scaling --print-completion bash >\n"
        "~/.local/share/bash-completion/completions/scaling` makes the shell complete verbs, "
        "options and files\n(zsh and tcsh too; needs the extra `completion`).\n",
        "Every verb takes `-q` and `-v`. `-q` leaves out progress, hints, where a file was written "
        "and how a table was read\n(`read as`, which JSON keeps in `notes`); it asks nothing: a "
        "large launch then needs `--yes`. `-v` shows the\ntraceback of a mistake; without one it "
        "changes nothing.\n",
        "The tracking server is MLflow's own `MLFLOW_TRACKING_URI`; without one, "
        "`sqlite:///mlflow.db` in the folder\nwhere you are. MLflow's usage telemetry is off "
        "unless you set `MLFLOW_DISABLE_TELEMETRY=false`. Where the runs do\nnot support a "
        "number, its `limits` have the code `unsupported` and say why, and it gives no "
        "digit below the\nsecond "
        "of the interval's half width ([limits](limits.md)). `dashboard` needs the extra "
        "`dashboard`.\n",
        *(f"- [{name}](#{name}): {verb.description}" for name, verb in verbs.choices.items()),
    ]
    for name, verb in verbs.choices.items():
        hidden = (argparse.SUPPRESS,)
        own = [a for a in verb._actions if a.dest != "help" and a.help not in hidden]
        rows = [[_spelling(action), _help(action)] for action in own]
        parts += [f"\n## {name}\n", f"{verb.description}\n", _usage(name, own), ""]
        parts += [_table(["argument", "meaning"], rows)]
    return "\n".join(parts) + "\n"


def limits_page() -> str:
    """Every code that a limit of an answer may have."""
    rows = [
        [f"`{code.value}`", f"`{code.name}`", field_docstrings(LimitCode)[code.name]]
        for code in LimitCode
    ]
    return (
        "# Limits of an answer\n\n"
        + _WRITTEN.format(source="`scaling/limits.py`")
        + "\nEvery result, and every JSON document, has a field `limits`: a list of a `code` to "
        "branch on and a `text`\nto read.\n\n" + _table(["code", "member", "meaning"], rows) + "\n"
    )


def package_page(package: str) -> str:
    """What a package offers to Python; Sphinx fills in signatures and docstrings."""
    module = import_module(package)
    offered = [(name, getattr(module, name)) for name in module.__all__ if name != "__version__"]
    kinds = {
        "Functions": [name for name, one in offered if inspect.isfunction(one)],
        "Classes": [name for name, one in offered if inspect.isclass(one)],
    }
    first, _, rest = inspect.cleandoc(module.__doc__ or "").partition("\n")
    parts = [
        f"# The package {package}\n",
        _WRITTEN.format(source=f"`{package}.__all__`"),
        f"{first}\n",
        *(f"```python\n{example}```\n" for example in _examples(rest)),
    ]
    for title, names in kinds.items():
        directive = "autofunction" if title == "Functions" else "autoclass"
        if names:
            answers = _table(["name", "what it answers"], _answers(module, names))
            parts += [f"## {title}\n", f"{answers}\n"]
        for name in names:
            members = "   :members:\n" if directive == "autoclass" else ""
            parts.append(
                f"```{{eval-rst}}\n.. py:currentmodule:: {package}\n\n"
                f".. {directive}:: {name}\n{members}```\n"
            )
    return "\n".join(parts)


def _answers(module: ModuleType, names: Sequence[str]) -> list[list[str]]:
    """Each name with its arguments, and the first sentence of its docstring."""
    rows = []
    for name in names:
        offered = getattr(module, name)
        called = ""
        if inspect.isfunction(offered):
            arguments = list(inspect.signature(offered).parameters)
            shown = arguments if len(arguments) <= MOST_ARGUMENTS else [*arguments[:3], "..."]
            called = f"({', '.join(shown)})"
        sentence = inspect.cleandoc(offered.__doc__ or "").partition("\n\n")[0]
        rows.append([f"`{name}{called}`", sentence])
    return rows


def _examples(docstring: str) -> list[str]:
    """The indented blocks of a docstring."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", docstring + "\n", re.M)
    return [text.strip("\n") + "\n" for b in blocks if (text := textwrap.dedent(b)).strip()]


#: Each page by the name of its file in docs/reference.
PAGES = {
    "columns.md": columns_page,
    "config.md": config_page,
    "recipes.md": recipes_page,
    "laws.md": laws_page,
    "limits.md": limits_page,
    **{f"python_{name.split('.')[-1]}.md": partial(package_page, name) for name in PACKAGES},
    "verbs.md": verbs_page,
}


def page(file_name: str) -> str:
    """The text of a page, as its file holds it."""
    return re.sub(r"\n{3,}", "\n\n", PAGES[file_name]()).rstrip() + "\n"


def _sections(kind: type[Section], place: str) -> Iterator[str]:
    """A table a section of the config, from the top of the tree down."""
    variants = kind.variants()
    if len(variants) > 1:
        yield f"\n## {place}\n\n{_first_paragraph(kind)} `{place}.{kind.tag}` names one of these.\n"
        for name, variant in _own_items(variants):
            yield f"\n### {kind.tag}: {name}\n\n{_first_paragraph(variant)}\n"
            yield _fields_table(variant, place)
        return
    yield f"\n## {place or 'At the top'}\n\n{_first_paragraph(kind)}\n"
    yield _fields_table(kind, place)
    seen = set()
    for name, held in kind.field_types().items():
        inner = next((a for a in (held, *get_args(held)) if _is_section(a)), None)
        if inner is not None and inner not in seen:  # cells and held_out are grids too
            seen.add(inner)
            yield from _sections(inner, f"{place}.{name}" if place else name)


def _fields_table(kind: type, place: str, skipped: tuple[str, ...] = ()) -> str:
    rows = [
        [f"`{item.key}`", _default(item.default), item.unit, item.reason]
        for item in settings_of(kind, place)
        if item.name not in skipped
    ]
    return _table(["key", "default", "unit", "meaning"], rows)


def _default(value: Any) -> str:
    if value is MISSING:
        return "required"
    if isinstance(value, Section):
        return "see below"
    if value is None or value == () or value == {}:
        return "none"
    words = {True: "true", False: "false"}
    shown = list(value) if isinstance(value, tuple) else value
    return f"`{words[shown] if isinstance(shown, bool) else shown}`"


def _is_section(held: object) -> bool:
    return isinstance(held, type) and issubclass(held, Section)


def _usage(name: str, actions: Iterable[argparse.Action]) -> str:
    asked = [action for action in actions if not action.option_strings]
    words = [f"[{a.metavar}]" if a.nargs in ("?", "*") else str(a.metavar) for a in asked]
    return f"    scaling {' '.join([name, *words])}"


def _spelling(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    if not action.option_strings:
        return f"`{action.metavar}`"
    return " ".join(f"`{option}{value}`" for option in action.option_strings)


def _help(action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default}
    return text + (" (required)" if action.option_strings and action.required else "")


def _own(registry: Mapping[str, Any]) -> list[Any]:
    return [member for _, member in _own_items(registry)]


def _own_items(registry: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The members that this package defines, without those that other code has registered."""
    kinds = {k: m if isinstance(m, type) else type(m) for k, m in registry.items()}
    own = ("scaling.", "sweeps.")
    return [(k, registry[k]) for k, kind in kinds.items() if kind.__module__.startswith(own)]


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or kind.__name__).splitlines()[0]


def _first_paragraph(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def _anchor(name: str) -> str:
    """The anchor that Sphinx and GitHub both give a heading of this name."""
    return name.lower()


def _range(low: float, high: float) -> str:
    return "above 0" if (low, high) == (0, float("inf")) else f"{low:g} to {high:g}"


if __name__ == "__main__":
    for file_name in PAGES:
        (FOLDER / file_name).write_text(page(file_name), encoding="utf-8")
        print(f"docs/reference/{file_name}", file=sys.stderr)
    rooms.PAGE.write_text(rooms.page(), encoding="utf-8")
    print("docs/architecture.md", file=sys.stderr)
