# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks, in the order that data flows: finenet, bresnet (with binarizer), sumnet;
``binary`` joins them to the networks of the ``binary`` profile."""
