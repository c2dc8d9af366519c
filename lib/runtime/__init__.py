"""The life of a run: its processes, who watches them, its folders, and restarts."""
