"""HDR-VDP 2.2 from light to probability: the conductor.

The stages are those of :data:`vdp_distill.stages.STAGES`, in order. Run in float64 this is the reference; run in
float32 it is the exact differentiable metric.

Deliberate differences from the original release:

==============================================  ================================================================
difference                                      why, and its measured effect
==============================================  ================================================================
resize with normalised weights                  MATLAB's; GNU Octave's ``imresize`` does not normalise (up to 3e-6
                                                of C_map at sizes that are no multiple of 16)
images under 17 pixels are refused              the original has no oriented band there and sees nothing
values in 0..1 given as cd/m2 are refused       the original warns; ``check_values=False`` lets them through
one ``Q``, that of release 2.2.1                2.2.0's depended on the image size, and its Q_MOS was withdrawn
float32 takes x^3.5 for x^3.499999648           the fitted exponent is 10^0.544068; below float32's own rounding
==============================================  ================================================================
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vdp_distill import adaptation, csf, detection, masking, optics, receptors
from vdp_distill import pyramid as steerable
from vdp_distill.fourier import unit_frequency
from vdp_distill.parameters import DEFAULT_PARAMETERS, Parameters
from vdp_distill.resize import resize
from vdp_distill.tiles import in_tiles

__all__ = ["Pair", "Geometry", "Bands", "Retina", "Cortex", "retina", "cortex"]


class Pair(NamedTuple):
    """A stage of both images: a tensor each, or a list of bands each."""

    test: Tensor | list[Tensor]
    reference: Tensor | list[Tensor]


class Geometry(nn.Module):
    """Frequencies and eye filters of one image size, held as buffers.

    Parameters
    ----------
    height, width
        Size of the images.
    like
        A tensor whose dtype and device the buffers take.
    """

    def __init__(self, height: int, width: int, like: Tensor):
        super().__init__()
        self.sizes = steerable.pyramid_sizes(height, width)
        self.register_buffer("canvas", unit_frequency(height, width).to(like), persistent=False)
        self.register_buffer("base_canvas", unit_frequency(*self.sizes[-1]).to(like), persistent=False)
        self.remembered = None, None

    def eye_transfer(self, pixels_per_degree: Tensor, scalar: float | None, parameters: Parameters) -> Tensor:
        """MTF on the canvas, (N or 1, 1, 2H, W + 1); remembered for one scalar number of pixels per degree."""
        if scalar is None:
            return optics.eye_mtf(pixels_per_degree.view(-1, 1, 1, 1) * self.canvas, parameters)
        known, transfer = self.remembered  # read and written whole: other threads may be here
        if known != (scalar, parameters):
            with torch.inference_mode(False), torch.no_grad():
                transfer = optics.eye_mtf(scalar * self.canvas, parameters)[None, None]
            self.remembered = (scalar, parameters), transfer
        return transfer


class Bands(NamedTuple):
    """The part of a :class:`Geometry` that the cortex needs."""

    sizes: list[tuple[int, int]]
    base_canvas: Tensor


class Retina(NamedTuple):
    """What reaches the cortex, and what it came through, if kept; each (N, K, H, W)."""

    light_scatter: Tensor | None
    photoreceptors: Tensor | None
    adapting_luminance: Tensor
    luminance_masking: Tensor | None
    achromatic: Tensor


def retina(
    light_cdm2: Pair,
    surround_cdm2: Tensor,
    transfer: Tensor | None,
    matrix: Tensor,
    tables: Tensor,
    keep_stages: bool = False,
    parameters: Parameters = DEFAULT_PARAMETERS,
) -> Pair:
    """Optics and retina of a batch of pairs: light to achromatic response.

    The images are kept apart, for mostly only one of them needs a gradient.

    Parameters
    ----------
    light_cdm2
        (N, C, H, W) each.
    surround_cdm2
        Broadcast against (N, C, 1, 1).
    transfer
        MTF on the canvas; None lets the light pass unchanged and unclamped.
    matrix
        (1 or N, C, 4), columns L, M, S, rod.
    tables
        :func:`vdp_distill.adaptation.response_tables`.
    keep_stages
        Keep the photoreceptors' and the masked responses, which are otherwise never whole in memory.

    Returns
    -------
    Pair of Retina
    """
    light = light_cdm2
    if transfer is not None:
        light = Pair(*optics.light_scatter_pair(*light, surround_cdm2, transfer, parameters))
    anchor = receptors.photoreceptors(light.reference.mean(dim=(2, 3), keepdim=True), matrix)[:, [0, 1, 3]]

    def respond(light, matrix, anchor):
        responses = receptors.photoreceptors(light, matrix[:, :, 0])
        masked, _ = adaptation.luminance_masking(responses, anchor, tables, parameters)
        return masked.sum(dim=1, keepdim=True), adaptation.adapting_luminance(responses)

    def whole(light):
        responses = receptors.photoreceptors(light, matrix)
        masked, zero = adaptation.luminance_masking(responses[:, [0, 1, 3]], anchor, tables, parameters)
        luminance = adaptation.adapting_luminance(responses)
        return Retina(light, responses, luminance, masked + zero, adaptation.achromatic(masked))

    def tiled(light):
        total, luminance = in_tiles(respond, light, matrix[:, :, None, [0, 1, 3]], anchor)
        return Retina(light, None, luminance, None, adaptation.achromatic(total))

    return Pair(*map(whole if keep_stages else tiled, light))


class Cortex(NamedTuple):
    """The pair in the visual cortex."""

    pyramid: Pair | None
    baseband: Pair
    masked_difference: list[Tensor]
    contrast_map: Tensor
    quality: Tensor | None
    """None where nobody asked for it."""


def cortex(
    achromatic: Pair,
    adapting_luminance: Pair,
    changed: Tensor | None,
    pixels_per_degree: Tensor,
    geometry: Geometry | Bands,
    use_masking: bool = True,
    keep_stages: bool = False,
    parameters: Parameters = DEFAULT_PARAMETERS,
) -> Cortex:
    """Pyramid, sensitivity, masking and detection: two achromatic responses to a map of contrast.

    Parameters
    ----------
    achromatic, adapting_luminance
        Of both images, (N, 1, H, W) each.
    changed
        :func:`vdp_distill.detection.changed_light`, (N, 1, H, W); None where the quality correlate is not asked for.
    pixels_per_degree
        (1,) or (N,).
    geometry
        Of the images' size.
    keep_stages
        Keep the pyramids too; the test image's is otherwise never whole in memory.
    """
    batch = achromatic.test.shape[0]
    frequencies = steerable.band_frequencies(pixels_per_degree, len(geometry.sizes))
    # The bands of the difference, not the difference of the bands: the same in exact arithmetic, and in float32 the
    # rounding of large responses that both images share never reaches it.
    difference = steerable.build_pyramid(achromatic.test - achromatic.reference)
    reference = steerable.build_pyramid(achromatic.reference)
    pyramid = Pair([r + d for r, d in zip(reference, difference, strict=True)], reference) if keep_stages else None
    bases = torch.cat([reference[-1] + difference[-1], reference[-1]])
    filtered = _filter_baseband(bases, adapting_luminance, frequencies[:, -1], geometry, parameters)
    base = Pair(filtered[:batch], filtered[batch:])
    difference, reference = [*difference[:-1], base.test - base.reference], [*reference[:-1], base.reference]
    responses, energies = _masked_differences(
        difference, reference, adapting_luminance, changed, frequencies, use_masking, parameters
    )
    contrast = steerable.reconstruct_pyramid(responses).abs()
    quality = None
    if changed is not None:
        quality = detection.quality(energies, detection.quality_weights(frequencies, parameters), parameters)
    return Cortex(pyramid, base, responses, contrast, quality)


def _filter_baseband(
    band: Tensor, adapting_luminance: Pair, frequency_cpd: Tensor, geometry: Geometry | Bands, parameters: Parameters
) -> Tensor:
    batch = band.shape[0] // 2
    padding = band[batch:].mean(dim=(2, 3), keepdim=True).repeat(2, 1, 1, 1)
    mean_luminance = torch.cat(adapting_luminance).mean(dim=(1, 2, 3))
    frequency = frequency_cpd if frequency_cpd.numel() == 1 else frequency_cpd.repeat(2)
    return csf.baseband(band, padding, mean_luminance, frequency, geometry.base_canvas, parameters)


def _masked_differences(
    difference: list[Tensor],
    reference: list[Tensor],
    adapting_luminance: Pair,
    changed: Tensor | None,
    frequencies: Tensor,
    use_masking: bool,
    parameters: Parameters,
) -> tuple[list[Tensor], list[Tensor]]:
    """Of every band: the masked difference B, and the root energy of changed pixels if they are given."""
    luminance = ((adapting_luminance.test + adapting_luminance.reference) / 2).clamp(1e-5, 1e5).log10()
    maps = luminance if changed is None else torch.cat([luminance, changed], dim=1)
    mutual = [*map(masking.mutual_contrast, difference, reference)] if use_masking else None
    tables = csf.csf_tables(frequencies, parameters)
    responses, energies = [], []
    for band, lost in enumerate(difference):
        log10_luminance, *masks = resize(maps, *lost.shape[-2:]).split(1, dim=1)
        maskers = (mutual[band], *masking.neighbours(mutual, band)) if use_masking else ()
        is_base, first_mask = band + 1 == len(difference), len(maskers)

        def compare(lost, log10_luminance, tables, *others, band=band, is_base=is_base, first_mask=first_mask):
            maskers, masks = others[:first_mask], others[first_mask:]
            sensitivity = 1.0 if is_base else csf.band_sensitivity(log10_luminance, tables, parameters)
            masked = masking.masked_difference(lost, sensitivity, maskers, band, parameters)
            response = detection.psychometric(masked, band, parameters)
            return (response, *(detection.row_energy(masked, mask) for mask in masks)) if masks else response

        found = in_tiles(compare, lost, log10_luminance, tables[band], *maskers, *masks)
        response, *rows = found if masks else (found,)
        responses.append(response)
        energies += [detection.band_energy(part, log10_luminance[0].numel()) for part in rows]
    return responses, energies


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast and no TF32 inside: the metric in float32 means float32.

    A backward pass comes later, and runs as its caller has set torch.
    """
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        cudnn, matmul = torch.backends.cudnn, torch.get_float32_matmul_precision()
        kept = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
        try:
            torch.set_float32_matmul_precision("highest")
            with cudnn.flags(**kept, allow_tf32=False):
                yield
        finally:
            torch.set_float32_matmul_precision(matmul)


@lru_cache(maxsize=16)
def response_tables(peak_sensitivity: float, parameters: Parameters, device: torch.device) -> Tensor:
    """:func:`vdp_distill.adaptation.response_tables` as a float64 tensor, made once."""
    with torch.inference_mode(False):
        return torch.tensor(adaptation.response_tables(peak_sensitivity, parameters), device=device)
