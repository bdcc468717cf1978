"""Migrations, run at start: see nimakit.web.db.database."""
