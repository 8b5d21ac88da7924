#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/guest_memory.h"

namespace mynah {

// What INT 15h function E820h tells of physical memory [ACPI 15.1]; also the order of fields in
// Linux's boot_params and Xen's hvm_memmap_table_entry.
struct E820Entry {
    enum Type : uint32_t { kRam = 1, kReserved = 2, kAcpiReclaimable = 3, kAcpiNvs = 4 };

    uint64_t start;
    uint64_t size;
    uint32_t type;
};

// The map of a machine with this RAM: conventional memory up to the extended BIOS data area, the
// BIOS area (0xe0000 to 1 MiB, where the ACPI tables lie) reserved, everything else usable.
std::vector<E820Entry> make_e820(std::span<const GuestMemory::Range> ram);

}  // namespace mynah
