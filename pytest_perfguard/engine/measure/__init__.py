"""Measurement of a callable in one process: the plan of a measurement point, the executor of its steps, the
instruments."""
