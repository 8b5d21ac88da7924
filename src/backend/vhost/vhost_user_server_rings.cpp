#include <fcntl.h>
#include <fmt/core.h>

#include <bit>

#include "backend/vhost/vhost_user_server.h"

namespace mynah {

using namespace vhost_user;

Result<bool> VhostUserServer::handle_ring(VhostUserMessage& message) {
    switch (static_cast<Request>(message.request)) {
        case Request::kSetVringNum:
            TRY(set_size(message));
            return true;
        case Request::kSetVringAddr:
            TRY(set_address(message));
            return true;
        case Request::kSetVringBase:
            TRY(set_base(message));
            return true;
        case Request::kGetVringBase:
            TRY(get_base(message));
            return true;
        case Request::kSetVringKick:
            TRY(set_kick(message));
            return true;
        case Request::kSetVringCall:
            TRY(set_call(message));
            return true;
        case Request::kSetVringErr: {
            // Errors are logged here; the front end sees that the ring stands still.
            EventFd ignored{Fd()};
            TRY(take_bell(message, ignored));
            return true;
        }
        case Request::kSetVringEnable:
            TRY(set_enable(message));
            return true;
        default:
            return false;
    }
}

Result<VhostUserServer::Vring*> VhostUserServer::ring_of(uint32_t index) {
    if (index >= rings_.size())
        return Error(fmt::format("ring {}; there are {}", index, rings_.size()));
    return &rings_[index];
}

Result<void> VhostUserServer::set_size(const VhostUserMessage& message) {
    const auto state = message.as<VringState>();
    if (!state) return Error("a message of the wrong size");
    Vring& ring = *TRY(ring_of(state->index));
    if (!std::has_single_bit(state->value) || state->value > model_.queue_size_max())
        return Error(fmt::format("a ring of {} entries", state->value));
    stop(static_cast<uint16_t>(state->index));
    ring.size = static_cast<uint16_t>(state->value);
    return update(static_cast<uint16_t>(state->index));
}

Result<void> VhostUserServer::set_base(const VhostUserMessage& message) {
    const auto state = message.as<VringState>();
    if (!state || state->value > 0xffff) return Error("a ring's position beyond its index");
    Vring& ring = *TRY(ring_of(state->index));
    if (ring.running) return Error("a position for a ring that runs");
    ring.base = static_cast<uint16_t>(state->value);
    return {};
}

Result<void> VhostUserServer::set_address(const VhostUserMessage& message) {
    const auto address = message.as<VringAddress>();
    if (!address) return Error("a message of the wrong size");
    Vring& ring = *TRY(ring_of(address->index));
    if ((address->flags & kVringLog) != 0 && (protocol_ & kProtocolLogShmfd) == 0)
        return Error("a log of writes that was not agreed on");
    // Only whether its used part is logged is news, which it is anyway (VhostMemory).
    if (ring.running && ring.address->descriptors == address->descriptors &&
        ring.address->available == address->available && ring.address->used == address->used) {
        ring.address = *address;
        return {};
    }
    stop(static_cast<uint16_t>(address->index));
    ring.address = *address;
    return update(static_cast<uint16_t>(address->index));
}

Result<void> VhostUserServer::get_base(const VhostUserMessage& message) {
    const auto state = message.as<VringState>();
    if (!state) return Error("a message of the wrong size");
    Vring& ring = *TRY(ring_of(state->index));
    stop(static_cast<uint16_t>(state->index));
    ring.kick = EventFd(Fd());
    if ((features_ & kFeatureProtocol) != 0) ring.enabled = false;
    return reply_value(message, VringState{state->index, ring.base});
}

// The descriptor of a bell, and which ring's.
Result<uint16_t> VhostUserServer::take_bell(VhostUserMessage& message, EventFd& into) {
    const auto value = message.as<uint64_t>();
    if (!value) return Error("a message of the wrong size");
    const auto index = static_cast<uint16_t>(*value & kVringIndexMask);
    TRY(ring_of(index));
    if ((*value & kVringNoFd) != 0) {
        into = EventFd(Fd());
        return index;
    }
    if (message.fds.size() != 1) return Error("a bell without its descriptor");
    Fd fd = std::move(message.fds[0]);
    // Nobody waits for somebody else's bell.
    fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    into = EventFd(std::move(fd));
    return index;
}

Result<void> VhostUserServer::set_kick(VhostUserMessage& message) {
    EventFd kick{Fd()};
    const uint16_t index = TRY(take_bell(message, kick));
    if (!kick.valid()) return Error("a ring without a bell, which would have to be polled");
    stop(index);
    rings_[index].kick = std::move(kick);
    return update(index);
}

Result<void> VhostUserServer::set_call(VhostUserMessage& message) {
    EventFd call{Fd()};
    const uint16_t index = TRY(take_bell(message, call));
    MutexLock hold(call_mutex_);
    calls_[index] = call.valid() ? std::make_unique<EventFd>(std::move(call)) : nullptr;
    // The front end may have missed one while it had no descriptor here.
    if (calls_[index] && rings_[index].running) calls_[index]->signal();
    return {};
}

Result<void> VhostUserServer::set_enable(const VhostUserMessage& message) {
    const auto state = message.as<VringState>();
    if (!state || state->value > 1) return Error("a ring that is neither on nor off");
    Vring& ring = *TRY(ring_of(state->index));
    ring.enabled = state->value == 1;
    if (!ring.enabled) stop(static_cast<uint16_t>(state->index));
    return update(static_cast<uint16_t>(state->index));
}

void VhostUserServer::call(uint16_t index) {
    MutexLock hold(call_mutex_);
    if (index < calls_.size() && calls_[index]) calls_[index]->signal();
}

// Starts a ring when everything about it is known ["Ring states"].
Result<void> VhostUserServer::update(uint16_t index) {
    Vring& ring = rings_[index];
    const bool enabled = ring.enabled || (features_ & kFeatureProtocol) == 0;
    if (ring.running || !enabled || !ring.kick.valid() || ring.size == 0 || !ring.address ||
        memory_.memory() == nullptr) {
        return {};
    }
    const auto descriptors = memory_.translate(ring.address->descriptors);
    const auto available = memory_.translate(ring.address->available);
    const auto used = memory_.translate(ring.address->used);
    // A place that is wrong is forgotten, so that the front end can say a better one.
    if (!descriptors || !available || !used) {
        ring.address.reset();
        return Error(fmt::format("ring {} is not in the memory that was given", index));
    }
    VhostUserModel::Ring what;
    what.index = index;
    what.size = ring.size;
    what.descriptors = *descriptors;
    what.available = *available;
    what.used = *used;
    what.next_available = ring.base;
    what.inflight = inflight_.get();
    ring.running = true;
    const auto started = model_.start_ring(what);
    ring.running = started.ok();
    if (!started) ring.address.reset();
    return started;
}

void VhostUserServer::stop(uint16_t index) {
    Vring& ring = rings_[index];
    if (!ring.running) return;
    ring.base = model_.stop_ring(index);
    ring.running = false;
}

void VhostUserServer::stop_all() {
    for (uint16_t i = 0; i < rings_.size(); ++i) stop(i);
}

}  // namespace mynah
