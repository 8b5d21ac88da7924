#include "paravirt/virtio/console/console_port.h"

#include <algorithm>

#include "paravirt/virtio/console/virtio_console.h"

namespace mynah {

ConsolePort::ConsolePort(VirtioConsole& device, size_t number, CharacterBackend& backend,
                         bool console, std::string name)
    : device_(device),
      number_(number),
      backend_(backend),
      console_(console),
      name_(std::move(name)) {}

ConsolePort::~ConsolePort() { backend_.set_sink(nullptr); }

void ConsolePort::set_open(bool open) {
    {
        MutexLock lock(lock_);
        if (open_ == open) return;
        open_ = open;
        // What was meant for the program that has closed the port is not for the next one.
        pending_.clear();
    }
    if (open) backend_.input_wanted();
}

void ConsolePort::serve_receive(VirtioQueue& queue) {
    {
        MutexLock lock(lock_);
        queue_ = &queue;
        deliver();
    }
    backend_.input_wanted();
}

// Buffers the guest put there for input it did not get yet stay in the ring until there is some.
void ConsolePort::deliver() {
    if (queue_ == nullptr || !open_ || pending_.empty()) return;
    VirtioQueue::Batch batch = queue_->open_batch();
    DescriptorChain chain;
    size_t done = 0;
    while (done < pending_.size() && queue_->take(batch, chain)) {
        const uint64_t part = chain.writable.fill(std::span(pending_).subspan(done));
        queue_->wrote(chain.writable);
        queue_->give_back(chain.head, static_cast<uint32_t>(part));
        done += part;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(done));
}

void ConsolePort::serve_transmit(VirtioQueue& queue) {
    MutexLock lock(transmit_lock_);
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    while (queue.take(batch, chain)) {
        for (const Slice slice : chain.readable.slices()) backend_.output(slice);
        queue.give_back(chain.head, 0);
    }
}

void ConsolePort::reset() {
    MutexLock lock(lock_);
    open_ = false;
    queue_ = nullptr;
    pending_.clear();
}

size_t ConsolePort::input_space() {
    MutexLock lock(lock_);
    return open_ ? kPending - pending_.size() : 0;
}

void ConsolePort::input(std::span<const std::byte> bytes) {
    bool more = false;
    {
        MutexLock lock(lock_);
        if (!open_) return;
        bytes = bytes.first(std::min(bytes.size(), kPending - pending_.size()));
        pending_.insert(pending_.end(), bytes.begin(), bytes.end());
        deliver();
        more = pending_.empty();
    }
    if (more) backend_.input_wanted();
}

void ConsolePort::connected(bool) {
    device_.tell(number_, VirtioConsole::message(virtio::console::kPortOpen));
}

}  // namespace mynah
