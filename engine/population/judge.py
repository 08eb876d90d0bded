"""What a candidate is judged by: the run's loss of its embedding."""

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b

import torch
from torch import Tensor

from engine.fast.alone import ALONE
from engine.models.loaded import LoadedBundle
from engine.objective.forward import Forward
from engine.population.pieces import Pieces
from engine.spec import DECODED_LENGTH_FACTOR, RunSpec
from engine.steps.forward_pass import ForwardPass

_AT_ONCE = 256
_JUDGED_BY = ("target", "continuation", "forcing", "before", "context", "source_lang", "target_lang")


class Judge:
    """The objective of one run, for many candidates at once."""

    def __init__(self, spec: RunSpec, bundle: LoadedBundle, initial_z: Tensor) -> None:
        """Encode the sentences around z.

        Args:
            spec: the run.
            bundle: the models.
            initial_z: (1, D)

        Raises:
            UserError: as `engine.steps.forward_pass.ForwardPass`.
        """
        self.forward = ForwardPass([spec], bundle, initial_z)
        """Made with the terms that have a weight."""
        self.most_tokens = spec.max_decoded_tokens or DECODED_LENGTH_FACTOR * self.forward.target_tokens(0)
        """Of a decoded text."""
        self._said = {name: getattr(spec, name) for name in _JUDGED_BY}
        # Those that were kept under another bound are sifted anew, as if they were judged by something else.
        self._said["round_trip"] = spec.number("population.round_trip")
        self._pieces = Pieces(_AT_ONCE)
        self._weights: dict[str, float] = {}

    def take_weights(self, weights: Mapping[str, float]) -> None:
        """Judge by these weights of the terms from now on.

        Raises:
            UserError: a term needs what the bundle does not have.
        """
        if weights != self._weights:
            self.forward.set_terms([tuple(weights)])
            self._weights = dict(weights)

    @property
    def digest(self) -> Tensor:
        """Stands for all that a loss depends on, besides the candidate and the models. # (16,) uint8"""
        values = json.dumps([self._said, sorted(self._weights.items())]).encode()
        return torch.frombuffer(bytearray(blake2b(values, digest_size=16).digest()), dtype=torch.uint8)

    @torch.no_grad()
    def losses(self, z: Tensor) -> Tensor:
        """The loss of each candidate. # (C, D) to (C,)"""
        return self._pieces.cat(lambda piece: self._loss(z[piece]), len(z))

    def gradient(self, raw_z: Tensor, effective: Callable[[Tensor, slice], tuple[Tensor, Tensor]]) -> Tensor:
        """The gradient of each candidate's loss with respect to its raw z. # (C, D)

        Args:
            raw_z: (C, D)
            effective: maps raw z of a slice of the candidates (c, D) to effective z (c, D) and to what is
                added to each one's loss (c,).
        """

        def of_piece(piece: slice) -> Tensor:
            raw = raw_z[piece].detach().requires_grad_()
            z, more = effective(raw, piece)
            # No candidate's loss depends on another: the gradient of the sum is each one's own.
            with ALONE:
                (gradient,) = torch.autograd.grad((self._loss(z) + more).sum(), raw)
            return gradient

        return self._pieces.cat(of_piece, len(raw_z))

    def terms(self, forward: Forward) -> dict[str, Tensor]:
        """Each term that has a weight, or may get one, by its name. # (N,)"""
        return {term.name: term.value(forward) for term in self.forward.terms}

    def weighted(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The sum of terms (N,), weighted. # (N,)"""
        return torch.stack([self._weights[name] * value for name, value in terms.items()]).sum(dim=0)

    def _loss(self, z: Tensor) -> Tensor:
        return self.weighted(self.terms(self.forward(z, None, copies=len(z))))
