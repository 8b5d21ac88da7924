#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "backend/block/image/host_file.h"

// Finding out whether a path can be an image's file, before anything is written to it.
namespace mynah {
namespace {

std::string reason(int error, const HostFileOptions& options) {
    switch (error) {
        case ENOENT:
            return options.create ? "cannot be made: its directory does not exist"
                                  : "no such file; expected a disk image or block device";
        case EEXIST:
            return "exists already; expected a new name";
        case EACCES:
        case EPERM:
            return options.read_only
                       ? "may not be read by this user"
                       : "may not be written by this user; for a disk with readonly=on reading "
                         "is enough";
        case EROFS:
            return "lies on a read-only file system";
        case EBUSY:
            return "is in use by the host (mounted?); expected a disk nobody uses";
        case EISDIR:
            return "is a directory; expected a disk image or block device";
        case ETXTBSY:
            return "is being run as a program or used as swap; expected a disk nobody uses";
        case EINVAL:
            if (bypasses_page_cache(options.cache))
                return "its file system has no direct input and output; expected a cache mode "
                       "other than none and directsync";
            [[fallthrough]];
        default:
            return std::string("cannot be opened: ") + std::strerror(error);
    }
}

Result<void> check_kind(const std::string& path, const struct stat& info) {
    if (S_ISREG(info.st_mode) || S_ISBLK(info.st_mode)) return {};
    const char* kind = S_ISDIR(info.st_mode)    ? "a directory"
                       : S_ISCHR(info.st_mode)  ? "a character device"
                       : S_ISFIFO(info.st_mode) ? "a pipe"
                       : S_ISSOCK(info.st_mode) ? "a socket"
                                                : "no file";
    return Error(path + ": is " + kind + "; expected a disk image or block device");
}

}  // namespace

Result<std::unique_ptr<HostFile>> HostFile::open(const HostFileOptions& options) {
    if (options.path.empty()) return Error("an empty name is no file; expected a disk image");
    // The kind is looked at first: opening a pipe would wait, opening a device can do things.
    struct stat info {};
    if (stat(options.path.c_str(), &info) == 0) {
        TRY(check_kind(options.path, info));
        if (options.create && !options.overwrite)
            return Error(options.path + ": " + reason(EEXIST, options));
    } else if (!options.create || errno != ENOENT) {
        return Error(options.path + ": " + reason(errno, options));
    }
    int flags = (options.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (bypasses_page_cache(options.cache)) flags |= O_DIRECT;
    if (options.create) flags |= options.overwrite ? O_CREAT : O_CREAT | O_EXCL;
    // Without O_CREAT this means, for block devices: fail if the host has it mounted.
    if (S_ISBLK(info.st_mode) && !options.read_only) flags = (flags & ~O_CREAT) | O_EXCL;
    Fd fd(::open(options.path.c_str(), flags, 0644));
    if (!fd.valid()) return Error(options.path + ": " + reason(errno, options));
    // Again: the name may have come to mean something else.
    if (fstat(fd.get(), &info) != 0) return Error(options.path + ": " + reason(errno, options));
    TRY(check_kind(options.path, info));
    if (options.lock) {
        const ImageUse use = options.read_only ? ImageUse::kRead : ImageUse::kWrite;
        if (auto locked = lock_image_file(fd.get(), use, options.path); !locked.ok())
            return Error(options.path + ": " + locked.error().message());
    }
    uint64_t bytes = static_cast<uint64_t>(info.st_size);
    if (S_ISBLK(info.st_mode) && ioctl(fd.get(), BLKGETSIZE64, &bytes) != 0)
        return Error(options.path + ": cannot be measured: " + std::strerror(errno));
    // Only now, as it may have been somebody's disk: locked first, then emptied.
    if (options.create && S_ISREG(info.st_mode) && ftruncate(fd.get(), 0) != 0)
        return Error(options.path + ": cannot be emptied: " + std::strerror(errno));
    return std::unique_ptr<HostFile>(
        new HostFile(std::move(fd), options, S_ISBLK(info.st_mode), bytes));
}

}  // namespace mynah
