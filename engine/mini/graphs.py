"""Training steps as CUDA graphs: small models are bound by the host's launches, and a graph is one launch."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP_RUNS = 2
"""Runs before a capture, in which libraries choose their kernels and allocate what they keep."""


class GraphedBackward:
    """`loss(*inputs)` and its `backward()`, as one CUDA graph for each shape of the inputs.

    Gradients add up in the parameters' `.grad`. On the CPU it calls the function as it is.
    """

    def __init__(self, loss: Callable[..., Tensor], parameters: Iterable[nn.Parameter]) -> None:
        self._loss = loss
        self._parameters = list(parameters)
        self._graphs: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self._pool: Any = None
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The loss, without its graph. The tensor is overwritten by the next call with these shapes."""
        if not inputs[0].is_cuda:
            return self._run(inputs)
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._capture(inputs)
        graph, static_inputs, static_loss = self._graphs[shapes]
        for static, tensor in zip(static_inputs, inputs, strict=True):
            static.copy_(tensor)
        graph.replay()
        return static_loss

    def _run(self, inputs: Iterable[Tensor]) -> Tensor:
        loss = self._loss(*inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _capture(self, inputs: tuple[Tensor, ...]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        before = [gradient.clone() for gradient in gradients]
        static_inputs = [tensor.clone() for tensor in inputs]
        static_loss = torch.zeros((), device=inputs[0].device)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                self._run(static_inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            static_loss.copy_(self._run(static_inputs))
        self._pool = graph.pool()
        torch._foreach_copy_(gradients, before)
        return graph, static_inputs, static_loss
