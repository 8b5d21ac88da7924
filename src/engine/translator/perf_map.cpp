#include "engine/translator/perf_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <string>

namespace mynah::translator {

PerfMap* PerfMap::open() {
    // One for the process, as perf wants it; never closed.
    static PerfMap* const map = [] {
        const std::string path = fmt::format("/tmp/perf-{}.map", getpid());
        const int fd =
            ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? nullptr : new PerfMap(fd);
    }();
    return map;
}

void PerfMap::add(const std::byte* code, size_t size, uint64_t rip) {
    const std::string line =
        fmt::format("{:x} {:x} guest_{:x}\n", reinterpret_cast<uintptr_t>(code), size, rip);
    MutexLock lock(mutex_);
    if (write(fd_, line.data(), line.size()) < 0) return;  // a profile without this name
}

}  // namespace mynah::translator
