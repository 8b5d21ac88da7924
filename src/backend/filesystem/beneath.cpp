#include "backend/filesystem/beneath.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace mynah {

bool is_plain_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." && name.size() <= NAME_MAX &&
           name.find('/') == std::string::npos;
}

Fd open_beneath(int folder, const std::string& name, int flags, mode_t mode) {
    open_how how{};
    how.flags = static_cast<uint64_t>(flags | O_NOFOLLOW | O_CLOEXEC);
    how.mode = (flags & O_CREAT) != 0 ? mode & 07777 : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
    for (int tries = 0; tries < 16; ++tries) {
        const long fd = syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how);
        if (fd >= 0) return Fd(static_cast<int>(fd));
        // Something was renamed meanwhile [openat2(2), EAGAIN].
        if (errno != EAGAIN && errno != EINTR) break;
    }
    // A sandbox may not know the call. One step without links cannot lead out either.
    if (errno != ENOSYS) return Fd();
    return Fd(openat(folder, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode & 07777));
}

}  // namespace mynah
