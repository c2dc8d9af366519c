"""The packed data set: its layout on disk, and reading its batch files."""
