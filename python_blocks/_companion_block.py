# SPDX-License-Identifier: GPL-3.0-or-later
"""A block of a flowgraph that is open in GNU Radio Companion, seen from a check that it has evaluated."""

import ast
import re
from collections.abc import Iterator

# Frames between a check and the block whose assert it is: the expression, and GRC's two ``evaluate``.
NEAR = 6
STREAM_FORMAT = "variable_ds2c2_stream_format"
# Variables whose value changes while a flowgraph runs.
WIDGETS = re.compile(r"variable_(qtgui_(?!label)|bokehgui_|function_probe$)")
# Parameters that are text, or GRC's own, and refer to no variable.
TEXTS = ("id", "enum", "_multiline", "gui_hint", "name")


def asking(frame):
    """The block on whose behalf this code runs, None outside of Companion."""
    for _ in range(NEAR):
        if frame is None:
            return None
        owner = frame.f_locals.get("self")
        if getattr(owner, "is_block", False):
            return owner
        frame = frame.f_back
    return None


def format_remedy(block) -> str:
    """What to put where a block's stream format is not understood: the flowgraph's own; empty if that is not it."""
    param = block.params.get("stream_format")
    if param is None or param.is_valid():
        return ""
    names = [other.name for other in block.parent_flowgraph.iter_enabled_blocks() if other.key == STREAM_FORMAT]
    if not names:
        return "add a Stream Format to the flowgraph: the blocks dropped beside it refer to it by themselves"
    return f"write {' or '.join(names)} as Stream Format: that is what it is called here"


def fed_by_widgets(block) -> list[str]:
    """A line for each parameter that follows a slider or the like and cannot change while the flowgraph runs."""
    try:
        return _fed_by_widgets(block)
    except AttributeError:  # another Companion, whose blocks are made otherwise: then it is not known
        return []


def _fed_by_widgets(block) -> list[str]:
    variables = {other.name: other for other in block.parent_flowgraph.iter_enabled_blocks() if other.is_variable}
    callbacks = "\n".join(block.templates.get("callbacks") or [])
    lines = []
    for key, param in block.params.items():
        if f"${{{key}}}" not in callbacks and not param.is_enum() and param.dtype not in TEXTS:
            lines += [
                f"{param.name} follows {name} and cannot change while running: give a value, or a variable that no "
                "widget moves"
                for name in _widgets_of(param, variables)
            ]
    return lines


def _widgets_of(param, variables: dict) -> list[str]:
    """Names of the widgets that a parameter's expression depends on, through plain variables too."""
    # A text that is no expression, GRC quotes by itself.
    waiting = [] if getattr(param, "_stringify_flag", False) else [*_names(param.get_value())]
    seen, found = set(), []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in variables:
            continue
        seen.add(name)
        variable = variables[name]
        if WIDGETS.match(variable.key):
            found.append(name)
        elif variable.key == "variable":
            waiting.extend(_names(variable.params["value"].get_value()))
    return sorted(found)


def _names(expression: str) -> Iterator[str]:
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return
    yield from (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
