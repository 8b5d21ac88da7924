#include "backend/vhost/vhost_user_server.h"

#include <fcntl.h>
#include <fmt/core.h>

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
    std::vector<const EventFd*> bells;
    for (const Vring& ring : rings_) bells.push_back(ring.running ? &ring.kick : nullptr);
    const VhostWake woken = TRY(wait_for_bells(stop, connection_.get(), bells,
                                               [this](uint16_t index) { model_.bell(index); }));
    // The end between two messages is no error.
    over = woken == VhostWake::kStop ||
           (woken == VhostWake::kMessage && at_end_of_stream(connection_.get()));
    if (over || woken != VhostWake::kMessage) return {};
    TRY(receive_vhost_user(connection_.get(), message_, kMessageMs));
    return handle(message_);
}

Result<void> VhostUserServer::handle(VhostUserMessage& message) {
    answered_ = false;
    Result<bool> known = handle_device(message);
    if (known && !known.value()) known = handle_memory(message);
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
            TRY(reply_value(message, offered_features()));
            return true;
        case Request::kSetFeatures:
            TRY(set_features(message));
            return true;
        case Request::kGetProtocolFeatures:
            TRY(reply_value(message, offered_protocol()));
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
            reset_device();
            return true;
        case Request::kSetStatus:
            TRY(set_status(message));
            return true;
        case Request::kGetStatus:
            TRY(reply_value(message, status_));
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

uint64_t VhostUserServer::offered_features() const {
    return model_.features() | kFeatureProtocol | kFeatureLogAll;
}

uint64_t VhostUserServer::offered_protocol() const {
    return model_.protocol_features() | kProtocolMq | kProtocolReplyAck | kProtocolResetDevice |
           kProtocolLogShmfd | kProtocolConfigureMemSlots;
}

void VhostUserServer::reset_device() {
    stop_all();
    for (Vring& ring : rings_) ring.enabled = false;
    // What is negotiated next is news to the device, even if it is the same.
    features_ &= kFeatureProtocol | kFeatureLogAll;
    status_ = 0;
    model_.reset();
}

// Rings go by their own messages; what the driver's status adds is its reset.
Result<void> VhostUserServer::set_status(const VhostUserMessage& message) {
    const auto status = message.as<uint64_t>();
    if (!status || *status > 0xff || (protocol_ & kProtocolStatus) == 0)
        return Error("a driver's status that was not agreed on");
    if (*status == 0 && status_ != 0) reset_device();
    status_ = *status;
    return {};
}

Result<void> VhostUserServer::set_features(const VhostUserMessage& message) {
    const auto bits = message.as<uint64_t>();
    if (!bits || (*bits & ~offered_features()) != 0) return Error("features that were not offered");
    // A front end may say them again while rings run.
    const uint64_t changed = *bits ^ features_;
    features_ = *bits;
    memory_.log_writes((features_ & kFeatureLogAll) != 0);
    // While the guest is moved, rings go on.
    if ((changed & ~kFeatureLogAll) == 0) return {};
    stop_all();
    model_.negotiated(features_ & ~(kFeatureProtocol | kFeatureLogAll));
    for (uint16_t i = 0; i < rings_.size(); ++i) TRY(update(i));
    return {};
}

Result<void> VhostUserServer::set_protocol_features(const VhostUserMessage& message) {
    const auto bits = message.as<uint64_t>();
    if (!bits || (*bits & ~offered_protocol()) != 0) {
        return Error("protocol features that were not offered");
    }
    protocol_ = *bits;
    return {};
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
    if (!header || header->offset > kMaxConfig || message.size - sizeof *header != header->size) {
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
    return reply(message,
                 std::as_bytes(std::span(&answer, 1))
                     .first(message.size <= sizeof answer ? message.size : kInflightSize),
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

}  // namespace mynah
