#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "memory/guest_memory.h"

namespace mynah {

// What a board tells about itself by SMBIOS.
struct SmbiosBoard {
    std::string firmware_version, name;
    std::array<uint8_t, 16> uuid{};  // in the order in which it is written
    unsigned sockets = 1, cores = 1, threads = 1;
    std::string processor = {};
    uint32_t processor_signature = 0, processor_features = 0;  // CPUID leaf 1 EAX, EDX
    uint16_t megahertz = 0;
    std::span<const GuestMemory::Range> memory = {};
};

// Tables of system management information [SMBIOS 3.3], without an address of their own: BIOS,
// system, chassis, a processor for each socket, memory in modules of at most 16 GiB, boot status.
std::vector<std::byte> make_smbios_tables(const SmbiosBoard& board);

// The 64-bit entry point [SMBIOS 5.2.2] of tables at `address`.
std::vector<std::byte> make_smbios_entry(uint64_t address, size_t bytes);

}  // namespace mynah
