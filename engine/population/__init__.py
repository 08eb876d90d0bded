"""Population search: a readable z by many candidate texts, of which the best are kept, varied and kept again.

The options and rules are read without torch; `engine.population.search` is the search itself.
"""
