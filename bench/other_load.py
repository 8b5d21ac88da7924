"""How busy the host was with anything else, which is in every number."""
import os
import resource
import time


def _busy_seconds():
    """Processor time of everything since the host started [proc(5), /proc/stat]."""
    with open("/proc/stat", encoding="ascii") as handle:
        user, nice, system, _, _, irq, softirq, steal, *_ = map(int, handle.readline().split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds():
    return sum(usage.ru_utime + usage.ru_stime for usage in
               map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


class OtherLoad:
    """From its making on."""

    def __init__(self):
        self._began, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def processors(self):
        """How many processors other programs kept busy on average. All that this process started
        has to have ended."""
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, others / (time.monotonic() - self._began))
