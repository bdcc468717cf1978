"""TODO nn.training."""
