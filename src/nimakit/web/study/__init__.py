"""A study: the way of its raters from consent to a completion code, and the checks of raters."""
