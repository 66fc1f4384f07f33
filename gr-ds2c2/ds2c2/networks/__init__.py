# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks, in the order that data flows: compnet, finenet, bresnet (with binarizer), sumnet;
``binary``, ``coded`` and ``paper`` join them to the networks of the profiles. Where a network
exists at laptop size and as the paper has it, the latter's name begins with ``Full``."""
