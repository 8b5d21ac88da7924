// The schedules in memory [EHCI 1.0 4.4 to 4.10].

#include <algorithm>
#include <cstring>

#include "device/usb/ehci.h"
#include "spec/usb/usb.h"

namespace mynah {

using namespace ehci;

UsbDevice* Ehci::find(uint8_t address) const {
    for (unsigned number = 0; number < kPortCount; ++number) {
        const Port& port = ports_[number];
        const bool talks =
            owns(number) && (port.status & (kPortEnabled | kSuspend)) == kPortEnabled;
        if (talks && port.device != nullptr && port.device->address() == address) {
            return port.device;
        }
    }
    return nullptr;
}

void Ehci::run_periodic(uint64_t frame) {
    const auto entry = dma_.load<uint32_t>(GuestPhys(periodic_base_ + 4 * (frame & 1023)));
    if (!entry) return host_error("the periodic frame list");
    uint32_t link = *entry;
    unsigned budget = kFrameQueues;
    while ((link & kTerminate) == 0 && budget > 0) {
        --budget;
        const uint32_t address = link & kLinkAddress;
        if (LinkType::get(link) == kQueueHead) {
            const auto next = run_queue(address, budget);
            if (!next) return;
            link = *next;
            continue;
        }
        // Isochronous and split transactions, and nodes that bring back to a path [4.12.2.2]: no
        // device asks for them.
        const auto next = dma_.load<uint32_t>(GuestPhys(address));
        if (!next) return host_error("a periodic descriptor");
        link = *next;
    }
}

// Once around the list, and again while something moves.
void Ehci::run_async() {
    unsigned budget = kAsyncQueues;
    uint32_t address = async_address_;
    const uint32_t first = address;
    bool moved_before = moved_;
    moved_ = false;
    while (budget > 0) {
        --budget;
        const auto next = run_queue(address, budget);
        if (!next) return;
        if ((*next & kTerminate) != 0) break;
        address = *next & kLinkAddress;
        if (address != first) continue;
        if (!moved_) break;
        moved_before = true;
        moved_ = false;
    }
    moved_ |= moved_before;
}

std::optional<uint32_t> Ehci::run_queue(uint32_t address, unsigned& budget) {
    auto queue = dma_.load<QueueHead>(GuestPhys(address));
    if (!queue) {
        host_error("a queue head");
        return std::nullopt;
    }
    for (; budget > 0; --budget) {
        if ((queue->overlay.token & kQueueHalted) != 0) break;
        if ((queue->overlay.token & kActive) == 0) {
            if (!advance(address, *queue)) break;
        }
        const bool done = run_transfer(*queue);
        if (!write_back(address, *queue)) {
            host_error("a transfer");
            return std::nullopt;
        }
        if (!done) break;
    }
    if (!running()) return std::nullopt;
    return queue->horizontal;
}

// Takes the next transfer into the overlay [EHCI 1.0 4.10.2]; false: there is none.
bool Ehci::advance(uint32_t address, QueueHead& queue) {
    const Transfer& last = queue.overlay;
    // After a short packet the alternate way, if there is one.
    const bool was_short = TokenBytes::get(last.token) != 0;
    uint32_t next = was_short && (last.alternate & kTerminate) == 0 ? last.alternate : last.next;
    if ((next & kTerminate) != 0) return false;
    next &= kLinkAddress;
    const auto loaded = dma_.load<Transfer>(GuestPhys(next));
    if (!loaded) {
        host_error("a transfer");
        return false;
    }
    if ((loaded->token & kActive) == 0) return false;
    // The toggle is the queue's unless the driver says that it is the transfer's.
    const uint32_t toggle = last.token & kToggle;
    queue.overlay = *loaded;
    if ((queue.characteristics & kToggleControl) == 0) {
        queue.overlay.token = (queue.overlay.token & ~kToggle) | toggle;
    }
    queue.current = next;
    if (!dma_.store(GuestPhys(address + kCurrentAt), queue.current)) {
        host_error("a queue head");
        return false;
    }
    return true;
}

bool Ehci::run_transfer(QueueHead& queue) {
    Transfer& transfer = queue.overlay;
    const uint32_t length = std::min(TokenBytes::get(transfer.token), kMaxBytes);
    const UsbReply reply = transact(queue, length);
    if (!running()) return false;
    bool ends = true;
    switch (reply.status) {
        case UsbStatus::kOk: {
            moved_ = true;
            transfer.token &= ~(kStatusBits & ~kActive);
            move_on(transfer, reply.size);
            const bool in = TokenPid::get(transfer.token) == kPidIn;
            const uint32_t left = TokenBytes::get(transfer.token);
            ends = left == 0 || (in && reply.short_packet);
            if (ends && left != 0) status_ |= kInterrupt;
            // What is left the device did not take or have yet.
            if (!ends) return false;
            break;
        }
        case UsbStatus::kNak:
            return false;
        case UsbStatus::kStall:
            transfer.token |= kQueueHalted;
            break;
        case UsbStatus::kBabble:
            transfer.token |= kQueueHalted | kBabble;
            break;
        case UsbStatus::kError:
            // Nobody answers, three times over.
            transfer.token = TokenErrors::with(transfer.token, 0);
            transfer.token |= kQueueHalted | kTransactionError;
            break;
    }
    transfer.token &= ~kActive;
    if ((transfer.token & kQueueHalted) != 0) status_ |= kErrorInterrupt;
    if ((transfer.token & kOnCompletion) != 0) status_ |= kInterrupt;
    return ends;
}

UsbReply Ehci::transact(const QueueHead& queue, uint32_t length) {
    UsbDevice* device = find(static_cast<uint8_t>(QueueAddress::get(queue.characteristics)));
    if (device == nullptr) return {UsbStatus::kError};
    const auto endpoint = static_cast<uint8_t>(QueueEndpoint::get(queue.characteristics));
    const std::span data = std::span(data_).first(length);
    const uint32_t pid = TokenPid::get(queue.overlay.token);
    if (pid == kPidIn) {
        const UsbReply reply = device->in(endpoint, data);
        if (reply.status == UsbStatus::kOk && !copy(queue.overlay, data.first(reply.size), true)) {
            host_error("a buffer");
        }
        return reply;
    }
    if (!copy(queue.overlay, data, false)) {
        host_error("a buffer");
        return {UsbStatus::kError};
    }
    if (pid == kPidOut) return device->out(endpoint, data);
    if (pid != kPidSetup || length != sizeof(usb::Setup)) return {UsbStatus::kError};
    return device->setup(load_unaligned<usb::Setup>(data.data()));
}

// Copies from or to the pages of a transfer [EHCI 1.0 3.5.4], from where it stands.
bool Ehci::copy(const Transfer& transfer, std::span<std::byte> data, bool to_guest) const {
    uint32_t page = TokenPage::get(transfer.token);
    uint32_t offset = transfer.buffers[0] & 0xfff;
    while (!data.empty()) {
        if (page >= kPages) return false;
        const size_t size = std::min<size_t>(data.size(), 4096 - offset);
        const GuestPhys place((transfer.buffers[page] & ~0xfffu) + offset);
        const std::span piece = data.first(size);
        if (!(to_guest ? dma_.write(place, piece) : dma_.read(place, piece))) return false;
        data = data.subspan(size);
        offset = 0;
        ++page;
    }
    return true;
}

void Ehci::move_on(Transfer& transfer, uint32_t bytes) {
    const uint32_t left = TokenBytes::get(transfer.token);
    transfer.token = TokenBytes::with(transfer.token, left - std::min(left, bytes));
    const uint32_t offset = (transfer.buffers[0] & 0xfff) + bytes;
    transfer.token =
        TokenPage::with(transfer.token, TokenPage::get(transfer.token) + offset / 4096);
    transfer.buffers[0] = (transfer.buffers[0] & ~0xfffu) | (offset & 0xfff);
}

// The overlay goes back to the queue head, and its token to the transfer it came from.
bool Ehci::write_back(uint32_t address, const QueueHead& queue) {
    if (!dma_.store(GuestPhys(address + kOverlayAt), queue.overlay)) return false;
    if ((queue.overlay.token & kActive) != 0) return true;
    const uint64_t token = (queue.current & kLinkAddress) + offsetof(Transfer, token);
    return dma_.store(GuestPhys(token), queue.overlay.token);
}

}  // namespace mynah
