"""One measurement of scale.py, in a process of its own: python _scale_measure.py '{"method": ..., "use": ...}'.

The clock of a first use starts before anything is imported that a method needs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from _scale_clock import Clock

MARK = "measured: "
# methods that no file has to be forgotten for
_AS_IT_IS = ("simulate", "learn", "install", "read, cached")


def forget(path: Path) -> None:
    """Have the system drop what it holds of a file in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    job = json.loads(sys.argv[1])
    if job["use"] == "second":
        import _scale_methods as methods

        methods.warm_up(job["method"], job)
    if job["method"] not in _AS_IT_IS:
        for name in ("data", "decoder"):
            if name in job:
                forget(Path(job[name]))
    clock = Clock()
    import _scale_methods as methods

    print(MARK + json.dumps(methods.WORK[job["method"]](job, clock)), flush=True)


if __name__ == "__main__":
    main()
