"""History: states of the baseline over time, changes of level, drift."""
