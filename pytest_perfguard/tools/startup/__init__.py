"""Start-up: modules loaded when they are needed, timed steps, and the costs of imports."""
