"""From words on a command line to a checked configuration, and back to a file."""
