"""Measurements of this program on the machine at hand; nothing here passes or fails."""
