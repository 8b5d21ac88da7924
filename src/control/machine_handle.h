#pragma once

#include "control/controlled_machine.h"
#include "machine/machine.h"

namespace mynah {

// A machine of this process. It must outlive the handle.
class MachineHandle final : public ControlledMachine {
  public:
    explicit MachineHandle(Machine& machine) : machine_(machine) {}
    std::string name() const override { return machine_.name(); }
    Result<void> screenshot(const std::string& path) override { return machine_.screenshot(path); }
    std::vector<RemovableDrive> removable_drives() override { return machine_.removable_drives(); }
    Result<void> change_medium(const std::string& drive, const std::string& path,
                               bool force) override {
        return machine_.change_medium(drive, path, force);
    }
    void press_power_button() override { machine_.press_power_button(); }
    void reset() override { machine_.request_reset(); }
    Result<void> set_balloon(uint64_t bytes) override;
    Result<uint64_t> balloon_actual() override;
    Result<std::map<std::string, uint64_t>> balloon_statistics() override;
    Result<void> ask_for_free_pages() override;
    void quit() override { machine_.stop(StopReason::kQuit); }

  private:
    Machine& machine_;
};

}  // namespace mynah
