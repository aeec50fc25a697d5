"""Measurements: figures that the tests and the documents rely on."""
