#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/character/character_backend.h"
#include "base/executor.h"
#include "base/result.h"
#include "machine/machine_config.h"
#include "machine/virtio_plug.h"
#include "memory/guest_memory.h"

namespace mynah {

class FuseServer;
class UnixVsock;
class VirtioBalloon;
class VirtioConsole;

// The virtio devices that MachineConfig::devices asks for, with their host sides; the same on both
// boards. Disks, networks and the entropy device are the boards' own. Outlives the board.
class VirtioDevices {
  public:
    // What devices are made from that is the machine's.
    struct Parts {
        GuestMemory& memory;
        Executor& slow_work;
        // Host sides of the virtio console's ports, in their order.
        std::vector<std::unique_ptr<CharacterBackend>> consoles;
    };

    // Error: names the option and why.
    static Result<std::unique_ptr<VirtioDevices>> make(const MachineConfig& config, Parts parts);
    ~VirtioDevices();

    // For the board, once.
    std::vector<VirtioPlug> take() { return std::move(plugs_); }

    // --- while the board lives; any thread ---
    void terminal_resized();
    VirtioBalloon* balloon() const { return balloon_; }  // null: there is none

  private:
    explicit VirtioDevices(Parts parts);
    void plug(std::unique_ptr<VirtioDevice> device, uint32_t pci_class);
    void add_console(const MachineConfig& config);
    void add_balloon(const MachineConfig& config);
    Result<void> add_vsock(const MachineConfig& config);
    Result<void> add_filesystems(const MachineConfig& config);
    void add_display(const MachineConfig& config);
    void add_inputs(const MachineConfig& config);

    Parts parts_;
    std::unique_ptr<UnixVsock> vsock_;
    std::vector<std::unique_ptr<FuseServer>> filesystems_;
    std::vector<VirtioPlug> plugs_;
    VirtioConsole* console_ = nullptr;
    VirtioBalloon* balloon_ = nullptr;
};

}  // namespace mynah
