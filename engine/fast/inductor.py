"""Functions of the models, compiled by torch: most of a minute for each new shape."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from engine.errors import UserError

BACKEND = "inductor"
"""torch.compile's. The step around it is captured as a whole, so that it needs no graphs of its own."""

MOST_SHAPES = 256
"""Shapes and models for which there is a compiled function; beyond them the plain one is called."""

_MOST_SHOWN = 200
"""Characters of an error, which may be a whole program that no compiler takes."""


class Compiled:
    """A function of tensors, compiled for each shape with which it is differentiated.

    Where nothing is differentiated, as in reading a text, shapes change all the time: there it stays plain.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        """Args:
        function: of tensors, to one tensor.
        """
        torch._dynamo.config.recompile_limit = MOST_SHAPES
        self._plain = function
        self._compiled = torch.compile(function, dynamic=False, backend=BACKEND)

    def __call__(self, *tensors: Tensor) -> Tensor:
        """The function's value.

        Raises:
            UserError: it cannot be compiled.
        """
        if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
            return self._plain(*tensors)
        try:
            return self._compiled(*tensors)
        except TorchDynamoException as error:
            cause = getattr(error, "inner_exception", error)
            reason = " ".join(str(cause).split())[:_MOST_SHOWN]
            raise UserError(f"compile: {type(cause).__name__}: {reason}: run without --compile") from error
