#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "backend/block/image/file_lock.h"
#include "backend/block/image/probe.h"
#include "backend/block/raw_file.h"
#include "base/bits.h"
#include "base/log.h"

// Finding out whether a path is a disk that can be used, before anything is written to it.
namespace mynah {

namespace {

constexpr uint64_t kBlock = 512;
// Limits of one request that keep the host's call within seconds.
constexpr uint64_t kMaxDiscard = uint64_t{1} << 30;
constexpr uint64_t kMaxZeroes = uint64_t{256} << 20;

struct OpenFile {
    int fd = -1;
    ~OpenFile() {
        if (fd >= 0) close(fd);
    }
};

Error complaint(const RawFileOptions& options, std::string_view what) {
    return Error(options.option + options.path + ": " + std::string(what));
}

std::string reason(int error, bool read_only) {
    switch (error) {
        case ENOENT:
            return "no such file; expected a disk image or block device";
        case EACCES:
        case EPERM:
            return read_only
                       ? "may not be read by this user"
                       : "may not be written by this user; with readonly=on reading is enough";
        case EROFS:
            return "lies on a read-only file system; expected a writable disk, or readonly=on";
        case EBUSY:
            return "is in use by the host (mounted?); expected a disk nobody uses";
        case EISDIR:
            return "is a directory; expected a disk image or block device";
        case EINVAL:
            return "cannot be opened: its file system may have no direct input and output, which "
                   "cache=none and directsync need";
        case ETXTBSY:
            return "is being run as a program or used as swap; expected a disk nobody uses";
        default:
            return std::string("cannot be opened: ") + std::strerror(error);
    }
}

Result<void> check_kind(const RawFileOptions& options, const struct stat& info) {
    if (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode)) return {};
    const char* kind = S_ISDIR(info.st_mode)    ? "a directory"
                       : S_ISCHR(info.st_mode)  ? "a character device"
                       : S_ISFIFO(info.st_mode) ? "a pipe"
                       : S_ISSOCK(info.st_mode) ? "a socket"
                                                : "no file";
    return complaint(options,
                     std::string("is ") + kind + "; expected a disk image or block device");
}

Result<BlockGeometry> measure(const RawFileOptions& options, int fd, const struct stat& info) {
    BlockGeometry geometry;
    geometry.read_only = options.read_only;
    uint64_t bytes = static_cast<uint64_t>(info.st_size);
    geometry.physical_block_size = 4096;  // what file systems on the host work in
    geometry.discard_alignment = 4096;
    if (S_ISBLK(info.st_mode)) {
        int logical = 512;
        unsigned physical = 512;
        if (ioctl(fd, BLKGETSIZE64, &bytes) != 0 || ioctl(fd, BLKSSZGET, &logical) != 0) {
            return complaint(options, std::string("cannot be measured: ") + std::strerror(errno));
        }
        if (ioctl(fd, BLKPBSZGET, &physical) != 0) physical = static_cast<unsigned>(logical);
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

Result<void> check_format(const RawFileOptions& options, int fd) {
    if (options.format_given) return {};
    std::array<std::byte, kBlock> start{};
    const ssize_t got = pread(fd, start.data(), start.size(), 0);
    if (got < 0) {
        return complaint(options, std::string("cannot be read: ") + std::strerror(errno));
    }
    const char* format = signature_format(std::span(start).first(static_cast<size_t>(got)));
    if (format == nullptr) return {};
    return complaint(options, std::string("is a ") + format +
                                  " image; expected a raw disk (format=raw takes its bytes as "
                                  "they are)");
}

}  // namespace

Result<std::unique_ptr<RawFile>> RawFile::open(const RawFileOptions& options, Executor& slow_work) {
    if (options.path.empty()) return complaint(options, "names no file; expected a disk image");
    // The kind is looked at first: opening a pipe would wait, opening a device can do things.
    struct stat info {};
    if (stat(options.path.c_str(), &info) != 0) {
        return complaint(options, reason(errno, options.read_only));
    }
    TRY(check_kind(options, info));

    int flags = (options.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (bypasses_page_cache(options.cache)) flags |= O_DIRECT;
    // Without O_CREAT this means, for block devices: fail if the host has it mounted.
    if (S_ISBLK(info.st_mode) && !options.read_only) flags |= O_EXCL;
    OpenFile file{::open(options.path.c_str(), flags)};
    if (file.fd < 0) return complaint(options, reason(errno, options.read_only));
    // Again: the name may have come to mean something else.
    if (fstat(file.fd, &info) != 0) return complaint(options, reason(errno, options.read_only));
    TRY(check_kind(options, info));
    const ImageUse use = options.read_only ? ImageUse::kRead : ImageUse::kWrite;
    if (const auto locked = lock_image_file(file.fd, use, options.option + options.path); !locked)
        return complaint(options, locked.error().message());
    TRY(check_format(options, file.fd));
    const BlockGeometry geometry = TRY(measure(options, file.fd, info));
    const int fd = std::exchange(file.fd, -1);
    return std::unique_ptr<RawFile>(
        new RawFile(fd, geometry, S_ISBLK(info.st_mode), options, slow_work));
}

}  // namespace mynah
