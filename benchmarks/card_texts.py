"""What the cards of the released models say that no results file holds."""

__all__ = ["ABOUT", "CARD", "STAGES", "START", "TAKES", "THEN", "UNSEEN", "WEAKNESS"]

ABOUT = {
    "chain": "The metric with its light scatter at half resolution: 3 x 3 taps on the sharp image, which follow pixels "
    "per degree, and the metric's own filter on means of 2 x 2 pixels. Receptors, responses, cortex and detection are "
    "the metric's own. Every stage is at hand by its name (`keep_stages=True`).",
    "cortex": "Optics and retina in one plane of light: 3 x 3 taps on the sharp image, and the metric's own light "
    "scatter on means of 2 x 2 pixels. What colours do to the receptors is found in means of 8 x 8 pixels, about which "
    "the plane of each image follows all receptors to first order. The cortex is the metric's own: only the taps are "
    "learnt.",
    "fast": "Optics and retina as in `vdp-cortex-v1`. Then a cortex of the metric's structure, whose steps between "
    "resolutions are means and straight lines. Filters and gains are learnt.",
    "glance": "A system like that of `vdp-swift-v1`, in a hurry. Display, wide scatter and receptors look at mean "
    "colours of blocks of 4 x 4 pixels; between those a pixel is grey, and its response follows the logarithm of its "
    "light through a filter of 5 x 5 pixels. About every block look 16 filters of the high-pass residual, six "
    "pairs of the first octave and two of the second, all of 12 x 12 pixels; pairs of the third octave look at a "
    "picture of a quarter of the size, and what is coarser is the metric's own pyramid on one of an eighth. All "
    "was trained by the metric's gradient too. Curves of displays with a standard range are read as polynomials. "
    "For loops that count milliseconds, and pairs by the million.",
    "swift": "The high-pass residual and two octaves in blocks of 4 x 4 pixels: 16 filters of its pixels, 16 pairs of "
    "filters of 8 x 8 and 4 pairs of 16 x 16, at every fourth pixel, fitted to what the metric's bands make of waves. "
    "A pair gives the amplitude of what it finds, which is masked, and the phase with which it is painted back to "
    "pixels. The coarser octaves and the base band are the metric's own pyramid on a picture of a quarter of the size. "
    "Receptors see colours in means of 8 x 8 pixels; finer detail is weighted alike all over the image. "
    "All was trained by the metric's gradient too. Curves of displays with a standard range are read as polynomials. "
    "For loops that count milliseconds.",
}

HALF_RESOLUTION = (
    "Wide scatter is found at half resolution: a grating finer than a quarter of a cycle a pixel comes with a faint "
    "false one, and on the diagonals its amplitude is some per cent off (those of `vdp-chain-v1` are in "
    "`benchmarks/results/chain.csv`)."
)
"""What the three models with half-resolution scatter share."""

ONE_PLANE = (
    "One plane of light stands for all receptors, to first order about the mean colour of 8 x 8 pixels: single pixels "
    "of a colour opposite to all about them are seen up to two and a half times too well, and changes of colour that "
    "leave luminance nearly as it is are up to one and a half times off. "
)
"""What cortex and fast share."""

WEAKNESS = {
    "chain": "Beside edges of orders of magnitude within two pixels, light on the retina is some per cent off. "
    + HALF_RESOLUTION,
    "cortex": ONE_PLANE + HALF_RESOLUTION,
    "fast": ONE_PLANE + "Wide patches and vignettes are now and then a third off. " + HALF_RESOLUTION,
    "glance": "Within a block of 4 x 4 pixels all pixels are grey: colours finer than that are not seen as such. "
    "Patches and gratings beside strong contrast are now and then seen several times too little; changes of brightness "
    "and casts of colour are off by a factor of 1.6, root mean square. In the dark, gratings of 4 cycles per degree "
    "are seen too little and of 8 too well, at 45 pixels per degree, for the flanks of its third octave are not the "
    "metric's (`benchmarks.gabors.threshold_errors`). P_map follows waves, but not each pixel's own masking: in half "
    "of the pairs of 128 x 128, and four of five of 1920 x 1080, its peak is in another place than the metric's. Over "
    "all pairs, the metric sees there 0.83 of what it sees at its own peak (median; 0.75 in large images, 0.2 in the "
    "lowest tenth). It was trained on images of 128 x 128 alone.",
    "swift": "One plane of light stands for all receptors, weighted alike all over the image, so fine detail of "
    "changing colours is misjudged. Patches and gratings beside strong contrast, at fewer than 30 "
    "pixels per degree, are now and then seen several times too little, for masking is known by blocks. Smooth changes "
    "of a textured photograph, such as a vignette, are seen three to seven times too well, the smallest bright spots "
    "one and a half to two and a half times. P_map follows waves, but not each pixel's own masking: in four pairs of "
    "ten its peak is in another place than the metric's. Over all pairs, the metric sees there 0.94 of what it sees at "
    "its own peak (median; 0.3 in the lowest tenth).",
}

UNSEEN = "Motion blur and demosaicing were not in its training."
"""What ``zoo-v2`` leaves out, for the models that were trained on it to be judged on."""

START = {
    "chain": "a fit of its taps to the eye's optics",
    "cortex": "a fit of its taps to the eye's optics",
    "fast": "the metric's own filters",
    **dict.fromkeys(("glance", "swift"), "filters fitted to the metric's, and its masking weights"),
}

EARLIER = (
    "Training saw the reference's mean colour alone, or in `vdp-cortex-v1` a correction of it; how colours are "
    "followed now was made after it, without a new training."
)
"""What the small models' weights do not know."""

THEN = {
    **dict.fromkeys(("cortex", "fast"), EARLIER),
    "glance": "The set is that of step 5 of `vdp-swift-v1`: it holds what the table says, though its manifest counts "
    "more and fewer samples, and the hash is that of the file as it is.",
    "swift": EARLIER
    + " Steps 1 to 3 were made while amplitudes alone were known and nothing was painted back; a training by "
    "`vdp-swift` now learns the way back too. The set of steps 4 and 5 holds what the table says, though its manifest "
    "counts more and fewer samples: the hash is that of the file as it is. The last step's rate was chosen, of four, "
    "by the Gabor patches and the images of 1920x1080 that the first table judges it by.",
}
"""What else belongs to a training."""

TAKES = {
    "chain": "It takes `mtf=True` and `peak_sensitivity=2.4` only.",
    **dict.fromkeys(
        ("cortex", "fast", "glance", "swift"),
        "It takes `mtf=True`, `masking=True` and `peak_sensitivity=2.4` only, and keeps no stages.",
    ),
}

CARD = """# {name}

Predicts what HDR-VDP 2.2 predicts for a pair of images: the contrast map and its peak C_max (threshold units), P_map
and P_det (probabilities), Q.

{about}

{parameters} parameters, started from {start}.

    from vdp_distill.zoo import load
    model = load("{name}", encoding="sRGB-display", pixels_per_degree=45)
    result = model(test, reference)          # or VDPLoss("{name}", ...), vdp-distill compare --model {name}

## How far it is from the metric

| | value | unit | samples |
|---|---|---|---|
{errors}

{judged}
{stages}
| distortion | samples | bias, log10 C_max | RMSE, log10 C_max |
|---|---|---|---|
{distortions}

## Where it fails

{weakness}

![test, exact map, map of the model](failures.png)

| pair, 45 pixels per degree | C_max, exact | C_max, {name} |
|---|---|---|
{failures}

The worst of the judged pairs of 128x128:

| distortion | pixels per degree | C_max, exact | C_max, {name} |
|---|---|---|---|
{worst}

## Where it is valid

| | least | largest |
|---|---|---|
{domain}

Distortions like those of the table above and of gratings; those of the table that are called unseen in the errors were
not trained on. Encodings and displays of all kinds, their spectra and the surround are inputs; pixels per degree too.
{takes}
Input outside these bounds warns once; `load(name, strict=True)` raises.

## Speed

| | time over that of exact float32 | machine |
|---|---|---|
{speed}

## Made

Of photographs of Kodak, CLIC 2025, CID22 and KonJND-1k, wallpapers of Pop!_OS, and openly licensed HDR pictures, each
under its own licence, and of scenes that the recipes draw, on two shared cores:

{commands}

| step | recipe | samples | pairs seen until the weights that were kept | minutes | SHA-256 of the set's manifest |
|---|---|---|---|---|---|
{steps}
{then}
SHA-256 of `model.safetensors`: `{digest}`

Licence: MIT, as this project.
"""

STAGES = """| stage | rms | median | worst | pairs | on |
|---|---|---|---|---|---|"""
"""Head of the table of the stages: root mean square errors of a pair against the metric's own stage."""
