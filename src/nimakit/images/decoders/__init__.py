"""Decoders of formats that Pillow does not open by itself; importing a module registers its decoder."""
