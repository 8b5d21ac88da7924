#include "backend/filesystem/fuse_server.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mynah {
namespace {

// Files the process may have open; the guest gets some less, as the machine needs a few itself.
size_t raise_file_limit() {
    constexpr rlim_t kMost = 1 << 20, kOwn = 256;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kOwn;
    rlimit wish = limit;
    wish.rlim_cur = std::min(limit.rlim_max, kMost);
    if (wish.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &wish) == 0) limit = wish;
    const rlim_t usable = std::min(limit.rlim_cur, kMost);
    return usable > 2 * kOwn ? usable - kOwn : kOwn;
}

}  // namespace

Result<std::unique_ptr<FuseServer>> FuseServer::open(const std::string& directory,
                                                     const Options& options,
                                                     const std::string& origin) {
    const auto failed = [&](const std::string& what) {
        return Error(fmt::format("{}: {}: {}", origin, what, std::strerror(errno)));
    };
    Fd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return failed(directory);
    struct stat status {};
    if (fstat(root.get(), &status) != 0) return failed(directory);
    Fd proc(::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!proc.valid()) return failed("/proc/self/fd");
    std::unique_ptr<FuseServer> server(
        new FuseServer(std::move(proc), options, raise_file_limit()));
    server->inodes_.set_root(std::move(root), status);
    return server;
}

FuseServer::FuseServer(Fd proc, const Options& options, size_t most_files)
    : proc_(std::move(proc)),
      options_(options),
      inodes_(most_files / 4 * 3),
      files_(most_files / 4) {}

void FuseServer::reset() {
    files_.clear();
    inodes_.clear();
}

FuseServer::Operation FuseServer::find_operation(uint32_t opcode) {
    switch (opcode) {
        case FUSE_INIT: return &FuseServer::init;
        case FUSE_DESTROY: return &FuseServer::destroy;
        case FUSE_STATFS: return &FuseServer::statfs;
        case FUSE_SYNCFS: return &FuseServer::syncfs;
        case FUSE_LOOKUP: return &FuseServer::lookup;
        case FUSE_CREATE: return &FuseServer::create;
        case FUSE_MKNOD: return &FuseServer::make_node;
        case FUSE_MKDIR: return &FuseServer::make_folder;
        case FUSE_SYMLINK: return &FuseServer::symlink;
        case FUSE_LINK: return &FuseServer::link;
        case FUSE_UNLINK: return &FuseServer::unlink;
        case FUSE_RMDIR: return &FuseServer::remove_folder;
        case FUSE_RENAME: return &FuseServer::rename;
        case FUSE_RENAME2: return &FuseServer::rename2;
        case FUSE_GETATTR: return &FuseServer::get_attributes;
        case FUSE_SETATTR: return &FuseServer::set_attributes;
        case FUSE_READLINK: return &FuseServer::read_link;
        case FUSE_SETXATTR: return &FuseServer::set_extended;
        case FUSE_GETXATTR: return &FuseServer::get_extended;
        case FUSE_LISTXATTR: return &FuseServer::list_extended;
        case FUSE_REMOVEXATTR: return &FuseServer::remove_extended;
        case FUSE_OPEN: return &FuseServer::open_file;
        case FUSE_OPENDIR: return &FuseServer::open_folder;
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR: return &FuseServer::release;
        case FUSE_READ: return &FuseServer::read;
        case FUSE_WRITE: return &FuseServer::write;
        case FUSE_FLUSH: return &FuseServer::flush;
        case FUSE_FSYNC:
        case FUSE_FSYNCDIR: return &FuseServer::fsync;
        case FUSE_FALLOCATE: return &FuseServer::allocate;
        case FUSE_LSEEK: return &FuseServer::seek;
        case FUSE_COPY_FILE_RANGE: return &FuseServer::copy_range;
        case FUSE_READDIR: return &FuseServer::read_folder;
        case FUSE_READDIRPLUS: return &FuseServer::read_folder_plus;
        default: return nullptr;
    }
}

bool FuseServer::modifies(uint32_t opcode) {
    switch (opcode) {
        case FUSE_CREATE:
        case FUSE_MKNOD:
        case FUSE_MKDIR:
        case FUSE_SYMLINK:
        case FUSE_LINK:
        case FUSE_UNLINK:
        case FUSE_RMDIR:
        case FUSE_RENAME:
        case FUSE_RENAME2:
        case FUSE_SETATTR:
        case FUSE_SETXATTR:
        case FUSE_REMOVEXATTR:
        case FUSE_WRITE:
        case FUSE_FALLOCATE:
        case FUSE_COPY_FILE_RANGE: return true;
        default: return false;
    }
}

uint32_t FuseServer::handle(SliceList& request, const SliceList& reply) {
    fuse_in_header header{};
    if (!request.take_front(std::as_writable_bytes(std::span(&header, 1)))) return 0;
    FuseCall call(header, request, reply);
    if (header.opcode == FUSE_FORGET || header.opcode == FUSE_BATCH_FORGET) {
        forget(call, header.opcode == FUSE_BATCH_FORGET);
        return 0;
    }
    if (header.opcode == FUSE_INTERRUPT) return 0;  // nothing here waits long
    const Operation operation = find_operation(header.opcode);
    if (operation == nullptr) return call.finish(ENOSYS);
    if (options_.read_only && modifies(header.opcode)) return call.finish(EROFS);
    return call.finish((this->*operation)(call));
}

int FuseServer::init(FuseCall& call) {
    constexpr uint32_t kLeastMinor = 31;
    constexpr uint32_t kMaxWrite = 1 << 20, kMaxPages = kMaxWrite / 4096;
    struct {
        uint32_t major, minor, max_readahead, flags;
    } in{};
    if (!call.take(in)) return EINVAL;
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = FUSE_KERNEL_MINOR_VERSION;
    // A newer major version asks again with ours.
    if (in.major > FUSE_KERNEL_VERSION) {
        call.put(out);
        return 0;
    }
    if (in.major < FUSE_KERNEL_VERSION || in.minor < kLeastMinor) return EPROTO;
    reset();
    out.max_readahead = in.max_readahead;
    constexpr uint32_t kWanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
                                 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
                                 FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_AUTO_INVAL_DATA;
    out.flags = in.flags & kWanted;
    out.max_background = 64;
    out.congestion_threshold = 48;
    out.max_write = kMaxWrite;
    out.max_pages = kMaxPages;
    out.time_gran = 1;
    call.put(out);
    return 0;
}

int FuseServer::destroy(FuseCall&) {
    reset();
    return 0;
}

int FuseServer::statfs(FuseCall& call) {
    const Inode found = inode(call);
    if (!found) return ENOENT;
    struct statvfs status {};
    if (fstatvfs(found->fd.get(), &status) != 0) return errno;
    fuse_statfs_out out{};
    out.st.blocks = status.f_blocks;
    out.st.bfree = status.f_bfree;
    out.st.bavail = status.f_bavail;
    out.st.files = status.f_files;
    out.st.ffree = status.f_ffree;
    out.st.bsize = static_cast<uint32_t>(status.f_bsize);
    out.st.namelen = static_cast<uint32_t>(status.f_namemax);
    out.st.frsize = static_cast<uint32_t>(status.f_frsize);
    call.put(out);
    return 0;
}

int FuseServer::syncfs(FuseCall& call) {
    const Inode found = inode(call);
    if (!found) return ENOENT;
    Fd fd;
    if (const int error = reopen(*found, O_RDONLY, fd)) return error;
    return ::syncfs(fd.get()) == 0 ? 0 : errno;
}

}  // namespace mynah
