"""Trained networks called like the metric: the same settings, the same result."""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from vdp_distill.metric import HDRVDP2
from vdp_distill.parameters import DEFAULT_PARAMETERS
from vdp_distill.pipeline import Pair, Retina
from vdp_distill.result import Result
from vdp_distill.settings import Settings, matrix_of, pixels_per_degree_of, surround_of
from vdp_distill.surrogates.conditioned import ConditionedChain
from vdp_distill.surrogates.half_resolution import PIXELS_PER_DEGREE
from vdp_distill.surrogates.paper import Chain
from vdp_distill.uncompiled import uncompiled

__all__ = ["ChainVDP", "ConditionedVDP", "OutOfDomainWarning", "SurrogateVDP"]


class OutOfDomainWarning(UserWarning):
    """An input lies outside what a model was trained on."""


class SurrogateVDP(HDRVDP2):
    """What all trained models share: frozen weights, settings that they cannot follow refused, their name in results.

    Parameters
    ----------
    network
        It is frozen.
    name
        For ``Result.settings["model"]``.
    strict
        Raise for input outside what it was trained on, in place of one warning.
    **settings
        As for :func:`vdp_distill.hdrvdp2`; without any they are all given at the call.
    """

    fixed = {"mtf": True, "peak_sensitivity": 2.4, "engine": "torch"}
    """Settings that the network was trained with and cannot change."""

    domain: Mapping[str, tuple[float, float]] = {}
    """Least and largest of what it was trained on, by name."""

    made_for = "was trained on"
    """What its bounds are, in words."""

    has_retina = True
    """Whether it gives the retina's responses, which JND networks look at."""

    def __init__(self, network: nn.Module, name: str, *, strict: bool = False, **settings):
        nn.Module.__init__(self)
        self.strict, self.warned = strict, set()
        self.fitted = DEFAULT_PARAMETERS
        self.name, self.network = name, network.eval().requires_grad_(False)
        self.settings = Settings.create(**settings) if settings else None
        self.geometries = nn.ModuleDict()

    def _apply(self, fn, recurse=True):
        # Half precision is for the networks around it: its own weights keep theirs.
        def kept(value: Tensor) -> Tensor:
            given = fn(value)
            return value.to(given.device) if given.dtype in (torch.float16, torch.bfloat16) else given

        return super()._apply(kept, recurse)

    def settings_for(self, **overrides) -> Settings:
        """The settings of a call, refused where the network cannot follow them."""
        settings = Settings.create(**overrides) if self.settings is None else super().settings_for(**overrides)
        for name, value in self.fixed.items():
            given = settings.display_name() if name == "rgb_display" else getattr(settings, name)
            if given is not value and (isinstance(given, Tensor | np.ndarray) or given != value):
                raise ValueError(f"{self.name} was trained with {name}={value!r} and takes no other; use model='exact'")
        return settings

    @uncompiled
    def forward(self, test, reference, **overrides) -> Result:
        """Predict for a pair or a batch of pairs; see :func:`vdp_distill.hdrvdp2`."""
        result = super().forward(test, reference, **overrides)
        return replace(result, settings={**result.settings, "model": self.name})

    def check_domain(self, settings: Settings, **found: Tensor) -> None:
        """Warn once, or raise, where values lie outside what it was trained on."""
        if not settings.check_values or torch.compiler.is_compiling():
            return
        for name, value in found.items():
            (low, high), ends = self.domain[name], torch.aminmax(value.detach())
            least, largest = (float(bound) for bound in ends)
            if least < low or largest > high:
                self._outside(name, (least, largest), (low, high))

    def _outside(self, name: str, found: tuple[float, float], allowed: tuple[float, float]) -> None:
        text = (
            f"{self.name} {self.made_for} {name} {allowed[0]:g} to {allowed[1]:g}, got {found[0]:.4g} to "
            f"{found[1]:.4g}; compare with model='exact'"
        )
        if self.strict:
            raise ValueError(text)
        if name not in self.warned:
            self.warned.add(name)
            warnings.warn(text, OutOfDomainWarning, stacklevel=2)


class ChainVDP(SurrogateVDP):
    """The metric with a trained chain in place of its optics and retina; the exact cortex and detection follow.

    The call is that of :class:`vdp_distill.HDRVDP2`. The chain knows neither the pixels per degree nor the display's
    spectra; the later stages know the former.

    Parameters
    ----------
    network
        The chain; it is frozen.
    name
        For ``Result.settings["model"]``.
    **settings
        As for :func:`vdp_distill.hdrvdp2`; without any they are all given at the call.

    Examples
    --------
    >>> from vdp_distill.surrogates.paper import ChainConfig
    >>> model = ChainVDP(Chain(ChainConfig()))
    >>> grey = torch.full((1, 3, 32, 32), 0.5)
    >>> float(model(grey, grey, encoding="sRGB-display", pixels_per_degree=30).P_det)
    0.0
    """

    fixed = SurrogateVDP.fixed | {"emission": None, "rgb_display": None}

    def __init__(self, network: Chain, name: str = "chain", **settings):
        super().__init__(network, name, **settings)

    def retina(self, lights: Pair, settings: Settings) -> Pair:
        """The chain's stages of both images, which pass it in one batch."""
        channels, expected = lights.test.shape[1], self.network.config.channels
        if channels != expected:
            hint = "repeat the grey image to three channels" if expected == 3 else "pass its luminance"
            raise ValueError(f"{self.name} takes light of {expected} channel(s), got {channels}; {hint}")
        surround = surround_of(settings, lights.reference)
        surround = surround.expand(lights.test.shape[0], channels, 1, 1).repeat(2, 1, 1, 1)
        both = self.network.retina(torch.cat(lights), surround, settings.keep_stages)
        batch = lights.test.shape[0]  # slices, for an exported program's batch is a symbol that chunk() would fix
        sides = (slice(batch), slice(batch, None))
        return Pair(*(Retina(*(None if stage is None else stage[side] for stage in both)) for side in sides))


class ConditionedVDP(SurrogateVDP):
    """The metric with a conditioned chain in place of its optics and retina; the exact cortex and detection follow.

    The call is that of :class:`vdp_distill.HDRVDP2`, stages included. It follows the pixels per degree, the display,
    its spectra and the surround.

    Parameters
    ----------
    network
        The chain; it is frozen.
    name, strict, **settings
        As for :class:`SurrogateVDP`.

    Examples
    --------
    >>> from vdp_distill.surrogates.conditioned import ConditionedConfig
    >>> model = ConditionedVDP(ConditionedChain(ConditionedConfig()))
    >>> grey = torch.full((1, 3, 32, 32), 0.5)
    >>> float(model(grey, grey, encoding="sRGB-display", pixels_per_degree=30).P_det)
    0.0
    """

    domain = {"pixels_per_degree": PIXELS_PER_DEGREE}
    made_for = "has optics fitted for"

    def __init__(self, network: ConditionedChain, name: str = "chain", *, strict: bool = False, **settings):
        super().__init__(network, name, strict=strict, **settings)

    def retina(self, lights: Pair, settings: Settings) -> Pair:
        """The chain's stages of both images."""
        light = lights.reference
        degree = pixels_per_degree_of(settings, light.shape[0], light)
        self.check_domain(settings, pixels_per_degree=degree)
        channels = light.shape[1]
        matrix = torch.as_tensor(matrix_of(settings, channels)).to(light).reshape(-1, channels, 4)
        return self.network(lights, matrix, surround_of(settings, light), degree, settings.keep_stages)
