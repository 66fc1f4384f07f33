# SPDX-License-Identifier: GPL-3.0-or-later
"""Several stations at once: what any of them received of one stream has come."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from ds2c2.transport.packetsource import Arrivals, PacketSource, QueuedSource, StationCounts

READ_SECONDS = 0.2  # so often a station's thread looks whether it is to end


class StationsSource(QueuedSource):
    """The packets of several live sources of one stream, by their names, in the order of their arrival here.

    Each source is read by a thread of its own and closed with this one. Raises what a source raises.
    """

    def __init__(self, stations: Mapping[str, PacketSource]):
        self._sources = dict(stations)
        self._counts = {name: StationCounts() for name in self._sources}
        self._leaving = threading.Event()
        self._from, self._used = "", 0
        stream = next(iter(self._sources.values())).stream
        QueuedSource.__init__(self, stream, {"link": "stations", "stations": " ".join(self._sources)}, self._leave)
        self._threads = [
            threading.Thread(target=self._listen, args=station, name=f"station {station[0]}", daemon=True)
            for station in self._sources.items()
        ]
        for thread in self._threads:
            thread.start()

    def read(self, wait: float) -> Arrivals | None:
        arrivals = super().read(wait)
        if arrivals is not None and arrivals.station:
            self._from = arrivals.station
            self._counts[self._from].received += len(arrivals.packets)
        return arrivals

    @property
    def stations(self) -> Mapping[str, StationCounts]:
        return self._counts

    def credit(self, used: int) -> None:
        if self._from:
            self._counts[self._from].first += used - self._used
        self._used = used

    def _listen(self, name: str, source: PacketSource) -> None:
        try:
            while not self._leaving.is_set():
                arrivals = source.read(READ_SECONDS)
                if arrivals is None:
                    return
                if not arrivals.silent:
                    self.put(replace(arrivals, station=name))
        except Exception as error:
            self.finish(error)

    def _leave(self) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join()
        for source in self._sources.values():
            source.close()

    @property
    def trouble(self) -> str:
        return ", ".join(filter(None, [QueuedSource.trouble.fget(self), *self._words("trouble")]))

    @property
    def misfit(self) -> str:
        return ", ".join(self._words("misfit"))

    @property
    def turned_away(self) -> Mapping[str, int]:
        return sum((Counter(source.turned_away) for source in self._sources.values()), Counter(super().turned_away))

    def _words(self, of: str) -> list[str]:
        return [f"{name}: {words}" for name, source in self._sources.items() if (words := getattr(source, of))]
