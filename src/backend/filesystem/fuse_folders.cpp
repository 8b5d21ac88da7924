#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "backend/filesystem/fuse_server.h"

// What is in a folder.
namespace mynah {
namespace {

// An entry as the kernel gives it [getdents64(2)].
struct HostEntry {
    uint64_t inode;
    int64_t next;  // the position behind it
    uint16_t length;
    uint8_t type;
    char name[];
};

}  // namespace

int FuseServer::read_folder(FuseCall& call) { return list_folder(call, false); }
int FuseServer::read_folder_plus(FuseCall& call) { return list_folder(call, true); }

// From the position the guest says on: the host's own, so that nothing need be remembered.
int FuseServer::list_folder(FuseCall& call, bool plus) {
    fuse_read_in in{};
    if (!call.take(in)) return EINVAL;
    const auto file = files_.find(in.fh);
    if (!file) return EBADF;
    constexpr uint64_t kMost = 1 << 20;
    const uint64_t limit = std::min({uint64_t{in.size}, call.room(), kMost});
    MutexLock hold(file->position);
    if (lseek(file->fd.get(), static_cast<off_t>(in.offset), SEEK_SET) < 0) return errno;
    alignas(HostEntry) std::array<char, 16384> entries;
    for (;;) {
        const long got = syscall(SYS_getdents64, file->fd.get(), entries.data(), entries.size());
        if (got < 0) return errno;
        if (got == 0) return 0;
        for (long at = 0; at < got;) {
            const auto* entry = reinterpret_cast<const HostEntry*>(entries.data() + at);
            at += entry->length;
            if (!put_entry(call, file->fd.get(), entry->name, entry->inode,
                           static_cast<uint64_t>(entry->next), entry->type, limit, plus)) {
                return 0;
            }
        }
    }
}

// False: it does not fit any more.
bool FuseServer::put_entry(FuseCall& call, int folder, const char* name, uint64_t inode,
                           uint64_t next, unsigned type, uint64_t limit, bool plus) {
    const std::string_view text(name);
    const size_t head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
    const size_t size = FUSE_DIRENT_ALIGN(head + text.size());
    if (call.body().size() + size > limit) return false;
    fuse_direntplus out{};
    out.dirent.ino = inode;
    out.dirent.off = next;
    out.dirent.namelen = static_cast<uint32_t>(text.size());
    out.dirent.type = type;
    // Without an inode number the guest looks it up itself: of "." and ".." nothing is told, and
    // neither of what has gone or cannot be reached.
    if (plus && text != "." && text != "..") {
        if (enter(folder, std::string(text), out.entry_out) != 0) out.entry_out = {};
    }
    const size_t begin = call.body().size();
    call.body().resize(begin + size);
    std::byte* const place = call.body().data() + begin;
    if (plus) {
        std::memcpy(place, &out, FUSE_NAME_OFFSET_DIRENTPLUS);
    } else {
        std::memcpy(place, &out.dirent, FUSE_NAME_OFFSET);
    }
    std::memcpy(place + head, text.data(), text.size());
    return true;
}

}  // namespace mynah
