"""Find, decode, resize, compare and save photographs."""
