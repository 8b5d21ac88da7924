#include "backend/character/output_writer.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mynah {

void OutputWriter::set_fd(int fd) {
    MutexLock lock(mutex_);
    fd_ = fd;
    patient_ = true;
}

void OutputWriter::set_impatient() {
    MutexLock lock(mutex_);
    never_wait_ = true;
}

void OutputWriter::write(std::span<const std::byte> bytes) {
    MutexLock lock(mutex_);
    while (!bytes.empty() && fd_ >= 0) {
        if (!wait_for_room()) return;
        // A descriptor that polls as writable takes this much without blocking; the descriptor
        // itself is not made nonblocking, since others may share it (the shell's terminal).
        const size_t count = std::min<size_t>(bytes.size(), PIPE_BUF);
        ssize_t done = send(fd_, bytes.data(), count, MSG_NOSIGNAL);
        if (done < 0 && errno == ENOTSOCK) done = ::write(fd_, bytes.data(), count);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return;  // the reader is gone, or the disk is full: dropped
        bytes = bytes.subspan(static_cast<size_t>(done));
    }
}

bool OutputWriter::wait_for_room() {
    pollfd target{fd_, POLLOUT, 0};
    const int ready = poll(&target, 1, patient_ && !never_wait_ ? kPatienceMs : 0);
    if (ready < 0) return errno == EINTR;
    patient_ = ready > 0;
    return ready > 0 && (target.revents & POLLOUT) != 0;
}

}  // namespace mynah
