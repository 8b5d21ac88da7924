#include <linux/fs.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "backend/block/image/probe.h"
#include "backend/block/raw_file.h"

// Finding out whether a path is a disk that can be used, before anything is written to it.
namespace mynah {

namespace {

// Limits of one request that keep the host's call within seconds.
constexpr uint64_t kMaxDiscard = uint64_t{1} << 30;
constexpr uint64_t kMaxZeroes = uint64_t{256} << 20;

Error complaint(const RawFileOptions& options, std::string_view what) {
    return Error(options.option + options.path + ": " + std::string(what));
}

Result<BlockGeometry> measure(const RawFileOptions& options, const HostFile& file) {
    BlockGeometry geometry;
    geometry.read_only = options.read_only;
    const uint64_t bytes = file.size();
    geometry.physical_block_size = 4096;  // what file systems on the host work in
    geometry.discard_alignment = 4096;
    if (file.is_block_device()) {
        int logical = 512;
        unsigned physical = 512;
        if (ioctl(file.fd(), BLKSSZGET, &logical) != 0)
            return complaint(options, std::string("cannot be measured: ") + std::strerror(errno));
        if (ioctl(file.fd(), BLKPBSZGET, &physical) != 0) physical = static_cast<unsigned>(logical);
        geometry.logical_block_size = static_cast<uint32_t>(logical);
        geometry.physical_block_size = physical;
        geometry.discard_alignment = static_cast<uint64_t>(logical);
    }
    if (bytes == 0) return complaint(options, "is empty; expected a disk of at least 512 bytes");
    // A tail that is no whole block cannot be addressed; and a disk that was cut off says so this
    // way.
    if (bytes % geometry.logical_block_size != 0) {
        return complaint(options, "has " + std::to_string(bytes) +
                                      " bytes, which are no whole number of blocks of 512; "
                                      "expected a raw disk, and not one cut short");
    }
    geometry.size = bytes;
    geometry.can_discard = !options.read_only && options.discard;
    geometry.can_write_zeroes = !options.read_only;
    geometry.max_discard_size = kMaxDiscard;
    geometry.max_write_zeroes_size = kMaxZeroes;
    return geometry;
}

Result<void> check_format(const RawFileOptions& options, HostFile& file) {
    if (options.format_given) return {};
    std::array<std::byte, kSignatureBytes> start{};
    if (file.read_bytes(0, start) != BlockStatus::kOk)
        return complaint(options, "cannot be read");
    const char* format = signature_format(start);
    if (format == nullptr) return {};
    return complaint(options, std::string("is a ") + format +
                                  " image; expected a raw disk (format=raw takes its bytes as "
                                  "they are)");
}

}  // namespace

Result<std::unique_ptr<RawFile>> RawFile::open(const RawFileOptions& options, Executor& slow_work) {
    if (options.path.empty()) return complaint(options, "names no file; expected a disk image");
    HostFileOptions how;
    how.path = options.path;
    how.read_only = options.read_only;
    how.cache = options.cache;
    auto file = HostFile::open(how);
    if (!file) return Error(options.option + file.error().message());
    TRY(check_format(options, *file.value()));
    const BlockGeometry geometry = TRY(measure(options, *file.value()));
    return std::unique_ptr<RawFile>(
        new RawFile(file.take_value(), geometry, options, slow_work));
}

}  // namespace mynah
