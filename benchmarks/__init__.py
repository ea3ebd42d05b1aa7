"""Studies run from a clone, each opening with its question, its answer a file in ``results``; and what they share."""
