"""The state of a training on disk: checkpoints, the folder that holds them, and saving in the background."""
