"""The reference of laws, written from the registry.

python -m scaling.laws.document > docs/reference/laws.md
"""

from scaling.laws.base import Law
from scaling.laws.registry import LAWS

_HEAD = """# Laws

Written by `python -m scaling.laws.document` from `scaling/laws/registry.py`: change a law there,
not here. N is the number of parameters, D the training tokens, U the distinct ones, C the training
FLOP, w the width, l the number of layers; L is the loss in nats per token.
"""


def laws_document() -> str:
    """Every law that is registered: form, inputs, constants with units and bounds, source."""
    contents = [f"- [{law.name}](#{law.name}): {_first_line(law)}" for law in LAWS.values()]
    return "\n".join([_HEAD, *contents, *(_section(law) for law in LAWS.values())]) + "\n"


def _section(law: type[Law]) -> str:
    bounds, rows = law.bounds(), []
    for name in law.constant_names():
        symbol, searched = law.symbols[name], _range(*bounds[name])
        rows.append(f"| `{name}` | {symbol.meaning} | {symbol.unit or '-'} | {searched} |")
    forms = "\n".join(f"    {part.strip()}" for part in law.form.split(";"))
    inputs = ", ".join(f"`{name}`" for name in law.inputs)
    floor = f"`{law.floor}`" if law.floor else "no constant of its own"
    return "\n".join(
        [
            f"\n## {law.name}\n",
            f"{_first_line(law)}\n",
            f"{forms}\n",
            f"Inputs: {inputs}. Irreducible loss: {floor}.\n",
            "| constant | meaning | unit | searched |",
            "| --- | --- | --- | --- |",
            *rows,
            f"\nSource: {law.reference.citation}.\n",
            f"```bibtex\n{law.reference.bibtex}\n```",
        ]
    )


def _first_line(law: type[Law]) -> str:
    return (law.__doc__ or law.name).strip().splitlines()[0]


def _range(low: float, high: float) -> str:
    return "above 0" if (low, high) == (0, float("inf")) else f"{low:g} to {high:g}"


if __name__ == "__main__":
    print(laws_document(), end="")
