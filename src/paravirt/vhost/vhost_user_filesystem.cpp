#include "paravirt/vhost/vhost_user_filesystem.h"

#include <fmt/core.h>

#include <cstring>

#include "paravirt/virtio/config_bytes.h"

namespace mynah {

namespace {

constexpr uint32_t kDeviceFilesystem = 26;  // [virtio-1.2 5.11.1]
constexpr const char* kOrigin = "--filesystem socket=";

// struct virtio_fs_config [virtio-1.2 5.11.4].
struct Config {
    char tag[VhostUserFilesystem::kMaxTag];  // padded with zeroes
    uint32_t num_request_queues;
};
static_assert(sizeof(Config) == 40);

}  // namespace

Result<std::unique_ptr<VhostUserFilesystem>> VhostUserFilesystem::open(
    const VhostUserFilesystemOptions& options, GuestMemory& memory) {
    const auto rings = static_cast<uint16_t>(options.queues + 1);
    auto link = TRY(VhostLink::open(options.path, kOrigin, rings, vhost_user::kProtocolMq));
    const uint64_t most = link->first_client().queue_limit();
    if (most != 0 && rings > most)
        return Error(fmt::format("{}{}: queues={}: the back end has {}", kOrigin, options.path,
                                 options.queues, most - 1));
    std::unique_ptr<VhostUserFilesystem> device(
        new VhostUserFilesystem(std::move(link), memory, options));
    TRY(device->begin());
    return device;
}

VhostUserFilesystem::VhostUserFilesystem(std::unique_ptr<VhostLink> link, GuestMemory& memory,
                                         const VhostUserFilesystemOptions& options)
    : VhostDevice(std::move(link), memory,
                  {.device_id = kDeviceFilesystem,
                   .rings = static_cast<uint16_t>(options.queues + 1),
                   .queue_size = kQueueSize,
                   .completes_soon = true}),
      tag_(options.tag),
      queues_(options.queues) {}

void VhostUserFilesystem::read_config(uint64_t offset, std::span<std::byte> to) const {
    Config config{};
    tag_.copy(config.tag, sizeof config.tag);
    config.num_request_queues = queues_;
    read_config_bytes(config, offset, to);
}

}  // namespace mynah
