"""The eye's frozen responses to the pairs of a data set: computed, remembered, kept on disk, or computed again."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vdp_distill import checks, pipeline, zoo
from vdp_distill.checkpoints import read_tensors, write_tensors
from vdp_distill.judgements import HumanData
from vdp_distill.metric import HDRVDP2
from vdp_distill.pipeline import Pair
from vdp_distill.settings import Settings, to_light
from vdp_distill.surrogates import Chain
from vdp_distill.version import METRIC_VERSION

__all__ = ["KEEP", "Responder", "ResponseStore", "Responses"]

KEEP = ("memory", "disk", "recompute")
"""Where responses are kept between epochs."""


class Responses(NamedTuple):
    """What the eye makes of a batch of pairs.

    Attributes
    ----------
    test, reference
        Achromatic responses, (N, 1, H, W), JND units.
    contrast
        The contrast map S of the exact cortex, (N, 1, H, W), threshold units; None if it was not asked for.
    """

    test: Tensor
    reference: Tensor
    contrast: Tensor | None


class Responder:
    """The frozen stages in front of a JND network: code values on a display in, :class:`Responses` out.

    Parameters
    ----------
    model
        ``"exact"`` for the exact stages; the name or folder of a trained model for its own (the exact cortex follows a
        chain's).
    contrast
        Compute the contrast map too.
    **settings
        As for :func:`vdp_distill.hdrvdp2`; with 300 cd/m2 and 90 pixels per degree, ``display="mcl-jci"``.

    Examples
    --------
    >>> eye = Responder(display="mcl-jci", contrast=False)
    >>> image = torch.rand(1, 3, 32, 48)
    >>> eye(image, image).test.shape
    torch.Size([1, 1, 32, 48])
    """

    def __init__(self, model: str | Path = "exact", *, contrast: bool = True, **settings):
        self.model, self.contrast = str(model), contrast
        self.settings = Settings.create(**settings)
        is_exact = self.model == "exact"
        # The stages are given light: one channel of a grey display, or as many as a chain was trained with.
        network = None if is_exact else zoo.load_network(model)
        self.channels = network.config.channels if isinstance(network, Chain) else None
        make = HDRVDP2 if is_exact else (lambda **light: zoo.load(model, **light))
        counts = (self.channels,) if self.channels else (1, 3)
        self.metrics = {channels: make(**self._light_settings(channels)) for channels in counts}

    def _light_settings(self, channels: int) -> dict:
        values = {field.name: getattr(self.settings, field.name) for field in fields(self.settings)}
        encoding = "luminance" if channels == 1 else "rgb-bt.709"
        emission = {"rgb_display": self.settings.display_name(), "emission": self.settings.emission}
        return values | emission | {"encoding": encoding, "display": None, "check_values": False}

    def __call__(self, test: Tensor, reference: Tensor, pixels_per_degree: float | None = None) -> Responses:
        """Responses to a batch of pairs, (N, C, H, W) as the display or encoding takes them.

        A gradient flows through, if one is asked for; the stages themselves are frozen.
        """
        checks.check_pair(test, reference)
        lights = Pair(*(self._light(image, name) for image, name in ((test, "test"), (reference, "reference"))))
        metric = self.metrics[lights.test.shape[1]]
        precision = next(metric.parameters(), lights.test).dtype  # a model's weights keep theirs
        lights = Pair(*(light.to(precision) for light in lights))
        settings = metric.settings_for(**({"pixels_per_degree": pixels_per_degree} if pixels_per_degree else {}))
        with pipeline.full_precision(test.device):
            if not self.contrast:
                return Responses(*(image.achromatic for image in metric.retina(lights, settings)), None)
            retinas, cortex = metric.respond(*lights, settings, wants_quality=False)
            retinas = retinas or metric.retina(lights, settings)  # a small model keeps none
        return Responses(*(image.achromatic for image in retinas), cortex.contrast_map)

    def _light(self, image: Tensor, name: str) -> Tensor:
        return self._channels(to_light(image, self.settings, name))

    def _channels(self, light: Tensor) -> Tensor:
        if self.channels is None or light.shape[1] == self.channels:
            return light
        if light.shape[1] == 1:
            return light.expand(-1, self.channels, -1, -1)
        raise ValueError(f"{self.model} takes light of {self.channels} channel(s), got {light.shape[1]}")


class ResponseStore:
    """Responses to the pairs of a set, by their index.

    Parameters
    ----------
    data
        The judgements.
    model, contrast
        As for :class:`Responder`.
    keep
        ``"memory"``, ``"disk"`` or ``"recompute"``. MCL-JCI at 1920x1080 makes 42 GB of achromatic responses, and as
        much again of contrast maps: reduce it, keep them on disk, or compute them anew for every epoch.
    folder
        Where they are kept on disk.

    Raises
    ------
    ValueError
        For an unknown way to keep them, no folder, or a disk that is too small, with what is needed.
    """

    def __init__(
        self,
        data: HumanData,
        model: str | Path = "exact",
        *,
        contrast: bool = True,
        keep: str = "memory",
        folder: str | Path | None = None,
    ):
        if keep not in KEEP:
            raise ValueError(f"keep must be one of {', '.join(KEEP)}, got {keep!r}")
        if keep == "disk" and folder is None:
            raise ValueError("keep='disk' needs a folder to keep the responses in")
        viewing = {"display": data.viewing.display, "pixels_per_degree": data.pixels_per_degree()}
        self.data, self.keep = data, keep
        self.responder = Responder(model, contrast=contrast, **viewing)
        self.remembered: dict[object, dict[str, Tensor]] = {}
        self.folder = None if keep != "disk" else Path(folder) / self._key()
        if keep == "disk":
            self._check_disk()

    def _key(self) -> str:
        """Name of the folder: whatever changes a response changes it."""
        settings, model = self.responder.settings.record(), self.responder.model
        about = [self.data.about, self.data.viewing.height, self.data.size(), settings, METRIC_VERSION, model]
        if model != "exact":
            about.append(zoo.file_hash(zoo.model_folder(model) / "model.safetensors"))
        text = json.dumps([*about, self.responder.contrast], default=str)
        return f"responses-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def bytes(self) -> int:
        """What all responses take, in memory or on disk."""
        height, width = self.data.reference(self.data.sources[0]).shape[-2:]
        maps = len(self.data) * (2 if self.responder.contrast else 1) + len(self.data.sources)
        return maps * height * width * torch.float32.itemsize

    def _check_disk(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        written = sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))
        missing, free = self.bytes() - written, shutil.disk_usage(self.folder).free
        if missing > free:
            raise ValueError(
                f"{self.folder} needs {missing / 1e9:.1f} GB more for the responses, the disk has {free / 1e9:.1f} GB; "
                "reduce the images (height), or keep='recompute'"
            )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Responses:
        """Responses to one pair, a batch of one."""
        row = self.data.judgements[index]
        own = self._kept((row.source, row.level))
        shared = own and self._kept((row.source, None))
        if own and shared:
            return Responses(own["test"], shared["reference"], own.get("contrast"))
        with torch.no_grad():
            found = self.responder(*self.data.pair(index))
        self._put((row.source, None), {"reference": found.reference.clone()})
        contrast = {} if found.contrast is None else {"contrast": found.contrast}
        self._put((row.source, row.level), {"test": found.test.clone(), **contrast})
        return found

    def batch(self, indices: Sequence[int]) -> Responses:
        """Responses to several pairs."""
        pairs = [self[index] for index in indices]
        return Responses(*(None if part[0] is None else torch.cat(part) for part in zip(*pairs, strict=True)))

    def _path(self, key: tuple[str, int | None]) -> Path:
        source, level = key
        return self.folder / (f"{source}.safetensors" if level is None else f"{source}-{level:03d}.safetensors")

    def _kept(self, key: tuple[str, int | None]) -> dict[str, Tensor] | None:
        if self.keep == "disk":
            path = self._path(key)
            return read_tensors(path)[0] if path.is_file() else None
        return self.remembered.get(key)

    def _put(self, key: tuple[str, int | None], tensors: dict[str, Tensor]) -> None:
        if self.keep == "memory":
            self.remembered.setdefault(key, tensors)
        elif self.keep == "disk" and not self._path(key).is_file():
            write_tensors(self._path(key), tensors, {"source": key[0], "level": key[1]})
