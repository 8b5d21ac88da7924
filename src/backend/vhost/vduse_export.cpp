#include "backend/vhost/vduse_export.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace mynah {

namespace {

constexpr uint32_t kRingAlignment = 4096;  // which is what the kernel wants at least of a driver

}  // namespace

Result<std::unique_ptr<VduseExport>> VduseExport::create(VhostUserModel& model,
                                                         const Identity& identity,
                                                         SystemCalls& calls) {
    VhostNode control =
        TRY(VhostNode::open(kControl, "a host whose kernel has VDUSE (module vduse)", calls));
    const auto made = make(model, identity, control);
    if (!made) return Error(fmt::format("{}: {}", kControl, made.error().message()));
    const std::string path = "/dev/vduse/" + identity.name;
    auto node = VhostNode::open(path, "the node of the device that was just made", calls);
    std::array<char, VDUSE_NAME_MAX> name{};
    identity.name.copy(name.data(), name.size() - 1);
    if (!node) {
        (void)control.call("VDUSE_DESTROY_DEV", VDUSE_DESTROY_DEV, name.data());
        return node.error();
    }
    // From here on it is taken away with the export.
    std::unique_ptr<VduseExport> device(
        new VduseExport(model, identity, std::move(control), node.take_value()));
    const auto ready = device->set_up_queues();
    if (!ready) return Error(fmt::format("{}: {}", path, ready.error().message()));
    return device;
}

Result<void> VduseExport::make(VhostUserModel& model, const Identity& identity,
                               const VhostNode& control) {
    uint64_t version = VDUSE_API_VERSION;
    TRY(control.call("VDUSE_SET_API_VERSION", VDUSE_SET_API_VERSION, &version));
    // struct vduse_dev_config: a header, and the device's configuration.
    vduse_dev_config header{};
    identity.name.copy(header.name, VDUSE_NAME_MAX - 1);
    header.device_id = identity.device_id;
    header.features =
        (model.features() & ~identity.refused_features) | vhost::kVersion1 | vhost::kAccessPlatform;
    header.vq_num = model.queue_count();
    header.vq_align = kRingAlignment;
    header.config_size = identity.config_size;
    constexpr size_t kHeader = offsetof(vduse_dev_config, config);
    std::vector<std::byte> bytes(sizeof header + identity.config_size);
    std::memcpy(bytes.data(), &header, kHeader);
    model.read_config(0, std::span(bytes).subspan(kHeader, identity.config_size));
    const int result = control.calls().ioctl(control.fd(), VDUSE_CREATE_DEV, bytes.data());
    if (result == -EEXIST)
        return Error(fmt::format("there is a device named {} already", identity.name));
    if (result < 0) return Error(fmt::format("VDUSE_CREATE_DEV: {}", std::strerror(-result)));
    return {};
}

Result<void> VduseExport::set_up_queues() {
    for (uint32_t i = 0; i < rings_.size(); ++i) {
        if (!rings_[i].kick.valid()) return Error("no descriptor is left");
        vduse_vq_config queue{};
        queue.index = i;
        queue.max_size = model_.queue_size_max();
        TRY(node_->call("VDUSE_VQ_SETUP", VDUSE_VQ_SETUP, &queue));
    }
    return {};
}

VduseExport::~VduseExport() {
    stop_all();
    model_.reset();
    model_.memory_changed(nullptr);
    std::array<char, VDUSE_NAME_MAX> name{};
    identity_.name.copy(name.data(), name.size() - 1);
    node_.reset();  // which would keep the device
    const auto gone = control_.call("VDUSE_DESTROY_DEV", VDUSE_DESTROY_DEV, name.data());
    if (gone) return;
    log(LogLevel::kWarning, "--vduse {}: the device stays: {}; vdpa dev del {} detaches it",
        identity_.name, gone.error().message(), identity_.name);
}

Result<void> VduseExport::run(const EventFd& stop) {
    for (;;) {
        std::vector<const EventFd*> bells;
        for (const Vring& ring : rings_) bells.push_back(ring.running ? &ring.kick : nullptr);
        const VhostWake woken = TRY(wait_for_bells(stop, node_->fd(), bells,
                                                   [this](uint16_t index) { model_.bell(index); }));
        if (woken == VhostWake::kStop) return {};
        if (woken == VhostWake::kMessage) TRY(serve_message());
    }
}

Result<void> VduseExport::serve_message() {
    vduse_dev_request request{};
    const int64_t got = node_->calls().read(node_->fd(), &request, sizeof request);
    if (got == -EAGAIN || got == -EINTR) return {};
    if (got != sizeof request)
        return Error(got < 0 ? std::strerror(static_cast<int>(-got)) : "a message cut short");
    vduse_dev_response response{};
    response.request_id = request.request_id;
    Result<void> done;
    switch (request.type) {
        case VDUSE_SET_STATUS:
            done = set_status(request.s.status);
            break;
        case VDUSE_UPDATE_IOTLB:
            // What was mapped may be gone: whoever answers has let go of it.
            stop_all();
            if ((status_ & VIRTIO_CONFIG_S_DRIVER_OK) != 0) done = drive();
            break;
        case VDUSE_GET_VQ_STATE: {
            const uint32_t index = request.vq_state.index;
            if (index >= rings_.size()) {
                done = Error(fmt::format("ring {}; there are {}", index, rings_.size()));
                break;
            }
            Vring& ring = rings_[index];
            // Where it stands can be said only of a ring that stands still.
            if (std::exchange(ring.running, false))
                ring.base = model_.stop_ring(static_cast<uint16_t>(index));
            response.vq_state.index = index;
            response.vq_state.split.avail_index = ring.base.value_or(0);
            break;
        }
        default:
            done = Error(fmt::format("message {} is none of this version's", request.type));
    }
    if (!done) {
        log(LogLevel::kWarning, "--vduse {}: {}", identity_.name, done.error().message());
        response.result = VDUSE_REQ_RESULT_FAILED;
    }
    const int64_t sent = node_->calls().write(node_->fd(), &response, sizeof response);
    if (sent == sizeof response) return {};
    return Error(fmt::format("answering the kernel: {}",
                             std::strerror(sent < 0 ? static_cast<int>(-sent) : EIO)));
}

// As a device's own status register [virtio-1.2 2.1].
Result<void> VduseExport::set_status(uint8_t status) {
    const auto added = static_cast<uint8_t>(status & ~status_);
    status_ = status;
    if (status == 0) {
        stop_all();
        for (Vring& ring : rings_) ring.base.reset();
        model_.reset();
        return {};
    }
    if ((added & VIRTIO_CONFIG_S_FEATURES_OK) != 0) {
        uint64_t features = 0;
        TRY(node_->call("VDUSE_DEV_GET_FEATURES", VDUSE_DEV_GET_FEATURES, &features));
        if ((features & vhost::kVersion1) == 0) return Error("a driver of legacy devices");
        model_.negotiated(features & ~vhost::kAccessPlatform);
    }
    if ((added & VIRTIO_CONFIG_S_DRIVER_OK) == 0) return {};
    return drive();
}

// The driver runs: so do the rings that it has made ready.
Result<void> VduseExport::drive() {
    if (!TRY(fetch_memory())) return {};
    for (uint16_t i = 0; i < rings_.size(); ++i) TRY(start(i));
    return {};
}

// All that is mapped for the device, from the lowest address on.
Result<bool> VduseExport::fetch_memory() {
    auto memory = std::make_unique<VhostMemory>();
    uint64_t next = 0;
    for (size_t count = 0;; ++count) {
        vduse_iotlb_entry entry{};
        entry.start = next;
        entry.last = ~uint64_t{0};
        Fd fd(node_->calls().ioctl(node_->fd(), VDUSE_IOTLB_GET_FD, &entry));
        if (!fd.valid()) break;  // nothing is mapped beyond
        if (entry.last < entry.start || entry.start < next || count >= VhostMemory::kMaxSlots)
            return Error("more pieces of memory than there are slots, or out of order");
        memory->accept(
            TRY(memory->with({entry.start, entry.last - entry.start + 1, entry.start, entry.offset},
                             std::move(fd))));
        next = entry.last + 1;
        if (next == 0) break;
    }
    model_.memory_changed(memory->memory());
    memory_ = std::move(memory);
    return memory_->memory() != nullptr;
}

Result<void> VduseExport::start(uint16_t index) {
    Vring& ring = rings_[index];
    vduse_vq_info info{};
    info.index = index;
    TRY(node_->call("VDUSE_VQ_GET_INFO", VDUSE_VQ_GET_INFO, &info));
    if (ring.running || info.ready == 0) return {};
    // The kernel forgets it whenever the device is reset.
    vduse_vq_eventfd bell{index, ring.kick.fd()};
    TRY(node_->call("VDUSE_VQ_SETUP_KICKFD", VDUSE_VQ_SETUP_KICKFD, &bell));
    if (info.num == 0 || info.num > model_.queue_size_max() || (info.num & (info.num - 1)) != 0)
        return Error(fmt::format("a ring of {} entries", uint32_t{info.num}));
    VhostUserModel::Ring what;
    what.index = index;
    what.size = static_cast<uint16_t>(info.num);
    what.descriptors = GuestPhys{info.desc_addr};
    what.available = GuestPhys{info.driver_addr};
    what.used = GuestPhys{info.device_addr};
    // Where it was stopped, or where the driver wants it to begin.
    what.next_available = ring.base.value_or(info.split.avail_index);
    TRY(model_.start_ring(what));
    ring.running = true;
    return {};
}

void VduseExport::stop_all() {
    for (uint16_t i = 0; i < rings_.size(); ++i) {
        if (std::exchange(rings_[i].running, false)) rings_[i].base = model_.stop_ring(i);
    }
}

void VduseExport::call(uint16_t index) {
    uint32_t queue = index;
    (void)node_->call("VDUSE_VQ_INJECT_IRQ", VDUSE_VQ_INJECT_IRQ, &queue);
}

}  // namespace mynah
