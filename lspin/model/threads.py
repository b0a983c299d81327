"""How many processors this process really has, and threads that never wait on each other.

Inside one matrix product, torch's threads wait for one another by spinning. As
soon as another program wants the same cores (or a container's CPU quota is below
the number of cores, as on Binder) the spinning eats the time of the thread it
waits for, and a step takes up to a hundred times longer. So each pack is trained
by one thread, and several packs run side by side in as many threads as there are
processors; these never wait for each other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from joblib import cpu_count, effective_n_jobs


def n_workers() -> int:
    """Return how many packs to train at once.

    In this order: what the user set with ``joblib.parallel_config``; the number
    of threads the user set for torch or with ``OMP_NUM_THREADS``; the processors
    this process may use (affinity and container quota, as joblib counts them).

    Returns
    -------
    int

    Examples
    --------
    >>> from joblib import parallel_config
    >>> from lspin.model import n_workers
    >>> with parallel_config(backend="threading", n_jobs=3):
    ...     n_workers()
    3
    """
    configured = effective_n_jobs(None)
    if configured > 1:
        return configured
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return min(torch.get_num_threads(), cpu_count())


_HERE, _LOCK = threading.local(), threading.Lock()
_BEFORE: list[int] = []  # torch's setting in each thread that is in `one_torch_thread`


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch use one thread in the calling thread, and restore its setting after.

    Yields
    ------
    None

    Examples
    --------
    >>> import torch
    >>> from lspin.model import one_torch_thread
    >>> with one_torch_thread():
    ...     torch.get_num_threads()
    1
    """
    if getattr(_HERE, "has_one", False):
        yield
        return
    with _LOCK:
        # Torch gives a new thread what was set last, in any thread: 1, if another is in here.
        before = torch.get_num_threads()
        if before == 1 and _BEFORE:
            before = max(_BEFORE)
        _BEFORE.append(before)
        torch.set_num_threads(1)
    _HERE.has_one = True
    try:
        yield
    finally:
        _HERE.has_one = False
        with _LOCK:
            _BEFORE.remove(before)
            torch.set_num_threads(before)


@contextmanager
def own_torch_state() -> Iterator[None]:
    """Train as always, whatever the caller has set: gradients on, autocast off, tensors on the CPU.

    Yields
    ------
    None

    Examples
    --------
    >>> import torch
    >>> from lspin.model import own_torch_state
    >>> with torch.no_grad(), own_torch_state():
    ...     torch.is_grad_enabled()
    True
    """
    # Only where another default is set: the mode is asked at every call of torch.
    is_cpu = torch.get_default_device().type == "cpu"
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        nullcontext() if is_cpu else torch.device("cpu"),
    ):
        yield
