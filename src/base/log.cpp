#include "base/log.h"

#include <cstdio>
#include <string>

namespace mynah {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kWarning};
std::atomic<void (*)(std::string_view)> g_listener{nullptr};

const char* prefix(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug: return "mynah: debug: ";
        case LogLevel::kInfo: return "mynah: ";
        case LogLevel::kWarning: return "mynah: warning: ";
        case LogLevel::kError: return "mynah: error: ";
    }
    return "mynah: ";
}

}  // namespace

void set_log_level(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }

bool log_enabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

void set_log_listener(void (*listener)(std::string_view line)) { g_listener = listener; }

void log_line(LogLevel level, std::string_view text) {
    if (auto* const listener = g_listener.load(); listener != nullptr) listener(text);
    // One write per line, so that lines of several threads do not mix. The terminal may be in raw
    // mode, hence the carriage return where standard error is a terminal's.
    std::string line = prefix(level);
    line.append(text);
    line.append("\r\n");
    std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace mynah
