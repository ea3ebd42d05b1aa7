"""Programs for images of any size.

A pyramid has as many levels as the shorter side allows, and a program is written with a number of them. So a program
takes all sizes of one octave of shorter sides; an archive holds one for each octave.
"""

import operator
from collections.abc import Iterator

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule, Node

from vdp_distill.checks import SMALLEST_SIDE
from vdp_distill.pyramid import pyramid_height

__all__ = ["LARGEST_BATCH", "LARGEST_SIDE", "any_sides", "octaves", "trace"]

LARGEST_BATCH = 4096
LARGEST_SIDE = 16_384

AUTOCAST = "autocast"


def octaves(low: int, high: int) -> list[range]:
    """Shorter sides from one to another, those together that have one number of levels.

    Raises
    ------
    ValueError
        If there are none, or a side is out of bounds.

    Examples
    --------
    >>> octaves(32, 100)
    [range(32, 34), range(34, 68), range(68, 101)]
    """
    if not SMALLEST_SIDE <= low <= high <= LARGEST_SIDE:
        raise ValueError(
            f"shorter sides must go up, from {SMALLEST_SIDE} to {LARGEST_SIDE} at most; got {low} to {high}"
        )
    found, first = [], low
    while first <= high:
        end = SMALLEST_SIDE << pyramid_height(first, first)  # the first side with a level more
        found.append(range(first, min(end, high + 1)))
        first = end
    return found


def any_sides(low: int, high: int) -> range:
    """Shorter sides of the images that one program takes, whatever the longer one is.

    Raises
    ------
    ValueError
        As for :func:`octaves`, or if they are of several octaves.

    Examples
    --------
    >>> any_sides(68, 135)
    range(68, 136)
    """
    found = octaves(low, high)
    if len(found) > 1:
        one = max(found, key=len)
        raise ValueError(
            f"one program takes shorter sides of one octave, such as {one[0]} to {one[-1]}, got {low} to {high}; "
            "for more write an archive, whose name ends in .zip"
        )
    return found[0]


def trace(program: nn.Module, inputs: tuple[torch.Tensor, ...], sides: range, refuses: bool = True) -> ExportedProgram:
    """Export a program for images whose shorter side lies in an octave.

    What the tracer takes for granted of the sizes that it sees (that one is no multiple of four, say) is for layouts in
    memory alone, and is not kept; that the shorter side lies in the octave is, unless the program itself ``refuses``
    no other.
    """
    batch = Dim.DYNAMIC(min=1, max=LARGEST_BATCH)
    side = Dim.DYNAMIC(min=sides[0], max=LARGEST_SIDE)
    image = {0: batch, 2: side, 3: side}
    shapes = dict(zip(program.inputs, (image, image, *({0: batch} for _ in program.inputs[2:])), strict=True))
    exported = torch.export.export(
        program, inputs, dynamic_shapes=shapes, prefer_deferred_runtime_asserts_over_guards=True
    )
    for module in _graphs(exported.graph_module):
        _tidy(module)
    if refuses:
        _refuse_larger(exported.graph_module, sides)
    return exported


def _graphs(module: nn.Module) -> Iterator[GraphModule]:
    return (part for part in module.modules() if isinstance(part, GraphModule))


def _tidy(module: GraphModule) -> None:
    """Without assertions, and with sums of sizes in a form that a file can hold."""
    graph = module.graph
    for node in list(graph.nodes):
        if "_assert" in str(node.target):
            graph.erase_node(node)
        elif node.target is torch.sym_sum:
            node.replace_all_uses_with(_added(module, node))
            graph.erase_node(node)
    if not any(AUTOCAST in str(node.target) for node in graph.nodes):  # its nodes have an effect and no result
        graph.eliminate_dead_code()
    module.recompile()


def _added(module: GraphModule, node: Node) -> Node | int:
    total, *others = node.args[0]
    with module.graph.inserting_before(node):
        for other in others:
            total = _call(module, operator.add, total, other)
    return total


def _call(module: GraphModule, function, *arguments: Node | int) -> Node:
    node = module.graph.call_function(function, arguments)
    node.meta["val"] = function(*(x.meta["val"] if isinstance(x, Node) else x for x in arguments))
    return node


def _refuse_larger(module: GraphModule, sides: range) -> None:
    """An assertion on the shorter side; what is under the octave, the dimensions' bounds refuse."""
    (test,) = (node for node in module.graph.nodes if node.op == "placeholder" and node.name == "test")
    first = next(node for node in module.graph.nodes if node.op != "placeholder")
    with module.graph.inserting_before(first):
        height, width = (_call(module, torch.ops.aten.sym_size.int, test, axis) for axis in (2, 3))
        fits = _call(module, operator.le, _call(module, torch.sym_min, height, width), sides[-1])
        text = f"the shorter side must be {sides[0]} to {sides[-1]}, for which this program was exported"
        module.graph.call_function(torch.ops.aten._assert_scalar.default, (fits, text)).meta["val"] = None
    module.recompile()
