"""Where images come from: one module a source, listed in ``registry``."""
