// The schedule in memory [UHCI 1.1 3.4].

#include <algorithm>

#include "device/usb/uhci.h"
#include "spec/usb/usb.h"

namespace mynah {

using namespace uhci;

UsbDevice* Uhci::find(uint8_t address) const {
    for (const Port& port : ports_) {
        const bool talks = (port.status & (kPortEnabled | kPortSuspend)) == kPortEnabled;
        if (talks && port.device != nullptr && port.device->address() == address) {
            return port.device;
        }
    }
    return nullptr;
}

// Lists may lead back into themselves, so that bulk transfers get all of a frame. A queue that is
// met again when nothing moved in between ends the frame.
bool Uhci::seen_in_vain(uint32_t queue) {
    if (moved_) {
        visited_.clear();
        moved_ = false;
    }
    if (std::find(visited_.begin(), visited_.end(), queue) != visited_.end()) return true;
    visited_.push_back(queue);
    return false;
}

void Uhci::run_frame(uint64_t number) {
    bytes_left_ = kFrameBytes;
    elements_left_ = kFrameElements;
    visited_.clear();
    moved_ = false;
    const auto entry = dma_.load<uint32_t>(GuestPhys(frame_list_ + 4 * (number & 1023)));
    if (!entry) return halt(kSystemError, "the frame list is not in memory");
    uint32_t link = *entry;
    while ((link & kTerminate) == 0 && bytes_left_ != 0 && elements_left_ != 0) {
        --elements_left_;
        if ((link & kQueue) != 0) {
            if (!run_queue(link)) return;
            continue;
        }
        const uint32_t address = link & kLinkAddress;
        auto descriptor = dma_.load<TransferDescriptor>(GuestPhys(address));
        if (!descriptor) return halt(kSystemError, "a transfer descriptor is not in memory");
        link = descriptor->link;
        if ((descriptor->control & kActive) == 0) continue;
        if (run_descriptor(address, *descriptor, false) == Outcome::kHalt) return;
    }
}

bool Uhci::run_queue(uint32_t& link) {
    const uint32_t address = link & kLinkAddress;
    if (seen_in_vain(address)) return false;
    const auto queue = dma_.load<QueueHead>(GuestPhys(address));
    if (!queue) {
        halt(kSystemError, "a queue head is not in memory");
        return false;
    }
    link = queue->head;
    uint32_t element = queue->element;
    while ((element & kTerminate) == 0 && bytes_left_ != 0 && elements_left_ != 0) {
        --elements_left_;
        // A queue below a queue is followed where it is.
        if ((element & kQueue) != 0) {
            if (!run_queue(element)) return false;
            continue;
        }
        const uint32_t place = element & kLinkAddress;
        auto descriptor = dma_.load<TransferDescriptor>(GuestPhys(place));
        if (!descriptor) {
            halt(kSystemError, "a transfer descriptor is not in memory");
            return false;
        }
        if ((descriptor->control & kActive) == 0) return true;
        const Outcome outcome = run_descriptor(place, *descriptor, true);
        if (outcome == Outcome::kHalt) return false;
        if (outcome == Outcome::kLeave) return true;
        element = descriptor->link;
        if (!dma_.store(GuestPhys(address + 4), element)) {
            halt(kSystemError, "a queue head is not writable memory");
            return false;
        }
        if ((element & kDepthFirst) == 0) return true;
    }
    return true;
}

Uhci::Outcome Uhci::run_descriptor(uint32_t address, TransferDescriptor& descriptor,
                                   bool in_queue) {
    const uint32_t length = (TokenLength::get(descriptor.token) + 1) & 0x7ff;
    const uint32_t pid = TokenPid::get(descriptor.token);
    const bool known = pid == kPidIn || pid == kPidOut || pid == kPidSetup;
    if (length > kMaxLength || !known) {
        halt(kProcessError, "a transfer descriptor is not valid");
        return Outcome::kHalt;
    }
    UsbReply reply;
    if ((descriptor.control & kIsochronous) != 0) {
        reply = {UsbStatus::kOk, 0, true};  // no device has such an endpoint
    } else {
        reply = transact(descriptor, length);
    }
    return finish(address, descriptor, reply, length, in_queue);
}

UsbReply Uhci::transact(const TransferDescriptor& descriptor, uint32_t length) {
    UsbDevice* device = find(static_cast<uint8_t>(TokenAddress::get(descriptor.token)));
    if (device == nullptr) return {UsbStatus::kError};
    const auto endpoint = static_cast<uint8_t>(TokenEndpoint::get(descriptor.token));
    const std::span data = std::span(packet_).first(length);
    const GuestPhys buffer(descriptor.buffer);
    if (TokenPid::get(descriptor.token) == kPidIn) {
        const UsbReply reply = device->in(endpoint, data);
        if (reply.status == UsbStatus::kOk && !dma_.write(buffer, data.first(reply.size))) {
            halt(kSystemError, "a buffer is not in memory");
        }
        return reply;
    }
    if (!dma_.read(buffer, data)) {
        halt(kSystemError, "a buffer is not in memory");
        return {UsbStatus::kError};
    }
    if (TokenPid::get(descriptor.token) == kPidOut) {
        const UsbReply reply = device->out(endpoint, data);
        // A packet that is not taken as a whole is not taken: the device answers NAK.
        return reply;
    }
    if (length != sizeof(usb::Setup)) return {UsbStatus::kError};
    return device->setup(load_unaligned<usb::Setup>(data.data()));
}

Uhci::Outcome Uhci::finish(uint32_t address, TransferDescriptor& descriptor, const UsbReply& reply,
                           uint32_t length, bool in_queue) {
    if (!running()) return Outcome::kHalt;
    uint32_t& control = descriptor.control;
    Outcome outcome = Outcome::kNext;
    bool ends = true;
    control &= ~kStatusBits;
    switch (reply.status) {
        case UsbStatus::kOk: {
            control = ActualLength::with(control, (reply.size - 1) & 0x7ff);
            moved_ = true;
            polling_.active(clock_.now_ns());
            bytes_left_ -= std::min(bytes_left_, reply.size + 8);
            const bool is_short = TokenPid::get(descriptor.token) == kPidIn && reply.size < length;
            if (is_short && (control & kShortDetect) != 0) {
                short_packet_ = true;
                status_ |= kInterrupt;
                if (in_queue) outcome = Outcome::kLeave;
            }
            break;
        }
        case UsbStatus::kNak:
            control |= kNak;
            ends = false;
            break;
        case UsbStatus::kStall:
            control |= kStalled;
            break;
        case UsbStatus::kBabble:
            control |= kStalled | kBabble;
            break;
        case UsbStatus::kError: {
            control |= kTimeout;
            const uint32_t count = ErrorCount::get(control);
            if (count != 0) control = ErrorCount::with(control, count - 1);
            ends = count == 1;  // 0: tried for ever
            if (ends) control |= kStalled;
            break;
        }
    }
    if (ends) control &= ~kActive;
    if ((control & kStalled) != 0) status_ |= kErrorInterrupt;
    if (ends && (control & kOnCompletion) != 0) {
        completed_ = true;
        status_ |= kInterrupt;
    }
    if (!dma_.store(GuestPhys(address + 4), control)) {
        halt(kSystemError, "a transfer descriptor is not writable memory");
        return Outcome::kHalt;
    }
    if (reply.status != UsbStatus::kOk) outcome = Outcome::kLeave;
    return outcome;
}

}  // namespace mynah
