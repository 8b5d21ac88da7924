#pragma once

#include <cstdint>

#include "cpu/cpu_state.h"
#include "memory/guest_memory.h"

namespace mynah {

// How the boot processor enters what a loader put into memory.
struct EntryPoint {
    enum class Kind {
        kLinux64,  // long mode, RSI -> boot_params [linux-boot "64-bit Boot Protocol"]
        kLinux32,  // protected mode without paging, ESI -> boot_params [linux-boot "32-bit Boot
                   // Protocol"]
        kPvh,      // protected mode without paging, EBX -> hvm_start_info [PVH]
    };
    Kind kind = Kind::kLinux64;
    GuestPhys address{0};
    GuestPhys argument{0};  // boot_params or hvm_start_info
};

// Puts the descriptor table, and for long mode the identity mapping of the first 4 GiB, into low
// memory. False: no RAM there (the board made a machine without low memory).
[[nodiscard]] bool write_entry_tables(GuestMemory& memory, EntryPoint::Kind kind);

// Makes `state`, which is in reset state, what the entry's protocol asks for.
void apply_entry(const EntryPoint& entry, CpuState& state);

}  // namespace mynah
