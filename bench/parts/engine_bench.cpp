// How fast an engine runs small guest programs: guest instructions a second (items), in long mode
// with paging. Loops of a few instructions, so the numbers say what a part costs, not what a
// machine does.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <span>

#include "engine/engine.h"
#include "isa/instruction.h"
#include "spec/x86/control_registers.h"
#include "testing/no_ports.h"

namespace mynah {
namespace {

#define PROGRAM(name) extern "C" const std::byte bench_##name##_begin[], bench_##name##_end[];
PROGRAM(integer)
PROGRAM(memory)
PROGRAM(calls)
PROGRAM(tlb_misses)
PROGRAM(vector)
PROGRAM(x87)
PROGRAM(copy)
#undef PROGRAM

constexpr uint64_t kTables = 0x1000, kDirectory = 0x4000, kCode = 0x10000, kData = 0x1000000,
                   kMemorySize = 64u << 20;

void require(bool condition) {
    if (!condition) std::abort();
}

// 4 KiB pages from 0 to 64 MiB, so that the TLB has something to miss.
void write_tables(GuestMemory& memory) {
    constexpr uint64_t kPresentWritable = 3, kTableArea = 0x100000;
    require(memory.store<uint64_t>(GuestPhys{kTables}, (kTables + 0x1000) | kPresentWritable));
    require(memory.store<uint64_t>(GuestPhys{kTables + 0x1000}, kDirectory | kPresentWritable));
    for (uint64_t table = 0; table < kMemorySize >> 21; ++table) {
        const uint64_t at = kTableArea + table * kPageSize;
        require(memory.store<uint64_t>(GuestPhys{kDirectory + table * 8}, at | kPresentWritable));
        for (uint64_t i = 0; i < 512; ++i) {
            const uint64_t page = (table << 21) + (i << 12);
            require(memory.store<uint64_t>(GuestPhys{at + i * 8}, page | kPresentWritable));
        }
    }
}

CpuState long_mode_state(uint64_t rounds) {
    namespace attr = x86::segment_attribute;
    CpuState state = reset_state();
    state.cr0 = x86::cr0::kPe | x86::cr0::kPg | x86::cr0::kEt | x86::cr0::kMp | x86::cr0::kNe;
    state.cr4 = x86::cr4::kPae | x86::cr4::kOsfxsr | x86::cr4::kOsxmmexcpt;
    state.efer = x86::efer::kLme | x86::efer::kLma;
    state.cr3 = kTables;
    for (SegmentRegister& segment : state.segments) segment.limit = 0xffffffff;
    SegmentRegister& cs = state.segment(x86::Segment::kCs);
    cs.base = 0;
    cs.attributes |= attr::kLong;
    state.rip = kCode;
    state.gpr[kRcx] = rounds;
    state.gpr[kRdi] = kData;
    return state;
}

void run_program(benchmark::State& bench, const std::byte* begin, const std::byte* end) {
    const GuestMemory::Range range{GuestPhys{0}, kMemorySize};
    auto memory = GuestMemory::create(std::span(&range, 1)).take_value();
    auto cpuid = CpuidPolicy::create("max", {}, 1'000'000'000).take_value();
    auto engine = make_interpreter(*memory, cpuid).take_value();
    NoPorts ports;
    CpuSignals signals;
    auto vcpu = engine->create_vcpu(ports, signals, VcpuIndex{0});
    write_tables(*memory);
    require(memory->write(GuestPhys{kCode}, std::span(begin, end)));

    constexpr uint64_t kRounds = 100'000;
    for (auto _ : bench) {
        vcpu->state() = long_mode_state(kRounds);
        vcpu->state_changed();
        require(vcpu->run() == VcpuExit::kHalted);
    }
    bench.SetItemsProcessed(static_cast<int64_t>(vcpu->statistics().instructions));
}

#define PROGRAM(name)                                                 \
    void BM_interpreter_##name(benchmark::State& bench) {             \
        run_program(bench, bench_##name##_begin, bench_##name##_end); \
    }                                                                 \
    BENCHMARK(BM_interpreter_##name)->Unit(benchmark::kMillisecond);
PROGRAM(integer)
PROGRAM(memory)
PROGRAM(calls)
PROGRAM(tlb_misses)
PROGRAM(vector)
PROGRAM(x87)
PROGRAM(copy)
#undef PROGRAM

void BM_decode(benchmark::State& bench) {
    const std::span code(bench_memory_begin, bench_memory_end);
    int64_t count = 0;
    for (auto _ : bench) {
        Instruction instruction;
        for (size_t at = 0; at < code.size(); at += instruction.length()) {
            require(decode(code.subspan(at), CodeSize::k64, instruction) == DecodeStatus::kOk);
            ++count;
        }
    }
    bench.SetItemsProcessed(count);
}
BENCHMARK(BM_decode);

}  // namespace
}  // namespace mynah
