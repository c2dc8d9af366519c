"""Where figures of a run are shown besides our own files: TensorBoard, Weights & Biases, MLflow."""
