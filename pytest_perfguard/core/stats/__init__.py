"""Statistics on plain numbers: no clock, no file, no pytest."""
