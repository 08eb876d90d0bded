"""A headless Chromium for tests, from the package registries alone."""
