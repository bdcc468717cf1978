"""Model files: metadata, downloading, conversion, loading, and the engine that scores with them."""
