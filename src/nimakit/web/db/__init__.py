"""Tables, migrations and queries of the rating database."""
