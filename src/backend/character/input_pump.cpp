#include "backend/character/input_pump.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "base/check.h"

namespace mynah {

InputPump::InputPump() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { CHECK(wake_.valid()); }

InputPump::~InputPump() { stop(); }

void InputPump::start(int fd, WhenFull when_full, Filter filter, std::function<void()> ended) {
    CHECK(!thread_.joinable());
    fd_ = fd;
    when_full_ = when_full;
    filter_ = std::move(filter);
    ended_ = std::move(ended);
    stop_ = false;
    thread_ = std::thread([this] { run(); });
}

void InputPump::stop() {
    if (!thread_.joinable()) return;
    stop_ = true;
    input_wanted();
    thread_.join();
}

void InputPump::set_sink(CharacterSink* sink) {
    {
        MutexLock lock(sink_mutex_);
        sink_ = sink;
    }
    input_wanted();
}

void InputPump::input_wanted() {
    const uint64_t one = 1;
    // Fails only if the counter is full, and then the thread is about to wake anyway.
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

void InputPump::tell_connected(bool on) {
    MutexLock lock(sink_mutex_);
    if (sink_ != nullptr) sink_->connected(on);
}

bool InputPump::wants_to_read() const {
    return when_full_ == WhenFull::kDrop || pending_.size() < kPendingMax;
}

void InputPump::run() {
    bool open = true;
    while (!stop_) {
        std::array<pollfd, 2> sources{{{wake_.get(), POLLIN, 0}, {fd_, POLLIN, 0}}};
        const bool reading = open && wants_to_read();
        if (!open && pending_.empty()) break;
        if (poll(sources.data(), reading ? 2 : 1, -1) < 0 && errno != EINTR) break;
        if ((sources[0].revents & POLLIN) != 0) {
            uint64_t count = 0;
            [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof count);
        }
        if (reading && sources[1].revents != 0) open = read_some();
        deliver();
    }
    if (!stop_ && ended_) ended_();
}

// False at the end of the input.
bool InputPump::read_some() {
    std::array<std::byte, 1024> buffer;
    const ssize_t got = read(fd_, buffer.data(), buffer.size());
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    if (got == 0) return false;
    const std::span<const std::byte> bytes(buffer.data(), static_cast<size_t>(got));
    if (filter_) {
        filter_(bytes, pending_);
    } else {
        pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    }
    if (when_full_ == WhenFull::kDrop && pending_.size() > kPendingMax)
        pending_.resize(kPendingMax);
    return true;
}

void InputPump::deliver() {
    MutexLock lock(sink_mutex_);
    while (sink_ != nullptr && !pending_.empty()) {
        const size_t count = std::min(sink_->input_space(), pending_.size());
        if (count == 0) return;
        sink_->input(std::span(pending_.data(), count));
        pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
    }
}

}  // namespace mynah
