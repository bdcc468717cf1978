"""TODO nn.enhance."""
