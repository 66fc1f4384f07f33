# SPDX-License-Identifier: GPL-3.0-or-later
"""GNU Radio blocks that send pictures as code blocks which may be lost; see ``ds2c2`` for the library."""

from ds2c2.pictures.pictures import sample_photographs

from . import companion
from ._failures import clear_errors, errors, exit_code
from .block_erasure_channel import block_erasure_channel
from .decoder_sink import decoder_sink
from .deinterleaver import deinterleaver
from .depacketizer import depacketizer
from .encoder_source import encoder_source
from .gmsk_demodulator import gmsk_demodulator
from .gmsk_link import gmsk_link
from .gmsk_modulator import gmsk_modulator
from .interleaver import interleaver
from .ofdm_demodulator import ofdm_demodulator
from .ofdm_link import ofdm_link
from .ofdm_modulator import ofdm_modulator
from .packetizer import packetizer
from .packets_to_pdus import packets_to_pdus
from .pdus_to_packets import pdus_to_packets
from .programs.link_trial import link_trial
from .programs.loopback import loopback
from .programs.radio_receiver import radio_receiver
from .programs.radio_transmitter import radio_transmitter
from .radio_air import radio_air
from .radio_sink import radio_sink
from .radio_source import radio_source

__all__ = [
    "block_erasure_channel",
    "clear_errors",
    "companion",
    "decoder_sink",
    "deinterleaver",
    "depacketizer",
    "encoder_source",
    "errors",
    "exit_code",
    "gmsk_demodulator",
    "gmsk_link",
    "gmsk_modulator",
    "interleaver",
    "link_trial",
    "loopback",
    "ofdm_demodulator",
    "ofdm_link",
    "ofdm_modulator",
    "packetizer",
    "packets_to_pdus",
    "pdus_to_packets",
    "radio_air",
    "radio_receiver",
    "radio_sink",
    "radio_source",
    "radio_transmitter",
    "sample_photographs",
]
