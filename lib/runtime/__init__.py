"""How a run is started, watched and ended: processes, supervisor, folders, and restarts by torchrun."""
