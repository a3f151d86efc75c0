"""A device that has little memory."""

import torch

from sweeps.objectives.causal import Causal


def limit_sequences(monkeypatch, limit):
    """Training runs out of memory with more sequences than this at once, over all replicas."""
    original = Causal.training_loss

    def hungry(self, model, batch, z_loss):
        if len(batch.inputs) * batch.sequences > limit:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return original(self, model, batch, z_loss)

    monkeypatch.setattr(Causal, "training_loss", hungry)
