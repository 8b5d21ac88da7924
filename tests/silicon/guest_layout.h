#pragma once

#include "base/result.h"
#include "cpu/cpu_state.h"
#include "memory/guest_memory.h"
#include "silicon/case.h"

namespace mynah::silicon {

// Where the parts of the guest lie in its physical memory. Linear addresses of the kernel's parts
// are kKernel more.
inline constexpr uint64_t kPageTables = 0x1000, kGdt = 0x10000, kIdt = 0x11000, kTss = 0x12000,
                          kHandlers = 0x13000, kStackTop = 0x18000, kGuestCode = 0x20000,
                          kGuestMemory = 0x30000, kGuestScratch = 0x38000,
                          kGuestBytes = 0x100000;
inline constexpr uint64_t kKernel = 0xffff800000000000;
inline constexpr unsigned kHandlerBytes = 16, kVectors = 32;

// Page tables, descriptor tables, TSS and handlers.
void build_kernel(GuestMemory& memory);

// Makes the injection's page less accessible, or gives it back its usual rights.
void inject(GuestMemory& memory, const Injection& injection);
void withdraw(GuestMemory& memory, const Injection& injection);

// A processor in this kernel's user mode, but for what a case sets.
CpuState user_state(const CpuState& reset);

}  // namespace mynah::silicon
