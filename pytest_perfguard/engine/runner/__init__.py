"""The measuring processes: protocol, worker and handle; the phases that schedule tests in them; the base tree of a
comparison."""
