"""The `benchmark` fixture and the options of pytest-benchmark and pytest-codspeed."""
