"""``vdp-distill``: the command line. Every command hands over to one function of the library.

What a user can put right ends with one line on stderr and exit status 2; Ctrl-C with 130.
"""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from vdp_distill.cli_pictures import Display, Encoding, HdrvdpDir, compare, jnd, lists_displays

__all__ = ["app", "main"]


class _Roof(typer.core.TyperGroup):
    """Turns what a user can put right into a line and an exit status."""

    def invoke(self, ctx):
        from vdp_distill.octave import OctaveError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("stopped; what was finished is kept", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise
        except (ValueError, TypeError, OSError, ImportError, MemoryError, OctaveError) as error:
            typer.echo(f"error: {error or type(error).__name__}", err=True)
            raise typer.Exit(2) from None


options = {"no_args_is_help": True, "pretty_exceptions_enable": False, "add_completion": False}
app = typer.Typer(cls=_Roof, help="HDR-VDP 2.2, exact and differentiable, and surrogates distilled from it.", **options)
data_app = typer.Typer(help="Look after data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder.")]
Licences = Annotated[Path | None, typer.Option(help='TOML file of photographs\' licences: "folder/" = "licence".')]


@app.command()
def generate(
    recipe: Annotated[str, typer.Argument(help="Recipe: a TOML file, or the name of one that ships.")],
    out: Out,
    images: Annotated[Path | None, typer.Option(help="Folder of photographs; those of scikit-image otherwise.")] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    dask: Annotated[str | None, typer.Option(help="Address of a dask.distributed scheduler.")] = None,
    engine: Annotated[str | None, typer.Option(help="torch, octave or original.")] = None,
    hdrvdp_dir: HdrvdpDir = None,
    licences: Licences = None,
    resume: Resume = False,
    count: Annotated[int | None, typer.Option(help="Samples, in place of the recipe's number.")] = None,
    gradient: Annotated[bool, typer.Option("--gradient", help="Keep gradients, which gradient_weight needs.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Make training data: photographs, distortions, viewing conditions, and the metric's answer to them."""
    from data_gen.run import generate

    places = {"images": images, "hdrvdp_dir": hdrvdp_dir, "dask": dask, "engine": engine, "licences": licences}
    run = {"workers": workers, "resume": resume, "count": count, "gradient": gradient, "progress": not quiet}
    typer.echo(generate(recipe, out, **run, **places))


@data_app.command("verify")
def data_verify(folder: Path) -> None:
    """Check every byte of a data set."""
    from vdp_distill.dataset import verify

    report = verify(folder)
    typer.echo(report)
    raise typer.Exit(0 if report.ok else 2)


@data_app.command("show")
def data_show(
    folder: Path,
    out: Annotated[Path | None, typer.Option(help="Folder for the card and its pictures.")] = None,
    licences: Licences = None,
) -> None:
    """Describe a data set: card, histograms, contact sheet."""
    from data_gen.card import show

    typer.echo(show(folder, out, licences))


@data_app.command("merge")
def data_merge(sources: list[Path], out: Out) -> None:
    """Put data sets together."""
    from vdp_distill.dataset import merge

    typer.echo(merge(sources, out))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Recipe: a TOML file, or the name of one that ships.")],
    out: Out,
    data: Annotated[
        str | None, typer.Option(help="Folder of shards, or of photographs; online:RECIPE makes samples on the way.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of photographs for online data.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Released model, or folder of a run, whose weights it starts from.")
    ] = None,
    resume: Resume = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a surrogate, the network of a loss, or a detector of people's JND: the recipe's kind says which."""
    from vdp_distill.distill import train
    from vdp_distill.memory import keep_freed_memory

    keep_freed_memory()
    out = train(recipe, _training_data(data, images), out, resume=resume, progress=not quiet, start=start)
    if os.environ.get("LOCAL_RANK", "0") == "0":  # where several devices train, each runs this command
        typer.echo(f"{out}: model.safetensors, its card README.md, log.csv and curve.png")


@app.command()
def benchmark(
    model: Annotated[
        list[str] | None, typer.Option(help="A released model or a trained folder; may be repeated.")
    ] = None,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the images.")] = "256x256",
    images: Annotated[Path | None, typer.Option(help="Folder of photographs; those of scikit-image otherwise.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds.")] = 5,
    engine: Annotated[str, typer.Option(help="octave or original: run the reference there too.")] = "torch",
    hdrvdp_dir: HdrvdpDir = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    ppd: Annotated[
        float | None, typer.Option("--ppd", help="Pixels per degree; the display's, or 45 without one.")
    ] = None,
    display: Display = None,
    encoding: Encoding = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for everything that was measured.")] = None,
) -> None:
    """Time and fidelity of the exact metric and of models, side by side."""
    if lists_displays(display):
        return
    from rich.console import Console

    from vdp_distill.example_pairs import photograph_pairs
    from vdp_distill.measure import benchmark

    pairs = photograph_pairs(*_size(size), images)
    settings = {"display": display, "encoding": encoding, "pixels_per_degree": ppd}
    elsewhere = {"engine": engine, "hdrvdp_dir": hdrvdp_dir}
    measured = benchmark(model or (), pairs=pairs, repeats=repeats, device=device, **elsewhere, **settings)
    Console().print(measured.table())
    if out is not None:
        measured.write(out)
        typer.echo(f"wrote {out}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="exact, a released model, or a trained folder.")],
    out: Annotated[Path, typer.Option(help="The file to write: .pt2, .onnx, or .zip for any size.")],
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the images, or LOW-HIGH: shorter sides of many sizes.")],
    display: Display = None,
    encoding: Encoding = None,
    pool: Annotated[str, typer.Option(help="log_contrast, area, threshold or quality.")] = "log_contrast",
    reduction: Annotated[str, typer.Option(help="mean, sum or none.")] = "mean",
    surround: Annotated[float, typer.Option(help="Light around the image in cd/m2; -1: mean of the reference.")] = 1e-5,
    display_input: Annotated[bool, typer.Option(help="Take white and black in cd/m2 as an input too.")] = False,
    tolerance: Annotated[float, typer.Option(help="Largest relative difference from the module.")] = 1e-3,
) -> None:
    """Write a loss as a program that needs nothing but torch."""
    if lists_displays(display):
        return
    from vdp_distill.export import export_loss

    many = re.fullmatch(r"(\d+)-(\d+)", size)
    height, width = (None, None) if many else _size(size, ", or LOW-HIGH, such as 136-271")
    sides = (int(many[1]), int(many[2])) if many else None
    settings = {"display": display, "encoding": encoding, "pool": pool, "reduction": reduction, "surround_l": surround}
    more = {"display_input": display_input, "tolerance": tolerance}
    out = export_loss(model, out, height=height, width=width, sides=sides, **more, **settings)
    inputs = "test, reference, pixels_per_degree" + ", display" * display_input
    typer.echo(f"wrote {out}: loss({inputs}), checked against the module")


app.command()(compare)
app.command()(jnd)


@app.command()
def models() -> None:
    """List the released models: what each is, and where its card lies."""
    from vdp_distill.listing import listed

    typer.echo("\n".join(listed()))


def _training_data(data: str | None, images: Path | None):
    """A folder, or what makes samples while a network trains."""
    if data is None or not data.startswith("online:"):
        if images is not None:
            raise ValueError(f"--images is of --data online:RECIPE; photographs for a trainer are --data {images}")
        return data
    from data_gen.online_sets import OnlineSets

    return OnlineSets(data.removeprefix("online:"), images)


def _size(text: str, more: str = "") -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise ValueError(f"--size must be HEIGHTxWIDTH, such as 256x256{more}, got {text!r}")
    return int(found[1]), int(found[2])


def main() -> None:
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
