// The command ring and what concerns slots [xHCI 1.1 4.6].

#include <algorithm>
#include <utility>

#include "device/usb/xhci.h"
#include "device/usb/xhci_registers.h"

namespace mynah {

using namespace xhci_registers;
using namespace usb::xhci;

namespace {

// Input control context [6.2.5.1]: what to drop, what to add.
constexpr uint64_t kInputSlot = 1, kInputEndpoint0 = 2;  // contexts behind it
constexpr uint32_t kAddSlot = 1 << 0, kAddEndpoint0 = 1 << 1;
constexpr uint64_t kContextPointer = ~uint64_t{0x3f};

}  // namespace

void Xhci::run_commands() {
    while (running() && commands_running_) {
        if (backed_up()) return;  // goes on when the driver has made room for events
        if (budget_ == 0) {
            commands_deferred_ = true;
            defer();
            return;
        }
        --budget_;
        Trb command;
        uint64_t address;
        switch (command_ring_.next(dma_, command, address)) {
            case XhciRing::Fetched::kNone:
                return;
            case XhciRing::Fetched::kError:
            case XhciRing::Fetched::kLinks:
                return host_error("command ring");
            case XhciRing::Fetched::kTrb:
                break;
        }
        unsigned slot = TrbSlot::get(command.control);
        const Code code = execute(command, slot);
        complete_command(address, code, slot);
    }
}

void Xhci::complete_command(uint64_t address, Code code, unsigned slot) {
    Trb event{};
    event.parameter = address;
    event.status = EventCode::with(0, code);
    event.control = TrbType::with(TrbSlot::with(0, slot), kCommandCompletion);
    post(0, event);
}

Xhci::Slot* Xhci::find_slot(unsigned number) {
    return number >= 1 && number <= kSlots ? slots_[number].get() : nullptr;
}

Code Xhci::execute(const Trb& command, unsigned& number) {
    const uint32_t type = TrbType::get(command.control);
    switch (type) {
        case kNoOpCommand:
            return kSuccess;
        case kEnableSlot:
            return enable_slot(number);
        case kGetPortBandwidth:
            return port_bandwidth(command.parameter & ~uint64_t{0xf});
        default:
            break;
    }
    if (type < kDisableSlot || type > kResetDevice) return kTrbError;
    Slot* slot = find_slot(number);
    if (slot == nullptr) return kSlotNotEnabled;
    const uint64_t input = command.parameter & ~uint64_t{0xf};
    switch (type) {
        case kDisableSlot:
            disable_slot(*slot);
            slots_[number].reset();
            return kSuccess;
        case kAddressDevice:
            return address_device(*slot, number, input, (command.control & kBlockSetAddress) != 0);
        case kConfigureEndpoint:
            return configure_endpoints(*slot, input, (command.control & kDeconfigure) != 0);
        case kEvaluateContext:
            return evaluate_context(*slot, input);
        case kResetDevice:
            return reset_device(*slot);
        default:
            return endpoint_command(*slot, number, command);
    }
}

Code Xhci::enable_slot(unsigned& number) {
    const unsigned enabled = std::min(SlotsEnabled::get(configure_), kSlots);
    for (number = 1; number <= enabled; ++number) {
        if (slots_[number] != nullptr) continue;
        slots_[number] = std::make_unique<Slot>();
        return kSuccess;
    }
    number = 0;
    return kNoSlotsAvailable;
}

void Xhci::disable_slot(Slot& slot) {
    if (slot.context == 0) return;
    for (unsigned index = 1; index < 32; ++index) drop_endpoint(slot, index);
    if (auto context = load_context(slot.context)) {
        context->words[3] = SlotState::with(context->words[3], kSlotEnabled);
        store_context(slot.context, *context);
    }
}

// The set-address request goes to the device as any control transfer does [USB 2.0 9.4.6].
Code Xhci::send_address(UsbDevice& device, unsigned address) {
    const usb::Setup setup{0, usb::kSetAddress, static_cast<uint16_t>(address), 0, 0};
    if (device.setup(setup).status != UsbStatus::kOk) return kTransactionError;
    return device.in(0, {}).status == UsbStatus::kOk ? kSuccess : kTransactionError;
}

// [xHCI 1.1 4.6.5]
Code Xhci::address_device(Slot& slot, unsigned number, uint64_t input, bool no_request) {
    const bool state_fits =
        slot.state == kSlotEnabled || (slot.state == kSlotDefault && !no_request);
    if (!state_fits) return kContextStateError;
    const auto control = load_context(input);
    auto slot_context = load_context(input + kInputSlot * kContextSize);
    auto endpoint = load_context(input + kInputEndpoint0 * kContextSize);
    const auto output = dma_.load<uint64_t>(GuestPhys(context_array_ + 8 * number));
    if (!control || !slot_context || !endpoint || !output) return kParameterError;
    constexpr uint32_t kBoth = kAddSlot | kAddEndpoint0;
    if ((control->words[1] & kBoth) != kBoth || (control->words[0] & kBoth) != 0) {
        return kParameterError;
    }
    const uint32_t port = SlotRootPort::get(slot_context->words[1]);
    if (port < 1 || port > kPortCount || EndpointKind::get(endpoint->words[1]) != kKindControl) {
        return kParameterError;
    }
    // Nobody is behind a hub, because there are none.
    UsbDevice* device = ports_[port - 1].device;
    const bool reachable = device != nullptr && (ports_[port - 1].status & kPortEnabled) != 0 &&
                           SlotRoute::get(slot_context->words[0]) == 0;
    if (!reachable) return kTransactionError;
    if (!no_request) {
        const Code code = send_address(*device, number);
        if (code != kSuccess) return code;
    }
    slot.context = *output & kContextPointer;
    slot.port = port - 1;
    slot.device = device;
    slot.state = no_request ? kSlotDefault : kSlotAddressed;
    uint32_t& state = slot_context->words[3];
    state = SlotState::with(SlotAddress::with(0, no_request ? 0 : number), slot.state);
    Endpoint& control_endpoint = slot.endpoints[1];
    control_endpoint = {};
    control_endpoint.kind = kKindControl;
    control_endpoint.state = kEndpointRunning;
    control_endpoint.ring = XhciRing::at(endpoint->words[2] | uint64_t{endpoint->words[3]} << 32);
    endpoint->words[0] = EndpointState::with(endpoint->words[0], kEndpointRunning);
    if (!store_context(slot.context, *slot_context) ||
        !store_context(context_of(slot, 1), *endpoint)) {
        return kParameterError;
    }
    return kSuccess;
}

// [xHCI 1.1 4.6.6]
Code Xhci::configure_endpoints(Slot& slot, uint64_t input, bool deconfigure) {
    if (slot.state != kSlotAddressed && slot.state != kSlotConfigured) return kContextStateError;
    auto slot_context = load_context(slot.context);
    if (!slot_context) return kParameterError;
    if (deconfigure) {
        for (unsigned index = 2; index < 32; ++index) drop_endpoint(slot, index);
        slot_context->words[0] = SlotEntries::with(slot_context->words[0], 1);
        slot.state = kSlotAddressed;
        slot_context->words[3] = SlotState::with(slot_context->words[3], slot.state);
        return store_context(slot.context, *slot_context) ? kSuccess : kParameterError;
    }
    const auto control = load_context(input);
    if (!control) return kParameterError;
    const uint32_t drop = control->words[0] & ~3u, add = control->words[1] & ~3u;
    for (unsigned index = 2; index < 32; ++index) {
        if ((drop >> index & 1) != 0) drop_endpoint(slot, index);
        if ((add >> index & 1) == 0) continue;
        const Code code = add_endpoint(slot, index, input);
        if (code != kSuccess) return code;
    }
    uint32_t last = 1;
    for (unsigned index = 2; index < 32; ++index) {
        if (slot.endpoints[index].kind != 0) last = index;
    }
    slot.state = last > 1 ? kSlotConfigured : kSlotAddressed;
    slot_context->words[0] = SlotEntries::with(slot_context->words[0], last);
    slot_context->words[3] = SlotState::with(slot_context->words[3], slot.state);
    return store_context(slot.context, *slot_context) ? kSuccess : kParameterError;
}

Code Xhci::add_endpoint(Slot& slot, unsigned index, uint64_t input) {
    auto context = load_context(input + (index + 1) * kContextSize);
    if (!context) return kParameterError;
    const uint32_t kind = EndpointKind::get(context->words[1]);
    // Even indices go out, odd ones come in; the control kind is both ways. No streams.
    const bool in = kind >= kKindIsochIn;
    const bool fits = kind == kKindControl || (kind != 0 && in == ((index & 1) != 0));
    if (!fits || EndpointStreams::get(context->words[0]) != 0) return kParameterError;
    Endpoint& endpoint = slot.endpoints[index];
    endpoint = {};
    endpoint.kind = kind;
    endpoint.state = kEndpointRunning;
    endpoint.ring = XhciRing::at(context->words[2] | uint64_t{context->words[3]} << 32);
    context->words[0] = EndpointState::with(context->words[0], kEndpointRunning);
    return store_context(context_of(slot, index), *context) ? kSuccess : kParameterError;
}

void Xhci::drop_endpoint(Slot& slot, unsigned index) {
    Endpoint& endpoint = slot.endpoints[index];
    if (endpoint.kind == 0) return;
    endpoint = {};
    if (auto context = load_context(context_of(slot, index))) {
        context->words[0] = EndpointState::with(context->words[0], kEndpointDisabled);
        store_context(context_of(slot, index), *context);
    }
}

// Exit latency and interrupter of the slot, packet size of endpoint 0 [xHCI 1.1 6.2.2.3, 6.2.3.3].
Code Xhci::evaluate_context(Slot& slot, uint64_t input) {
    if (slot.state == kSlotEnabled) return kContextStateError;
    const auto control = load_context(input);
    if (!control) return kParameterError;
    const uint32_t add = control->words[1];
    if ((add & kAddSlot) != 0) {
        const auto from = load_context(input + kInputSlot * kContextSize);
        auto to = load_context(slot.context);
        if (!from || !to) return kParameterError;
        to->words[1] = SlotExitLatency::with(to->words[1], SlotExitLatency::get(from->words[1]));
        to->words[2] = SlotInterrupter::with(to->words[2], SlotInterrupter::get(from->words[2]));
        if (!store_context(slot.context, *to)) return kParameterError;
    }
    if ((add & kAddEndpoint0) != 0) {
        const auto from = load_context(input + kInputEndpoint0 * kContextSize);
        auto to = load_context(context_of(slot, 1));
        if (!from || !to) return kParameterError;
        to->words[1] =
            EndpointPacketSize::with(to->words[1], EndpointPacketSize::get(from->words[1]));
        if (!store_context(context_of(slot, 1), *to)) return kParameterError;
    }
    return kSuccess;
}

// After the driver has reset the port: all but endpoint 0 is forgotten [xHCI 1.1 4.6.11].
Code Xhci::reset_device(Slot& slot) {
    if (slot.state != kSlotAddressed && slot.state != kSlotConfigured) return kContextStateError;
    for (unsigned index = 2; index < 32; ++index) drop_endpoint(slot, index);
    auto context = load_context(slot.context);
    if (!context) return kParameterError;
    slot.state = kSlotDefault;
    context->words[0] = SlotEntries::with(context->words[0], 1);
    context->words[3] = SlotState::with(SlotAddress::with(context->words[3], 0), slot.state);
    return store_context(slot.context, *context) ? kSuccess : kParameterError;
}

// Bandwidth is never short: 90 percent for everyone [xHCI 1.1 4.6.15, 6.2.6].
Code Xhci::port_bandwidth(uint64_t address) {
    std::array<std::byte, kPortCount + 1> context;
    context.fill(std::byte{90});
    context[0] = std::byte{0};
    return dma_.write(GuestPhys(address), context) ? kSuccess : kParameterError;
}

}  // namespace mynah
