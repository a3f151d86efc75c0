"""Are the recorded numbers what their names say?"""

import math
from collections.abc import Iterator

import torch

from scaling.columns import NATS_PER_TOKEN
from sweeps.checks.equality import short_run
from sweeps.checks.finding import Bench, Finding
from sweeps.training.evaluation import stack_losses
from sweeps.training.stack import build_model


def check_bits_per_byte(bench: Bench) -> Iterator[Finding]:
    """The recorded bits per byte against nats summed over all targets, by ln 2 and their bytes."""
    from sweeps.training.pack import train_run

    plan = short_run(bench)
    if plan.data.bytes_per_token is None or plan.loss_kind not in NATS_PER_TOKEN:
        yield Finding(
            check="bits per byte",
            measured=None,
            threshold=1e-6,
            detail="the tokens stand for no text, or losses are not those of each",
        )
        return
    trained = train_run(plan, bench.corpus, bench.launch())
    model = build_model(plan)
    with torch.no_grad():
        model.weights.copy_(trained.weights.unsqueeze(0))
    sequences = stack_losses(model, bench.corpus, plan.asks)[0]
    targets = len(sequences) * bench.corpus.context
    nats = float(sequences.sum()) * bench.corpus.context
    bits_per_byte = nats / math.log(2) / (targets * plan.data.bytes_per_token)
    recorded = trained.record(plan)["bits_per_byte"]
    assert isinstance(recorded, float)
    yield Finding(
        check="bits per byte",
        measured=recorded - bits_per_byte,
        threshold=1e-6,  # float32 losses of sequences, averaged in another order
        is_invariant=True,
        detail=f"{recorded:.5f} recorded, {bits_per_byte:.5f} from the sum over targets",
    )
