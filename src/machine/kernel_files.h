#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "firmware/entry_point.h"
#include "firmware/firmware_kernel.h"
#include "host/input_file.h"
#include "machine/kernel_cache.h"
#include "machine/machine_config.h"
#include "memory/guest_memory.h"

namespace mynah {

// The kernel and initrd of a machine, held open for as long as it may reboot.
class KernelFiles {
  public:
    // Error: no kernel given, or a file that cannot be opened.
    static Result<KernelFiles> open(const MachineConfig& config);

    // Reads them into guest memory. Error: one line that names option and file.
    Result<EntryPoint> load(GuestMemory& memory, const MachineConfig& config, GuestPhys rsdp) const;
    // The same for firmware that is to start them. low_memory_end: of the RAM below 4 GiB.
    Result<FirmwareKernel> for_firmware(const MachineConfig& config, uint64_t low_memory_end) const;

  private:
    KernelFiles(InputFile kernel, std::optional<InputFile> initrd,
                std::unique_ptr<KernelCache> cache)
        : kernel_(std::move(kernel)), initrd_(std::move(initrd)), cache_(std::move(cache)) {}

    InputFile kernel_;
    std::optional<InputFile> initrd_;
    std::unique_ptr<KernelCache> cache_;  // if the configuration names a directory
};

}  // namespace mynah
