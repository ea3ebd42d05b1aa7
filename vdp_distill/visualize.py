"""Pictures of results: heat maps over the image, contact sheets, curves, histograms.

Heat maps come in two palettes: ``trichromatic``, blue, green, yellow, red as HDR-VDP's, and ``safe``, Matplotlib's
viridis, which people with any colour vision read in the right order and which keeps it in grey print. Figures use
Matplotlib's object interface and its Agg canvas, so that nothing global changes and no screen is needed.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from vdp_distill.display import LUMA
from vdp_distill.figures import contact_sheet, drawn, histograms, plane, plot_curve, to_picture

__all__ = ["PALETTES", "heatmap", "contact_sheet", "histograms", "plot_curve", "to_picture"]

LEGEND_MARKS = (0, 25, 50, 75, 100)
COLOURS = ((0.15, 0.25, 0.9), (0.0, 0.75, 0.85), (0.1, 0.8, 0.1), (1.0, 0.9, 0.0), (0.95, 0.05, 0.05))
"""Blue, cyan, green, yellow, red at the legend's marks."""

PALETTES = {
    "trichromatic": LinearSegmentedColormap.from_list("trichromatic", COLOURS),
    # Without its darkest quarter, over which the image could not be seen.
    "safe": LinearSegmentedColormap.from_list("safe", colormaps["viridis"](np.linspace(0.25, 1, 256))),
}
"""Colour of a probability, by name."""


def heatmap(P_map, context_image, palette: str = "trichromatic", legend: bool = True) -> np.ndarray:
    """Probability of detection as colour over the image in grey.

    Parameters
    ----------
    P_map
        Probability in 0..1: tensor (1, 1, H, W) or array (H, W).
    context_image
        The image that was looked at, in any form that :func:`to_picture` takes, of the same height and width; None for
        a plain grey one.
    palette
        ``"trichromatic"`` or ``"safe"`` (for every kind of colour vision).
    legend
        Put a scale of 0 to 100 % under the picture.

    Returns
    -------
    ndarray
        uint8 (H or more, W or more, 3).

    Raises
    ------
    ValueError
        For an unknown palette, sizes that differ, or probabilities outside 0..1.

    Examples
    --------
    >>> heatmap(np.eye(64), None, "safe", legend=False).shape
    (64, 64, 3)
    """
    if palette not in PALETTES:
        raise ValueError(f"palette must be one of {', '.join(PALETTES)}, got {palette!r}")
    probability = plane(P_map)
    if not (probability.min() >= -1e-6 and probability.max() <= 1 + 1e-6):
        raise ValueError(f"P_map must lie in 0..1, got {probability.min():.6g} to {probability.max():.6g}")
    grey = np.full(probability.shape, 0.6) if context_image is None else to_picture(context_image) @ np.array(LUMA)
    if grey.shape != probability.shape:
        raise ValueError(f"P_map and image must have one size, got {probability.shape} and {grey.shape}")
    colour = PALETTES[palette](np.clip(probability, 0, 1))[..., :3]
    # The image shows through as light and dark of the colour, never so dark that a probability cannot be told.
    picture = np.rint(colour * (0.35 + 0.65 * grey[..., None]) * 255).astype(np.uint8)
    return _above_legend(picture, palette) if legend else picture


def _above_legend(picture: np.ndarray, palette: str) -> np.ndarray:
    """The picture with a scale under it; small pictures are centred on a wider sheet that the scale needs."""
    height, width = picture.shape[:2]
    wide = max(width, 240)
    figure = Figure(figsize=(wide / 100, 0.68), dpi=100, facecolor="white")
    axes = figure.add_axes((0.06, 0.7, 0.88, 0.23))
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=PALETTES[palette], extent=(0, 100, 0, 1))
    axes.set_yticks([])
    axes.set_xticks(LEGEND_MARKS, [f"{mark} %" for mark in LEGEND_MARKS], fontsize=8)
    axes.tick_params(length=2, pad=1)
    axes.set_xlabel("seen here, by HDR-VDP's own criterion", fontsize=7, labelpad=1)
    scale = drawn(figure)[:, :wide]
    sheet = np.full((height, wide, 3), 255, np.uint8)
    left = (wide - width) // 2
    sheet[:, left : left + width] = picture
    return np.concatenate([sheet, scale])
