"""Migrations of the database, run at the start by nimakit.web.db.database."""
