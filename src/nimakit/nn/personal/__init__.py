"""TODO nn.personal."""
