#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

namespace mynah {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Lines below this level are dropped. Default kWarning. Any thread.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);

// Writes one line to standard error. Any thread.
void log_line(LogLevel level, std::string_view text);

// Told of every line that is written, too, on the thread that wrote it; null for nobody.
void set_log_listener(void (*listener)(std::string_view line));

template <typename... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (log_enabled(level)) log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

// At most `kBurst` lines for one source: for what a guest can cause as often as it likes.
class LogLimit {
 public:
    static constexpr uint32_t kBurst = 8;
    // True for the first kBurst calls.
    bool allow() { return count_.fetch_add(1, std::memory_order_relaxed) < kBurst; }

 private:
    std::atomic<uint32_t> count_{0};
};

}  // namespace mynah
