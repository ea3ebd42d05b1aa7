"""A visual system for loops that count milliseconds: three octaves of the metric's pyramid in one step.

Light becomes one plane of receptor response (:mod:`vdp_distill.surrogates.grey`). Each block of 4 x 4 pixels and its
surroundings become the amplitudes that a few pairs of filters find, which overlap by half, as in a lapped transform;
everything after that, glare, contrast sensitivity, masking, detection, is computed once a block. The same filters look
at every eighth of the size, as far down as the metric's pyramid reaches; below is its base band. Each octave is masked
by those beside it, in other levels too. Filters, gains and masking weights are learnt, by the metric's gradient too;
how sensitivity follows pixels per degree and luminance, and masking the scale, is the metric's.

Source: Mantiuk et al. 2011, sections 4 and 5, on another transform (:mod:`vdp_distill.surrogates.lapped`).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vdp_distill import csf, detection
from vdp_distill.fourier import unit_frequency
from vdp_distill.masking import mutual_contrast
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair
from vdp_distill.power import power
from vdp_distill.pyramid import BLOCK, band_frequencies
from vdp_distill.surrogates import grey
from vdp_distill.surrogates.bilinear import bilinear
from vdp_distill.surrogates.blocks import at_corners, at_pixels, grown
from vdp_distill.surrogates.channels import (
    LEVEL_OCTAVES,
    energy_of_rows,
    excitation,
    log2_ppd,
    mixed,
    octaves_of,
    root_energy,
    sensitivities,
    shared,
    squares,
)
from vdp_distill.surrogates.correction import FEATURES, HIDDEN, corrected, peaked
from vdp_distill.surrogates.cortex import Seen
from vdp_distill.surrogates.golden import VisualSystem
from vdp_distill.surrogates.lapped import starting
from vdp_distill.surrogates.levels import COARSEST, FINEST_SHARED, Level, SwiftConfig, at_base, neighbours
from vdp_distill.surrogates.means import shrunk
from vdp_distill.surrogates.sight import STEP, Sight, kernel_of, look_at
from vdp_distill.tiles import in_tiles

__all__ = ["SwiftConfig", "SwiftVision"]

OCTAVES = (-1.6, 1.5)
"""Of the pixels per degree of what the gains are trained on, to REFERENCE_PPD."""

LARGEST_GAIN = 4.0
"""Natural logarithm; its 14th power is still a number in float32."""

LINKS, BASE_LINK = (1.1, 1.1), 1.0
"""Natural logarithms where the weights of masking by the neighbouring octave of another level start, about those of the
metric: by the finer level and by the coarser one, and of the base band."""

WAVE_SHARE = 0.397
"""Mean of a wave's magnitude to the power of 3.5, of its amplitude's: gamma(2.25) / (sqrt(pi) gamma(2.75))."""

P, Q = DEFAULT_PARAMETERS.mask_p, DEFAULT_PARAMETERS.mask_q


class SwiftVision(VisualSystem):
    """Planes of light to what is seen of their difference.

    Parameters
    ----------
    config
        Its shape.
    generator
        Draws the start of the correction; the rest starts from the metric's own numbers.

    Examples
    --------
    >>> from vdp_distill.receptors import display_matrix
    >>> vision = SwiftVision(SwiftConfig())
    >>> light = torch.full((1, 3, 40, 50), 50.0)
    >>> matrix = torch.tensor(display_matrix("ccfl-lcd", 3), dtype=torch.float32)[None]
    >>> with torch.no_grad():
    ...     seen = vision(Pair(light, light), matrix, torch.full((1, 3, 1, 1), 1e-5), torch.tensor([45.0]))
    >>> seen.contrast_map.shape, float(seen.contrast_map.sum()), float(seen.quality)
    (torch.Size([1, 1, 40, 50]), 0.0, 100.0)
    """

    def __init__(self, config: SwiftConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        taps, masking = (
            torch.tensor(start, dtype=torch.get_default_dtype()) for start in starting(config.orientations)
        )
        self.taps, self.masking = nn.Parameter(taps), nn.Parameter(masking)
        sizes = torch.tensor(config.groups)
        self.register_buffer("groups", torch.eye(len(sizes)).repeat_interleave(sizes, dim=0), persistent=False)
        count = config.pairs + 1  # the last is the base band
        self.sensitivity_gain = nn.Parameter(torch.zeros(3, count))
        self.coarse_gain = nn.Parameter(torch.zeros(len(sizes) + 1))  # of larger images than LEVEL_OCTAVES reach
        self.masking_gain = nn.Parameter(torch.zeros(count))
        places = sizes.div(config.orientations).repeat_interleave(sizes)
        self.output_gain = nn.Parameter(torch.cat([(WAVE_SHARE / places).log(), torch.zeros(1)]))
        self.energy_gain = nn.Parameter(torch.zeros(count))
        self.quality_gain = nn.Parameter(torch.zeros(LEVEL_OCTAVES + 2))
        self.base_link_gain = nn.Parameter(torch.tensor(BASE_LINK))
        self.coarse_link_gain = nn.Parameter(torch.tensor(LINKS))  # of images of more than one level, as coarse_gain
        self.refine_taps = nn.Parameter(torch.randn(HIDDEN, FEATURES, 3, 3, generator=generator) * 0.1)
        self.refine_offset = nn.Parameter(torch.zeros(HIDDEN))
        self.refine_last_taps = nn.Parameter(torch.zeros(1, HIDDEN, 3, 3))

    def forward(self, light_cdm2: Pair, matrix: Tensor, surround_cdm2: Tensor, pixels_per_degree: Tensor) -> Seen:
        """Look at a batch of pairs; arguments as for :class:`vdp_distill.surrogates.vision.SmallVision`."""
        shares = grey.receptor_shares(light_cdm2.reference, matrix)
        viewing = shares, surround_cdm2, pixels_per_degree
        return self.compare(*(self.look_at(image, grey.mix, *viewing) for image in light_cdm2), pixels_per_degree)

    def look_at(self, image: Tensor, to_luminance: Callable[[Tensor, Tensor], Tensor], *viewing: Tensor) -> Sight:
        """What one image is to the eye; arguments as for :func:`vdp_distill.surrogates.sight.look_at`."""
        return look_at(image, to_luminance, viewing)

    def compare(self, test: Sight, reference: Sight, pixels_per_degree: Tensor) -> Seen:
        """What is seen of the difference between two images."""
        size, octaves = test.size, octaves_of(test.size)
        blocks = ((test.blocks + reference.blocks) / 2).clamp(*DEFAULT_PARAMETERS.light_range_cdm2)
        corners, luminance = at_corners(blocks), (test.coarse + reference.coarse) / 2
        pairs = [*map(Pair, test.levels, reference.levels)]
        coarser, levels = [self.texture(pair) for pair in pairs[1:]], []
        for number, pair in enumerate(pairs):
            mean = at_corners(shrunk(luminance, BLOCK)) if number else corners
            beside = neighbours(levels[-1:], coarser[number : number + 1], mean)
            levels.append(self.level(pair, mean, pixels_per_degree / STEP**number, number, octaves, beside))
            luminance = shrunk(luminance, STEP) if number else luminance
        response, coarse = Pair(test.response, reference.response), Pair(test.coarse, reference.coarse)
        base = self.base(response, coarse, pixels_per_degree, octaves, levels[-1])
        parts = self.parts([level.found for level in levels], base, octaves)
        weights = self.refine_taps, self.refine_offset, self.refine_last_taps
        contrast = corrected(parts, levels[0].texture, corners, log2_ppd(pixels_per_degree), weights)
        return Seen(at_pixels(peaked(contrast), *size), self.quality(levels, base, pixels_per_degree, octaves))

    def level(
        self, pair: Pair, luminance: Tensor, ppd: Tensor, number: int, octaves: int, beside: list[Tensor]
    ) -> Level:
        """Look at one level of both images: ringed cells, and luminance at the corners of their blocks.

        ``beside`` is :func:`neighbours`.
        """
        weight, counted = self.masking.exp().mT, self.config.pairs_of(self.counted(number, octaves))
        sums, mean, link = self.sums(number, counted).to(weight), self.group_means(), self.links()

        def look(test, reference, sensitivity, matrices, *beside):
            mutual = shared(test, reference)
            masking = sum((mixed(texture, link) for texture in beside), start=mixed(mutual, weight))
            contrast = self.masked(squares(test - reference), masking, sensitivity, matrices, float(STEP**number))
            return mixed(contrast, sums), mixed(mutual, mean), energy_of_rows(contrast)

        matrices = self.matrices(ppd, number)[..., None, None]
        inputs = *self.responses(pair), sensitivities(luminance, ppd), matrices, *beside
        found, texture, energy = in_tiles(look, *inputs, learnt=(weight, link))
        return Level(found, texture, root_energy(energy[:, counted], found[0, 0].numel()))

    def responses(self, pair: Pair) -> list[Tensor]:
        """What the filters find in ringed cells of both images, (N, 2 pairs, h, w) each."""
        kernel = kernel_of((self.taps - self.taps.mean(dim=(2, 3), keepdim=True)).flatten(0, 1))
        return [F.conv2d(cells, kernel) for cells in pair]

    def texture(self, pair: Pair) -> Tensor:
        """Mean amplitude of what both images share, of each group, (N, 4, h, w)."""
        return mixed(shared(*self.responses(pair)), self.group_means())

    def group_means(self) -> Tensor:
        """Mean of each group's pairs, (pairs, 4)."""
        groups = self.groups.to(self.masking)
        return groups / groups.sum(dim=0)

    def links(self) -> Tensor:
        """Which pairs of a level are masked by the level before and the level after, (2, pairs)."""
        return self.coarse_link_gain[:, None].exp() * self.groups.mT[[FINEST_SHARED, COARSEST]].to(self.masking)

    def counted(self, number: int, octaves: int) -> slice:
        """Groups of a level that count: of octaves that the image has; the high-pass residual at the first alone."""
        return slice(int(number > 0), 1 + min(LEVEL_OCTAVES, octaves - number * LEVEL_OCTAVES))

    def sums(self, number: int, counted: slice) -> Tensor:
        """Which pairs are added up: at the first level those of a group, at others all, (pairs, sums)."""
        if not number:
            return self.groups
        sums = torch.zeros_like(self.groups[:, :1])
        sums[counted] = 1
        return sums

    def gains(self, ppd: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """On the threshold and on masking, of every pair of a level and the base band, (N, pairs + 1)."""
        octaves = log2_ppd(ppd).clamp(*OCTAVES)[:, None]
        constant, slope, bend = self.sensitivity_gain
        gain = constant + slope * octaves + bend * octaves**2
        coarse = torch.cat([self.groups.to(ppd) @ self.coarse_gain[:-1], self.coarse_gain[-1:]])
        gain = gain + (number > 0) * coarse
        gain = LARGEST_GAIN * (gain / LARGEST_GAIN).tanh()
        return (-2 * P * gain).exp(), (Q * gain + self.masking_gain).exp()

    def matrices(self, ppd: Tensor, number: int) -> Tensor:
        """From a group's sensitivity to the threshold and to masking of its pairs, (N, 2 x 4 x pairs)."""
        output, groups = self.output_gain[:-1], self.groups.mT.to(ppd)
        floor, lift = (gain[:, None, :-1] * groups for gain in self.gains(ppd, number))
        # The output gain as a part of the denominator: B = c^p / sqrt(threshold + masking^2) e^gain.
        return torch.stack([floor * (-2 * output).exp(), lift * (-output).exp()], dim=1).flatten(1)

    def masked(
        self, difference: Tensor, masking: Tensor, sensitivity: Tensor, matrices: Tensor, scale: float
    ) -> Tensor:
        """Contrast of a squared difference under masking, which grows with the scale, (N, pairs, h, w)."""
        floor, lift = matrices.view(-1, 2, 1, self.groups.shape[1], self.config.pairs).unbind(1)
        masked = power(masking, Q) * mixed(power(sensitivity, Q) * scale, lift)
        threshold = mixed(power(sensitivity, -2 * P), floor)
        return excitation(difference) * torch.addcmul(threshold, masked, masked).rsqrt()

    def base(self, response: Pair, luminance: Pair, ppd: Tensor, octaves: int, finer: Level) -> Tensor:
        """Masked difference of the base band, (N, 1, h, w), through the metric's own contrast sensitivity."""
        test, reference = (shrunk(plane, 2 ** (octaves - LEVEL_OCTAVES)) for plane in response)
        padding = reference.mean(dim=(2, 3), keepdim=True)
        canvas = unit_frequency(*reference.shape[-2:]).to(reference)
        frequency = ppd / 2 ** (octaves + 2)
        means = (plane.mean(dim=(1, 2, 3)) for plane in luminance)
        test, reference = (
            csf.baseband(band, padding, mean, frequency, canvas)
            for band, mean in zip((test - test.mean(dim=(2, 3), keepdim=True) + padding, reference), means, strict=True)
        )
        gains = self.gains(ppd * 2.0 ** (LEVEL_OCTAVES - octaves), octaves - LEVEL_OCTAVES)
        floor, lift = (gain[:, -1:, None, None] for gain in gains)
        texture = self.base_link_gain.exp() * at_base(finer, octaves, *test.shape[-2:])
        mutual = mutual_contrast(test - reference, reference) + texture
        masked = power(mutual, Q) * lift * 2.0 ** (octaves - LEVEL_OCTAVES)
        return excitation((test - reference).square()) * (floor + masked**2).rsqrt() * self.output_gain[-1].exp()

    def parts(self, levels: list[Tensor], base: Tensor, octaves: int) -> Tensor:
        """Contrast of each of the finest bands and of all coarser ones, (N, 5, h + 1, w + 1)."""
        finest, *coarser = levels
        rows, columns = finest.shape[-2:]
        blocks = bilinear(base, 2**octaves // BLOCK)
        rest = at_corners(blocks[..., : rows - 1, : columns - 1])
        for number, found in enumerate(coarser, 1):
            rest = rest + grown(found, STEP**number, rows, columns)
        return torch.cat([finest, rest], dim=1)

    def quality(self, levels: list[Level], base: Tensor, ppd: Tensor, octaves: int) -> Tensor:
        """The quality correlate Q from the root energy of every octave's pairs."""
        gain, share, bands = self.energy_gain.exp(), self.quality_gain.exp(), []
        for number, level in enumerate(levels):
            groups = self.counted(number, octaves)
            bands += (level.energy * gain[self.config.pairs_of(groups)]).split(self.config.groups[groups], 1)
        energy = root_energy(energy_of_rows(base), base[0, 0].numel())
        shares = torch.cat([share[:1], share[1:-1].repeat(len(levels))[:octaves], 2 * share[-1:]]) / 2
        weights = detection.quality_weights(band_frequencies(ppd, octaves + 2))
        return detection.quality([*bands, energy * gain[-1:]], weights * shares)
