"""Studies run from a clone: each file opens with its question, and its answer is a file in ``results``."""
