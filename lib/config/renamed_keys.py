"""Old names of keys and values. Both are refused with the new name."""

RENAMED_KEYS = {
    "views": "augment.* and normalize.*",
    "views.crop": "augment.crop",
    "views.mirror": "augment.mirror",
    "views.per_image": "augment.per_image",
    "views.color_jitter": "augment.color_jitter",
    "views.pca_lighting": "augment.pca_lighting",
    "views.mean": "normalize.mean",
    "views.std": "normalize.std",
    "run.rewinds": "run.rollbacks",
}

RENAMED_VALUES = {
    ("run.on_nan", "rewind"): "rollback",
    ("exchange.what", "velocities"): "momentum",
}
