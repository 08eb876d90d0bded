"""What can be said about a population search, as the registry of options holds it."""

from engine.objective.option import Option, choice, number, texts, whole_number

NAME = "population"

METHODS = {
    "gradient": "gradient descent on one z",
    NAME: "many texts, moved by noise and gradient steps or by their words, encoded again, and kept where"
    " that text alone has the lowest loss; a step is a generation",
}
"""What each method of seeking z does."""

POPULATION_OPTIONS: tuple[Option, ...] = (
    whole_number("candidates", 64, "tried by gradient steps in each generation", low=1, high=65_536),
    whole_number("keep", 24, "best ones that are kept, and varied next", low=1, high=65_536),
    choice(
        "seeds",
        "random",
        "the first texts: the init and noisy copies of it, random directions, or given sentences",
        among=("init", "random", "sentences"),
    ),
    texts("sentences", "sentences to begin with"),
    number("round_trip", 0.9, "least cosine of z and encode(decode(z)); 0: any", low=0, high=1),
    number("noise", 0.7, "longest noise on a candidate, relative to its norm", low=0, high=100),
    whole_number("gradient_steps", 8, "most gradient steps of a candidate", low=1, high=64),
    number("words", 0.0, "texts of the kept ones' words tried too, for each candidate", low=0, high=64),
    choice("stop", "match", "what ends it before its last generation", among=("match", "never")),
)
"""The options of the method `population`."""
