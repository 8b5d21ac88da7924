#include "engine/interpreter/core.h"

#include <x86intrin.h>

#include "engine/interpreter/block_cache.h"

namespace mynah::interpreter {

Core::Core(const Shared& the_shared, CpuPorts& the_ports, VcpuIndex the_index)
    : s(reset_state()),
      shared(the_shared),
      ports(the_ports),
      mmu(the_shared.memory, the_shared.cpuid.physical_bits(), the_shared.cpuid.has("pdpe1gb")),
      index(the_index),
      no_slots_(new SoftTlb::Entry[SoftTlb::kSlots]),
      blocks_(std::make_unique<BlockCache>()),
      previous_(blocks_->make_transient({}, {})) {
    s.gpr[kRdx] = shared.cpuid.signature();
    refresh_mode();
}

Core::~Core() = default;

VcpuStatistics Core::statistics() const { return stats; }

uint64_t Core::read_tsc() const { return __rdtsc() + s.tsc_offset; }

}  // namespace mynah::interpreter
