"""Sign-in, personal links and the list of raters."""
