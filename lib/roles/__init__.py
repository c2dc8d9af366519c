"""What each process does: one file a role, each started by the supervisor as ``python -m lib.roles.NAME``."""
