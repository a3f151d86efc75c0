"""One optimizer step of a stack, as fast as the device allows.

On a CPU the step is what it says. On a CUDA device its first calls run as they are and the next one
is recorded as a CUDA graph, forward, backward and optimizer together; from then on a step is one
launch. Where recording fails, steps go on as they began, and a note says so. A batch may be taken
in micro-batches: gradients add up to the same.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sweeps.data.batch import Batch
from sweeps.models.stacked import StackModel
from sweeps.objectives.base import Objective
from sweeps.training.devices.memory import free_memory, is_out_of_memory

_CALLS_BEFORE_CAPTURE = 3  # libraries choose kernels and allocate workspaces in their first calls

Backward = Callable[[Tensor], None]


class StackTooLargeError(Exception):
    """Not even one sequence a replica fits into the device's memory: use fewer replicas; or, where
    other devices wait for this one, begin again with the micro-batches that it proposes."""

    def __init__(self, reason: str, micro_sequences: int | None = None) -> None:
        super().__init__(reason)
        self.micro_sequences = micro_sequences


class Step:
    """Takes optimizer steps; smaller micro-batches where memory runs out, with the same result."""

    def __init__(
        self,
        model: StackModel,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        *,
        z_loss: float,
        micro_sequences: int,
        backward: Backward = torch.Tensor.backward,
        graph: bool = False,
        others_wait: bool = False,
    ) -> None:
        self.micro_sequences = micro_sequences
        self.notes: list[str] = []
        self._model, self._optimizer, self._objective = model, optimizer, objective
        self._z_loss, self._backward = z_loss, backward
        self._graph_wanted, self._calls = graph, 0
        self._side_stream: torch.cuda.Stream | None = None
        self._has_freed = False
        self._others_wait = others_wait
        self._graph: torch.cuda.CUDAGraph | None = None
        self._input: Batch | None = None
        self._losses = torch.empty(0)

    def __call__(self, batch: Batch) -> Tensor:
        """One step on a batch (replicas, sequences, length); each replica's loss, (replicas,).

        Raises StackTooLargeError where memory cannot suffice, before anything has changed.
        """
        while True:
            try:
                return self._take(batch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise  # else mended below, when the traceback no longer holds on to tensors
            self._begin_again()
            if self._has_freed:
                self._shrink(batch)
            else:  # what others have left behind may have been in the way
                self._has_freed = True

    def _take(self, batch: Batch) -> Tensor:
        if self._graph is not None and self._input is not None:
            self._input.copy_(batch)
            self._graph.replay()
            return self._losses
        self._calls += 1
        if not self._graph_wanted:
            return self._compute(batch)
        if self._calls <= _CALLS_BEFORE_CAPTURE:
            return self._on_side_stream(batch)
        try:
            self._capture(batch)
        except RuntimeError as error:
            if is_out_of_memory(error) or is_out_of_memory(error.__context__):
                raise torch.OutOfMemoryError(str(error)) from error
            said = next(iter(str(error).splitlines()), type(error).__name__)
            self.notes.append(f"not recorded as a CUDA graph ({said[:200]}): slower steps")
            self._graph_wanted = False
        if not self._graph_wanted:
            self._begin_again()
        return self._take(batch)

    def _compute(self, batch: Batch) -> Tensor:
        loss = self._accumulate(batch)
        self._optimizer.step()
        return loss

    def _accumulate(self, batch: Batch) -> Tensor:
        """The gradient of the whole batch, micro-batch by micro-batch; each replica's loss."""
        sequences = batch.sequences
        if sequences <= self.micro_sequences:
            objective, loss = self._objective.training_loss(self._model, batch, self._z_loss)
            self._backward(objective)
            return loss
        total = torch.zeros(len(batch.inputs), device=batch.inputs.device)
        for part in batch.split(self.micro_sequences):
            share = part.sequences / sequences
            objective, loss = self._objective.training_loss(self._model, part, self._z_loss)
            self._backward(objective * share)
            total += share * loss
        return total

    def _on_side_stream(self, batch: Batch) -> Tensor:
        """What capture demands of the calls before it."""
        if self._side_stream is None:  # one for all: each has an allocator's pool of its own
            self._side_stream = torch.cuda.Stream()
        stream = self._side_stream
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = self._compute(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return loss

    def _capture(self, batch: Batch) -> None:
        self._input = batch.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._losses = self._compute(self._input)
        self._graph = graph

    def _begin_again(self) -> None:
        """Forget what a step has begun, and give its memory back."""
        self._model.zero_grad()
        self._graph, self._input, self._calls = None, None, 0
        self._losses = torch.empty(0)
        free_memory()

    def _shrink(self, batch: Batch) -> None:
        """Make the next try need about half the memory."""
        replicas, sequences = batch.inputs.shape[:2]
        before = min(self.micro_sequences, sequences)
        if before == 1:
            raise StackTooLargeError(f"{replicas} replicas of one sequence each do not fit")
        after = (before + 1) // 2
        note = f"out of memory: micro-batches of {after} sequences after {before}"
        if self._others_wait:
            raise StackTooLargeError(note, micro_sequences=after)
        self.micro_sequences = after
        self.notes.append(note)
