#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/block/block_backend.h"
#include "backend/filesystem/fuse_server.h"
#include "backend/network/network_backend.h"
#include "base/result.h"
#include "base/worker_executor.h"
#include "host/event_fd.h"
#include "machine/machine_config.h"
#include "paravirt/vhost/vhost_back_end.h"

namespace mynah {

// A device that machines of other processes use, ours or anybody's, over vhost-user.
class ServedDevice {
  public:
    static constexpr uint16_t kMaxDiskQueues = 16;

    // Error: names the option and why.
    static Result<std::unique_ptr<ServedDevice>> block(const DiskConfig& disk, uint16_t queues);
    static Result<std::unique_ptr<ServedDevice>> network(const NetworkConfig& network);
    // The tag is the front end's business.
    static Result<std::unique_ptr<ServedDevice>> filesystem(const FilesystemConfig& filesystem);

    // Serves front ends at a socket, one after the other, until `stop` is signalled. Error: names
    // --socket and why.
    Result<void> serve(const std::string& socket, const EventFd& stop);
    // The same as a vDPA device, by the requests of one.
    Result<void> serve_vdpa(const std::string& socket, const EventFd& stop);
    // The same as a vDPA device of the host's kernel. Error: names --vduse and why.
    Result<void> serve_vduse(const std::string& name, const EventFd& stop);

  private:
    ServedDevice() = default;

    // One connection, to its end.
    using Connection = std::function<Result<void>(Fd connection)>;
    Result<void> serve_each(const std::string& socket, const EventFd& stop,
                            const Connection& serve);

    uint32_t config_size() const;

    WorkerExecutor slow_work_;
    std::unique_ptr<BlockBackend> disk_;
    std::vector<std::unique_ptr<NetworkBackend>> networks_;
    std::unique_ptr<FuseServer> filesystem_;
    std::unique_ptr<VirtioDevice> device_;
    std::unique_ptr<VhostBackEnd> back_end_;
};

}  // namespace mynah
