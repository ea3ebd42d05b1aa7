"""What to make: a recipe, as frozen dataclasses. :mod:`data_gen.reading` reads them from TOML."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

__all__ = ["Recipe", "Scenes", "Distortions", "Viewing", "Targets", "Aim"]


@dataclass(frozen=True)
class Scenes:
    """Where pictures come from.

    Parameters
    ----------
    photographs
        Share of the samples cut from photographs; the rest is made.
    made
        Kinds of made scenes (:data:`data_gen.scenes.MADE`) and their relative shares.
    zoom
        Range, log-uniform, of the size in pixels of a crop against that of the picture's own pixels: 0.25 shrinks
        four times, 4 enlarges as much: what lies out of focus has as little detail.
    flips
        Mirror and turn crops.
    hdr
        How light of ``.hdr`` and ``.exr`` files is read: ``"relative"`` scales it to the display, ``"absolute"`` takes
        it as cd/m2.
    photographs_per_shard
        Different photographs in one shard, so that each is decoded once a shard; shuffled training mixes shards.
    """

    photographs: float = 0.8
    made: dict[str, float] = field(default_factory=lambda: {"gabor": 1.0, "ramp": 1.0, "edge": 1.0})
    zoom: tuple[float, float] = (0.3, 1.0)
    flips: bool = True
    hdr: str = "relative"
    photographs_per_shard: int = 24


@dataclass(frozen=True)
class Distortions:
    """What happens to the test image: kinds (:data:`data_gen.distortions.DISTORTIONS`) and their relative shares.

    Parameters
    ----------
    strength
        Range, log-uniform, of a factor on each kind's own middle strength, which lies about threshold.
    """

    kinds: dict[str, float] = field(default_factory=lambda: {"jpeg": 1.0, "gaussian_noise": 1.0, "blur": 1.0})
    strength: tuple[float, float] = (0.1, 10.0)


@dataclass(frozen=True)
class Viewing:
    """Displays and where they are seen from; ranges are log-uniform and drawn one by one unless said otherwise.

    Parameters
    ----------
    pixels_per_degree, peak_cdm2
        Ranges.
    contrast
        Range of peak over black.
    ambient_lux, reflected
        Range of the room's light, and share of it that the screen reflects. Half of the samples are in the dark
        (``lit`` is the share that is not).
    curves
        Signals and their shares: ``sRGB``, ``gamma``, ``PQ``, ``HLG``, ``linear``.
    gamma
        Range of the exponent of ``gamma``, uniform.
    emission
        ``crt``, ``ccfl-lcd``, ``led-lcd``, ``blend`` (a random mixture of the three), or a name of ``spectra``, with
        shares.
    spectra
        Displays of one's own by name. In a TOML file a CSV file each, with its emission spectra
        (:func:`data_gen.spectra.read_spectra`); here the matrix (3, 4) that follows from them.
    surround
        Light around the image: ``dark`` (1e-5 cd/m2), ``mean`` (of the reference) or ``free`` (log-uniform in
        ``surround_cdm2``), with shares.
    """

    pixels_per_degree: tuple[float, float] = (15.0, 120.0)
    peak_cdm2: tuple[float, float] = (50.0, 1000.0)
    contrast: tuple[float, float] = (100.0, 100_000.0)
    lit: float = 0.5
    ambient_lux: tuple[float, float] = (1.0, 500.0)
    reflected: float = 0.01
    curves: dict[str, float] = field(default_factory=lambda: {"sRGB": 1.0})
    gamma: tuple[float, float] = (1.8, 2.6)
    emission: dict[str, float] = field(default_factory=lambda: {"ccfl-lcd": 1.0, "led-lcd": 1.0, "crt": 1.0})
    spectra: dict[str, tuple] = field(default_factory=dict)
    surround: dict[str, float] = field(default_factory=lambda: {"dark": 1.0, "mean": 1.0, "free": 1.0})
    surround_cdm2: tuple[float, float] = (0.01, 1000.0)


@dataclass(frozen=True)
class Aim:
    """A share of the samples has its difference re-scaled so that P_det spreads evenly over a range."""

    share: float = 0.0
    P_det: tuple[float, float] = (0.02, 0.98)
    steps: int = 6


@dataclass(frozen=True)
class Targets:
    """What is stored.

    Parameters
    ----------
    store
        ``"all"``, or ``"inputs"``: the reader computes targets.
    stages, maps
        Names in :data:`vdp_distill.stages.STAGES`; ``P_map``, ``C_map``, ``gradient``.
    dtype
        ``"float16"`` with a scale a sample, or ``"float32"``.
    compression
        ``"lz4"`` (fast), ``"gzip"`` (which every HDF5 program reads) or ``"none"``; see :mod:`vdp_distill.chunks`.
    audit_every
        One sample in so many is computed in float64 again; 0 for none.
    """

    store: str = "all"
    stages: tuple[str, ...] = ("light_scatter", "photoreceptors", "luminance_masking", "achromatic")
    maps: tuple[str, ...] = ("P_map",)
    dtype: str = "float16"
    compression: str = "lz4"
    audit_every: int = 100


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a set, besides the pictures.

    Parameters
    ----------
    size_pixels
        Side of the square samples.
    samples_per_block
        Samples computed in one batch; part of what a sample is, to the last bit.
    samples_per_shard
        A multiple of it.
    engine
        ``"torch"``, ``"octave"`` or ``"original"``.
    """

    name: str
    about: str = ""
    seed: int = 1
    count: int = 256
    size_pixels: int = 128
    samples_per_block: int = 16
    samples_per_shard: int = 128
    engine: str = "torch"
    scenes: Scenes = Scenes()
    distortions: Distortions = Distortions()
    viewing: Viewing = Viewing()
    aim: Aim = Aim()
    targets: Targets = Targets()

    def __post_init__(self):
        from data_gen.checks import check_recipe

        check_recipe(self)

    def identity(self) -> dict:
        """What decides a sample, as plain data: all but the text about it and how many there are."""
        plain = json.loads(json.dumps(asdict(self)))
        if not plain["viewing"]["spectra"]:  # a set without any keeps the name that it had before they were known
            del plain["viewing"]["spectra"]
        return {key: value for key, value in plain.items() if key not in ("about", "count")}

    def hash(self) -> str:
        """SHA-256 of :meth:`identity`."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()

    def with_changes(self, **changes) -> "Recipe":
        """This recipe with some fields replaced; None leaves one as it is."""
        return replace(self, **{key: value for key, value in changes.items() if value is not None})

    def with_gradient(self) -> "Recipe":
        """This recipe with the gradient of log contrast among the maps."""
        maps = dict.fromkeys((*self.targets.maps, "gradient"))
        return replace(self, targets=replace(self.targets, maps=tuple(maps)))
