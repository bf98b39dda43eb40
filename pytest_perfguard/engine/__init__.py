"""Measuring and judging. Nothing here imports pytest or the tools."""
