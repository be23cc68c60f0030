"""Channels: to and from the outside world, nothing else. One module each."""
