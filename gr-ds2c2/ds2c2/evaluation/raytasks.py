# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks over the machines of a Ray cluster, in the place of ``workers.spread``.

Every machine needs the library and the same files (weights, pictures, label maps) under the same
names, as on a shared file system.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from ds2c2.errors import UserError

LOCAL = "local"  # an address: a Ray of this machine's own, ended with the run


def load_ray() -> ModuleType:
    """The package. Raises ``UserError`` where it is not installed."""
    try:
        import ray
    except ImportError:
        raise UserError("--ray-address needs the package ray: pip install 'gr-ds2c2[ray]'") from None
    return ray


def spread_on_ray(
    work: Callable, tasks: Iterable[tuple], address: str, jobs: int, gpu: bool, start: Callable[[], None]
) -> Iterator:
    """Results of ``work(*task)`` as they come. ``jobs``: processes at most on a ``local`` Ray;
    elsewhere the cluster decides. ``gpu``: a GPU for each task. ``start`` is called before each.

    Raises what ``work`` raises, and ``UserError`` for an absent package, no cluster, a lost worker.
    """
    ray = load_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {"num_cpus": jobs, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False, **own)
    except Exception as error:  # noqa: BLE001 - a Ray that does not start in time is a plain Exception
        first_line = str(error).partition("\n")[0]
        raise UserError(f"--ray-address {address}: no Ray there ({first_line}); start one with `ray start`") from None
    try:

        def one(*task):
            start()
            return work(*task)

        remote = ray.remote(num_cpus=1, num_gpus=int(gpu))(one)
        waiting = [remote.remote(*task) for task in tasks]
        while waiting:
            (ready, *_), waiting = ray.wait(waiting)
            try:
                result = ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                first_line = str(error).partition("\n")[0]
                raise UserError(
                    f"a Ray worker was lost ({first_line}); what is finished is kept: run the same command again"
                ) from None
            yield result
    finally:
        ray.shutdown()
