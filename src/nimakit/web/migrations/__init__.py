"""Migrations, run at start: see nimakit.web.database."""
