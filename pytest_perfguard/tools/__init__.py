"""Parts that tests and services use directly. No part imports another, and none imports the engine."""
