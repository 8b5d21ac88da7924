#include "paravirt/vhost/vhost_user_generic.h"

#include <fmt/core.h>

#include "base/bits.h"
#include "paravirt/virtio/config_bytes.h"

namespace mynah {

namespace {

constexpr const char* kOrigin = "--device vhost-user,socket=";
// Bits that are a device type's [virtio-1.2 2.2]; those of rings are between the driver and us, or
// between us and the back end.
constexpr uint64_t kDeviceBits = low_mask(24) | ~low_mask(50);

}  // namespace

Result<std::unique_ptr<VhostUserGeneric>> VhostUserGeneric::open(
    const VhostUserGenericOptions& options, GuestMemory& memory) {
    auto link = TRY(VhostLink::open(options.path, kOrigin, options.queues,
                                    vhost_user::kProtocolMq | vhost_user::kProtocolConfig |
                                        vhost_user::kProtocolBackendReq |
                                        vhost_user::kProtocolResetDevice));
    VhostClient& client = link->first_client();
    if (client.queue_limit() != 0 && options.queues > client.queue_limit()) {
        return Error(fmt::format("{}{}: queues={}: the back end has {}", kOrigin, options.path,
                                 options.queues, client.queue_limit()));
    }
    std::unique_ptr<VhostUserGeneric> device(
        new VhostUserGeneric(std::move(link), memory, options));
    // Not every type has a configuration, and only the back end knows its size: the largest that it
    // answers.
    if (client.has_config()) {
        constexpr size_t kSizes[] = {256, 128, 72, 64, 60, 44, 40, 36, 32, 24, 20, 16, 12, 8, 4};
        MutexLock hold(device->mutex_);
        for (const size_t size : kSizes) {
            device->config_.assign(size, std::byte{0});
            if (client.get_config(device->config_)) break;
            device->config_.clear();
        }
    }
    TRY(device->begin());
    return device;
}

VhostUserGeneric::VhostUserGeneric(std::unique_ptr<VhostLink> link, GuestMemory& memory,
                                   const VhostUserGenericOptions& options)
    : VhostDevice(std::move(link), memory,
                  {.device_id = options.type,
                   .rings = options.queues,
                   .queue_size = options.queue_size,
                   .completes_soon = false}),
      queues_(options.queues) {}

uint64_t VhostUserGeneric::features() const { return backend_features() & kDeviceBits; }

Result<void> VhostUserGeneric::load_config(VhostClient& client) {
    std::vector<std::byte> config;
    {
        MutexLock hold(mutex_);
        config.resize(config_.size());
    }
    if (config.empty()) return {};
    // The guest may read meanwhile: the back end can take long.
    TRY(client.get_config(config));
    MutexLock hold(mutex_);
    config_ = std::move(config);
    return {};
}

void VhostUserGeneric::read_config(uint64_t offset, std::span<std::byte> to) const {
    MutexLock hold(mutex_);
    read_config_bytes(std::span<const std::byte>(config_), offset, to);
}

void VhostUserGeneric::write_config(uint64_t offset, std::span<const std::byte> from) {
    {
        MutexLock hold(mutex_);
        if (offset >= config_.size() || from.size() > config_.size() - offset) return;
        std::copy(from.begin(), from.end(), config_.begin() + static_cast<ptrdiff_t>(offset));
    }
    send_config(static_cast<uint32_t>(offset), from);
}

}  // namespace mynah
