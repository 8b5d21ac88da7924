#include "backend/vhost/vdpa_server.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/bits.h"
#include "base/log.h"

namespace mynah {

using namespace vdpa;

namespace {

constexpr uint64_t kBackEndFeatures = bit(VHOST_BACKEND_F_IOTLB_MSG_V2) |
                                      bit(VHOST_BACKEND_F_IOTLB_BATCH) |
                                      bit(VHOST_BACKEND_F_SUSPEND);

}  // namespace

VdpaServer::VdpaServer(VhostUserModel& model, const Identity& identity, Fd connection)
    : model_(model),
      identity_(identity),
      connection_(std::move(connection)),
      rings_(model.queue_count()) {
    MutexLock hold(call_mutex_);
    for (size_t i = 0; i < rings_.size(); ++i) calls_.emplace_back(Fd());
}

VdpaServer::~VdpaServer() {
    reset();
    model_.memory_changed(nullptr);
}

Result<void> VdpaServer::run(const EventFd& stop) {
    for (;;) {
        std::vector<const EventFd*> bells;
        for (const Vring& ring : rings_) bells.push_back(ring.running ? &ring.kick : nullptr);
        const VhostWake woken = TRY(wait_for_bells(stop, connection_.get(), bells,
                                                   [this](uint16_t index) { model_.bell(index); }));
        if (woken == VhostWake::kStop) return {};
        if (woken != VhostWake::kMessage) continue;
        if (at_end_of_stream(connection_.get())) return {};
        TRY(receive_vhost_user(connection_.get(), message_, kMessageMs));
        TRY(handle(message_));
    }
}

Result<void> VdpaServer::handle(VhostUserMessage& message) {
    Fd descriptor;
    if (!message.fds.empty()) descriptor = std::move(message.fds.front());
    message.fds.clear();
    Answer answer{};
    Argument argument;
    size_t out = 0;
    if (message.request == kWrite) {
        const auto carried = message.as<IotlbMessage>();
        if (!carried) return Error("a message about memory of the wrong size");
        answer.result = change_memory(*carried, std::move(descriptor));
    } else if (const auto shape = shape_of(message.request)) {
        size_t in = shape->in;
        out = shape->out;
        if (shape->config) {
            vhost_vdpa_config header{};
            std::memcpy(&header, message.payload.data(), std::min<size_t>(message.size, in));
            in += std::min<size_t>(header.len, vhost_user::kMaxPayload);
            if (message.request == VHOST_VDPA_GET_CONFIG) out = in;
        }
        if (message.size != in || out + sizeof answer > vhost_user::kMaxPayload)
            return Error(fmt::format("request {:#x} of {} bytes", message.request, message.size));
        std::memcpy(argument.bytes.data(), message.payload.data(), in);
        answer.result = ioctl(message.request, argument, std::move(descriptor));
    } else {
        answer.result = -ENOTTY;
    }
    std::array<std::byte, vhost_user::kMaxPayload> payload;
    std::memcpy(payload.data(), &answer, sizeof answer);
    if (answer.result < 0) out = 0;
    std::memcpy(payload.data() + sizeof answer, argument.bytes.data(), out);
    return send_vhost_user(connection_.get(), message.request, vhost_user::kFlagReply,
                           std::span(payload).first(sizeof answer + out), {}, kMessageMs);
}

int VdpaServer::ioctl(unsigned long request, Argument& argument, Fd descriptor) {
    const int result = get_or_set_device(request, argument);
    if (result != -ENOTTY) return result;
    if (request == VHOST_VDPA_SET_CONFIG_CALL) {
        config_call_ = std::move(descriptor);
        return 0;
    }
    return get_or_set_ring(request, argument, std::move(descriptor));
}

// --- the device ---

int VdpaServer::get_or_set_device(unsigned long request, Argument& argument) {
    switch (request) {
        case VHOST_SET_OWNER:
            return 0;
        case VHOST_VDPA_GET_DEVICE_ID:
            argument.put(identity_.device_id);
            return 0;
        case VHOST_VDPA_GET_CONFIG_SIZE:
            argument.put(identity_.config_size);
            return 0;
        case VHOST_VDPA_GET_VQS_COUNT:
            argument.put(static_cast<uint32_t>(rings_.size()));
            return 0;
        case VHOST_VDPA_GET_VRING_NUM:
            argument.put(model_.queue_size_max());
            return 0;
        case VHOST_VDPA_GET_IOVA_RANGE:
            argument.put(vhost_vdpa_iova_range{0, ~uint64_t{0}});
            return 0;
        case VHOST_GET_FEATURES:
            argument.put(offered());
            return 0;
        case VHOST_SET_FEATURES:
            return set_features(argument.as<uint64_t>());
        case VHOST_GET_BACKEND_FEATURES:
            argument.put(kBackEndFeatures);
            return 0;
        case VHOST_SET_BACKEND_FEATURES:
            return set_back_end_features(argument.as<uint64_t>());
        case VHOST_VDPA_GET_STATUS:
            argument.put(status_);
            return 0;
        case VHOST_VDPA_SET_STATUS:
            return set_status(argument.as<uint8_t>());
        case VHOST_VDPA_GET_CONFIG:
        case VHOST_VDPA_SET_CONFIG:
            return config(request == VHOST_VDPA_SET_CONFIG, argument);
        case VHOST_VDPA_SUSPEND:
            return suspend();
        default:
            return -ENOTTY;
    }
}

// A device that reaches memory only through its mappings says so, and is to be told that its driver
// knows [virtio-1.2 6.1].
uint64_t VdpaServer::offered() const {
    return model_.features() | vhost::kVersion1 | vhost::kAccessPlatform;
}

int VdpaServer::set_features(uint64_t bits) {
    if ((status_ & VIRTIO_CONFIG_S_FEATURES_OK) != 0) return -EBUSY;
    if ((bits & ~offered()) != 0) return -EINVAL;
    features_ = bits;
    return 0;
}

int VdpaServer::set_back_end_features(uint64_t bits) {
    if ((bits & ~kBackEndFeatures) != 0) return -EOPNOTSUPP;
    back_end_features_ = bits;
    return 0;
}

// As a device's own status register [virtio-1.2 2.1].
int VdpaServer::set_status(uint8_t status) {
    if (status == 0) {
        reset();
        return 0;
    }
    if ((status_ & ~status) != 0) return -EINVAL;  // bits are only added
    const auto added = static_cast<uint8_t>(status & ~status_);
    if ((added & VIRTIO_CONFIG_S_FEATURES_OK) != 0) {
        constexpr uint64_t kNeeded = vhost::kVersion1 | vhost::kAccessPlatform;
        // Refused by not setting the bit [virtio-1.2 2.2.2].
        if ((features_ & kNeeded) != kNeeded)
            status = static_cast<uint8_t>(status & ~VIRTIO_CONFIG_S_FEATURES_OK);
        else
            model_.negotiated(features_ & ~vhost::kAccessPlatform);
    }
    if ((added & VIRTIO_CONFIG_S_DRIVER_OK) != 0 && (status & VIRTIO_CONFIG_S_FEATURES_OK) == 0)
        return -EINVAL;
    status_ = status;
    return update_all();
}

int VdpaServer::config(bool write, Argument& argument) {
    const auto header = argument.as<vhost_vdpa_config>();
    const auto content = std::span(argument.bytes).subspan(sizeof header);
    if (header.len == 0) return -EINVAL;
    if (header.off > identity_.config_size || header.len > identity_.config_size - header.off ||
        header.len > content.size()) {
        return -E2BIG;
    }
    if (write)
        model_.write_config(header.off, content.first(header.len));
    else
        model_.read_config(header.off, content.first(header.len));
    return 0;
}

int VdpaServer::suspend() {
    if ((status_ & VIRTIO_CONFIG_S_DRIVER_OK) == 0) return 0;
    stop_all();
    suspended_ = true;
    return 0;
}

void VdpaServer::reset() {
    stop_all();
    for (Vring& ring : rings_) ring = Vring{};
    {
        MutexLock hold(call_mutex_);
        for (EventFd& call : calls_) call = EventFd(Fd());
    }
    status_ = 0;
    features_ = 0;
    suspended_ = false;
    model_.reset();
}

// --- memory ---

int VdpaServer::change_memory(const IotlbMessage& what, Fd descriptor) {
    if ((back_end_features_ & bit(VHOST_BACKEND_F_IOTLB_MSG_V2)) == 0 ||
        what.message.type != VHOST_IOTLB_MSG_V2 || what.message.asid != 0) {
        return -EINVAL;
    }
    const vhost_iotlb_msg& iotlb = what.message.iotlb;
    Result<VhostMemory::Proposal> proposal = Error("");
    switch (iotlb.type) {
        case VHOST_IOTLB_BATCH_BEGIN:
        case VHOST_IOTLB_BATCH_END:
            return 0;
        case VHOST_IOTLB_UPDATE:
            if (iotlb.perm != VHOST_ACCESS_RW || !descriptor.valid()) return -EINVAL;
            proposal = memory_.with({iotlb.iova, iotlb.size, iotlb.iova, what.fd_offset},
                                    std::move(descriptor));
            break;
        case VHOST_IOTLB_INVALIDATE:
            proposal = memory_.without(iotlb.iova, iotlb.size);
            break;
        default:
            return -EINVAL;
    }
    if (!proposal) {
        log(LogLevel::kWarning, "vDPA: {}", proposal.error().message());
        return -EINVAL;
    }
    stop_all();
    model_.memory_changed(proposal.value().memory.get());
    memory_.accept(proposal.take_value());
    // A ring whose memory is not there, or not there yet, stands still for so long.
    (void)update_all();
    return 0;
}

// --- rings ---

int VdpaServer::get_or_set_ring(unsigned long request, Argument& argument, Fd descriptor) {
    // Every argument begins with the ring's index.
    const auto index = argument.as<uint32_t>();
    if (index >= rings_.size()) return -ENOBUFS;
    Vring& ring = rings_[index];
    const auto value = argument.as<vhost_vring_state>().num;
    switch (request) {
        case VHOST_SET_VRING_NUM:
            return set_ring_size(ring, value);
        case VHOST_SET_VRING_BASE:
            if (ring.running) return -EBUSY;
            if (value > 0xffff) return -EINVAL;
            ring.base = static_cast<uint16_t>(value);
            return 0;
        case VHOST_GET_VRING_BASE:
            argument.put(vhost_vring_state{index, ring.base});
            return 0;
        case VHOST_SET_VRING_ADDR:
            return set_ring_address(ring, argument.as<vhost_vring_addr>());
        case VHOST_SET_VRING_KICK:
        case VHOST_SET_VRING_CALL:
        case VHOST_SET_VRING_ERR:
            return set_bell(request, static_cast<uint16_t>(index), std::move(descriptor));
        case VHOST_VDPA_SET_VRING_ENABLE:
            if (value > 1) return -EINVAL;
            ring.enabled = value == 1;
            if (!ring.enabled) stop(static_cast<uint16_t>(index));
            return update(static_cast<uint16_t>(index));
        default:
            return -ENOTTY;
    }
}

int VdpaServer::set_ring_size(Vring& ring, unsigned entries) {
    if (ring.running) return -EBUSY;
    if (!std::has_single_bit(entries) || entries > model_.queue_size_max()) return -EINVAL;
    ring.size = static_cast<uint16_t>(entries);
    return 0;
}

int VdpaServer::set_ring_address(Vring& ring, const vhost_vring_addr& address) {
    if (ring.running) return -EBUSY;
    if (address.flags != 0) return -EOPNOTSUPP;
    ring.address = address;
    return update(static_cast<uint16_t>(address.index));
}

int VdpaServer::set_bell(unsigned long request, uint16_t index, Fd descriptor) {
    // Nobody waits for somebody else's bell.
    if (descriptor.valid())
        fcntl(descriptor.get(), F_SETFL, fcntl(descriptor.get(), F_GETFL) | O_NONBLOCK);
    if (request == VHOST_SET_VRING_KICK) {
        stop(index);
        rings_[index].kick = EventFd(std::move(descriptor));
        return update(index);
    }
    if (request == VHOST_SET_VRING_ERR) return 0;  // errors are logged here
    MutexLock hold(call_mutex_);
    calls_[index] = EventFd(std::move(descriptor));
    // The driver may have missed one while there was no descriptor.
    if (calls_[index].valid() && rings_[index].running) calls_[index].signal();
    return 0;
}

void VdpaServer::call(uint16_t index) {
    MutexLock hold(call_mutex_);
    if (index < calls_.size() && calls_[index].valid()) calls_[index].signal();
}

bool VdpaServer::may_run(const Vring& ring) const {
    const auto there = [this](uint64_t address) { return memory_.translate(address).has_value(); };
    return (status_ & VIRTIO_CONFIG_S_DRIVER_OK) != 0 && !suspended_ && ring.enabled &&
           ring.kick.valid() && ring.size != 0 && ring.address &&
           there(ring.address->desc_user_addr) && there(ring.address->avail_user_addr) &&
           there(ring.address->used_user_addr);
}

// Starts a ring when everything about it is known.
int VdpaServer::update(uint16_t index) {
    Vring& ring = rings_[index];
    if (ring.running || !may_run(ring)) return 0;
    VhostUserModel::Ring what;
    what.index = index;
    what.size = ring.size;
    what.descriptors = GuestPhys{ring.address->desc_user_addr};
    what.available = GuestPhys{ring.address->avail_user_addr};
    what.used = GuestPhys{ring.address->used_user_addr};
    what.next_available = ring.base;
    ring.running = true;
    const auto started = model_.start_ring(what);
    ring.running = started.ok();
    if (started) return 0;
    log(LogLevel::kWarning, "vDPA: {}", started.error().message());
    ring.address.reset();
    return -EINVAL;
}

int VdpaServer::update_all() {
    int result = 0;
    for (uint16_t i = 0; i < rings_.size(); ++i) {
        const int updated = update(i);
        if (updated != 0) result = updated;
    }
    return result;
}

void VdpaServer::stop(uint16_t index) {
    Vring& ring = rings_[index];
    if (!ring.running) return;
    ring.base = model_.stop_ring(index);
    ring.running = false;
}

void VdpaServer::stop_all() {
    for (uint16_t i = 0; i < rings_.size(); ++i) stop(i);
}

}  // namespace mynah
