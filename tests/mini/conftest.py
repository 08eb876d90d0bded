import engine.models  # noqa: F401  loads libsndfile, which has to be there before fairseq2
