"""What a step is made of, part by part; engine.optimizer is the loop that puts the parts together."""
