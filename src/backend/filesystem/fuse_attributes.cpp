#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "backend/filesystem/fuse_server.h"

// What is known of a file beside its bytes.
namespace mynah {
namespace {

// A file that is only known by O_PATH, as a path for calls that take nothing else.
std::string proc_path(const HostInode& inode) {
    return "/proc/self/fd/" + std::to_string(inode.fd.get());
}

}  // namespace

void fill_attributes(const struct stat& status, fuse_attr& attributes) {
    attributes = {};
    attributes.ino = status.st_ino;
    attributes.size = static_cast<uint64_t>(status.st_size);
    attributes.blocks = static_cast<uint64_t>(status.st_blocks);
    attributes.atime = static_cast<uint64_t>(status.st_atim.tv_sec);
    attributes.mtime = static_cast<uint64_t>(status.st_mtim.tv_sec);
    attributes.ctime = static_cast<uint64_t>(status.st_ctim.tv_sec);
    attributes.atimensec = static_cast<uint32_t>(status.st_atim.tv_nsec);
    attributes.mtimensec = static_cast<uint32_t>(status.st_mtim.tv_nsec);
    attributes.ctimensec = static_cast<uint32_t>(status.st_ctim.tv_nsec);
    attributes.mode = status.st_mode;
    attributes.nlink = static_cast<uint32_t>(status.st_nlink);
    attributes.uid = status.st_uid;
    attributes.gid = status.st_gid;
    attributes.rdev = static_cast<uint32_t>(
        (major(status.st_rdev) << 8) | (minor(status.st_rdev) & 0xff));
    attributes.blksize = static_cast<uint32_t>(status.st_blksize);
}

int FuseServer::get_attributes(FuseCall& call) {
    const Inode found = inode(call);
    if (!found) return ENOENT;
    struct stat status {};
    if (fstatat(found->fd.get(), "", &status, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    fuse_attr_out out{};
    out.attr_valid = kAttributeSeconds;
    fill_attributes(status, out.attr);
    call.put(out);
    return 0;
}

int FuseServer::set_attributes(FuseCall& call) {
    fuse_setattr_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode found = inode(call);
    if (!found) return ENOENT;
    if (const int error = apply_attributes(*found, in)) return error;
    return get_attributes(call);
}

int FuseServer::apply_attributes(const HostInode& inode, const fuse_setattr_in& in) {
    const std::string path = std::to_string(inode.fd.get());
    if ((in.valid & (FATTR_UID | FATTR_GID)) != 0) {
        const uid_t user = (in.valid & FATTR_UID) != 0 ? in.uid : static_cast<uid_t>(-1);
        const gid_t group = (in.valid & FATTR_GID) != 0 ? in.gid : static_cast<gid_t>(-1);
        if (fchownat(inode.fd.get(), "", user, group, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
            return errno;
    }
    // After the owner, whose change clears bits of the mode.
    if ((in.valid & FATTR_MODE) != 0) {
        if (inode.type == S_IFLNK) return EOPNOTSUPP;
        if (fchmodat(proc_.get(), path.c_str(), in.mode & 07777, 0) != 0) return errno;
    }
    if ((in.valid & FATTR_SIZE) != 0) {
        if (in.size > static_cast<uint64_t>(INT64_MAX)) return EFBIG;
        Fd own;
        std::shared_ptr<OpenFile> file;
        if ((in.valid & FATTR_FH) != 0) file = files_.find(in.fh);
        if (!file) {
            if (const int error = reopen(inode, O_WRONLY, own)) return error;
        }
        const int fd = file ? file->fd.get() : own.get();
        if (ftruncate(fd, static_cast<off_t>(in.size)) != 0) return errno;
    }
    if ((in.valid & (FATTR_ATIME | FATTR_MTIME)) != 0) {
        const auto time = [&](uint32_t bit, uint32_t now, uint64_t seconds, uint32_t nanoseconds) {
            if ((in.valid & bit) == 0) return timespec{0, UTIME_OMIT};
            if ((in.valid & now) != 0) return timespec{0, UTIME_NOW};
            return timespec{static_cast<time_t>(seconds), static_cast<long>(nanoseconds)};
        };
        const timespec times[] = {time(FATTR_ATIME, FATTR_ATIME_NOW, in.atime, in.atimensec),
                                  time(FATTR_MTIME, FATTR_MTIME_NOW, in.mtime, in.mtimensec)};
        if (utimensat(proc_.get(), path.c_str(), times, 0) != 0) return errno;
    }
    return 0;
}

int FuseServer::read_link(FuseCall& call) {
    const Inode found = inode(call);
    if (!found) return ENOENT;
    call.body().resize(PATH_MAX);
    const ssize_t size = readlinkat(found->fd.get(), "", reinterpret_cast<char*>(call.body().data()),
                                    call.body().size());
    if (size < 0) return errno;
    call.body().resize(static_cast<size_t>(size));
    return 0;
}

// --- Extended attributes; those of symbolic links are beyond what paths of /proc can name.

int FuseServer::set_extended(FuseCall& call) {
    struct {
        uint32_t size, flags;  // fuse_setxattr_in without its extension, which was not agreed on
    } in{};
    if (!call.take(in)) return EINVAL;
    const Inode found = inode(call);
    const auto named = call.take_named();
    if (!found) return ENOENT;
    if (!named || named->value.size() < in.size) return EINVAL;
    if (found->type == S_IFLNK) return EPERM;
    return ::setxattr(proc_path(*found).c_str(), named->name.c_str(), named->value.data(), in.size,
                      static_cast<int>(in.flags)) == 0
               ? 0
               : errno;
}

int FuseServer::get_extended(FuseCall& call) {
    fuse_getxattr_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode found = inode(call);
    const auto names = call.take_strings(1);
    if (!found) return ENOENT;
    if (!names) return EINVAL;
    if (found->type == S_IFLNK) return ENODATA;
    std::vector<std::byte> value(std::min<uint32_t>(in.size, XATTR_SIZE_MAX));
    const ssize_t size = ::getxattr(proc_path(*found).c_str(), names->front().c_str(), value.data(),
                                    value.size());
    if (size < 0) return errno;
    if (in.size == 0) {
        call.put(fuse_getxattr_out{static_cast<uint32_t>(size), 0});
    } else {
        call.put_bytes(std::span(value).first(static_cast<size_t>(size)));
    }
    return 0;
}

int FuseServer::list_extended(FuseCall& call) {
    fuse_getxattr_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode found = inode(call);
    if (!found) return ENOENT;
    std::vector<std::byte> names(std::min<uint32_t>(in.size, XATTR_LIST_MAX));
    const ssize_t size =
        found->type == S_IFLNK
            ? 0
            : ::listxattr(proc_path(*found).c_str(), reinterpret_cast<char*>(names.data()),
                          names.size());
    if (size < 0) return errno;
    if (in.size == 0) {
        call.put(fuse_getxattr_out{static_cast<uint32_t>(size), 0});
    } else {
        call.put_bytes(std::span(names).first(static_cast<size_t>(size)));
    }
    return 0;
}

int FuseServer::remove_extended(FuseCall& call) {
    const Inode found = inode(call);
    const auto names = call.take_strings(1);
    if (!found) return ENOENT;
    if (!names) return EINVAL;
    if (found->type == S_IFLNK) return EPERM;
    return ::removexattr(proc_path(*found).c_str(), names->front().c_str()) == 0 ? 0 : errno;
}

}  // namespace mynah
