#pragma once

#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/translator/emitter.h"
#include "spec/x86/paging.h"
#include "testing/no_ports.h"

namespace mynah::translator {

// A processor alone in 64-bit mode, supervisor, memory mapped one to one; for tests, which write
// its code with the translator's own Emitter. Code begins at kCode; HLT ends it.
class SampleGuest {
  public:
    static constexpr uint64_t kTables = 0x1000, kCode = 0x10000, kData = 0x200000,
                              kStack = 0x180000, kMemory = 4u << 20;
    using MakeEngine =
        std::function<Result<std::unique_ptr<Engine>>(GuestMemory&, const CpuidPolicy&)>;

    explicit SampleGuest(const MakeEngine& make)
        : memory_(make_memory()),
          cpuid_(CpuidPolicy::create("max", {}, 2'000'000'000).take_value()),
          engine_(make(*memory_, cpuid_).take_value()),
          vcpu_(engine_->create_vcpu(ports_, signals_, VcpuIndex(0))) {
        reset();
    }
    // On the translator, every block at once.
    explicit SampleGuest(TranslatorOptions options)
        : SampleGuest([options](GuestMemory& memory, const CpuidPolicy& cpuid) {
              return make_translator(memory, cpuid, options);
          }) {}
    SampleGuest() : SampleGuest(TranslatorOptions{.hot_after = 0, .brief_entries = 0}) {}

    // Assembles code that runs at `at`.
    void write(uint64_t at, const std::function<void(Emitter&)>& code) {
        std::vector<std::byte> bytes(kMostCode + Emitter::kSlack);
        Emitter emitter(bytes.data(), reinterpret_cast<const std::byte*>(at), bytes.size());
        code(emitter);
        ASSERT_FALSE(emitter.full());
        ASSERT_TRUE(memory_->write(GuestPhys(at), std::span(bytes).first(emitter.offset())));
    }
    static void hlt(Emitter& e) { e.byte(0xf4); }

    // Runs from `at` until HLT.
    VcpuExit run(uint64_t at = kCode) {
        state().rip = at;
        return vcpu_->run();
    }

    // General registers zero but for the stack's, flags clear.
    void reset() {
        CpuState& s = vcpu_->state();
        namespace attr = x86::segment_attribute;
        s = reset_state();
        s.cr0 = x86::cr0::kPe | x86::cr0::kPg | x86::cr0::kEt | x86::cr0::kNe | x86::cr0::kWp;
        s.cr3 = kTables;
        s.cr4 = x86::cr4::kPae | x86::cr4::kOsfxsr | x86::cr4::kOsxmmexcpt | x86::cr4::kOsxsave;
        s.efer = x86::efer::kLme | x86::efer::kLma | x86::efer::kSce | x86::efer::kNxe;
        s.xcr0 = 7;
        s.x87.fcw = 0x37f;
        constexpr uint32_t kData64 = attr::kPresent | attr::kCodeOrData |
                                     attr::kReadableOrWritable | attr::kAccessed |
                                     attr::kGranularity;
        for (SegmentRegister& segment : s.segments) {
            segment = {.base = 0, .limit = ~0u, .attributes = kData64, .selector = 0x18};
        }
        s.segment(x86::Segment::kCs).attributes = kData64 | attr::kCode | attr::kLong;
        s.gpr = {};
        s.gpr[kRsp] = kStack;
        s.flags = {};
        s.rip = kCode;
        vcpu_->state_changed();
    }

    CpuState& state() { return vcpu_->state(); }
    Vcpu& vcpu() { return *vcpu_; }
    CpuSignals& signals() { return signals_; }
    GuestMemory& memory() { return *memory_; }
    uint64_t gpr(Gpr number) { return state().gpr[number]; }
    uint64_t counter(const std::string& name) {
        const VcpuStatistics statistics = vcpu_->statistics();
        const auto found = statistics.counters.find(name);
        return found == statistics.counters.end() ? ~uint64_t{0} : found->second;
    }

  private:
    static constexpr size_t kMostCode = 1u << 20;

    // Large pages, one to one, for the first GiB.
    static std::unique_ptr<GuestMemory> make_memory() {
        namespace entry = x86::page_entry;
        const GuestMemory::Range range{GuestPhys(0), kMemory};
        auto memory = GuestMemory::create({&range, 1}).take_value();
        constexpr uint64_t kRights = entry::kPresent | entry::kWritable;
        bool stored = memory->store(GuestPhys(kTables), (kTables + 0x1000) | kRights) &&
                      memory->store(GuestPhys(kTables + 0x1000), (kTables + 0x2000) | kRights);
        for (uint64_t i = 0; i < 512; ++i) {
            stored = stored && memory->store(GuestPhys(kTables + 0x2000 + 8 * i),
                                             i << 21 | kRights | entry::kLarge);
        }
        CHECK(stored);
        return memory;
    }

    std::unique_ptr<GuestMemory> memory_;
    CpuidPolicy cpuid_;
    std::unique_ptr<Engine> engine_;
    NoPorts ports_;
    CpuSignals signals_;
    std::unique_ptr<Vcpu> vcpu_;
};

}  // namespace mynah::translator
