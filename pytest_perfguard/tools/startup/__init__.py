"""Starting up: modules loaded when they are needed, steps that are timed, and what imports cost."""
