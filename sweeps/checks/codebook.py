"""Are the codes of images worth modelling?"""

from collections.abc import Iterator

from sweeps.checks.finding import Bench, Finding

_MOST_LOST, _MOST_UNUSED = 0.2, 0.5


def check_codebook(bench: Bench) -> Iterator[Finding]:
    """What codes of images lose of the pixels, and how much of the codebook lies idle, on images
    that the autoencoder was not trained on; nothing where tokens are no codes."""
    facts = bench.corpus.facts
    if facts.codebook_use is None:
        return
    yield Finding(
        check="codes: variance of the pixels lost",
        measured=facts.reconstruction_error,
        threshold=_MOST_LOST,
        one_sided=True,
        detail="a larger data.codebook, a smaller data.patch or more data.autoencoder_steps lose "
        "less",
    )
    yield Finding(
        check="codes: share of the codebook unused",
        measured=1 - facts.codebook_use,
        threshold=_MOST_UNUSED,
        one_sided=True,
        detail=f"perplexity {facts.codebook_perplexity:.1f}",
    )
