"""What the gateway is set up to do: sources, integrations with their revisions, and the replays asked for.

Kept in `state.db` in the data folder. Writing it takes SQLAlchemy, which takes a while to import: this package imports
nothing, and commands that only read what it says of environments do without.
"""
