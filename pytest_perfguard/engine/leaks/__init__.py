"""Leak detection: find growth with every call, and explain it."""
