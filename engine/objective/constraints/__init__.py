"""What is done to z beside the loss, one file each, which holds a `CONSTRAINT`."""
