"""Examples in docstrings run, public names have docstrings, and texts keep to what files say."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import data_gen
import vdp_distill

ROOT = Path(__file__).parent.parent


def modules() -> list[str]:
    names = ["vdp_distill", "data_gen"]
    for package in (vdp_distill, data_gen):
        names += [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [name for name in names if not name.endswith("launcher")]


@pytest.mark.parametrize("name", modules())
def test_examples_run_and_public_names_are_described(name):
    if name.endswith("distributed"):
        pytest.importorskip("distributed")
    module = importlib.import_module(name)
    assert module.__doc__ and module.__doc__.strip()
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"{name}.{public} has no docstring"
    failed, _ = doctest.testmod(module, extraglobs={"torch": torch, "np": np}, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def is_ours(path: Path) -> bool:
    """Neither an environment nor what a wheel was built in."""
    return not any(part.startswith(".") or part in ("build", "dist") for part in path.relative_to(ROOT).parts)


PAGES = sorted(filter(is_ours, ROOT.rglob("README.md")))


def test_tables_agree_with_the_results_files():
    tables = importlib.import_module("benchmarks.readme_tables")
    texts = tables.pages()
    assert "<!-- from benchmarks/results/fidelity.csv -->" in texts[tables.README]
    assert tables.with_tables(texts) == texts


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pictures_and_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    named = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert not [target for target in named if not (page.parent / target).exists()]
    assert named or page.parent != ROOT


def test_readme_example_runs(tmp_path, monkeypatch):
    """The first Python block of the README, as a newcomer pastes it."""
    tables = importlib.import_module("benchmarks.readme_tables")
    code = re.search(r"```python\n(.*?)```", tables.README.read_text(encoding="utf-8"), re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert 0 <= float(scope["result"].P_det) <= 1
    assert torch.isfinite(scope["image"].grad).all()
