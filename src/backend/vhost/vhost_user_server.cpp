#include "backend/vhost/vhost_user_server.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <bit>
#include <cerrno>
#include <cstring>

namespace mynah {

using namespace vhost_user;

VhostUserServer::VhostUserServer(VhostUserModel& model, Fd connection)
    : model_(model), connection_(std::move(connection)), rings_(model.queue_count()) {
    MutexLock hold(call_mutex_);
    calls_.resize(rings_.size());
}

VhostUserServer::~VhostUserServer() {
    stop_all();
    model_.reset();
    model_.memory_changed(nullptr);
}

Result<void> VhostUserServer::run(const EventFd& stop) {
    bool over = false;
    while (!over) TRY(wait_once(stop, over));
    return {};
}

Result<void> VhostUserServer::wait_once(const EventFd& stop, bool& over) {
    std::vector<pollfd> fds;
    fds.push_back({stop.fd(), POLLIN, 0});
    fds.push_back({connection_.get(), POLLIN, 0});
    constexpr size_t kFirstKick = 2;
    for (const Vring& ring : rings_) fds.push_back({ring.running ? ring.kick.fd() : -1, POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) return {};
    if (fds[0].revents != 0) {
        over = true;
        return {};
    }
    for (size_t i = kFirstKick; i < fds.size(); ++i) {
        if (fds[i].revents == 0) continue;
        const auto index = static_cast<uint16_t>(i - kFirstKick);
        if ((fds[i].revents & POLLIN) == 0 || !rings_[index].kick.drain())
            return Error(fmt::format("the bell of ring {} is broken", index));
        model_.bell(index);
    }
    if (fds[1].revents == 0) return {};
    // The end between two messages is no error.
    char first;
    if (recv(connection_.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
        over = true;
        return {};
    }
    TRY(receive_vhost_user(connection_.get(), message_, kMessageMs));
    return handle(message_);
}

Result<void> VhostUserServer::handle(VhostUserMessage& message) {
    answered_ = false;
    Result<bool> known = handle_device(message);
    if (known && !known.value()) known = handle_ring(message);
    if (known && !known.value())
        known = Error(fmt::format("request {} is none of this version's", message.request));
    // With acknowledgements the front end hears of an error and may go on; without, it would go on
    // in the belief that all is well.
    const bool acknowledge = (protocol_ & kProtocolReplyAck) != 0 && message.needs_reply();
    if (!acknowledge || answered_) {
        if (!known) return known.error();
        return {};
    }
    return reply_value(message, uint64_t{known ? 0u : 1u});
}

Result<void> VhostUserServer::reply(const VhostUserMessage& to, std::span<const std::byte> payload,
                                    std::span<const int> fds) {
    answered_ = true;
    return send_vhost_user(connection_.get(), to.request, kFlagReply, payload, fds, kMessageMs);
}

// --- the device ---

Result<bool> VhostUserServer::handle_device(VhostUserMessage& message) {
    switch (static_cast<Request>(message.request)) {
        case Request::kGetFeatures:
            TRY(reply_value(message, model_.features() | kFeatureProtocol));
            return true;
        case Request::kSetFeatures:
            TRY(set_features(message));
            return true;
        case Request::kGetProtocolFeatures:
            TRY(reply_value(message, model_.protocol_features() | kProtocolMq | kProtocolReplyAck |
                                         kProtocolResetDevice));
            return true;
        case Request::kSetProtocolFeatures:
            TRY(set_protocol_features(message));
            return true;
        case Request::kGetQueueNum:
            TRY(reply_value(message, uint64_t{rings_.size()}));
            return true;
        case Request::kSetOwner:
            return true;
        case Request::kResetOwner:
        case Request::kResetDevice:
            stop_all();
            for (Vring& ring : rings_) ring.enabled = false;
            // What is negotiated next is news to the device, even if it is the same.
            features_ &= kFeatureProtocol;
            model_.reset();
            return true;
        case Request::kSetMemTable:
            TRY(set_memory(message));
            return true;
        case Request::kGetConfig:
            TRY(get_config(message));
            return true;
        case Request::kSetConfig:
            TRY(set_config(message));
            return true;
        case Request::kGetInflightFd:
            TRY(get_inflight(message));
            return true;
        case Request::kSetInflightFd:
            TRY(set_inflight(message));
            return true;
        default:
            return false;
    }
}

Result<void> VhostUserServer::set_features(const VhostUserMessage& message) {
    const auto bits = message.as<uint64_t>();
    if (!bits || (*bits & ~(model_.features() | kFeatureProtocol)) != 0)
        return Error("features that were not offered");
    // A front end may say them again while rings run.
    if (*bits == features_) return {};
    stop_all();
    features_ = *bits;
    model_.negotiated(features_ & ~kFeatureProtocol);
    for (uint16_t i = 0; i < rings_.size(); ++i) TRY(update(i));
    return {};
}

Result<void> VhostUserServer::set_protocol_features(const VhostUserMessage& message) {
    const auto bits = message.as<uint64_t>();
    if (!bits || (*bits & ~(model_.protocol_features() | kProtocolMq | kProtocolReplyAck |
                            kProtocolResetDevice)) != 0) {
        return Error("protocol features that were not offered");
    }
    protocol_ = *bits;
    return {};
}

Result<void> VhostUserServer::set_memory(VhostUserMessage& message) {
    const auto count = message.front<uint32_t>();
    if (!count || *count == 0 || *count > kMaxTableRegions ||
        message.size != kMemoryTableHeader + *count * sizeof(MemoryRegion) ||
        message.fds.size() != *count) {
        return Error("a table of memory that contradicts itself");
    }
    MemoryTable table{};
    std::memcpy(&table, message.payload.data(), message.size);
    std::vector<GuestMemory::Foreign> foreign;
    for (uint32_t i = 0; i < *count; ++i) {
        const MemoryRegion& region = table.regions[i];
        if (region.user_address + region.size < region.user_address)
            return Error("a region of memory that wraps around");
        foreign.push_back({GuestPhys{region.guest_address}, region.size, message.fds[i].get(),
                           region.mmap_offset});
    }
    auto memory = TRY(GuestMemory::adopt(std::move(foreign)));
    stop_all();
    model_.memory_changed(memory.get());
    memory_ = std::move(memory);
    regions_.assign(table.regions, table.regions + *count);
    // Rings that ran go on in the new memory.
    for (uint16_t i = 0; i < rings_.size(); ++i) TRY(update(i));
    return {};
}

std::optional<GuestPhys> VhostUserServer::translate(uint64_t user_address) const {
    for (const MemoryRegion& region : regions_) {
        const uint64_t offset = user_address - region.user_address;
        if (user_address >= region.user_address && offset < region.size)
            return GuestPhys{region.guest_address + offset};
    }
    return std::nullopt;
}

Result<void> VhostUserServer::get_config(const VhostUserMessage& message) {
    const auto header = message.front<ConfigHeader>();
    if (!header || header->size > kMaxConfig || header->offset > kMaxConfig ||
        header->size > kMaxConfig - header->offset) {
        return Error("a configuration that is longer than any");
    }
    std::array<std::byte, sizeof(ConfigHeader) + kMaxConfig> bytes{};
    std::memcpy(bytes.data(), &*header, sizeof *header);
    model_.read_config(header->offset,
                       std::span(bytes).subspan(sizeof *header).first(header->size));
    return reply(message, std::span(bytes).first(sizeof *header + header->size));
}

Result<void> VhostUserServer::set_config(const VhostUserMessage& message) {
    const auto header = message.front<ConfigHeader>();
    if (!header || header->offset > kMaxConfig ||
        message.size - sizeof *header != header->size) {
        return Error("a configuration that contradicts itself");
    }
    model_.write_config(header->offset, message.bytes().subspan(sizeof *header));
    return {};
}

Result<void> VhostUserServer::get_inflight(const VhostUserMessage& message) {
    const auto what = message.front<std::array<std::byte, kInflightSize>>();
    if (!what || (protocol_ & kProtocolInflightShmfd) == 0)
        return Error("an in-flight region that was not agreed on");
    Inflight asked{};
    std::memcpy(&asked, what->data(), kInflightSize);
    if (asked.queues > rings_.size() || asked.queue_size > model_.queue_size_max())
        return Error("an in-flight region for more queues than there are");
    auto region = TRY(InflightRegion::create(asked.queues, asked.queue_size));
    const Inflight answer = region->description();
    const int fd = region->fd();
    stop_all();
    inflight_ = std::move(region);
    return reply(message, std::as_bytes(std::span(&answer, 1)).first(message.size <= sizeof answer
                                                                         ? message.size
                                                                         : kInflightSize),
                 {&fd, 1});
}

Result<void> VhostUserServer::set_inflight(VhostUserMessage& message) {
    const auto what = message.front<std::array<std::byte, kInflightSize>>();
    if (!what || message.fds.size() != 1 || (protocol_ & kProtocolInflightShmfd) == 0)
        return Error("an in-flight region that was not agreed on");
    Inflight given{};
    std::memcpy(&given, what->data(), kInflightSize);
    auto region = TRY(InflightRegion::adopt(std::move(message.fds[0]), given));
    stop_all();
    inflight_ = std::move(region);
    return {};
}

// --- rings ---

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
    if ((address->flags & kVringLog) != 0) return Error("a log of writes that was not agreed on");
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
        !memory_) {
        return {};
    }
    const auto descriptors = translate(ring.address->descriptors);
    const auto available = translate(ring.address->available);
    const auto used = translate(ring.address->used);
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
