#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>

#include "backend/filesystem/fuse_server.h"

// Open files.
namespace mynah {
namespace {

// Moves bytes at an offset by preadv or pwritev until `places` are done or no more goes. Returns
// how many were moved; negative: the error if nothing was.
int64_t transfer(std::span<const Slice> places, uint64_t offset,
                 const std::function<ssize_t(const iovec*, int, off_t)>& move) {
    int64_t done = 0;
    std::vector<iovec> vectors;
    for (const Slice slice : places) vectors.push_back({slice.data(), slice.size()});
    for (size_t at = 0; at < vectors.size();) {
        const int count = static_cast<int>(std::min<size_t>(vectors.size() - at, IOV_MAX));
        const ssize_t moved =
            move(&vectors[at], count, static_cast<off_t>(offset + static_cast<uint64_t>(done)));
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return done > 0 ? done : -errno;
        if (moved == 0) break;
        done += moved;
        size_t left = static_cast<size_t>(moved);
        while (at < vectors.size() && left >= vectors[at].iov_len) left -= vectors[at++].iov_len;
        if (left > 0) {
            vectors[at].iov_base = static_cast<std::byte*>(vectors[at].iov_base) + left;
            vectors[at].iov_len -= left;
        }
    }
    return done;
}

}  // namespace

// A file the guest knows, opened for use. Devices, FIFOs and sockets of the host are not the
// guest's: it has its own behind such names.
int FuseServer::reopen(const HostInode& inode, int flags, Fd& fd) {
    if (inode.type != S_IFREG && inode.type != S_IFDIR) return ENXIO;
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
    if (options_.read_only && writes) return EROFS;
    const std::string path = std::to_string(inode.fd.get());
    fd = Fd(openat(proc_.get(), path.c_str(), flags | O_CLOEXEC));
    return fd.valid() ? 0 : errno;
}

int FuseServer::open_file(FuseCall& call) {
    fuse_open_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode found = inode(call);
    if (!found) return ENOENT;
    if (found->type == S_IFDIR) return EISDIR;
    // Appending is the guest's affair: it says where it writes.
    Fd fd;
    const int flags = static_cast<int>(in.flags) & (O_ACCMODE | O_TRUNC);
    if (const int error = reopen(*found, flags, fd)) return error;
    fuse_open_out out{};
    out.fh = files_.add(std::move(fd));
    if (out.fh == 0) return ENFILE;
    call.put(out);
    return 0;
}

int FuseServer::open_folder(FuseCall& call) {
    const Inode found = inode(call);
    if (!found) return ENOENT;
    if (found->type != S_IFDIR) return ENOTDIR;
    Fd fd;
    if (const int error = reopen(*found, O_RDONLY | O_DIRECTORY, fd)) return error;
    fuse_open_out out{};
    out.fh = files_.add(std::move(fd));
    if (out.fh == 0) return ENFILE;
    call.put(out);
    return 0;
}

int FuseServer::release(FuseCall& call) {
    fuse_release_in in{};
    if (!call.take(in)) return EINVAL;
    files_.close(in.fh);
    return 0;
}

int FuseServer::read(FuseCall& call) {
    fuse_read_in in{};
    if (!call.take(in)) return EINVAL;
    const auto file = files_.find(in.fh);
    if (!file) return EBADF;
    if (in.offset > static_cast<uint64_t>(INT64_MAX) - in.size) return EINVAL;
    const std::vector<Slice> places = call.places(in.size);
    const int64_t got =
        transfer(places, in.offset, [&](const iovec* vectors, int count, off_t offset) {
            return preadv(file->fd.get(), vectors, count, offset);
        });
    if (got < 0) return static_cast<int>(-got);
    call.set_direct(static_cast<uint64_t>(got));
    return 0;
}

int FuseServer::write(FuseCall& call) {
    fuse_write_in in{};
    if (!call.take(in)) return EINVAL;
    const auto file = files_.find(in.fh);
    if (!file) return EBADF;
    if (in.size > call.data().size()) return EINVAL;
    if (in.offset > static_cast<uint64_t>(INT64_MAX) - in.size) return EFBIG;
    std::vector<Slice> places;
    uint64_t left = in.size;
    for (const Slice slice : call.data().slices()) {
        const Slice part = slice.first(std::min<uint64_t>(slice.size(), left));
        if (!part.empty()) places.push_back(part);
        left -= part.size();
    }
    const int64_t put =
        transfer(places, in.offset, [&](const iovec* vectors, int count, off_t offset) {
            return pwritev(file->fd.get(), vectors, count, offset);
        });
    if (put < 0) return static_cast<int>(-put);
    call.put(fuse_write_out{static_cast<uint32_t>(put), 0});
    return 0;
}

// An error of writing that the host tells at close.
int FuseServer::flush(FuseCall& call) {
    fuse_flush_in in{};
    if (!call.take(in)) return EINVAL;
    const auto file = files_.find(in.fh);
    if (!file) return EBADF;
    const int copy = fcntl(file->fd.get(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return errno;
    return ::close(copy) == 0 || errno == EINTR ? 0 : errno;
}

int FuseServer::fsync(FuseCall& call) {
    fuse_fsync_in in{};
    if (!call.take(in)) return EINVAL;
    const auto file = files_.find(in.fh);
    if (!file) return EBADF;
    const bool data_only = (in.fsync_flags & FUSE_FSYNC_FDATASYNC) != 0;
    return (data_only ? fdatasync(file->fd.get()) : ::fsync(file->fd.get())) == 0 ? 0 : errno;
}

int FuseServer::allocate(FuseCall& call) {
    fuse_fallocate_in in{};
    if (!call.take(in)) return EINVAL;
    const auto file = files_.find(in.fh);
    if (!file) return EBADF;
    return fallocate(file->fd.get(), static_cast<int>(in.mode), static_cast<off_t>(in.offset),
                     static_cast<off_t>(in.length)) == 0
               ? 0
               : errno;
}

int FuseServer::seek(FuseCall& call) {
    fuse_lseek_in in{};
    if (!call.take(in)) return EINVAL;
    const auto file = files_.find(in.fh);
    if (!file) return EBADF;
    if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE) return EINVAL;
    const off_t place =
        lseek(file->fd.get(), static_cast<off_t>(in.offset), static_cast<int>(in.whence));
    if (place < 0) return errno;
    call.put(fuse_lseek_out{static_cast<uint64_t>(place)});
    return 0;
}

int FuseServer::copy_range(FuseCall& call) {
    fuse_copy_file_range_in in{};
    if (!call.take(in)) return EINVAL;
    const auto from = files_.find(in.fh_in);
    const auto to = files_.find(in.fh_out);
    if (!from || !to) return EBADF;
    if (in.flags != 0) return EINVAL;
    auto from_offset = static_cast<off64_t>(in.off_in), to_offset = static_cast<off64_t>(in.off_out);
    // As much at a time as does not hold the guest's processor up.
    constexpr uint64_t kMost = 64 << 20;
    const ssize_t copied = copy_file_range(from->fd.get(), &from_offset, to->fd.get(), &to_offset,
                                           std::min(in.len, kMost), 0);
    if (copied < 0) return errno;
    call.put(fuse_write_out{static_cast<uint32_t>(copied), 0});
    return 0;
}

}  // namespace mynah
