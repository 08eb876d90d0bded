"""A population search: its rows, against formulas written out here; its seeds, its end, its state."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from safetensors.torch import load

from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.optimizer import Optimization
from engine.population.pieces import Pieces
from engine.population.search import PopulationSearch
from engine.population.words import varied
from engine.search import optimize
from engine.spec import RunSpec, parse_spec, with_changes
from engine.steps.step import Step
from tests.engine.test_objective import cosine, decoder_cross_entropy, encode
from tests.engine.toy import TEXT, toy_spec

QUICK: Mapping[str, object] = {
    "population.candidates": 6,
    "population.keep": 6,
    "population.gradient_steps": 2,
    "population.round_trip": 0.5,
    "population.words": 2.0,
}


def population(steps: int = 3, **fields: object) -> RunSpec:
    """A search among few short texts; `options` are added to the quick ones."""
    options = {**QUICK, **dict(fields.pop("options", {}))}  # type: ignore[call-overload]
    quick = {"method": "population", "steps": steps, "max_decoded_tokens": 6, "options": options}
    return toy_spec(**(quick | fields))


def run_out(search: PopulationSearch) -> list[Step]:
    rows = []
    while not search.done:
        rows += search.advance()
    return rows


def everything(row: Step) -> tuple[object, ...]:
    """All of a row but its milliseconds, which are the moment's."""
    values = {name: value for name, value in vars(row).items() if name != "elapsed_ms"}
    return tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in values.values())


@pytest.fixture(scope="module")
def rows(bundle: LoadedBundle) -> list[Step]:
    return list(optimize(population(steps=4), bundle))


def test_a_row_is_what_its_text_alone_makes_the_model_say(bundle: LoadedBundle, rows: list[Step]) -> None:
    assert [row.step for row in rows] == [0, 1, 2, 3, 4]
    assert len({row.decoded_z for row in rows}) > 1
    for row in rows:
        assert row.decoded_z is not None
        z = encode(bundle, row.decoded_z)
        np.testing.assert_array_equal(row.z, z.astype(np.float32))
        with torch.no_grad():
            prediction = bundle.generator(torch.tensor(row.z)[None, None])[0, 0].double().numpy()
        np.testing.assert_allclose(row.prediction, prediction, rtol=1e-4, atol=1e-5)
        expected = decoder_cross_entropy(bundle, prediction, RunSpec().target)
        assert row.terms == {"ce": pytest.approx(expected, rel=1e-4)}
        assert row.loss == row.terms["ce"]
        assert row.token_losses is not None
        assert np.mean(row.token_losses) == pytest.approx(row.loss, rel=1e-5)
        assert row.measures["reread_ce"] == pytest.approx(row.loss, rel=1e-5)
        assert row.reread_prediction == row.decoded_prediction


def test_the_best_never_gets_worse_and_keeps_its_round_trip(bundle: LoadedBundle, rows: list[Step]) -> None:
    losses = [row.loss for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    for row in rows:
        (said,) = bundle.embedding_to_text.predict(
            torch.tensor(row.z)[None], target_lang="eng_Latn", beam_size=1, max_gen_len=(0.0, 7)
        )
        assert row.measures["round_trip"] == pytest.approx(
            cosine(row.z.astype(np.float64), encode(bundle, said)), abs=1e-5
        )
        assert row.measures["round_trip"] >= 0.5


def test_a_bound_that_rules_out_what_would_be_best_is_kept(bundle: LoadedBundle) -> None:
    given = {"population.seeds": "sentences", "population.sentences": TEXT}
    any_at_all, bounded = (
        next(optimize(population(options={**given, "population.round_trip": bound}), bundle))
        for bound in (0.0, 0.75)
    )
    assert any_at_all.measures["round_trip"] < 0.75 <= bounded.measures["round_trip"]
    assert any_at_all.loss < bounded.loss


def test_the_gradient_of_a_row_is_that_of_its_loss(bundle: LoadedBundle, rows: list[Step]) -> None:
    for row in rows[:2]:
        free = toy_spec(norm="free")
        (alone,) = Optimization([free], bundle, initial=row.z[np.newaxis]).advance()
        assert row.grad_norm == pytest.approx(alone.grad_norm, rel=1e-4)
        assert row.similarity == pytest.approx(alone.similarity, rel=1e-4, abs=1e-6)
        assert row.z_norm == pytest.approx(alone.z_norm, rel=1e-6)


def test_it_judges_by_the_runs_own_loss(bundle: LoadedBundle) -> None:
    spec = population(
        steps=1,
        weights={"ce": 0.5, "cosine": 2.0},
        before=(TEXT[1],),
        context=(TEXT[2],),
        continuation=(TEXT[3],),
    )
    for row in optimize(spec, bundle):
        alone = with_changes(spec, method="gradient", norm="free", options={})
        (expected,) = Optimization([alone], bundle, initial=row.z[np.newaxis]).advance(decodes=True)
        assert row.terms == pytest.approx(expected.terms, rel=1e-4)
        assert row.loss == pytest.approx(expected.loss, rel=1e-4)
        assert len(row.sentences) == 2
        assert row.decoded_prediction == expected.decoded_prediction


def test_a_seed_is_a_trajectory(bundle: LoadedBundle, rows: list[Step]) -> None:
    again = list(optimize(population(steps=4), bundle))
    assert list(map(everything, again)) == list(map(everything, rows))
    other = list(optimize(population(steps=4, seed=1), bundle))
    assert [row.decoded_z for row in other] != [row.decoded_z for row in rows]


def test_it_begins_with_the_sentences_that_are_given(bundle: LoadedBundle) -> None:
    options = {"population.seeds": "sentences", "population.sentences": TEXT, "population.round_trip": 0.0}
    row = next(optimize(population(options=options), bundle))
    with torch.no_grad():
        predictions = {
            text: bundle.generator(torch.tensor(encode(bundle, text), dtype=torch.float32)[None, None])[0, 0]
            for text in TEXT
        }
    losses = {
        text: decoder_cross_entropy(bundle, prediction.double().numpy(), RunSpec().target)
        for text, prediction in predictions.items()
    }
    assert row.decoded_z == min(losses, key=lambda text: losses[text])


def test_it_begins_with_what_the_init_says(bundle: LoadedBundle) -> None:
    options = {"population.seeds": "init", "population.noise": 0.0, "population.round_trip": 0.0}
    init = encode(bundle, TEXT[4]).astype(np.float32)
    (said,) = bundle.embedding_to_text.predict(
        torch.tensor(init)[None], target_lang="eng_Latn", beam_size=1, max_gen_len=(0.0, 7)
    )
    row = next(optimize(population(init={"kind": "text", "text": TEXT[4]}, options=options), bundle))
    assert row.decoded_z == said


def test_a_match_ends_it_unless_it_shall_go_on(bundle: LoadedBundle) -> None:
    given = {"population.seeds": "sentences", "population.sentences": TEXT, "population.round_trip": 0.0}
    row = first_row(bundle, TEXT[2])
    spec = population(steps=2, target=row.decoded_prediction, options=given)
    rows = list(optimize(spec, bundle))
    assert [(row.step, row.match, row.lr) for row in rows] == [(0, True, None)]
    options = {**given, "population.stop": "never"}
    rows = list(optimize(population(steps=2, target=row.decoded_prediction, options=options), bundle))
    assert [(row.step, row.match) for row in rows] == [(0, True), (1, True), (2, True)]


def first_row(bundle: LoadedBundle, text: str) -> Step:
    options = {"population.seeds": "sentences", "population.sentences": [text], "population.round_trip": 0.0}
    return next(optimize(population(options=options), bundle))


@pytest.mark.parametrize("step", range(4))
def test_it_goes_on_from_a_checkpoint_bit_for_bit(bundle: LoadedBundle, rows: list[Step], step: int) -> None:
    whole = PopulationSearch([population(steps=4)], bundle)
    for _ in range(step):
        whole.advance()
    resumed = PopulationSearch([population(steps=4)], bundle)
    resumed.restore(0, whole.state_bytes(0))
    assert resumed.next_step(0) == step
    assert list(map(everything, run_out(resumed))) == list(map(everything, rows[step:]))


def test_new_weights_judge_what_was_kept_anew_and_a_checkpoint_knows_it(bundle: LoadedBundle) -> None:
    def changed(search: PopulationSearch) -> PopulationSearch:
        search.take_spec(0, with_changes(search.specs[0], weights={"cosine": 1.0}, lr=0.02))
        return search

    whole = PopulationSearch([population(steps=4)], bundle)
    before = [whole.advance()[0], whole.advance()[0]]
    state = whole.copy_of_state(0)
    rows = run_out(changed(whole))
    assert [row.terms.keys() for row in rows] == [{"cosine"}] * 3
    assert [row.lr for row in (*before, *rows)] == [0.01, 0.01, 0.02, 0.02, None]
    assert [row.loss for row in rows] == [-row.similarity for row in rows]
    for way in ("bytes", "copy"):
        again = PopulationSearch([population(steps=4)], bundle)
        again.go_back(0, state)
        if way == "bytes":
            again.restore(0, changed(again).state_bytes(0))
        assert list(map(everything, run_out(changed(again)))) == list(map(everything, rows))


def test_rows_are_made_again_with_what_they_were_recorded_with(
    bundle: LoadedBundle, rows: list[Step]
) -> None:
    again = PopulationSearch([population(steps=4, lr=0.05, weights={"cosine": 1.0})], bundle)
    for row in rows:
        again.repeat(0, lr=row.lr or 0.01, weights=row.weights)
        assert list(map(everything, again.advance())) == [everything(row)]


def test_more_generations_go_on_where_the_last_one_was(bundle: LoadedBundle, rows: list[Step]) -> None:
    search = PopulationSearch([population(steps=2)], bundle)
    first = run_out(search)
    assert first[-1].lr is None
    search.extend(0, 4)
    assert list(map(everything, [*first[:-1], *run_out(search)])) == list(map(everything, rows))


def test_a_checkpoint_of_something_else_is_refused(bundle: LoadedBundle) -> None:
    search = PopulationSearch([population(steps=2)], bundle)
    gradient = Optimization([toy_spec()], bundle)
    with pytest.raises(UserError, match=r"^checkpoint: of no population search: without candidate_z"):
        search.restore(0, gradient.state_bytes(0))
    with pytest.raises(UserError, match=r"^checkpoint: of another optimiser"):
        gradient.restore(0, search.state_bytes(0))
    search.advance()
    state = bytearray(search.state_bytes(0))
    state[-1] ^= 1
    with pytest.raises(UserError, match=r"^checkpoint: damaged"):
        search.restore(0, bytes(state))
    longer = PopulationSearch([population(steps=5)], bundle)
    run_out(longer)
    with pytest.raises(UserError, match=r"^checkpoint: of step 5; the run ends with step 2"):
        search.restore(0, longer.state_bytes(0))
    assert search.next_step(0) == 1


def test_a_checkpoint_holds_the_texts_as_they_are(bundle: LoadedBundle) -> None:
    hostile = "\x1b[2J [bold]é\u202e😀"
    options = {
        "population.seeds": "sentences",
        "population.sentences": [hostile],
        "population.round_trip": 0.0,
        "population.words": 0.0,
    }
    search = PopulationSearch([population(options=options)], bundle)
    (row,) = search.advance()
    assert row.decoded_z == hostile
    assert hostile.encode() in bytes(load(search.state_bytes(0))["texts"].numpy())


def test_no_text_is_tried_twice_and_none_that_the_models_cannot_take(
    bundle: LoadedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    encode_together = LoadedBundle.encode_together

    def noting(self: LoadedBundle, texts: list[str], *, language: str | None = None) -> torch.Tensor:
        tried.extend(texts)
        return encode_together(self, texts, language=language)

    monkeypatch.setattr(LoadedBundle, "encode_together", noting)
    long = "cat " * 100
    options = {
        "population.seeds": "sentences",
        "population.sentences": [*TEXT, long],
        "population.round_trip": 0.0,
    }
    run_out(PopulationSearch([population(steps=3, options=options)], bundle))
    assert set(TEXT) < set(tried)
    assert long not in tried
    assert len(tried) == len(set(tried))


def test_seeds_that_are_no_texts_for_the_models_are_named(bundle: LoadedBundle) -> None:
    options = {"population.seeds": "sentences", "population.sentences": ["cat " * 100]}
    with pytest.raises(UserError, match=r"^population.seeds: none of them is a text that the models take$"):
        next(optimize(population(options=options), bundle))


def test_texts_encoded_together_are_nearly_those_encoded_alone(bundle: LoadedBundle) -> None:
    alone = bundle.encode(TEXT)
    together = bundle.encode_together(TEXT)
    np.testing.assert_allclose(together.numpy(), alone.numpy(), rtol=1e-3, atol=1e-5)


def test_pieces_become_smaller_where_memory_is_short() -> None:
    asked: list[tuple[int, int]] = []

    def short_of_memory(piece: slice) -> torch.Tensor:
        asked.append((piece.start, piece.stop))
        if piece.stop - piece.start > 3:
            raise torch.OutOfMemoryError
        return torch.arange(piece.start, piece.stop)

    pieces = Pieces(8)
    assert pieces.cat(short_of_memory, 9).tolist() == list(range(9))
    assert asked == [(0, 8), (0, 4), (0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]
    with pytest.raises(torch.OutOfMemoryError):
        Pieces(4).cat(lambda piece: short_of_memory(slice(0, 9)), 4)


def test_varied_texts_are_made_of_their_parents_words() -> None:
    texts = ["a b c d", "v w x y z"]
    found = varied(texts, [0, 1] * 200, np.random.default_rng(0))
    kinds = {tuple(word in texts[0] for word in text.split()) for text in found}
    assert all(set(text.split()) <= set("abcdvwxyz") for text in found)
    assert "b c d" in found  # one word is dropped
    assert any(text.startswith("a b c") and text[-1] in "vwxyz" for text in found)  # one is replaced
    assert (True, True, False, False) in kinds  # spliced
    assert varied(["", "a"], [0, 1], np.random.default_rng(0)) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimizer": "sgd"}, "optimizer: sgd: a population search has adam"),
        ({"clip": 1.0}, "clip: 1: not in a population search"),
        ({"norm": "free"}, "norm: free: a population search leaves each candidate the norm"),
        ({"weights": {"fluency": 0.5}}, "weights: fluency=0.5: not in a population search"),
        ({"schedules": {"anchor": "linear:1:5"}}, "weights: anchor=0: not in a population search"),
        ({"schedules": {"lr": "plateau:0.5:5"}}, "schedules: lr=plateau:0.5:5: not in a population search"),
        ({"options": {"noise.copies": 4}}, "options: noise.copies=4: not in a population search"),
        ({"options": {"population.seeds": "sentences"}}, "options: population.seeds=sentences: none are"),
        ({"options": {"population.keep": 0}}, "options: .*population.keep=0: allowed is a whole number"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=f"^{said}") as refusal:
        parse_spec(method="population", **fields)
    assert "\n" not in str(refusal.value)
