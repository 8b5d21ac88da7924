#include "backend/character/file_backend.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <cerrno>
#include <cstring>

namespace mynah {

Result<std::unique_ptr<FileBackend>> FileBackend::open(const std::string& path,
                                                       const std::string& origin) {
    constexpr mode_t kMode = 0644;
    Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, kMode));
    if (!fd.valid()) {
        return Error(fmt::format("{}: cannot be written: {}", origin, std::strerror(errno)));
    }
    return std::unique_ptr<FileBackend>(new FileBackend(std::move(fd)));
}

}  // namespace mynah
