"""What the worker does between claiming a run and recording its rows; engine.worker is the loop."""
