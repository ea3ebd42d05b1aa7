"""One place for the versions."""

__all__ = ["__version__", "METRIC_VERSION"]

__version__ = "0.1.0"
"""The package."""

METRIC_VERSION = "HDR-VDP 2.2 (Q of release 2.2.1)"
"""The model that it computes."""
