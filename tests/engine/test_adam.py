"""Adam for many runs, against torch.optim.Adam on each run alone."""

import torch

from engine.adam import adam_update
from engine.state import RunState

LRS = [0.01, 0.3, 1e-4]
DIM = 32
STEPS = 40


def start(lrs: list[float]) -> RunState:
    return RunState.start(
        torch.randn(len(lrs), DIM, generator=torch.Generator().manual_seed(0)),
        lr=torch.tensor(lrs, dtype=torch.float64).unsqueeze(-1),
        held_norm=torch.zeros(len(lrs), 1),
    )


def gradients() -> torch.Tensor:
    """Gradients of many magnitudes. # (STEPS, N, DIM)"""
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(STEPS, len(LRS), DIM, generator=generator)
    return directions * 10 ** torch.empty(STEPS, len(LRS), 1).uniform_(-6, 2, generator=generator)


def test_each_run_equals_torchs_adam_to_the_last_bit() -> None:
    state = start(LRS)
    parameters = [z.clone().requires_grad_() for z in state.z]
    optimizers = [torch.optim.Adam([z], lr=lr) for z, lr in zip(parameters, LRS, strict=True)]
    for gradient in gradients():
        adam_update(state, gradient, runs=torch.ones(len(LRS), 1, dtype=torch.bool))
        for parameter, optimizer, own in zip(parameters, optimizers, gradient, strict=True):
            parameter.grad = own.clone()
            optimizer.step()
        torch.testing.assert_close(state.z, torch.stack([z.detach() for z in parameters]), rtol=0, atol=0)


def test_a_run_that_is_left_out_stays_as_it_is() -> None:
    state, alone = start(LRS), start(LRS)
    for number, gradient in enumerate(gradients()):
        adam_update(state, gradient, runs=torch.tensor([[True], [number % 2 == 0], [False]]))
        if number % 2 == 0:
            adam_update(alone, gradient, runs=torch.tensor([[False], [True], [False]]))
    assert state.count.squeeze(-1).tolist() == [STEPS, STEPS // 2, 0]
    torch.testing.assert_close(state.z[1:], alone.z[1:], rtol=0, atol=0)
    assert not state.first_moment[2].any()
