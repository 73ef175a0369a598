"""Clock of scale.py, which nothing has to be imported for."""

from __future__ import annotations

import time
from pathlib import Path


class Clock:
    """Time since the beginning, and the most memory so far, imports included."""

    def __init__(self):
        self.began = time.perf_counter(), time.process_time()

    def spent(self) -> tuple[float, float]:
        """Wall and CPU seconds."""
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]

    def cost(self) -> dict[str, float]:
        """All three, by name."""
        wall, cpu = self.spent()
        # not ru_maxrss, which begins with what the parent process held when it made this one
        status = Path("/proc/self/status").read_text().splitlines()
        peak = next(line for line in status if line.startswith("VmHWM")).split()[1]
        return {"seconds": wall, "cpu_seconds": cpu, "peak_mb": int(peak) * 1024 / 1e6}
