#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "backend/entropy/entropy_source.h"

namespace mynah {

size_t HostEntropy::fill(std::span<std::byte> to) {
    if (to.empty()) return 0;
    for (;;) {
        // More than 256 bytes at once can be interrupted by a signal half-way [getrandom(2)].
        const ssize_t got = getrandom(to.data(), std::min<size_t>(to.size(), 4096), 0);
        if (got > 0) return static_cast<size_t>(got);
        if (got < 0 && errno == EINTR) continue;
        return 0;
    }
}

}  // namespace mynah
