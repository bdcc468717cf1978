"""The rating app: people look at photographs and say what they think; it comes out as label files."""
