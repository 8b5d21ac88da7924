#include "backend/display/png_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <png.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "host/fd.h"

namespace mynah {
namespace {

// libpng's simplified interface takes bytes in memory; rows as PNG_FORMAT_RGB has them.
std::vector<uint8_t> rgb_bytes(const Surface& surface) {
    std::vector<uint8_t> bytes;
    bytes.reserve(size_t{3} * surface.width() * surface.height());
    for (uint32_t y = 0; y < surface.height(); ++y) {
        for (const uint32_t pixel : surface.row(y)) {
            bytes.push_back(static_cast<uint8_t>(pixel >> 16));
            bytes.push_back(static_cast<uint8_t>(pixel >> 8));
            bytes.push_back(static_cast<uint8_t>(pixel));
        }
    }
    return bytes;
}

// A file that is removed again unless it was given its name.
class NewFile {
  public:
    explicit NewFile(const std::string& name)
        : name_(fmt::format("{}.{}.part", name, getpid())),
          fd_(open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {}
    ~NewFile() {
        if (fd_.valid() && !named_) unlink(name_.c_str());
    }
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;
    bool valid() const { return fd_.valid(); }
    std::FILE* stream() { return fdopen(dup(fd_.get()), "wb"); }
    bool rename_to(const std::string& path) {
        named_ = rename(name_.c_str(), path.c_str()) == 0;
        return named_;
    }

  private:
    const std::string name_;
    const Fd fd_;
    bool named_ = false;
};

}  // namespace

Result<void> write_png(const Surface& surface, const std::string& path) {
    const auto failed = [&](const char* why) { return Error(fmt::format("{}: {}", path, why)); };
    if (surface.width() == 0 || surface.height() == 0) return failed("there is no picture yet");
    struct stat status {};
    if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
        return failed(std::strerror(EISDIR));
    }
    NewFile file(path);
    if (!file.valid()) return failed(std::strerror(errno));
    std::FILE* const stream = file.stream();
    if (stream == nullptr) return failed(std::strerror(errno));
    const std::vector<uint8_t> bytes = rgb_bytes(surface);
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = surface.width();
    image.height = surface.height();
    image.format = PNG_FORMAT_RGB;
    const bool written = png_image_write_to_stdio(&image, stream, 0, bytes.data(), 0, nullptr) != 0;
    const bool closed = std::fclose(stream) == 0;
    if (!written) return failed(image.message);
    if (!closed || !file.rename_to(path)) return failed(std::strerror(errno));
    return {};
}

}  // namespace mynah
