"""Commands of `nimakit`, one module each; they import heavy modules when run, so that --help is fast."""
