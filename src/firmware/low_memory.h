#pragma once

#include <cstdint>

// Where in the first megabyte the loaders put what a kernel finds at its entry. All of it but the
// BIOS area is usable memory to the guest: kernels copy what they need before they reuse it.

namespace mynah::low_memory {

inline constexpr uint64_t kGdt = 0x1000;             // loaded by the entry state
inline constexpr uint64_t kStartInfo = 0x2000;       // PVH: hvm_start_info, modules, memory map
inline constexpr uint64_t kStartInfoEnd = 0x3000;
inline constexpr uint64_t kBootParams = 0x7000;      // Linux: one page
inline constexpr uint64_t kPageTables = 0x10000;     // PML4, PDPT, four page directories
inline constexpr uint64_t kCommandLine = 0x20000;
inline constexpr uint64_t kCommandLineLimit = 0x10000;  // bytes, terminator included

inline constexpr uint64_t kEbda = 0x9fc00;      // extended BIOS data area
inline constexpr uint64_t kVideo = 0xa0000;     // no RAM from here ...
inline constexpr uint64_t kBiosArea = 0xe0000;  // ... to here. RSDP is searched for from here on
inline constexpr uint64_t kMegabyte = 0x100000;

}  // namespace mynah::low_memory
