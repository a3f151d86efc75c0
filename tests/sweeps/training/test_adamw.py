"""Facts about the optimizer: it is AdamW, one set of constants a replica and group."""

import dataclasses

import torch
from torch import nn

from scaling.shape import TransformerShape
from sweeps.config.recipe import RECIPES
from sweeps.planning.hyper_parameters.recipe import settings_for
from sweeps.training.adamw import PackedAdamW

SHAPE = TransformerShape(width=32, depth=1, head_size=16, context=64, vocab_size=16)
SETTINGS = settings_for(RECIPES["cpt-adamw-tiny/1"], SHAPE, 100_000)
GROUPS = {"embedding": slice(0, 10), "hidden": slice(10, 50), "head": slice(50, 64)}


def gradients(step, replicas=1):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(replicas, 64, generator=generator)


def packed(settings):
    weights = nn.Parameter(torch.ones(len(settings), 64))
    return weights, PackedAdamW(weights, GROUPS, settings)


def test_without_clipping_it_takes_the_steps_of_adamw_of_pytorch():
    settings = dataclasses.replace(SETTINGS, max_gradient_norm=float("inf"))
    weights, optimizer = packed([settings])
    parts = [nn.Parameter(torch.ones(columns.stop - columns.start)) for columns in GROUPS.values()]
    constants = [settings.embedding, settings.hidden, settings.head]
    reference = torch.optim.AdamW(
        [
            {"params": [part], "eps": group.epsilon, "weight_decay": group.weight_decay}
            for part, group in zip(parts, constants, strict=True)
        ],
        betas=(settings.beta1, settings.beta2),
    )
    for step in range(20):
        weights.grad = gradients(step)
        optimizer.step()
        for part, columns in zip(parts, GROUPS.values(), strict=True):
            part.grad = gradients(step)[0, columns]
        for param_group, group in zip(reference.param_groups, constants, strict=True):
            param_group["lr"] = group.learning_rate * settings.schedule_factor(step)
        reference.step()
    # Twenty float32 updates in another order of operations.
    torch.testing.assert_close(weights[0], torch.cat(parts), rtol=1e-4, atol=1e-5)


def test_a_gradient_is_scaled_to_the_largest_norm_allowed():
    weights, optimizer = packed([SETTINGS])
    weights.grad = 100 * gradients(0)
    clipped, _ = packed([SETTINGS])
    optimizer_clipped = PackedAdamW(clipped, GROUPS, [SETTINGS])
    clipped.grad = gradients(0) / gradients(0).norm()
    optimizer.step()
    optimizer_clipped.step()
    torch.testing.assert_close(weights, clipped, rtol=1e-4, atol=1e-5)  # 1e-6 in the norm's guard


def test_replicas_are_optimised_each_by_its_own_settings():
    slower = dataclasses.replace(
        SETTINGS, hidden=dataclasses.replace(SETTINGS.hidden, learning_rate=1e-3), beta2=0.95
    )
    together, optimizer = packed([SETTINGS, slower])
    alone, optimizer_alone = packed([slower])
    for step in range(10):
        together.grad = gradients(step, replicas=2)
        alone.grad = together.grad[1:].clone()
        optimizer.step()
        optimizer_alone.step()
    assert torch.equal(together[1], alone[0])
    assert not torch.allclose(together[0], alone[0])


def test_both_ways_to_update_take_the_same_steps(monkeypatch):
    # One by one on a CPU, together on a GPU, where nothing may wait for the device.
    other = dataclasses.replace(SETTINGS, beta2=0.95, max_gradient_norm=3.0)

    def trained():
        weights, optimizer = packed([SETTINGS, other, SETTINGS])
        for step in range(10):
            weights.grad = gradients(step, replicas=3)
            if step == 5:
                weights.grad[2, 7] = float("nan")
            optimizer.step()
        return weights, optimizer

    one_by_one, optimizer = trained()
    monkeypatch.setattr(PackedAdamW, "_update_one_by_one", PackedAdamW._update_together)
    together, optimizer_together = trained()
    # Ten float32 updates in another order of operations.
    torch.testing.assert_close(one_by_one, together, rtol=1e-4, atol=1e-5)
    assert (
        optimizer.active.tolist() == optimizer_together.active.tolist() == [[True], [True], [False]]
    )
    assert torch.isfinite(one_by_one).all()
