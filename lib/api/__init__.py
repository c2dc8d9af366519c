"""The program from Python: networks that predict, batches as the trainer sees them, and trainings."""
