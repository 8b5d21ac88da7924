#include "device/usb/xhci_driver_test.h"

#include <algorithm>

namespace mynah::testing {

using namespace usb::xhci;
using namespace xhci_registers;

uint64_t XhciDriver::take(uint64_t size, uint64_t alignment) {
    free_ = align_up(free_, alignment);
    const uint64_t place = free_;
    free_ += size;
    EXPECT_TRUE(memory_.fill(GuestPhys(place), std::byte{0}, size));
    return place;
}

XhciDriver::Ring XhciDriver::make_ring() {
    Ring ring;
    ring.base = take(Ring::kSize * sizeof(Trb));
    return ring;
}

uint64_t XhciDriver::put(Ring& ring, Trb trb) {
    const uint64_t place = ring.base + ring.at * sizeof(Trb);
    trb.control = (trb.control & ~kCycle) | (ring.cycle ? kCycle : 0);
    EXPECT_TRUE(memory_.store(GuestPhys(place), trb));
    if (++ring.at == Ring::kSize - 1) {
        Trb link{};
        link.parameter = ring.base;
        link.control =
            TrbType::with(kToggleCycle | (ring.cycle ? kCycle : 0), kLink) | (trb.control & kChain);
        EXPECT_TRUE(memory_.store(GuestPhys(ring.base + ring.at * sizeof(Trb)), link));
        ring.at = 0;
        ring.cycle = !ring.cycle;
    }
    return place;
}

void XhciDriver::start(unsigned segments, unsigned segment_size) {
    write(kOperational + kUsbCommand, kHcReset);
    EXPECT_EQ(operational(kUsbCommand), 0u);
    EXPECT_EQ(operational(kUsbStatus) & kHalted, kHalted);
    const uint32_t slots = read(kHcsParams1) & 0xff;
    write(kOperational + kConfigure, slots);
    context_array_ = take((slots + 1) * 8);
    write64(kOperational + kContextArray, context_array_);
    command_ring_ = make_ring();
    write64(kOperational + kCommandRing, command_ring_.base | kRingCycle);

    const uint64_t table = take(segments * sizeof(RingSegment));
    segments_.clear();
    event_segment_ = event_at_ = 0;
    event_cycle_ = true;
    rings_.clear();
    outputs_.clear();
    for (unsigned i = 0; i < segments; ++i) {
        const RingSegment segment{take(segment_size * sizeof(Trb)), segment_size, 0};
        segments_.push_back({segment.base, segment_size});
        EXPECT_TRUE(memory_.store(GuestPhys(table + i * sizeof segment), segment));
    }
    write(kInterrupters + kTableSize, segments);
    write64(kInterrupters + kDequeuePointer, segments_[0].first);
    write64(kInterrupters + kTableBase, table);
    write(kInterrupters + kManagement, kEnabled);
    write(kOperational + kUsbCommand, kRun | kInterruptEnable);
    EXPECT_EQ(operational(kUsbStatus) & kHalted, 0u);
}

std::optional<Trb> XhciDriver::next_event(bool acknowledge) {
    const uint64_t place = segments_[event_segment_].first + event_at_ * sizeof(Trb);
    const Trb event = memory_.load<Trb>(GuestPhys(place)).value();
    if (((event.control & kCycle) != 0) != event_cycle_) return std::nullopt;
    if (++event_at_ == segments_[event_segment_].second) {
        event_at_ = 0;
        if (++event_segment_ == segments_.size()) {
            event_segment_ = 0;
            event_cycle_ = !event_cycle_;
        }
    }
    if (acknowledge) acknowledge_events();
    return event;
}

void XhciDriver::acknowledge_events() {
    write(kInterrupters + kManagement, kPending | kEnabled);
    write64(kInterrupters + kDequeuePointer,
            segments_[event_segment_].first + event_at_ * sizeof(Trb) + kHandlerBusy);
}

std::vector<Trb> XhciDriver::events() {
    std::vector<Trb> all;
    while (const auto event = next_event()) all.push_back(*event);
    return all;
}

XhciDriver::CommandResult XhciDriver::command(uint8_t type, uint64_t parameter, uint8_t slot,
                                              uint8_t endpoint, uint32_t flags) {
    Trb trb{parameter, 0, flags};
    trb.control = TrbSlot::with(TrbEndpoint::with(TrbType::with(flags, type), endpoint), slot);
    const uint64_t place = put(command_ring_, trb);
    write(kDoorbells, 0);
    while (const auto event = next_event()) {
        const uint32_t kind = TrbType::get(event->control);
        if (kind == kPortStatusChange) ++port_changes;
        if (kind != kCommandCompletion) continue;
        EXPECT_EQ(event->parameter, place);
        return {static_cast<uint8_t>(EventCode::get(event->status)),
                static_cast<uint8_t>(TrbSlot::get(event->control))};
    }
    return {};
}

uint64_t XhciDriver::input_context(uint32_t drop, uint32_t add) {
    const uint64_t input = take(33 * kContextSize);
    EXPECT_TRUE(memory_.store(GuestPhys(input), drop));
    EXPECT_TRUE(memory_.store(GuestPhys(input + 4), add));
    return input;
}

std::optional<uint8_t> XhciDriver::address_device(unsigned port) {
    uint32_t status = port_status(port);
    if ((status & kConnected) == 0) return std::nullopt;
    if ((status & kPortEnabled) == 0) {
        write_port(port, kPortPower | kPortReset);
        status = port_status(port);
        EXPECT_NE(status & kPortEnabled, 0u);
        EXPECT_NE(status & kResetChange, 0u);
    }
    write_port(port, kPortPower | kPortChanges);
    const uint32_t speed = PortSpeed::get(status);
    const CommandResult enabled = command(kEnableSlot);
    if (enabled.code != kSuccess) return std::nullopt;
    const uint64_t output = take(32 * kContextSize);
    outputs_[enabled.slot] = output;
    EXPECT_TRUE(memory_.store(GuestPhys(context_array_ + 8 * enabled.slot), output));
    const uint64_t input = input_context(0, 3);
    Context slot{}, endpoint{};
    slot.words[0] = SlotEntries::with(SlotSpeed::with(0, speed), 1);
    slot.words[1] = SlotRootPort::with(0, port + 1);
    const uint16_t packet = speed == 4 ? 512 : speed == 2 ? 8 : 64;
    Ring& ring = rings_[{enabled.slot, 1}] = make_ring();
    endpoint.words[1] = EndpointPacketSize::with(EndpointKind::with(6, kKindControl), packet);
    endpoint.words[2] = static_cast<uint32_t>(ring.base | kDequeueCycle);
    EXPECT_TRUE(memory_.store(GuestPhys(input + kContextSize), slot));
    EXPECT_TRUE(memory_.store(GuestPhys(input + 2 * kContextSize), endpoint));
    if (command(kAddressDevice, input, enabled.slot).code != kSuccess) return std::nullopt;
    return enabled.slot;
}

uint8_t XhciDriver::configure_endpoints(uint8_t slot,
                                        const std::vector<EndpointRequest>& endpoints) {
    uint32_t add = 1;
    for (const EndpointRequest& endpoint : endpoints) add |= 1u << endpoint.index;
    const uint64_t input = input_context(0, add);
    for (const EndpointRequest& wanted : endpoints) {
        Ring& ring = rings_[{slot, wanted.index}] = make_ring();
        Context endpoint{};
        endpoint.words[1] =
            EndpointPacketSize::with(EndpointKind::with(6, wanted.kind), wanted.packet);
        endpoint.words[2] = static_cast<uint32_t>(ring.base | kDequeueCycle);
        EXPECT_TRUE(memory_.store(GuestPhys(input + (wanted.index + 1) * kContextSize), endpoint));
    }
    return command(kConfigureEndpoint, input, slot).code;
}

void XhciDriver::try_address(uint8_t slot, unsigned port) {
    if (!outputs_.contains(slot)) outputs_[slot] = take(32 * kContextSize);
    EXPECT_TRUE(memory_.store(GuestPhys(context_array_ + 8 * slot), outputs_[slot]));
    if (scratch_input_ == 0) scratch_input_ = input_context(0, 0);
    const uint64_t input = scratch_input_;
    EXPECT_TRUE(memory_.store(GuestPhys(input + 4), uint32_t{3}));
    Context slot_context{};
    slot_context.words[0] = SlotEntries::with(0, 1);
    slot_context.words[1] = SlotRootPort::with(0, port + 1);
    EXPECT_TRUE(memory_.store(GuestPhys(input + kContextSize), slot_context));
    const uint32_t kinds[5] = {0, kKindControl, 0, port >= 4 ? kKindBulkIn : kKindInterruptIn,
                               kKindBulkOut};
    for (uint8_t index : {1, 3, 4}) {
        Ring& where = rings_[{slot, index}];
        if (where.base == 0) where = make_ring();
        Context endpoint{};
        endpoint.words[1] = EndpointKind::with(6, kinds[index]);
        endpoint.words[2] =
            static_cast<uint32_t>(where.base + where.at * sizeof(Trb)) | (where.cycle ? 1 : 0);
        EXPECT_TRUE(memory_.store(GuestPhys(input + (index + 1) * kContextSize), endpoint));
    }
    if (command(kAddressDevice, input, slot).code != kSuccess) return;
    const usb::Setup setup{0, usb::kSetConfiguration, 1, 0, 0};
    put(ring(slot, 1),
        {std::bit_cast<uint64_t>(setup), 8, TrbType::with(kImmediateData, kSetupStage)});
    put(ring(slot, 1), {0, 0, TrbType::with(kDirectionIn, kStatusStage)});
    doorbell(slot, 1);
    EXPECT_TRUE(memory_.store(GuestPhys(input + 4), uint32_t{1 | 1 << 3 | 1 << 4}));
    command(kConfigureEndpoint, input, slot);
}

void XhciDriver::try_transfer(uint8_t slot, uint8_t index, uint64_t buffer, uint32_t size) {
    const Trb trb{buffer, size, TrbType::with(kInterruptOnCompletion, kNormal)};
    put(ring(slot, index), trb);
    doorbell(slot, index);
    events();
}

XhciDriver::TransferResult XhciDriver::wait_transfer(uint8_t slot, uint8_t index) {
    while (const auto event = next_event()) {
        const uint32_t kind = TrbType::get(event->control);
        if (kind == kPortStatusChange) ++port_changes;
        if (kind != kTransferEvent) continue;
        EXPECT_EQ(TrbSlot::get(event->control), slot);
        EXPECT_EQ(TrbEndpoint::get(event->control), index);
        return {static_cast<uint8_t>(EventCode::get(event->status)),
                EventLength::get(event->status), event->parameter};
    }
    return {};
}

XhciDriver::TransferResult XhciDriver::control(uint8_t slot, const usb::Setup& setup,
                                               uint64_t buffer) {
    Ring& where = ring(slot, 1);
    const bool in = (setup.request_type & usb::kRequestIn) != 0;
    Trb trb{std::bit_cast<uint64_t>(setup), 8, TrbType::with(kImmediateData, kSetupStage)};
    put(where, trb);
    if (setup.length > 0) {
        trb = {buffer, setup.length, TrbType::with(kInterruptOnShort, kDataStage)};
        if (in) trb.control |= kDirectionIn;
        put(where, trb);
    }
    trb = {0, 0, TrbType::with(kInterruptOnCompletion, kStatusStage)};
    if (!in || setup.length == 0) trb.control |= kDirectionIn;
    put(where, trb);
    doorbell(slot, 1);
    TransferResult result = wait_transfer(slot, 1);
    if (result.code != kShortPacket) return result;
    const TransferResult status = wait_transfer(slot, 1);
    return {status.code, result.residue, status.trb};
}

XhciDriver::TransferResult XhciDriver::transfer(uint8_t slot, uint8_t index, uint64_t buffer,
                                                uint32_t size, uint32_t cut) {
    uint32_t begun = 0;
    std::map<uint64_t, uint32_t> behind;  // bytes of the TD behind each TRB
    do {
        const uint32_t piece = std::min(cut, size - begun);
        begun += piece;
        Trb trb{buffer + begun - piece, piece, TrbType::with(kInterruptOnShort, kNormal)};
        trb.control |= begun < size ? kChain : kInterruptOnCompletion;
        behind[put(ring(slot, index), trb)] = size - begun;
    } while (begun < size);
    doorbell(slot, index);
    TransferResult result = wait_transfer(slot, index);
    if (behind.contains(result.trb)) result.residue += behind[result.trb];
    return result;
}

uint32_t XhciDriver::endpoint_state(uint8_t slot, uint8_t index) {
    const auto word =
        memory_.load<uint32_t>(GuestPhys(output_context(slot) + index * kContextSize)).value();
    return EndpointState::get(word);
}

void XhciDriver::recover(uint8_t slot, uint8_t index) {
    if (endpoint_state(slot, index) == kEndpointRunning) {
        Trb trb{0, 0, 0};
        trb.control =
            TrbSlot::with(TrbEndpoint::with(TrbType::with(0, kStopEndpoint), index), slot);
        put(command_ring_, trb);
        write(kDoorbells, 0);
        events();
    } else {
        EXPECT_EQ(command(kResetEndpoint, 0, slot, index).code, kSuccess);
    }
    Ring& where = ring(slot, index);
    const uint64_t next = where.base + where.at * sizeof(Trb);
    EXPECT_EQ(command(kSetTrDequeue, next | (where.cycle ? 1 : 0), slot, index).code, kSuccess);
}

GuestReply XhciPipes::reply(XhciDriver::TransferResult result, uint32_t size, bool in) {
    GuestReply reply;
    switch (result.code) {
        case kSuccess:
        case kShortPacket:
            break;
        case kStallError:
            reply.status = GuestStatus::kStall;
            break;
        case 0:
            reply.status = GuestStatus::kPending;
            break;
        default:
            reply.status = GuestStatus::kError;
            break;
    }
    if (!in || !reply.ok()) return reply;
    reply.data.resize(size - std::min(size, result.residue));
    EXPECT_TRUE(
        driver_.memory().read(GuestPhys(buffer_), std::as_writable_bytes(std::span(reply.data))));
    return reply;
}

GuestReply XhciPipes::control(const usb::Setup& setup, const Bytes& out) {
    EXPECT_TRUE(driver_.memory().write(GuestPhys(buffer_), std::as_bytes(std::span(out))));
    const bool in = (setup.request_type & usb::kRequestIn) != 0;
    const auto result = driver_.control(slot_, setup, buffer_);
    GuestReply answer = reply(result, setup.length, in);
    if (!answer.ok()) driver_.recover(slot_, 1);
    return answer;
}

GuestReply XhciPipes::in(uint8_t endpoint, uint32_t size) {
    const uint8_t index = index_of(endpoint);
    const auto result = driver_.transfer(slot_, index, buffer_, size, cut_);
    GuestReply answer = reply(result, size, true);
    if (answer.status == GuestStatus::kPending) driver_.recover(slot_, index);
    return answer;
}

GuestReply XhciPipes::out(uint8_t endpoint, const Bytes& data) {
    const uint8_t index = index_of(endpoint);
    EXPECT_TRUE(driver_.memory().write(GuestPhys(buffer_), std::as_bytes(std::span(data))));
    const auto result =
        driver_.transfer(slot_, index, buffer_, static_cast<uint32_t>(data.size()), cut_);
    GuestReply answer = reply(result, 0, false);
    if (answer.status == GuestStatus::kPending) driver_.recover(slot_, index);
    return answer;
}

void XhciPipes::open(const Bytes& configuration) {
    std::vector<XhciDriver::EndpointRequest> wanted;
    for (const GuestEndpoint& endpoint : endpoints_of(configuration)) {
        const bool in = (endpoint.address & 0x80) != 0;
        const auto kind = static_cast<uint8_t>((endpoint.type & 3) + (in ? 4 : 0));
        wanted.push_back({index_of(endpoint.address), kind, endpoint.packet});
    }
    EXPECT_EQ(driver_.configure_endpoints(slot_, wanted), kSuccess);
}

void XhciPipes::clear_halt(uint8_t endpoint) { driver_.recover(slot_, index_of(endpoint)); }

}  // namespace mynah::testing
