// Transfer rings [xHCI 1.1 4.9 to 4.11].

#include <algorithm>
#include <cstring>

#include "device/usb/xhci.h"
#include "device/usb/xhci_registers.h"

namespace mynah {

using namespace usb::xhci;

namespace {

bool carries_data(const Trb& trb) {
    const uint32_t type = TrbType::get(trb.control);
    return type == kNormal || type == kDataStage || type == kIsoch;
}
uint32_t data_size(const Trb& trb) {
    return carries_data(trb) ? TransferLength::get(trb.status) : 0;
}
bool is_isochronous(uint32_t kind) { return kind == kKindIsochIn || kind == kKindIsochOut; }

}  // namespace

void Xhci::run_all_endpoints() {
    for (unsigned slot = 1; slot <= kSlots; ++slot) {
        if (slots_[slot] == nullptr) continue;
        for (unsigned index = 1; index < 32; ++index) run_endpoint(slot, index);
    }
}

// Works on what the driver has put into the ring until it is empty, the device has nothing to say,
// or enough was done for one call.
void Xhci::run_endpoint(unsigned number, unsigned index) {
    Slot& slot = *slots_[number];
    Endpoint& endpoint = slot.endpoints[index];
    endpoint.deferred = false;
    while (running() && endpoint.kind != 0 && endpoint.state == kEndpointRunning) {
        if (backed_up()) return;  // goes on when the driver has made room for events
        if (budget_ == 0) {
            endpoint.deferred = endpoints_deferred_ = true;
            defer();
            return;
        }
        --budget_;
        if (endpoint.td.empty()) {
            const XhciRing::Fetched fetched = fetch_td(endpoint);
            if (fetched == XhciRing::Fetched::kNone) return;
            if (fetched != XhciRing::Fetched::kTrb) {
                endpoint.forget_td();
                return set_endpoint_state(slot, index, kEndpointError);
            }
        }
        Code code = kSuccess;
        switch (run_td(slot, index, code)) {
            case Progress::kWaits:
                return;
            case Progress::kBudget:
                continue;
            case Progress::kComplete:
                break;
        }
        report_td(number, index, code);
        const bool halts =
            code != kSuccess && code != kShortPacket && !is_isochronous(endpoint.kind);
        if (!halts) endpoint.ring = endpoint.after;
        endpoint.forget_td();
        if (halts) set_endpoint_state(slot, index, kEndpointHalted);
    }
}

// Takes the TRBs of the next TD: up to the first that is not chained to one behind it.
XhciRing::Fetched Xhci::fetch_td(Endpoint& endpoint) {
    endpoint.forget_td();
    endpoint.after = endpoint.ring;
    for (;;) {
        Part part;
        const XhciRing::Fetched fetched = endpoint.after.next(dma_, part.trb, part.address);
        if (fetched != XhciRing::Fetched::kTrb) {
            // The driver is still writing it, or it is broken.
            endpoint.td.clear();
            return fetched;
        }
        if (endpoint.td.size() >= kMaxTdTrbs) return XhciRing::Fetched::kLinks;
        if (endpoint.td.size() >= 16 && budget_ > 0) --budget_;
        endpoint.td.push_back(part);
        endpoint.td_size += data_size(part.trb);
        if ((part.trb.control & kChain) == 0) return XhciRing::Fetched::kTrb;
    }
}

Xhci::Progress Xhci::run_td(Slot& slot, unsigned index, Code& code) {
    Endpoint& endpoint = slot.endpoints[index];
    const Trb& first = endpoint.td.front().trb;
    const auto number = static_cast<uint8_t>(index / 2);
    const bool control = endpoint.kind == kKindControl;
    const bool in = (first.control & kDirectionIn) != 0;
    code = kSuccess;
    if (slot.device == nullptr) {
        code = kTransactionError;
        return Progress::kComplete;
    }
    switch (TrbType::get(first.control)) {
        case kSetupStage: {
            if (!control || (first.control & kImmediateData) == 0) break;
            const auto setup = std::bit_cast<usb::Setup>(first.parameter);
            const UsbReply reply = slot.device->setup(setup);
            if (reply.status != UsbStatus::kOk) code = kTransactionError;
            return Progress::kComplete;
        }
        case kDataStage:
        case kStatusStage:
            if (!control) break;
            return move_data(slot, endpoint, number, in, code);
        case kNormal:
            if (control) break;
            return move_data(slot, endpoint, number, endpoint.is_in(), code);
        case kIsoch:
            // No device has such an endpoint: nothing moves, as when the device is silent.
            if (!is_isochronous(endpoint.kind)) break;
            if (endpoint.is_in()) code = kShortPacket;
            return Progress::kComplete;
        case kEventDataTrb:
        case kNoOp:
            return Progress::kComplete;
        default:
            break;
    }
    code = kTrbError;
    return Progress::kComplete;
}

// Moves what is left of the TD, as far as the device is ready.
Xhci::Progress Xhci::move_data(Slot& slot, Endpoint& endpoint, uint8_t number, bool in,
                               Code& code) {
    for (;;) {
        const uint32_t left = endpoint.td_size - endpoint.done;
        const std::span chunk = std::span(bounce_).first(std::min(left, kBounce));
        UsbReply reply;
        if (in) {
            reply = slot.device->in(number, chunk);
        } else if (gather(endpoint, chunk)) {
            reply = slot.device->out(number, chunk);
        } else {
            code = kDataBufferError;
            return Progress::kComplete;
        }
        switch (reply.status) {
            case UsbStatus::kOk:
                break;
            case UsbStatus::kNak:
                return Progress::kWaits;
            case UsbStatus::kStall:
                code = kStallError;
                return Progress::kComplete;
            case UsbStatus::kBabble:
                code = kBabbleDetected;
                return Progress::kComplete;
            case UsbStatus::kError:
                code = kTransactionError;
                return Progress::kComplete;
        }
        if (in && !scatter(endpoint, chunk.first(reply.size))) {
            code = kDataBufferError;
            return Progress::kComplete;
        }
        endpoint.done += reply.size;
        const bool all = endpoint.done == endpoint.td_size;
        if (!all && in && reply.short_packet) code = kShortPacket;
        if (all || (in && reply.short_packet)) return Progress::kComplete;
        if (reply.size == 0) return Progress::kWaits;  // takes nothing more for now
        if (budget_ == 0) return Progress::kBudget;
        --budget_;
    }
}

// Calls visit(TRB, offset in its buffer, bytes) for the pieces of memory that hold the next `size`
// bytes of the TD.
template <typename Visit>
bool Xhci::for_each_piece(const Endpoint& endpoint, size_t size, Visit&& visit) {
    uint32_t skip = endpoint.done;
    for (const Part& part : endpoint.td) {
        const uint32_t length = data_size(part.trb);
        if (skip >= length) {
            skip -= length;
            continue;
        }
        const size_t piece = std::min<size_t>(length - skip, size);
        if (piece > 0 && !visit(part.trb, skip, piece)) return false;
        size -= piece;
        if (size == 0) break;
        skip = 0;
    }
    return true;
}

bool Xhci::scatter(const Endpoint& endpoint, std::span<const std::byte> from) {
    return for_each_piece(endpoint, from.size(), [&](const Trb& trb, uint32_t at, size_t size) {
        const bool written = dma_.write(GuestPhys(trb.parameter + at), from.first(size));
        from = from.subspan(size);
        return written;
    });
}

bool Xhci::gather(const Endpoint& endpoint, std::span<std::byte> to) {
    return for_each_piece(endpoint, to.size(), [&](const Trb& trb, uint32_t at, size_t size) {
        const std::span<std::byte> piece = to.first(size);
        to = to.subspan(size);
        if ((trb.control & kImmediateData) == 0) {
            return dma_.read(GuestPhys(trb.parameter + at), piece);
        }
        if (at + size > sizeof trb.parameter) return false;
        std::memcpy(piece.data(), reinterpret_cast<const std::byte*>(&trb.parameter) + at, size);
        return true;
    });
}

// Where in a TD its end came: at the TRB whose data is not complete, or at the last one that is no
// event data.
size_t Xhci::end_of_td(const Endpoint& endpoint) {
    uint32_t left = endpoint.done;
    size_t end = 0;
    for (size_t i = 0; i < endpoint.td.size(); ++i) {
        const Trb& trb = endpoint.td[i].trb;
        if (TrbType::get(trb.control) == kEventDataTrb) continue;
        end = i;
        if (left < data_size(trb)) break;
        left -= data_size(trb);
    }
    return end;
}

// Tells the driver what became of the TD [xHCI 1.1 4.10.1, 4.11.5.2]. Every TRB with its
// completion flag is told of while all goes well; the first that goes wrong or short ends that,
// but for event data behind it.
void Xhci::report_td(unsigned slot, unsigned index, Code code) {
    const Endpoint& endpoint = slots_[slot]->endpoints[index];
    const size_t end = end_of_td(endpoint);
    uint32_t left = endpoint.done;  // bytes that are to be accounted for
    uint32_t collected = 0;         // since the last event data TRB
    for (size_t i = 0; i < endpoint.td.size(); ++i) {
        const Part& part = endpoint.td[i];
        const uint32_t size = data_size(part.trb);
        const uint32_t moved = std::min(size, left);
        left -= moved;
        collected += moved;
        const bool wants = (part.trb.control & kInterruptOnCompletion) != 0;
        const bool on_short = (part.trb.control & kInterruptOnShort) != 0;
        if (TrbType::get(part.trb.control) == kEventDataTrb) {
            if (wants) report_part(slot, index, part, i < end ? kSuccess : code, collected);
            collected = 0;
        } else if (i < end || code == kSuccess) {
            if (wants) report_part(slot, index, part, kSuccess, 0);
        } else if (i == end && (code != kShortPacket || wants || on_short)) {
            report_part(slot, index, part, code, size - moved);
        }
        if (i == end && code != kSuccess && code != kShortPacket) return;
    }
}

void Xhci::report_part(unsigned slot, unsigned index, const Part& part, Code code, uint32_t left) {
    const bool event_data = TrbType::get(part.trb.control) == kEventDataTrb;
    Trb event{};
    event.parameter = event_data ? part.trb.parameter : part.address;
    event.status = EventCode::with(EventLength::with(0, left), code);
    event.control = TrbEndpoint::with(TrbSlot::with(0, slot), index);
    event.control = TrbType::with(event.control, kTransferEvent);
    if (event_data) event.control |= kEventData;
    const bool quiet = (part.trb.control & kBlockEventInterrupt) != 0;
    post(InterrupterTarget::get(part.trb.status), event, !quiet || code != kSuccess);
}

}  // namespace mynah
