"""Studies of theory as text."""

from analysis.studies.implicit_bias import ImplicitBias
from scaling.display import Block, Section, Table
from scaling.limits import texts
from scaling.words import counted


def implicit_bias_blocks(study: ImplicitBias) -> list[Block]:
    """What the contexts allow, and where each optimiser ended beside the theory."""
    rows = [
        [
            point.optimiser,
            f"{point.step:,}" if point.step else "-",
            f"{point.excess_loss:.2g}",
            f"{point.norm:.3g}",
            _digits(point.cosine),
            _digits(point.cosine_beyond),
            _digits(point.distance_in_f),
        ]
        for point in study.last
    ]
    return [
        f"{counted(study.contexts, 'context')} in {counted(study.dimensions, 'dimension')}, "
        f"{counted(study.vocabulary, 'token')}, entropy {study.entropy:.4f} nats a token: "
        f"{'' if study.is_compatible else 'not '}compatible, "
        f"{'' if study.is_separable else 'not '}separable",
        "",
        Table(
            [
                "optimiser",
                "steps",
                "CE - H",
                "|W|",
                "cos(W, Wmm)",
                "cos(W - W*, Wmm)",
                "off W* in F",
            ],
            rows,
        ),
        Section("limits", texts(study.limits)),
    ]


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
