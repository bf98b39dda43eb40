"""Pools of objects and of connections: what is decided knows no thread, no loop and no clock; two thin shells obey it."""
