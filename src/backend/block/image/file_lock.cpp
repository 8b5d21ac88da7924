#include "backend/block/image/file_lock.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/log.h"

namespace mynah {
namespace {

constexpr off_t kDone = 100, kForbidden = 200;
constexpr off_t kReads = 0, kWrites = 1, kResizes = 3;

struct Claims {
    std::array<off_t, 3> does;  // the first `count`
    size_t count;
};

Claims claims_of(ImageUse use) {
    if (use == ImageUse::kWrite) return {{kReads, kWrites, kResizes}, 3};
    return {{kReads, 0, 0}, 1};
}

struct flock byte_at(off_t offset, short type) {
    struct flock range {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = offset;
    range.l_len = 1;
    return range;
}

// False: the host refused; errno says why.
bool claim(int fd, off_t offset) {
    struct flock range = byte_at(offset, F_RDLCK);
    return fcntl(fd, F_OFD_SETLK, &range) == 0;
}

bool claimed_by_others(int fd, off_t offset) {
    struct flock range = byte_at(offset, F_WRLCK);
    return fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

Error conflict(ImageUse use) {
    return Error(use == ImageUse::kRead
                     ? "is being written by another machine; expected a disk nobody else writes"
                     : "is in use by another machine; expected a disk nobody else uses, or "
                       "readonly=on for all of them");
}

}  // namespace

Result<void> lock_image_file(int fd, ImageUse use, const std::string& path) {
    const Claims claims = claims_of(use);
    const std::array<off_t, 2> forbids{kWrites, kResizes};
    // First all claims, then the look at the others': of two that begin at once, at least one
    // sees the other.
    bool refused = false;
    for (size_t i = 0; i < claims.count; ++i) refused |= !claim(fd, kDone + claims.does[i]);
    for (const off_t what : forbids) refused |= !claim(fd, kForbidden + what);
    if (refused) {
        if (errno == EAGAIN || errno == EACCES) return conflict(use);
        // Some network file systems have no locks. The operator can know; we cannot refuse for it.
        log(LogLevel::kWarning, "{}: cannot be locked ({}): do not give it to two machines", path,
            std::strerror(errno));
        return {};
    }
    for (size_t i = 0; i < claims.count; ++i)
        if (claimed_by_others(fd, kForbidden + claims.does[i])) return conflict(use);
    for (const off_t what : forbids)
        if (claimed_by_others(fd, kDone + what)) return conflict(use);
    return {};
}

}  // namespace mynah
