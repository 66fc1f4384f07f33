# SPDX-License-Identifier: GPL-3.0-or-later
"""What every block here has in common: it lasts as long as its flowgraph, and says in one line why it cannot be."""

import functools
import sys

from gnuradio import gr

from ds2c2.errors import UserError

from ._failures import say_uncaught

# Frames between ``to_basic_block`` and the flowgraph's ``connect``: decorators and comprehensions.
NEAR = 6


class Lasting:
    """Before ``gr.basic_block`` and the like, and ``gr.hier_block2``, among a block's bases.

    GNU Radio 3.10 keeps no reference to a Python block: ``graph.connect(source, block(), sink)`` runs into freed
    memory. So a block that is being connected makes the flowgraph hold it. (Held anywhere else, it could not be told
    when to be let go: a flowgraph that has stopped may start again.)
    """

    def __init_subclass__(cls, **settings):
        super().__init_subclass__(**settings)
        if "__init__" in cls.__dict__:
            cls.__init__ = _explained(cls.__init__)

    def to_basic_block(self):
        """What GNU Radio connects."""
        parent = _connecting(sys._getframe(1), self)
        if parent is not None:
            parent.__dict__.setdefault("_ds2c2_blocks", {})[id(self)] = self
        # A hier block's own method is its C++ part's.
        part = self.__dict__.get("_impl")
        return super().to_basic_block() if part is None else part.to_basic_block()


def _connecting(frame, block) -> gr.hier_block2 | None:
    """The flowgraph whose ``connect`` asks, None if it is something else."""
    for _ in range(NEAR):
        if frame is None:
            return None
        owner = frame.f_locals.get("self")
        if isinstance(owner, gr.hier_block2) and owner is not block:
            return owner
        frame = frame.f_back
    return None


def _explained(make):
    """Decorate a constructor: an error of its user's that nobody catches is one line and its exit code."""

    @functools.wraps(make)
    def inner(self, *args, **settings):
        try:
            make(self, *args, **settings)
        except UserError:
            say_uncaught()
            raise

    return inner
