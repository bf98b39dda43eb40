"""Pools of objects and of connections, for threads and for asyncio. Pure state machines decide; thin shells act."""
