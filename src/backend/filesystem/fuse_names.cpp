#include <fcntl.h>
#include <linux/fs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "backend/filesystem/beneath.h"
#include "backend/filesystem/fuse_server.h"
#include "backend/filesystem/guest_credentials.h"
#include "base/bits.h"

// Names: looking them up, making, moving and removing them.
namespace mynah {

int FuseServer::enter(int folder, const std::string& name, fuse_entry_out& entry) {
    if (!is_plain_name(name)) return name.size() > 255 ? ENAMETOOLONG : EINVAL;
    Fd fd = open_beneath(folder, name, O_PATH);
    if (!fd.valid()) return errno;
    struct stat status {};
    if (fstatat(fd.get(), "", &status, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) return errno;
    const Inode found = inodes_.looked_up(std::move(fd), status);
    if (!found) return ENFILE;
    entry = {};
    entry.nodeid = found->id;
    entry.entry_valid = entry.attr_valid = kAttributeSeconds;
    fill_attributes(status, entry.attr);
    return 0;
}

// A file that was just made: with the mode the guest said, whatever this process masks.
int FuseServer::enter_new(FuseCall& call, int folder, const std::string& name, mode_t mode) {
    fuse_entry_out entry{};
    if (const int error = enter(folder, name, entry)) return error;
    constexpr mode_t kRights = 0777;
    if ((entry.attr.mode & kRights) != (mode & kRights) && !S_ISLNK(entry.attr.mode)) {
        const Inode made = inodes_.find(entry.nodeid);
        const mode_t wanted = (entry.attr.mode & 07000) | (mode & kRights);
        if (made && fchmodat(proc_.get(), std::to_string(made->fd.get()).c_str(), wanted, 0) == 0)
            entry.attr.mode = (entry.attr.mode & S_IFMT) | wanted;
    }
    call.put(entry);
    return 0;
}

int FuseServer::lookup(FuseCall& call) {
    const Inode folder = inode(call);
    const auto names = call.take_strings(1);
    if (!folder) return ENOENT;
    if (!names) return EINVAL;
    fuse_entry_out entry{};
    if (const int error = enter(folder->fd.get(), names->front(), entry)) return error;
    call.put(entry);
    return 0;
}

int FuseServer::create(FuseCall& call) {
    fuse_create_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode folder = inode(call);
    const auto names = call.take_strings(1);
    if (!folder) return ENOENT;
    if (!names || !is_plain_name(names->front())) return EINVAL;
    const std::string& name = names->front();
    // Made anew, or opened as any known file is: what is there may be a device.
    const int access = static_cast<int>(in.flags) & (O_ACCMODE | O_TRUNC);
    Fd fd;
    {
        const GuestCredentials as(call.header().uid, call.header().gid);
        fd = open_beneath(folder->fd.get(), name, access | O_CREAT | O_EXCL,
                          in.mode & 07777);
    }
    if (!fd.valid() && (errno != EEXIST || (in.flags & O_EXCL) != 0)) return errno;
    if (const int error = enter_new(call, folder->fd.get(), name, in.mode)) return error;
    const auto entry = load_unaligned<fuse_entry_out>(call.body().data());
    const auto undo = [&](int error) {
        inodes_.forget(entry.nodeid, 1);
        return error;
    };
    if (!fd.valid()) {
        const Inode found = inodes_.find(entry.nodeid);
        if (!found) return ENOENT;
        if (const int error = reopen(*found, access, fd)) return undo(error);
    }
    fuse_open_out out{};
    out.fh = files_.add(std::move(fd));
    if (out.fh == 0) return undo(ENFILE);
    call.put(out);
    return 0;
}

int FuseServer::make_node(FuseCall& call) {
    fuse_mknod_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode folder = inode(call);
    const auto names = call.take_strings(1);
    if (!folder) return ENOENT;
    if (!names || !is_plain_name(names->front())) return EINVAL;
    // No devices of the host: but 0:0 is a whiteout of an overlay file system.
    const mode_t type = in.mode & S_IFMT;
    const bool whiteout = type == S_IFCHR && in.rdev == 0;
    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && !whiteout) return EPERM;
    {
        const GuestCredentials as(call.header().uid, call.header().gid);
        if (mknodat(folder->fd.get(), names->front().c_str(), in.mode, 0) != 0) return errno;
    }
    return enter_new(call, folder->fd.get(), names->front(), in.mode);
}

int FuseServer::make_folder(FuseCall& call) {
    fuse_mkdir_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode folder = inode(call);
    const auto names = call.take_strings(1);
    if (!folder) return ENOENT;
    if (!names || !is_plain_name(names->front())) return EINVAL;
    {
        const GuestCredentials as(call.header().uid, call.header().gid);
        if (mkdirat(folder->fd.get(), names->front().c_str(), in.mode) != 0) return errno;
    }
    return enter_new(call, folder->fd.get(), names->front(), in.mode);
}

int FuseServer::symlink(FuseCall& call) {
    const Inode folder = inode(call);
    const auto names = call.take_strings(2);  // the link's name, and what is in it
    if (!folder) return ENOENT;
    if (!names || !is_plain_name(names->front())) return EINVAL;
    {
        const GuestCredentials as(call.header().uid, call.header().gid);
        if (symlinkat(names->back().c_str(), folder->fd.get(), names->front().c_str()) != 0)
            return errno;
    }
    return enter_new(call, folder->fd.get(), names->front(), 0777);
}

int FuseServer::link(FuseCall& call) {
    fuse_link_in in{};
    if (!call.take(in)) return EINVAL;
    const Inode folder = inode(call);
    const Inode old = inodes_.find(in.oldnodeid);
    const auto names = call.take_strings(1);
    if (!folder || !old) return ENOENT;
    if (!names || !is_plain_name(names->front())) return EINVAL;
    const std::string path = std::to_string(old->fd.get());
    if (linkat(proc_.get(), path.c_str(), folder->fd.get(), names->front().c_str(),
               AT_SYMLINK_FOLLOW) != 0) {
        return errno;
    }
    fuse_entry_out entry{};
    if (const int error = enter(folder->fd.get(), names->front(), entry)) return error;
    call.put(entry);
    return 0;
}

int FuseServer::unlink(FuseCall& call) {
    const Inode folder = inode(call);
    const auto names = call.take_strings(1);
    if (!folder) return ENOENT;
    if (!names || !is_plain_name(names->front())) return EINVAL;
    return unlinkat(folder->fd.get(), names->front().c_str(), 0) == 0 ? 0 : errno;
}

int FuseServer::remove_folder(FuseCall& call) {
    const Inode folder = inode(call);
    const auto names = call.take_strings(1);
    if (!folder) return ENOENT;
    if (!names || !is_plain_name(names->front())) return EINVAL;
    return unlinkat(folder->fd.get(), names->front().c_str(), AT_REMOVEDIR) == 0 ? 0 : errno;
}

int FuseServer::rename(FuseCall& call) {
    fuse_rename_in in{};
    return call.take(in) ? do_rename(call, in.newdir, 0) : EINVAL;
}

int FuseServer::rename2(FuseCall& call) {
    fuse_rename2_in in{};
    if (!call.take(in)) return EINVAL;
    constexpr uint32_t kKnown = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
    return (in.flags & ~kKnown) == 0 ? do_rename(call, in.newdir, in.flags) : EINVAL;
}

int FuseServer::do_rename(FuseCall& call, uint64_t to_folder, unsigned flags) {
    const Inode from = inode(call);
    const Inode to = inodes_.find(to_folder);
    const auto names = call.take_strings(2);
    if (!from || !to) return ENOENT;
    if (!names || !is_plain_name(names->front()) || !is_plain_name(names->back())) return EINVAL;
    return renameat2(from->fd.get(), names->front().c_str(), to->fd.get(), names->back().c_str(),
                     flags) == 0
               ? 0
               : errno;
}

void FuseServer::forget(FuseCall& call, bool batch) {
    if (!batch) {
        fuse_forget_in in{};
        if (call.take(in)) inodes_.forget(call.header().nodeid, in.nlookup);
        return;
    }
    fuse_batch_forget_in in{};
    if (!call.take(in)) return;
    fuse_forget_one one{};
    for (uint32_t i = 0; i < in.count && call.take(one); ++i)
        inodes_.forget(one.nodeid, one.nlookup);
}

}  // namespace mynah
