#pragma once

#include <linux/vduse.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/vhost/linux_vhost.h"
#include "backend/vhost/vhost_bells.h"
#include "backend/vhost/vhost_memory.h"
#include "backend/vhost/vhost_node.h"
#include "backend/vhost/vhost_user_server.h"
#include "base/result.h"
#include "host/event_fd.h"

namespace mynah {

// A device of ours as a vDPA device of the host's kernel, by VDUSE [linux/vduse.h]: when an
// administrator has attached it to the kernel's vDPA bus (`vdpa dev add name NAME mgmtdev vduse`),
// the host itself, or a machine of anybody's by vhost-vdpa, drives it. We run its rings in memory
// whose descriptors the kernel gives us. Left out: packed rings, memory of our own for the kernel.
class VduseExport final : public VhostCallSink {
  public:
    static constexpr const char* kControl = "/dev/vduse/control";
    struct Identity {
        std::string name;  // 1 to VDUSE_NAME_MAX - 1 characters; the node is /dev/vduse/NAME
        uint32_t device_id;
        uint32_t config_size;       // bytes
        uint64_t refused_features;  // of the model's, which the kernel lets no such device have
    };
    // Makes the device. The model must outlive it. Error: begins with a path.
    static Result<std::unique_ptr<VduseExport>> create(VhostUserModel& model,
                                                       const Identity& identity,
                                                       SystemCalls& calls);
    // Takes the device away, which the kernel refuses while it is attached.
    ~VduseExport() override;

    // Until `stop` is signalled. Error: the kernel does not do its part.
    Result<void> run(const EventFd& stop);
    // One message of the kernel's and its answer; for run() and for tests.
    Result<void> serve_message();

    void call(uint16_t index) override;

  private:
    struct Vring {
        EventFd kick;
        std::optional<uint16_t> base;  // where it stood when it was stopped
        bool running = false;
    };
    VduseExport(VhostUserModel& model, const Identity& identity, VhostNode control, VhostNode node)
        : model_(model),
          identity_(identity),
          control_(std::move(control)),
          node_(std::move(node)),
          rings_(model.queue_count()) {}

    static Result<void> make(VhostUserModel& model, const Identity& identity,
                             const VhostNode& control);
    Result<void> set_up_queues();
    Result<void> set_status(uint8_t status);
    Result<void> drive();
    Result<void> start(uint16_t index);
    // False: nothing is mapped.
    Result<bool> fetch_memory();
    void stop_all();

    VhostUserModel& model_;
    const Identity identity_;
    const VhostNode control_;
    std::optional<VhostNode> node_;  // always, but at the very end
    std::vector<Vring> rings_;
    std::unique_ptr<VhostMemory> memory_;
    uint8_t status_ = 0;
};

}  // namespace mynah
