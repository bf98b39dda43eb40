"""The measuring modes: one class per option that measures."""
