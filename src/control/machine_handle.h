#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "control/controlled_machine.h"
#include "machine/machine.h"

namespace mynah {

// A machine of this process. It must outlive the handle.
class MachineHandle final : public ControlledMachine {
  public:
    // Understands what --disk or --network take, and attaches it.
    using Attach = std::function<Result<void>(Machine& machine, const std::string& driver,
                                              const std::string& id, const std::string& value,
                                              const std::string& directory)>;
    MachineHandle(Machine& machine, Attach attach)
        : machine_(machine), attach_(std::move(attach)) {}
    std::string name() const override { return machine_.name(); }
    Result<void> screenshot(const std::string& path) override { return machine_.screenshot(path); }
    std::vector<RemovableDrive> removable_drives() override { return machine_.removable_drives(); }
    Result<void> change_medium(const std::string& drive, const std::string& path,
                               bool force) override {
        return machine_.change_medium(drive, path, force);
    }
    void press_power_button() override { machine_.press_power_button(); }
    void reset() override { machine_.request_reset(); }
    std::string engine() override;
    std::map<std::string, uint64_t> engine_uses() override;
    Result<void> set_engine(const std::string& name) override;
    Result<void> set_balloon(uint64_t bytes) override;
    Result<uint64_t> balloon_actual() override;
    Result<std::map<std::string, uint64_t>> balloon_statistics() override;
    Result<void> ask_for_free_pages() override;
    std::optional<PluggableMemory> pluggable_memory() override;
    Result<void> request_memory(uint64_t bytes) override {
        return machine_.request_memory(bytes);
    }
    Result<void> attach(const std::string& driver, const std::string& id, const std::string& value,
                        const std::string& directory) override {
        return attach_(machine_, driver, id, value, directory);
    }
    Result<void> detach(const std::string& id) override { return machine_.detach(id); }
    std::vector<std::string> attached() override { return machine_.attached(); }
    std::vector<ProcessorPlace> processor_places() override;
    std::string screen_text() override { return machine_.screen_text(); }
    void quit() override { machine_.stop(StopReason::kQuit); }

  private:
    Machine& machine_;
    const Attach attach_;
};

}  // namespace mynah
