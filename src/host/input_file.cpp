#include "host/input_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace mynah {

Result<InputFile> InputFile::open(const std::string& path, std::string origin, uint64_t limit) {
    // Nonblocking, so that a FIFO is refused instead of waited for.
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd.valid())
        return Error(fmt::format("{}: cannot be opened: {}", origin, std::strerror(errno)));
    InputFile file(std::move(fd), std::move(origin), limit);
    TRY(file.size());
    return file;
}

Result<uint64_t> InputFile::size() const {
    struct stat status {};
    if (fstat(fd_.get(), &status) != 0) {
        return Error(fmt::format("{}: cannot be read: {}", origin_, std::strerror(errno)));
    }
    if (!S_ISREG(status.st_mode)) {
        return Error(
            fmt::format("{}: {}; expected a regular file", origin_,
                        S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file"));
    }
    const auto size = static_cast<uint64_t>(status.st_size);
    if (size == 0) return Error(origin_ + ": the file is empty");
    if (size > limit_) {
        return Error(fmt::format("{}: {} MiB large; expected at most {} MiB", origin_, size >> 20,
                                 limit_ >> 20));
    }
    return size;
}

Result<FileContent> InputFile::read() const {
    const uint64_t total = TRY(size());
    auto data = std::make_unique_for_overwrite<std::byte[]>(total);
    uint64_t done = 0;
    while (done < total) {
        const ssize_t got =
            pread(fd_.get(), data.get() + done, total - done, static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return Error(fmt::format("{}: cannot be read: {}", origin_, std::strerror(errno)));
        if (got == 0) break;  // shorter than a moment ago: the loaders see a truncated file
        done += static_cast<uint64_t>(got);
    }
    return FileContent(std::move(data), done);
}

}  // namespace mynah
