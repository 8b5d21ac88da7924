#include "backend/network/descriptor_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace mynah {

bool DescriptorWatch::start(FrameDelivery& delivery, Owner owner) {
    delivery_ = &delivery;
    owner_ = std::move(owner);
    wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.valid()) return false;
    thread_ = std::thread([this] { run(); });
    return true;
}

void DescriptorWatch::stop() {
    if (!thread_.joinable()) return;
    stop_ = true;
    wake();
    thread_.join();
}

void DescriptorWatch::wake() {
    const uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof one);  // full: a wake-up is due already
}

void DescriptorWatch::set_fd(int fd) {
    fd_ = fd;
    wake();
}

void DescriptorWatch::want_write() {
    if (!want_write_.exchange(true)) wake();
}

void DescriptorWatch::receive_ready() {
    delivery_->ready();
    const bool more = delivery_->deliver(kGuestThreadLimit);
    if (more || (throttled_ && delivery_->waiting() < FrameDelivery::kEnough)) wake();
}

void DescriptorWatch::wait_once() {
    const bool throttled = delivery_->waiting() >= FrameDelivery::kEnough;
    throttled_ = throttled;
    // The last frame may have gone between the two lines.
    if (throttled && delivery_->waiting() < FrameDelivery::kEnough) return;
    const int fd = fd_;
    const bool write_wanted = want_write_;
    short events = write_wanted ? POLLOUT : 0;
    if (!throttled) events |= POLLIN;
    pollfd fds[] = {{wake_.get(), POLLIN, 0}, {events != 0 ? fd : -1, events, 0}};
    if (poll(fds, 2, fd < 0 && owner_.retry ? kRetryMs : -1) < 0) return;
    if ((fds[0].revents & POLLIN) != 0) {
        uint64_t count;
        (void)!read(wake_.get(), &count, sizeof count);
    }
    if (stop_ || fd != fd_) return;
    if (fd < 0) {
        if (owner_.retry) owner_.retry();
        return;
    }
    // An error or a hang-up shows when it is read or written.
    const bool failed = (fds[1].revents & (POLLERR | POLLHUP)) != 0;
    if ((fds[1].revents & POLLIN) != 0 || failed) owner_.fetch();
    if (write_wanted && ((fds[1].revents & POLLOUT) != 0 || failed)) {
        want_write_ = false;
        if (owner_.writable) owner_.writable();
        delivery_->tell_transmit_ready();
    }
}

void DescriptorWatch::run() {
    while (!stop_) {
        wait_once();
        while (!stop_ && delivery_->deliver(FrameDelivery::kMostWaiting)) {
        }
    }
}

}  // namespace mynah
