"""Forward passes of N runs through the frozen models: the sentences around z, and the predictions."""

from collections.abc import Collection, Sequence
from itertools import chain

import torch
from torch import Tensor

from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.objective import TERMS
from engine.objective.forward import Forward
from engine.spec import RunSpec
from engine.steps.own_text import OwnText


class ForwardPass:
    """What N runs give the frozen models besides z, encoded once; called with z, it is a forward pass.

    A run's text is: sentences before z, z, context, then target sentence 1, 2, … The generator is asked for
    the embedding in the place of each target sentence.
    """

    def __init__(self, specs: Sequence[RunSpec], bundle: LoadedBundle, initial_z: Tensor) -> None:
        """Encode the sentences.

        Args:
            specs: of the runs.
            bundle: the models.
            initial_z: effective z of step 0. # (N, D)

        Raises:
            UserError: a text is too long for the models or in a language that they do not have, or a term
                needs what the bundle does not have.
        """
        self._bundle = bundle
        self._specs = list(specs)
        self._initial_z = initial_z
        self._most_sentences = max(len(spec.sentences) for spec in specs)  # M
        self._targets = bundle.targets(
            [text for spec in specs for text in self._padded(spec.sentences)],
            languages=[spec.target_lang for spec in specs for _ in range(self._most_sentences)],
        )  # of N · M sentences
        self.is_target = self._mask([len(spec.sentences) for spec in specs], self._most_sentences)  # (N, M)
        self.target_embeddings = self._encoded([spec.sentences for spec in specs], "target")  # (N, M, D)
        self._place_sentences()
        # Made once: a step that was captured reads them where they lie.
        self._anchors: tuple[Tensor, Tensor] | None = None
        self.set_terms([spec.terms for spec in specs])

    def set_terms(self, terms: Sequence[Collection[str]]) -> None:
        """Take up which terms each run has: a pass makes what they need.

        Raises:
            UserError: as the constructor.
        """
        self.terms = [term for name, term in TERMS.items() if any(name in of_run for of_run in terms)]
        """The terms that some run has."""
        needs = frozenset(chain.from_iterable(term.needs for term in self.terms))
        self.reads_z = bool(needs & {"own text", "anchors"})
        """Whether a pass needs to know what z says."""
        self.needs_logits = "logits" in needs
        """Whether a term reads the cross-entropy of the targets' tokens."""
        self._has_anchors = "anchors" in needs
        if self._has_anchors:
            self._anchors = self._anchors or self._given_anchors()
        self._prior = self._statistics() if "prior" in needs else None

    def target_tokens(self, run: int) -> int:
        """Number of tokens of a run's longest target sentence, control symbols left out."""
        return max(self.sentence_tokens(run))

    def sentence_tokens(self, run: int) -> tuple[int, ...]:
        """Number of tokens of each of a run's target sentences, control symbols left out."""
        first = run * self._most_sentences
        return self._targets.lengths[first : first + len(self._specs[run].sentences)]

    def __call__(self, z: Tensor, own: OwnText | None, *, copies: int = 1) -> Forward:
        """Pass z through the generator; the decoder follows when a term asks for it.

        Args:
            z: effective z of every run, one copy after the other for each. # (N · C, D)
            own: what z were last read as, where `reads_z`. # of N runs
            copies: C
        """
        return Forward(
            z=z,
            predictions=(predictions := self._predict(z, copies)),  # (N · C, M, D)
            target_embeddings=_repeated(self.target_embeddings, copies),
            is_target=_repeated(self.is_target, copies),
            target_mask=_repeated(self._by_run(self._targets.mask), copies),
            target_token_losses=lambda: self._target_token_losses(predictions, copies),
            own_token_losses=lambda: self._own_token_losses(z, own, copies),
            anchors=self._all_anchors(own, copies),
            prior=self._prior,
        )

    def token_losses(self, predictions: Tensor) -> Tensor:
        """Cross-entropy of each token of the target sentences, 0 in padding. # (N, M, D) to (N, M, T)"""
        return self._target_token_losses(predictions, copies=1)

    def _predict(self, z: Tensor, copies: int) -> Tensor:
        """Predicted embedding in the place of each target sentence. # (N · C, M, D)"""
        is_z, places = _repeated(self._is_z, copies), _repeated(self._places, copies)
        text = torch.where(is_z, z.unsqueeze(1), _repeated(self._fixed, copies).to(z.dtype))  # (N · C, S, D)
        if self._feeds_back is None:
            return _at(self._bundle.predict_each(text), places)
        feeds_back = _repeated(self._feeds_back, copies)  # (N · C, 1, 1)
        positions = torch.arange(text.shape[1], device=z.device)  # (S,)
        predictions: list[Tensor] = []
        for sentence in range(self._most_sentences):
            place = places[:, sentence : sentence + 1]  # (N · C, 1)
            predictions.append(_at(self._bundle.predict_each(text), place))  # (N · C, 1, D)
            comes_next = (positions == place + 1).unsqueeze(-1)  # (N · C, S, 1)
            text = torch.where(feeds_back & comes_next, predictions[-1], text)
        return torch.cat(predictions, dim=1)

    def _target_token_losses(self, predictions: Tensor, copies: int) -> Tensor:
        """Cross-entropy of each token of the target sentences. # (N · C, M, D) to (N · C, M, T)"""
        flat = predictions.flatten(0, 1)  # (N · C · M, D)
        targets = self._targets.repeated(copies, group=self._most_sentences)
        losses = self._bundle.token_losses(flat, targets)
        return losses.view(*predictions.shape[:2], -1)

    def _own_token_losses(self, z: Tensor, own: OwnText | None, copies: int) -> tuple[Tensor, Tensor]:
        if own is None or own.tokens is None:
            raise ValueError("it is not known what z says")
        tokens = own.tokens.repeated(copies)
        return self._bundle.token_losses(z, tokens), tokens.mask

    # What is fixed

    def _place_sentences(self) -> None:
        """Lay out the runs' texts: the sentences that are fixed, and the places of z and predictions."""
        before = [len(spec.before) for spec in self._specs]
        around = [(*spec.before, "", *spec.context) for spec in self._specs]
        fed = [spec.continuation and spec.sentences[:-1] for spec in self._specs]
        length = max(len(texts) + len(more) for texts, more in zip(around, fed, strict=True))  # S
        dim, device = self._bundle.dim, self._bundle.device
        self._fixed = torch.zeros(len(self._specs), length, dim, device=device)  # (N, S, D)
        for run, spec in enumerate(self._specs):
            for first, field, texts in (
                (0, "before", spec.before),
                (before[run] + 1, "context", spec.context),
            ):
                if texts:
                    languages = [spec.source_lang] * len(texts)
                    embeddings = self._bundle.encode(texts, field=field, languages=languages)
                    self._fixed[run, first : first + len(texts)] = embeddings
            start = len(around[run])
            self._fixed[run, start : start + len(fed[run])] = self.target_embeddings[run, : len(fed[run])]
        positions = torch.arange(length, device=device)  # (S,)
        self._is_z = (positions == torch.tensor(before, device=device).unsqueeze(-1)).unsqueeze(
            -1
        )  # (N, S, 1)
        firsts = torch.tensor([[len(texts) - 1] for texts in around], device=device)  # (N, 1)
        sentences = torch.arange(self._most_sentences, device=device)  # (M,)
        self._places = (firsts + sentences).clamp_max(length - 1)  # (N, M)
        self._feeds_back = None
        if any(spec.continuation and spec.forcing == "free" for spec in self._specs):
            free = [[[spec.forcing == "free"]] for spec in self._specs]
            self._feeds_back = torch.tensor(free, device=device)  # (N, 1, 1)

    def _encoded(self, sentences: Sequence[Sequence[str]], field: str) -> Tensor:
        """Embeddings of each run's sentences, padded with zeros. # (N, M, D)"""
        padded = torch.zeros(
            len(sentences), self._most_sentences, self._bundle.dim, device=self._bundle.device
        )
        for run, texts in enumerate(sentences):
            languages = [self._specs[run].target_lang] * len(texts)
            padded[run, : len(texts)] = self._bundle.encode(texts, field=field, languages=languages)
        return padded

    def _given_anchors(self) -> tuple[Tensor, Tensor]:
        """Anchors that stay: none yet in the first place, the initial z, sentences. # (N, A, D), (N, A)"""
        sentences = [spec.option("anchor.sentences") for spec in self._specs]
        most = max(len(texts) for texts in sentences if isinstance(texts, tuple))
        dim, device = self._bundle.dim, self._bundle.device
        anchors = torch.zeros(len(self._specs), 2 + most, dim, device=device)
        is_anchor = torch.zeros(len(self._specs), 2 + most, dtype=torch.bool, device=device)
        for run, (spec, texts) in enumerate(zip(self._specs, sentences, strict=True)):
            to = spec.option("anchor.to")
            if to == "sentences" and not texts:
                raise UserError("anchor.sentences: none are given; anchor.to=sentences needs some")
            is_anchor[run, 0] = to in ("round-trip", "all")
            is_anchor[run, 1] = to in ("init", "all")
            anchors[run, 1] = self._initial_z[run]
            if isinstance(texts, tuple) and texts and to in ("sentences", "all"):
                languages = [spec.source_lang] * len(texts)
                embeddings = self._bundle.encode(texts, field="anchor.sentences", languages=languages)
                anchors[run, 2 : 2 + len(texts)] = embeddings
                is_anchor[run, 2 : 2 + len(texts)] = True
        return anchors, is_anchor

    def _all_anchors(self, own: OwnText | None, copies: int) -> tuple[Tensor, Tensor] | None:
        if not self._has_anchors or self._anchors is None or own is None:
            return None
        anchors, is_anchor = self._anchors
        anchors = torch.cat([own.round_trip.unsqueeze(1), anchors[:, 1:]], dim=1)
        return _repeated(anchors, copies), _repeated(is_anchor, copies)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        prior = self._bundle.prior
        if prior is None:
            raise UserError(
                f"prior: bundle {self._bundle.bundle.name} has no statistics of sentence embeddings"
            )
        return prior

    def _padded(self, sentences: Sequence[str]) -> list[str]:
        return [*sentences, *[""] * (self._most_sentences - len(sentences))]

    def _mask(self, lengths: Sequence[int], most: int) -> Tensor:
        counts = torch.tensor(lengths, device=self._bundle.device).unsqueeze(-1)  # (N, 1)
        return torch.arange(most, device=self._bundle.device) < counts

    def _by_run(self, values: Tensor) -> Tensor:
        """Values of N · M sentences by run. # (N, M, …)"""
        return values.view(len(self._specs), self._most_sentences, *values.shape[1:])


def _repeated(values: Tensor, copies: int) -> Tensor:
    """Each run's values, `copies` times one after the other. # (N, …) to (N · C, …)"""
    return values if copies == 1 else values.repeat_interleave(copies, dim=0)


def _at(predictions: Tensor, places: Tensor) -> Tensor:
    """Predictions (R, S, D) at some places (R, P) of each text. # (R, P, D)"""
    if predictions.shape[1] == 1:
        return predictions
    return predictions.gather(1, places.unsqueeze(-1).expand(-1, -1, predictions.shape[-1]))
