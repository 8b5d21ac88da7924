#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "device/firmware_config/flash_memory.h"
#include "host/fd.h"
#include "host/input_file.h"
#include "machine/machine_config.h"
#include "memory/guest_memory.h"

namespace mynah {

// The firmware files of a PC, opened and checked before the machine is made: an image that ends at
// 4 GiB, and for UEFI the variable store below it.
class PcFirmware {
  public:
    // Error: names the option and the file; none of the places where packages put it has one.
    static Result<PcFirmware> open(const MachineConfig& config);

    uint64_t image_bytes() const { return image_.bytes().size(); }
    // 0: there is none.
    uint64_t variables_bytes() const { return variables_.size(); }

    // Copies into blocks of just these sizes.
    void copy_image(std::byte* to) const;
    void copy_variables(std::byte* to) const;

    // The option ROM by which a BIOS starts a kernel; empty where none is needed.
    std::span<const std::byte> linux_rom() const { return linux_rom_.bytes(); }

    // Keeps variables in the operator's file; null if there is no variable store. What is not to
    // be kept goes nowhere.
    std::unique_ptr<FlashStore> make_store();

  private:
    PcFirmware() = default;

    FileContent image_, linux_rom_;
    std::vector<std::byte> variables_;
    std::string variables_path_;
    Fd variables_file_;  // invalid: nothing is kept
};

}  // namespace mynah
