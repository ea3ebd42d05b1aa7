"""Optics and retina in one plane: what the surrogates of the whole metric see of light.

The metric follows L cones, M cones and rods, each through the eye's optics, and adds up their responses. One plane
carries them; how it follows colours is the affair of :mod:`vdp_distill.surrogates.tangent`. One curve makes it a
response, that of the receptors' summed response to light of the reference's mean colour.

Light scatter is the metric's own filter, or that of :mod:`vdp_distill.surrogates.half_resolution`, whose taps may be
learnt; nothing else here is. Sources: as for :mod:`vdp_distill.optics` and
:mod:`vdp_distill.adaptation`.
"""

from torch import Tensor

from vdp_distill.fourier import filter_on_canvas, unit_frequency
from vdp_distill.optics import eye_mtf
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.pyramid import cropped
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.half_resolution import made_once, scatter_half
from vdp_distill.surrogates.response import Curve
from vdp_distill.surrogates.rows import from_rows, in_rows
from vdp_distill.tiles import in_tiles

__all__ = ["respond", "scatter", "transfer"]


def scatter(plane: Pair, surround: Tensor, pixels_per_degree: Tensor, taps: Tensor | None = None) -> Pair:
    """Luminance on the retina of both images, within the metric's range of light.

    Parameters
    ----------
    plane
        Light of both images in one plane, (N, 1, H, W).
    surround
        (N or 1, 1, 1, 1) in cd/m2.
    pixels_per_degree
        (1,) or (N,).
    taps
        None: the metric's filter. A table: these taps on the sharp image, and the rest at half resolution
        (:func:`vdp_distill.surrogates.half_resolution.scatter_half`).
    """

    def filtered(light: Tensor) -> Tensor:
        if taps is None:
            return filter_on_canvas(light, made_once(transfer, pixels_per_degree, *light.shape[-2:]))
        return scatter_half(light, pixels_per_degree, taps)

    difference = filtered(plane.test - plane.reference)
    reference = filtered(plane.reference - surround) + surround
    low, high = DEFAULT_PARAMETERS.light_range_cdm2
    return Pair((reference + difference).clamp(low, high), reference.clamp(low, high))


def respond(plane: Pair, curve: Curve, lift: Pair, step: int) -> tuple[Pair, Pair]:
    """Response of all receptors together, in JND units, without the image's mean; luminance that the eye adapts to.

    Parameters
    ----------
    plane
        :func:`scatter` of both images.
    lift
        What to add to the plane for the response, and for the luminance, in means of step x step pixels,
        (N, 2, h, w) each.
    """
    size = plane.reference.shape[-2:]

    def see(rows, lift, row):
        plane, (bright, adapting) = from_rows(rows, step), bilinear(lift, step).split(1, dim=1)
        luminance = (plane + adapting).clamp(*DEFAULT_PARAMETERS.light_range_cdm2)
        return in_rows(curve(plane + bright, row), step), in_rows(luminance, step)

    def of_one(plane, lift):
        seen = in_tiles(see, in_rows(plane, step), lift, curve.row, halo=1)
        response, luminance = (cropped(from_rows(rows, step), *size) for rows in seen)
        return response - response.mean(dim=(2, 3), keepdim=True), luminance

    responses, luminance = zip(*map(of_one, plane, lift), strict=True)
    return Pair(*responses), Pair(*luminance)


def transfer(pixels_per_degree: Tensor, height: int, width: int) -> Tensor:
    """The metric's filter for light scatter on the canvas of images of a size."""
    frequency = unit_frequency(height, width).to(pixels_per_degree)
    return eye_mtf(pixels_per_degree.view(-1, 1, 1, 1) * frequency)
