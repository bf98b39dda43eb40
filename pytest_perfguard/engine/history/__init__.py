"""What was recorded over time: series of one test, where they change their level, and how far they have drifted."""
