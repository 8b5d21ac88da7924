#include "device/chipset/debug_console.h"

#include <utility>

namespace mynah {

uint64_t DebugConsole::read(uint64_t, unsigned) {
    constexpr uint64_t kReadback = 0xe9;
    return listens_ ? kReadback : ~uint64_t{0};
}

void DebugConsole::write(uint64_t, unsigned, uint64_t value) {
    if (!listens_) return;
    std::string whole;
    {
        MutexLock lock(mutex_);
        const char c = static_cast<char>(value);
        if (c == '\r') return;
        if (c != '\n') line_.push_back(c >= ' ' && c <= '~' ? c : '.');
        if (c != '\n' && line_.size() < kLongestLine) return;
        whole = std::exchange(line_, {});
    }
    log(LogLevel::kInfo, "firmware: {}", whole);
}

}  // namespace mynah
