# SPDX-License-Identifier: GPL-3.0-or-later
"""The codec's host for a radio host that has none: code blocks and soft bits through ZeroMQ pipes.

The other end of a pipe is a flowgraph's own ZMQ PULL Source or ZMQ PUSH Sink, with Pass Tags set. Needs
pyzmq; to encode and decode PyTorch, never GNU Radio.
"""
