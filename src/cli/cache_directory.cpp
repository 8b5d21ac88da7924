#include "cli/cache_directory.h"

#include <cstdlib>

namespace mynah {

std::optional<std::string> cache_directory(const std::string& name) {
    // A relative path there is invalid and to be ignored.
    const auto absolute = [](const char* variable) {
        const char* value = std::getenv(variable);
        return std::string(value != nullptr && value[0] == '/' ? value : "");
    };
    std::string base = absolute("XDG_CACHE_HOME");
    if (base.empty()) {
        base = absolute("HOME");
        if (base.empty()) return std::nullopt;
        base += "/.cache";
    }
    return base + "/mynah/" + name;
}

}  // namespace mynah
