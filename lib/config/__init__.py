"""The configuration: its schema, YAML files, the command line, and checks."""
