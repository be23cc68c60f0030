"""青禾县: a fictional county that a newcomer meets first. Nothing in it is real."""
