"""Migrations of the database, applied by :func:`bot.database.migrate` at every start, also from an installed wheel."""
