#include "machine/served_device.h"

#include <fmt/core.h>

#include "backend/vhost/vdpa_server.h"
#include "backend/vhost/vduse_export.h"
#include "backend/vhost/vhost_user_listener.h"
#include "base/log.h"
#include "host/system_calls.h"
#include "machine/disks.h"
#include "machine/networks.h"
#include "memory/fault_guard.h"
#include "paravirt/virtio/fs/virtio_fs.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_net.h"
#include "spec/virtio/block.h"
#include "spec/virtio/device.h"
#include "spec/virtio/net.h"

namespace mynah {

Result<std::unique_ptr<ServedDevice>> ServedDevice::block(const DiskConfig& disk, uint16_t queues) {
    std::unique_ptr<ServedDevice> served(new ServedDevice);
    served->disk_ = TRY(open_disk(disk, served->slow_work_));
    VirtioBlockOptions options;
    options.queues = queues;
    options.id = "vhost-user";
    options.writeback = disk.cache != CacheMode::kWritethrough;
    served->device_ = std::make_unique<VirtioBlock>(*served->disk_, options);
    served->back_end_ = std::make_unique<VhostBackEnd>(
        *served->device_, VhostBackEnd::Offer{.features = served->device_->features(),
                                              .queues = queues,
                                              .protocol = vhost_user::kProtocolConfig |
                                                          vhost_user::kProtocolInflightShmfd |
                                                          vhost_user::kProtocolStatus});
    return served;
}

Result<std::unique_ptr<ServedDevice>> ServedDevice::network(const NetworkConfig& network) {
    std::unique_ptr<ServedDevice> served(new ServedDevice);
    served->networks_ = TRY(open_networks({network}));
    using namespace virtio::net;
    // Address, link and the control queue are the front end's business.
    constexpr uint64_t kOfFrames = kFeatureCsum | kGuestOffloads | kFeatureHostTso4 |
                                   kFeatureHostTso6 | kFeatureHostEcn | kFeatureHostUso |
                                   kFeatureMrgRxbuf;
    served->device_ = std::make_unique<VirtioNet>(*served->networks_.front(), VirtioNetOptions{});
    served->back_end_ = std::make_unique<VhostBackEnd>(
        *served->device_,
        VhostBackEnd::Offer{
            .features = kOfFrames, .queues = 2, .protocol = vhost_user::kProtocolStatus});
    return served;
}

Result<std::unique_ptr<ServedDevice>> ServedDevice::filesystem(const FilesystemConfig& filesystem) {
    std::unique_ptr<ServedDevice> served(new ServedDevice);
    served->filesystem_ = TRY(FuseServer::open(
        filesystem.directory, {.read_only = filesystem.read_only}, "--filesystem"));
    served->device_ =
        std::make_unique<VirtioFs>(*served->filesystem_, served->slow_work_, filesystem.tag);
    // No in-flight region: what the guest has open dies with this process, so that a request
    // repeated by its successor would name nothing. Nor a status, by which a front end resets the
    // device when its machine is merely paused.
    served->back_end_ = std::make_unique<VhostBackEnd>(
        *served->device_, VhostBackEnd::Offer{.features = 0,
                                              .queues = served->device_->queue_count(),
                                              .protocol = vhost_user::kProtocolConfig});
    return served;
}

Result<void> ServedDevice::serve_each(const std::string& socket, const EventFd& stop,
                                      const Connection& serve) {
    auto listener = TRY(VhostUserListener::listen(socket, "--socket " + socket));
    survive_shrinking_memory();
    for (;;) {
        Fd connection = listener->accept(stop);
        if (!connection.valid()) return {};
        const auto ended = serve(std::move(connection));
        if (!ended) {
            log(LogLevel::kWarning, "--socket {}: the front end lost its connection: {}", socket,
                ended.error().message());
        }
    }
}

Result<void> ServedDevice::serve(const std::string& socket, const EventFd& stop) {
    return serve_each(socket, stop, [&](Fd connection) {
        VhostUserServer server(*back_end_, std::move(connection));
        back_end_->connect(&server);
        const auto ended = server.run(stop);
        back_end_->connect(nullptr);
        return ended;
    });
}

uint32_t ServedDevice::config_size() const {
    return static_cast<uint32_t>(device_->device_id() == virtio::kDeviceNet
                                     ? sizeof(virtio::net::Config)
                                     : sizeof(virtio::block::Config));
}

Result<void> ServedDevice::serve_vduse(const std::string& name, const EventFd& stop) {
    // The kernel trusts no device of a process with the mode of its own driver's cache.
    const VduseExport::Identity identity{name, device_->device_id(), config_size(),
                                         virtio::block::kFeatureConfigWce};
    survive_shrinking_memory();
    auto exported = VduseExport::create(*back_end_, identity, host_system_calls());
    if (!exported) return Error(fmt::format("--vduse {}: {}", name, exported.error().message()));
    back_end_->connect(exported.value().get());
    const auto ended = exported.value()->run(stop);
    exported.take_value().reset();
    back_end_->connect(nullptr);
    if (!ended) return Error(fmt::format("--vduse {}: {}", name, ended.error().message()));
    return {};
}

Result<void> ServedDevice::serve_vdpa(const std::string& socket, const EventFd& stop) {
    const VdpaServer::Identity identity{device_->device_id(), config_size()};
    return serve_each(socket, stop, [&](Fd connection) {
        VdpaServer server(*back_end_, identity, std::move(connection));
        back_end_->connect(&server);
        const auto ended = server.run(stop);
        back_end_->connect(nullptr);
        return ended;
    });
}

}  // namespace mynah
