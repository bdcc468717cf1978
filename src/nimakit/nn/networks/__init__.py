"""TODO nn.networks."""
