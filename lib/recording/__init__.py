"""What is kept and shown of a run while it lasts."""
