"""Edit photographs by gradient ascent on a network's score."""
