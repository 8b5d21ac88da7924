#include "engine/interpreter/core.h"

#include <x86intrin.h>

#include <algorithm>

#include "engine/interpreter/block_cache.h"

namespace mynah::interpreter {
namespace {

// Memory for decoded code: one budget for all processors of the machine, within bounds for each.
size_t arena_bytes(const Shared& shared) {
    constexpr size_t kLeast = 2u << 20, kMost = 10u << 20;
    return std::clamp<size_t>(shared.code_budget / shared.cpuid.topology().vcpus(), kLeast, kMost);
}

}  // namespace

Core::Core(const Shared& the_shared, CpuPorts& the_ports, CpuSignals& the_signals,
           VcpuIndex the_index)
    : s(reset_state()),
      shared(the_shared),
      ports(the_ports),
      mmu(the_shared.memory, the_shared.cpuid.physical_bits(), the_shared.cpuid.has("pdpe1gb")),
      index(the_index),
      empty_table_(new SoftTlb::Table),
      signals_(the_signals),
      blocks_(std::make_unique<BlockCache>(
          arena_bytes(the_shared),
          reinterpret_cast<uintptr_t>(the_shared.memory.watch().host_of(0)),
          the_shared.memory.size())),
      previous_(blocks_->make_transient({}, {})) {
    s.gpr[kRdx] = shared.cpuid.signature();
    refresh_mode();
}

Core::~Core() = default;

VcpuStatistics Core::statistics() const { return stats; }

uint64_t Core::read_tsc() const { return __rdtsc() + s.tsc_offset; }

}  // namespace mynah::interpreter
