"""The step at speed: the models' mathematics without what never changes a result, and without the host.

What is computed here is what the models' own modules compute (engine.fast.reference), value by value.
"""
