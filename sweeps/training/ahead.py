"""What the host computes of a chunk's batches, while the device trains the chunk before."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sweeps.data.sources.base import Corpus
from sweeps.planning.run_plan import RunPlan


class Ahead:
    """Computes in a thread of its own, and calls nothing of CUDA: a step may be being recorded."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._begun: Future[None] | None = None

    def begin(self, runs: Sequence[RunPlan], first: int, last: int) -> None:
        """Begin with what the runs read in the steps first to last - 1, after which it lies ready
        in the corpus; none where first is last."""
        if first < last:
            self._begun = self._thread.submit(self._prepare, tuple(runs), first, last)

    def wait(self) -> None:
        """Until what was begun is there; raises what the source raised."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.result()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _prepare(self, runs: Sequence[RunPlan], first: int, last: int) -> None:
        self._corpus.forget_prepared()
        count = runs[0].settings.batch_sequences
        for run in runs:
            self._corpus.prepare(run.seed, first * count, last * count)
