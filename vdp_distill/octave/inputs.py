"""What the Octave engines take: checked before anything is sent."""

from typing import Any

import numpy as np

CHANNELS = {
    "luminance": 1,
    "luma-display": 1,
    "sRGB-display": 3,
    "rgb-bt.709": 3,
    "XYZ": 3,
    "generic": None,
}


def checked_images(
    test: np.ndarray, reference: np.ndarray, encoding: str, spectral_matrix: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both images as float64 of shape (height, width, channel).

    Raises
    ------
    ValueError
        They do not fit each other, the encoding or the spectral matrix, or are not finite.
    """
    if encoding not in CHANNELS:
        raise ValueError(f"encoding must be one of {', '.join(CHANNELS)}, got {encoding!r}")
    images = [np.asarray(image, dtype=np.float64) for image in (test, reference)]
    if images[0].shape != images[1].shape or images[0].ndim not in (2, 3):
        raise ValueError(
            "test and reference must have one shape (height, width[, channel]), "
            f"got {images[0].shape} and {images[1].shape}"
        )
    channels = images[0].shape[2] if images[0].ndim == 3 else 1
    if CHANNELS[encoding] not in (None, channels):
        raise ValueError(f"encoding {encoding!r} has {CHANNELS[encoding]} channels, got {channels}")
    if encoding == "generic" and spectral_matrix is None:
        raise ValueError('encoding "generic" needs spectral_matrix of shape (channel, 4)')
    if spectral_matrix is not None and np.shape(spectral_matrix) != (channels, 4):
        raise ValueError(f"spectral_matrix must have shape ({channels}, 4), got {np.shape(spectral_matrix)}")
    if not all(np.isfinite(image).all() for image in images):
        raise ValueError("test and reference must be finite, got NaN or infinity")
    height, width = images[0].shape[:2]
    return tuple(image.reshape(height, width, channels) for image in images)


def refuse_for_original(
    test: np.ndarray, options: dict[str, Any], spectral_matrix: np.ndarray | None, keep_stages: bool
) -> None:
    """Raise ValueError for what the original cannot do; spell ``options`` as it does."""
    if spectral_matrix is not None or keep_stages:
        raise ValueError('engine "original" has no spectral_matrix and no keep_stages')
    if options["rgb_display"] == "D65":
        if test.shape[2] != 1:
            raise ValueError('rgb_display "D65" is for one channel')
        options["rgb_display"] = ""  # its default, which it has no name for
