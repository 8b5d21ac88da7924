// Contexts in memory, and the commands that concern one endpoint [xHCI 1.1 4.6.8 to 4.6.10].

#include "device/usb/xhci.h"
#include "device/usb/xhci_registers.h"

namespace mynah {

using namespace usb::xhci;

std::optional<Context> Xhci::load_context(uint64_t address) const {
    return dma_.load<Context>(GuestPhys(address));
}

bool Xhci::store_context(uint64_t address, const Context& context) {
    return dma_.store(GuestPhys(address), context);
}

// The controller's copy rules; the one in memory is what the driver sees, with the place in the
// ring, which it may read while the endpoint does not run.
void Xhci::set_endpoint_state(Slot& slot, unsigned index, uint32_t state) {
    Endpoint& endpoint = slot.endpoints[index];
    endpoint.state = state;
    auto context = load_context(context_of(slot, index));
    if (!context) return;
    context->words[0] = EndpointState::with(context->words[0], state);
    const uint64_t pointer = endpoint.ring.pointer();
    context->words[2] = static_cast<uint32_t>(pointer);
    context->words[3] = static_cast<uint32_t>(pointer >> 32);
    store_context(context_of(slot, index), *context);
}

Code Xhci::endpoint_command(Slot& slot, unsigned number, const Trb& command) {
    const uint32_t index = TrbEndpoint::get(command.control);
    if (index == 0) return kTrbError;
    Endpoint& endpoint = slot.endpoints[index];
    if (endpoint.kind == 0) return kEndpointNotEnabled;
    switch (TrbType::get(command.control)) {
        case kResetEndpoint:
            if (endpoint.state != kEndpointHalted) return kContextStateError;
            endpoint.forget_td();
            set_endpoint_state(slot, index, kEndpointStopped);
            return kSuccess;
        case kStopEndpoint:
            return stop_endpoint(slot, number, index);
        case kSetTrDequeue:
            if (endpoint.state != kEndpointStopped && endpoint.state != kEndpointError) {
                return kContextStateError;
            }
            endpoint.forget_td();
            endpoint.ring = XhciRing::at(command.parameter);
            set_endpoint_state(slot, index, kEndpointStopped);
            return kSuccess;
        default:
            return kTrbError;
    }
}

// A TD that was begun is reported as stopped where it stands, and goes on there if the driver does
// not move the pointer; one that has moved nothing is fetched anew, for the driver may turn it into
// something else meanwhile [xHCI 1.1 4.6.9].
Code Xhci::stop_endpoint(Slot& slot, unsigned number, unsigned index) {
    Endpoint& endpoint = slot.endpoints[index];
    if (endpoint.state != kEndpointRunning) return kContextStateError;
    endpoint.deferred = false;
    if (!endpoint.td.empty()) report_td(number, index, kStopped);
    if (endpoint.done == 0) endpoint.forget_td();
    set_endpoint_state(slot, index, kEndpointStopped);
    return kSuccess;
}

}  // namespace mynah
