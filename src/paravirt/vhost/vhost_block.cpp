#include "paravirt/vhost/vhost_block.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bits.h"
#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/block.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::block;

namespace {

constexpr uint64_t kFeatureGeometry = bit(4), kFeatureLifetime = bit(15);
constexpr uint64_t kKnown = kFeatureSizeMax | kFeatureSegMax | kFeatureGeometry | kFeatureReadOnly |
                            kFeatureBlkSize | kFeatureFlush | kFeatureTopology | kFeatureConfigWce |
                            kFeatureMq | kFeatureDiscard | kFeatureWriteZeroes | kFeatureLifetime;
constexpr const char* kOrigin = "--disk vhost-user=";
constexpr size_t kNumQueuesAt = offsetof(virtio::block::Config, num_queues);
constexpr size_t kWritebackAt = offsetof(virtio::block::Config, writeback);

}  // namespace

Result<std::unique_ptr<VhostBlock>> VhostBlock::open(const VhostBlockOptions& options,
                                                     GuestMemory& memory) {
    auto link = TRY(VhostLink::open(options.path, kOrigin, 0,
                                    vhost_user::kProtocolMq | vhost_user::kProtocolConfig |
                                        vhost_user::kProtocolBackendReq |
                                        vhost_user::kProtocolResetDevice));
    return open(options, std::move(link), memory);
}

Result<std::unique_ptr<VhostBlock>> VhostBlock::open(const VhostBlockOptions& options,
                                                     std::unique_ptr<VhostLink> link,
                                                     GuestMemory& memory) {
    const auto failed = [&](const std::string& why) {
        return Error(fmt::format("{}{}: {}", link->origin(), options.path, why));
    };
    VhostClient& client = link->first_client();
    if (!client.has_config())
        return failed("the back end tells no configuration; expected one of a disk");
    VhostBlock::Config config;
    const auto got = client.get_config(config);
    if (!got) return failed(got.error().message());
    uint64_t most = 1;
    if ((client.features() & kFeatureMq) != 0) {
        most = load_unaligned<uint16_t>(config.data() + kNumQueuesAt);
        if (client.queue_limit() != 0) most = std::min(most, client.queue_limit());
        most = std::clamp<uint64_t>(most, 1, kMaxQueues);
    }
    if (options.queues > most)
        return failed(fmt::format("queues={}: the back end has {}", options.queues, most));
    const uint64_t queues =
        options.queues != 0 ? options.queues : std::min<uint64_t>(most, options.processors);
    const uint16_t queue_size = usable_queue_size(client, kQueueSize);
    TRY(link->make_bells(static_cast<uint16_t>(queues)));
    std::unique_ptr<VhostBlock> disk(
        new VhostBlock(std::move(link), memory, static_cast<uint16_t>(queues), queue_size));
    {
        MutexLock hold(disk->mutex_);
        disk->config_ = config;
        disk->default_writeback_ = config[kWritebackAt];
    }
    TRY(disk->begin());
    return disk;
}

VhostBlock::VhostBlock(std::unique_ptr<VhostLink> link, GuestMemory& memory, uint16_t queues,
                       uint16_t queue_size)
    : VhostDevice(std::move(link), memory,
                  {.device_id = virtio::kDeviceBlock,
                   .rings = queues,
                   .queue_size = queue_size,
                   .completes_soon = true}),
      queues_(queues) {}

uint64_t VhostBlock::features() const { return backend_features() & kKnown; }

uint64_t VhostBlock::withheld_features() const { return kKnown & ~backend_features(); }

Result<void> VhostBlock::load_config(VhostClient& client) {
    Config config;
    TRY(client.get_config(config));
    MutexLock hold(mutex_);
    // What the driver chose counts, which a back end that is new has not been told yet.
    if (chosen_writeback_)
        config[kWritebackAt] = *chosen_writeback_;
    else
        default_writeback_ = config[kWritebackAt];
    config_ = config;
    return {};
}

// A back end that takes over, or that was told before features were negotiated with it, must not
// cache what the driver believes to be written.
Result<void> VhostBlock::prepare(VhostClient& client) {
    std::optional<std::byte> chosen;
    {
        MutexLock hold(mutex_);
        chosen = chosen_writeback_;
    }
    if (!chosen || (negotiated_features() & kFeatureConfigWce) == 0) return {};
    return client.set_config(kWritebackAt, {&*chosen, 1});
}

// The mode is the default again; not every back end resets it.
void VhostBlock::reset() {
    {
        MutexLock hold(mutex_);
        config_[kWritebackAt] = default_writeback_;
        if (chosen_writeback_) chosen_writeback_ = default_writeback_;
    }
    VhostDevice::reset();
}

void VhostBlock::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config;
    {
        MutexLock hold(mutex_);
        config = config_;
    }
    store_unaligned(config.data() + kNumQueuesAt, queues_);
    read_config_bytes(std::span<const std::byte>(config), offset, to);
}

// Only the cache's mode can be written [virtio-1.2 5.2.5].
void VhostBlock::write_config(uint64_t offset, std::span<const std::byte> from) {
    if (offset != kWritebackAt || from.size() != 1 ||
        (negotiated_features() & kFeatureConfigWce) == 0) {
        return;
    }
    {
        MutexLock hold(mutex_);
        config_[kWritebackAt] = from[0];
        chosen_writeback_ = from[0];
    }
    send_config(kWritebackAt, from);
}

}  // namespace mynah
