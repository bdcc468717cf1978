"""The Cull experiment: groups of pictures, and the picks, rejects and stars that a rater gives in them."""
