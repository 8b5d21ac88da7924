#include "host/run_delay.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace mynah {

bool RunDelay::available() { return RunDelay(gettid()).read_ns().has_value(); }

RunDelay::RunDelay(pid_t thread)
    : file_(open(fmt::format("/proc/self/task/{}/schedstat", thread).c_str(),
                 O_RDONLY | O_CLOEXEC)) {}

std::optional<uint64_t> RunDelay::read_ns() const {
    if (!file_.valid()) return std::nullopt;
    char text[96];
    const ssize_t size = pread(file_.get(), text, sizeof text, 0);
    if (size <= 0) return std::nullopt;
    const char* const end = text + size;
    const void* const space = std::memchr(text, ' ', static_cast<size_t>(size));
    if (space == nullptr) return std::nullopt;
    uint64_t ns = 0;
    if (std::from_chars(static_cast<const char*>(space) + 1, end, ns).ec != std::errc{})
        return std::nullopt;
    return ns;
}

}  // namespace mynah
