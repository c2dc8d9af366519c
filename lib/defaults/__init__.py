"""The settings that an installed package brings: links to the files at the top of the clone."""
