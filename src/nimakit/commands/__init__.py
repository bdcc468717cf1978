"""The commands of `nimakit`, one module each. Heavy imports stand inside them, so that --help is instant."""
